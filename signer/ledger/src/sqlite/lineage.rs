//! The lineage of renewals that a certificate belongs to.

use super::{
    ReadError, Reader, Record,
    query::{About, Query},
    schema,
};
use crate::{
    entry::{Event, Kind},
    octets::Digest,
};
use credence_ca::{serial::Serial, validity::Time};

impl Reader {
    /// When the lineage of renewals began that this very certificate belongs to: the one with this
    /// serial number whose DER has this SHA-256. Nothing if it is not on record, or not any more.
    ///
    /// By certificate and not by identity: who holds a stolen key gains nothing from its owner's
    /// proving itself anew.
    ///
    /// Its end says where it is: only the segments with an entry of just that end are looked at,
    /// however long the record is. The others are if it is in none of those.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn lineage_of(
        &self,
        serial: &Serial,
        certificate: &Digest,
        not_after: Time,
    ) -> Result<Option<Time>, ReadError> {
        let mut query = Query {
            kinds: vec![Kind::ISSUED],
            ..Query::about(About::Serial(serial.clone()))
        };
        let is = |record: &Record| lineage(&record.entry.event, certificate);
        if let Some(start) = self.lineage_by_end(&query, not_after, &is)? {
            return Ok(Some(start));
        }
        loop {
            let page = self.list(&query)?;
            if let Some(start) = page.records.iter().find_map(is) {
                return Ok(Some(start));
            }
            match page.next {
                Some(_) => query.after = page.next,
                None => return Ok(None),
            }
        }
    }

    fn lineage_by_end(
        &self,
        query: &Query,
        not_after: Time,
        is: &dyn Fn(&Record) -> Option<Time>,
    ) -> Result<Option<Time>, ReadError> {
        let Some(about) = &query.about else {
            return Ok(None);
        };
        let key = about.key().number();
        let mut segment = self.segment_by_end(not_after, 0)?;
        while let Some(number) = segment {
            for seq in self.in_segment(query, number, key)? {
                if let Some(start) = self.entry(seq)?.as_ref().and_then(is) {
                    return Ok(Some(start));
                }
            }
            segment = self.segment_by_end(not_after, schema::beyond(number))?;
        }
        Ok(None)
    }

    /// The segment of the first entry from this one on with this end.
    fn segment_by_end(&self, not_after: Time, from: u64) -> Result<Option<u64>, ReadError> {
        let sql = "SELECT min(seq) FROM entries INDEXED BY entries_by_end
                   WHERE not_after = ?1 AND seq >= ?2";
        let seq: Option<u64> = self
            .conn
            .prepare_cached(sql)
            .and_then(|mut statement| {
                statement.query_row((not_after.unix(), from), |row| row.get(0))
            })
            .map_err(self.failed())?;
        Ok(seq.map(schema::segment))
    }
}

fn lineage(event: &Event, certificate: &Digest) -> Option<Time> {
    let Event::Issued(issued) = event else {
        return None;
    };
    let whole = issued.certificate().ok()?;
    (Digest::of(&whole) == *certificate).then_some(issued.lineage_start)
}
