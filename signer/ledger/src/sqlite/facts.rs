//! What a daemon has to know when it starts, and what a person asks.

use super::{
    ReadError, Reader, Record,
    query::{Order, Query},
    reader::{PRESENT, SELECT, row},
};
use crate::{
    entry::{By, Event, Issued, Kind, Subject},
    octets::Digest,
};
use credence_ca::{serial::Serial, validity::Time};
use std::collections::{BTreeMap, BTreeSet};

/// A certificate that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveLeaf {
    /// Where it is recorded.
    pub seq: u64,
    /// Whose it is.
    pub identity: String,
    /// Its profile's name.
    pub profile: String,
    /// Its serial number.
    pub serial: Serial,
    /// When it was issued.
    pub issued: Time,
    /// Its last good second.
    pub not_after: Time,
    /// The SHA-256 of its issuer's certificate; none for a root.
    pub issuer: Option<Digest>,
    /// When its lineage of renewals began.
    pub lineage_start: Time,
    /// Where it was asked for.
    pub frontend: String,
    /// The name of the trust bundle that went along with it.
    pub bundle: Option<String>,
}

impl LiveLeaf {
    fn new(seq: u64, issued: Time, entry: Issued) -> Self {
        Self {
            seq,
            identity: entry.identity,
            profile: entry.profile,
            serial: entry.serial,
            issued,
            not_after: entry.not_after,
            issuer: entry.issuer,
            lineage_start: entry.lineage_start,
            frontend: entry.asker.frontend,
            bundle: entry.bundle,
        }
    }
}

/// Something that is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Where it is recorded.
    pub seq: u64,
    /// Since when.
    pub time: Time,
    /// What.
    pub subject: Subject,
    /// Why.
    pub reason: String,
    /// Who ordered it.
    pub by: By,
    /// When the last certificate ends that it is about, if that is known.
    pub ends: Option<Time>,
}

/// An identity whose revocation was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reinstatement {
    /// Where it is recorded.
    pub seq: u64,
    /// The SPIFFE ID.
    pub identity: String,
}

/// A join token that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The SHA-256 of its secret.
    pub token: Digest,
    /// What it is good for.
    pub identity: String,
    /// When it ends.
    pub expires: Time,
    /// Whether it was used, and is worth nothing any more.
    pub used: bool,
}

impl Reader {
    /// Every certificate of the signing module that has not ended, revoked or not, roots and
    /// issuers too, in the order of their ends.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn live_leaves(&self, now: Time, each: &mut dyn FnMut(LiveLeaf)) -> Result<(), ReadError> {
        let sql = format!(
            "{SELECT} INDEXED BY entries_by_end
             WHERE not_after IS NOT NULL AND not_after >= ?1 AND {PRESENT} ORDER BY not_after, seq"
        );
        let failed = || self.failed();
        let mut statement = self.conn.prepare(&sql).map_err(failed())?;
        let mut rows = statement.query([now.unix()]).map_err(failed())?;
        while let Some(next) = rows.next().map_err(failed())? {
            let record = self.record(row(next).map_err(failed())?)?;
            if let Event::Issued(issued) = record.entry.event {
                each(LiveLeaf::new(record.seq, record.entry.time, *issued));
            }
        }
        Ok(())
    }

    /// Everything that was revoked, in the order in which it was.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn revocations(&self) -> Result<Vec<Revocation>, ReadError> {
        let mut out = Vec::new();
        self.every(&[Kind::REVOKED], &mut |record| {
            if let Event::Revoked(revoked) = record.entry.event {
                out.push(Revocation {
                    seq: record.seq,
                    time: record.entry.time,
                    subject: revoked.subject,
                    reason: revoked.reason,
                    by: revoked.by,
                    ends: revoked.ends,
                });
            }
        })?;
        Ok(out)
    }

    /// Every identity whose revocation was taken back, in the order in which that was.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn reinstatements(&self) -> Result<Vec<Reinstatement>, ReadError> {
        let mut out = Vec::new();
        self.every(&[Kind::REINSTATED], &mut |record| {
            if let Event::Reinstated(reinstated) = record.entry.event {
                out.push(Reinstatement {
                    seq: record.seq,
                    identity: reinstated.identity,
                });
            }
        })?;
        Ok(out)
    }

    /// The join tokens that have not ended.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn tokens(&self, now: Time) -> Result<Vec<Token>, ReadError> {
        let mut tokens = BTreeMap::new();
        let mut used = BTreeSet::new();
        let kinds = [Kind::TOKEN_MADE, Kind::TOKEN_USED];
        self.every(&kinds, &mut |record| match record.entry.event {
            Event::TokenMade(made) if made.expires >= now => {
                let token = Token {
                    token: made.token,
                    identity: made.identity,
                    expires: made.expires,
                    used: false,
                };
                tokens.insert(made.token, token);
            }
            Event::TokenUsed(spent) => {
                used.insert(spent.token);
            }
            _ => {}
        })?;
        let mark = |mut token: Token| {
            token.used = used.contains(&token.token);
            token
        };
        Ok(tokens.into_values().map(mark).collect())
    }

    /// How many entries there are of each kind, those of newer versions by their numbers.
    ///
    /// # Errors
    /// If they cannot be counted.
    pub fn counts(&self) -> Result<BTreeMap<String, u64>, ReadError> {
        let snapshot = self.snapshot()?;
        let sql = format!(
            "SELECT kind, count(*) FROM entries INDEXED BY entries_by_kind
             WHERE kind <> 1 AND {PRESENT} GROUP BY kind"
        );
        let found: Vec<(u32, u64)> = self
            .conn
            .prepare_cached(&sql)
            .and_then(|mut statement| {
                statement
                    .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect()
            })
            .map_err(self.failed())?;
        let carried: u64 = self
            .conn
            .query_row("SELECT count(*) FROM carried", [], |row| row.get(0))
            .map_err(self.failed())?;
        let all = self.head()?.size.saturating_sub(self.base()?.head.size) + carried;
        drop(snapshot);
        let others: u64 = found.iter().map(|(_, count)| count).sum();
        let mut counts: BTreeMap<_, _> = found
            .into_iter()
            .map(|(kind, count)| (Kind::from_number(kind).to_string(), count))
            .collect();
        counts.insert(Kind::ISSUED.name().to_owned(), all.saturating_sub(others));
        Ok(counts)
    }

    /// Every entry of some kinds, the oldest first, page by page.
    fn every(&self, kinds: &[Kind], each: &mut dyn FnMut(Record)) -> Result<(), ReadError> {
        let mut query = Query {
            kinds: kinds.to_vec(),
            order: Order::Oldest,
            limit: 1000,
            ..Query::default()
        };
        loop {
            let page = self.list(&query)?;
            page.records.into_iter().for_each(&mut *each);
            match page.next {
                Some(_) => query.after = page.next,
                None => return Ok(()),
            }
        }
    }
}
