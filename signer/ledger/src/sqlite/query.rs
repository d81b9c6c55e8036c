//! Finding entries.

use super::{
    ReadError, Reader, Record,
    cursor::Cursor,
    reader::{PRESENT, SELECT, row},
};
use crate::{
    entry::{Entry, Kind},
    octets::Digest,
    projection::{Key, Projection},
};
use credence_ca::{serial::Serial, validity::Time};
use rusqlite::params_from_iter;

/// What entries are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// A SPIFFE ID.
    Identity(String),
    /// A certificate.
    Serial(Serial),
    /// A join token, by the SHA-256 of its secret.
    Token(Digest),
    /// A CA certificate or module, by its SHA-256.
    Object(Digest),
}

impl About {
    pub(super) fn key(&self) -> Key<'_> {
        match self {
            Self::Identity(identity) => Key::Identity(identity),
            Self::Serial(serial) => Key::Serial(serial),
            Self::Token(digest) => Key::Token(digest),
            Self::Object(digest) => Key::Object(digest),
        }
    }
}

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The newest first.
    #[default]
    Newest,
    /// The oldest first.
    Oldest,
}

impl Order {
    fn sql(self) -> (&'static str, &'static str) {
        match self {
            Self::Newest => ("DESC", "<"),
            Self::Oldest => ("ASC", ">"),
        }
    }
}

/// Which entries. All that is given has to hold.
///
/// The order is that of the entries; but where ends are asked for, that of the ends, and where
/// times are, that of the times. What an entry is about, and kinds other than "issued", come
/// before both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// About this.
    pub about: Option<About>,
    /// Of one of these kinds; all kinds if there is none.
    pub kinds: Vec<Kind>,
    /// Written at this time or later.
    pub from: Option<Time>,
    /// Written before this time.
    pub until: Option<Time>,
    /// Whose certificate ends at this time or later.
    pub ends_from: Option<Time>,
    /// Whose certificate ends before this time.
    pub ends_before: Option<Time>,
    /// In which order.
    pub order: Order,
    /// From where the last page ended.
    pub after: Option<Cursor>,
    /// How many, at most; 1 to 1000, and 100 if it is 0.
    pub limit: usize,
}

/// Some entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// They. There may be fewer than asked for, or none, with more to come.
    pub records: Vec<Record>,
    /// How to get the next ones; nothing if there are none.
    pub next: Option<Cursor>,
}

/// The most that a page has.
const LARGEST: usize = 1000;
/// How many entries are looked at for one page, where they have to be read to know.
const BUDGET: usize = 10_000;

impl Query {
    /// Everything about this.
    #[must_use]
    pub fn about(about: About) -> Self {
        Self {
            about: Some(about),
            ..Self::default()
        }
    }

    /// Everything of this kind.
    #[must_use]
    pub fn kind(kind: Kind) -> Self {
        Self {
            kinds: vec![kind],
            ..Self::default()
        }
    }

    fn limit(&self) -> usize {
        match self.limit {
            0 => 100,
            limit => limit.min(LARGEST),
        }
    }

    fn fits(&self, entry: &Entry) -> bool {
        let is = Projection::of(entry);
        let about = self.about.as_ref();
        let (from, until) = (self.from, self.until);
        about.is_none_or(|about| about.key().is_of(&entry.event))
            && (self.kinds.is_empty() || self.kinds.contains(&is.kind))
            && from.is_none_or(|from| is.time >= from)
            && until.is_none_or(|until| is.time < until)
            && self.ends_fit(is.not_after)
    }

    fn ends_fit(&self, end: Option<Time>) -> bool {
        if self.ends_from.is_none() && self.ends_before.is_none() {
            return true;
        }
        end.is_some_and(|end| {
            self.ends_from.is_none_or(|from| end >= from)
                && self.ends_before.is_none_or(|before| end < before)
        })
    }

    /// By which column the entries are found, if not by what they are about.
    fn column(&self) -> Column {
        if !self.kinds.is_empty() && !self.kinds.contains(&Kind::ISSUED) {
            Column::Kind
        } else if self.ends_from.is_some() || self.ends_before.is_some() {
            Column::End
        } else if self.from.is_some() || self.until.is_some() {
            Column::Time
        } else {
            Column::Seq
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Seq,
    Time,
    End,
    Kind,
}

impl Column {
    /// The index, and what the order is by.
    fn sql(self) -> (&'static str, &'static str) {
        match self {
            Self::Seq => ("NOT INDEXED", "seq"),
            Self::Time => ("INDEXED BY entries_by_time", "time"),
            Self::End => ("INDEXED BY entries_by_end", "not_after"),
            Self::Kind => ("INDEXED BY entries_by_kind", "seq"),
        }
    }

    fn cursor(self, record: &Record) -> Cursor {
        let is = Projection::of(&record.entry);
        let by = match self {
            Self::Seq | Self::Kind => record.seq,
            Self::Time => is.time.unix(),
            Self::End => is.not_after.map_or(0, Time::unix),
        };
        Cursor {
            by: i64::try_from(by).unwrap_or(i64::MAX),
            seq: record.seq,
        }
    }
}

impl Reader {
    /// The entries that are asked for, a page of them.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn list(&self, query: &Query) -> Result<Page, ReadError> {
        match (&query.about, query.column()) {
            (Some(about), _) => self.by_key(query, about.key().number()),
            (None, Column::Kind) => self.by_kinds(query),
            (None, column) => {
                let records = self.scan(query, column, &query.kinds)?;
                Ok(page(records, query.limit(), column))
            }
        }
    }

    /// Each kind by itself, since the index has them one after the other.
    fn by_kinds(&self, query: &Query) -> Result<Page, ReadError> {
        let mut records = Vec::new();
        for kind in &query.kinds {
            records.append(&mut self.scan(query, Column::Kind, &[*kind])?);
        }
        records.sort_by_key(|record| record.seq);
        if query.order == Order::Newest {
            records.reverse();
        }
        records.dedup_by_key(|record| record.seq);
        let limit = query.limit();
        records.truncate(limit);
        Ok(page(records, limit, Column::Kind))
    }

    fn scan(
        &self,
        query: &Query,
        column: Column,
        kinds: &[Kind],
    ) -> Result<Vec<Record>, ReadError> {
        let (sql, values) = statement(query, column, kinds);
        let mut statement = self.conn.prepare_cached(&sql).map_err(self.failed())?;
        let mut rows = statement
            .query(params_from_iter(values))
            .map_err(self.failed())?;
        let mut records = Vec::new();
        while let Some(next) = rows.next().map_err(self.failed())? {
            records.push(self.record(row(next).map_err(self.failed())?)?);
        }
        Ok(records)
    }

    /// Segment by segment, until the page is full or enough was looked at.
    fn by_key(&self, query: &Query, key: i64) -> Result<Page, ReadError> {
        let mut records = Vec::new();
        let mut looked_at = 0_usize;
        let mut segment = self.segment(query.order, None, query.after)?;
        while let Some(number) = segment {
            for seq in self.in_segment(query, number, key)? {
                looked_at = looked_at.saturating_add(1);
                let record = self.entry(seq)?;
                records.extend(record.filter(|record| query.fits(&record.entry)));
                if records.len() == query.limit() || looked_at == BUDGET {
                    let next = Some(Cursor { by: 0, seq });
                    return Ok(Page { records, next });
                }
            }
            segment = self.segment(query.order, Some(number), None)?;
        }
        Ok(Page {
            records,
            next: None,
        })
    }

    /// The next segment that there is.
    fn segment(
        &self,
        order: Order,
        before: Option<u64>,
        after: Option<Cursor>,
    ) -> Result<Option<u64>, ReadError> {
        let at = after.map(|cursor| super::schema::segment(cursor.seq));
        let (sql, bound) = match (order, before, at) {
            (Order::Newest, None, None) => ("SELECT max(segment) FROM lookup WHERE ?1 = 0", 0),
            (Order::Newest, Some(number), _) => {
                ("SELECT max(segment) FROM lookup WHERE segment < ?1", number)
            }
            (Order::Newest, None, Some(number)) => (
                "SELECT max(segment) FROM lookup WHERE segment <= ?1",
                number,
            ),
            (Order::Oldest, None, at) => (
                "SELECT min(segment) FROM lookup WHERE segment >= ?1",
                at.unwrap_or(0),
            ),
            (Order::Oldest, Some(number), _) => {
                ("SELECT min(segment) FROM lookup WHERE segment > ?1", number)
            }
        };
        self.conn
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([bound], |row| row.get(0)))
            .map_err(self.failed())
    }

    pub(super) fn in_segment(
        &self,
        query: &Query,
        segment: u64,
        key: i64,
    ) -> Result<Vec<u64>, ReadError> {
        let (direction, beyond) = query.order.sql();
        let start = match (query.after, query.order) {
            (Some(cursor), _) => cursor.seq,
            (None, Order::Newest) => i64::MAX.unsigned_abs(),
            (None, Order::Oldest) => 0,
        };
        let sql = format!(
            "SELECT seq FROM lookup WHERE segment = ?1 AND key = ?2 AND seq {beyond} ?3
             ORDER BY seq {direction} LIMIT {BUDGET}"
        );
        self.conn
            .prepare_cached(&sql)
            .and_then(|mut statement| {
                statement
                    .query_map((segment, key, start), |row| row.get(0))?
                    .collect()
            })
            .map_err(self.failed())
    }
}

/// Whether there are more is not known before the next page is asked for, unless this one is not
/// full.
fn page(records: Vec<Record>, limit: usize, column: Column) -> Page {
    let last = records.last().filter(|_| records.len() == limit);
    Page {
        next: last.map(|record| column.cursor(record)),
        records,
    }
}

fn statement(query: &Query, column: Column, kinds: &[Kind]) -> (String, Vec<i64>) {
    let (index, by) = column.sql();
    let (direction, beyond) = query.order.sql();
    let mut sql = SELECT.to_owned() + " " + index + " WHERE " + PRESENT;
    let mut values = Vec::new();
    let mut add = |condition: &str, value: u64| {
        values.push(i64::try_from(value).unwrap_or(i64::MAX));
        sql.push_str(&format!(" AND {condition} ?{}", values.len()));
    };
    for (condition, time) in [
        ("time >=", query.from),
        ("time <", query.until),
        ("not_after >=", query.ends_from),
        ("not_after <", query.ends_before),
    ] {
        if let Some(time) = time {
            add(condition, time.unix());
        }
    }
    if let [kind] = kinds {
        add("kind =", kind.number().into());
    } else if !kinds.is_empty() {
        let list: Vec<_> = kinds.iter().map(|kind| kind.number().to_string()).collect();
        sql.push_str(&format!(" AND kind IN ({})", list.join(", ")));
    }
    match column {
        Column::Kind => sql.push_str(" AND kind <> 1"),
        Column::End => sql.push_str(" AND not_after IS NOT NULL"),
        Column::Time | Column::Seq => {}
    }
    if let Some(Cursor { by: value, seq }) = query.after {
        values.push(value);
        values.push(i64::try_from(seq).unwrap_or(i64::MAX));
        let last = values.len();
        let first = last.saturating_sub(1);
        sql.push_str(&format!(" AND ({by}, seq) {beyond} (?{first}, ?{last})"));
    }
    let limit = query.limit();
    sql.push_str(&format!(
        " ORDER BY {by} {direction}, seq {direction} LIMIT {limit}"
    ));
    (sql, values)
}
