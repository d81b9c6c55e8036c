//! When a certificate's chain of renewals began: as the ledger has it, by the certificate itself.

use crate::book::Book;
use credence_attest::{Answer, BoxFuture, Unavailable, svid::Presented};
use credence_ca::{serial::Serial, validity::Time};
use credence_ledger::{
    octets::Digest,
    sqlite::{ReadError, Reader},
};
use std::sync::{Arc, Mutex, PoisonError};

/// Readers that wait for the next question; more are made when more is asked at once.
const KEPT: usize = 8;

/// Asks the ledger.
#[derive(Clone)]
pub struct Lineages(Arc<Inner>);

struct Inner {
    book: Arc<Book>,
    readers: Mutex<Vec<Reader>>,
}

impl Lineages {
    /// Of this record.
    #[must_use]
    pub fn new(book: Arc<Book>) -> Self {
        Self(Arc::new(Inner {
            book,
            readers: Mutex::default(),
        }))
    }
}

impl Inner {
    fn began(
        &self,
        serial: &Serial,
        sha256: &Digest,
        not_after: Time,
    ) -> Result<Option<Time>, ReadError> {
        let kept = self
            .readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let reader = kept.map_or_else(|| self.book.reader(), Ok)?;
        let found = reader.lineage_of(serial, sha256, not_after)?;
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < KEPT {
            readers.push(reader);
        }
        Ok(found)
    }
}

impl credence_attest::svid::Lineages for Lineages {
    fn began<'a>(&'a self, presented: &'a Presented) -> BoxFuture<'a, Answer<Option<Time>>> {
        let (inner, serial) = (Arc::clone(&self.0), presented.serial.clone());
        let (sha256, not_after) = (Digest(presented.sha256), presented.not_after);
        Box::pin(async move {
            let asked =
                tokio::task::spawn_blocking(move || inner.began(&serial, &sha256, not_after));
            let told = |why: String| Unavailable::Store(why);
            let answer = asked.await.map_err(|why| told(why.to_string()))?;
            answer.map_err(|why| told(why.to_string()))
        })
    }
}
