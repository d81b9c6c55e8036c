//! The published trust bundle, and who has it.

use spiffe::{SpiffeId, TrustDomain};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// A trust domain's bundle as it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Whose it is.
    pub trust_domain: TrustDomain,
    /// The roots in DER, in the order in which they are published. Never none.
    pub roots: Vec<Vec<u8>>,
    /// Grows with each change (SPIFFE Trust Domain and Bundle §4.1.1).
    pub sequence: u64,
    /// How soon readers should look again (§4.1.2).
    pub refresh_hint: Duration,
}

/// Revocation lists, as far as there are any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lists {
    /// Nothing was ever revoked, or not every issuer can have one: a verifier that has lists refuses every leaf of an issuer without.
    Without,
    /// There have to be some, and they are not there yet, nor the deny list: readers keep what they have.
    NotYet,
    /// One of each issuer, DER.
    These(Vec<Vec<u8>>),
}

/// What is revoked, as it is published beside the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// For verifiers: they come in one secret with the bundle, and say nothing about which bundle it is.
    pub lists: Lists,
    /// For the filter: its deny list, JSON.
    pub deny_list: String,
}

/// Who reads the bundle on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Who it proved to be. Replicas share it: it does not tell holders apart.
    pub identity: SpiffeId,
    /// What it calls itself (the node's ID): its own word, cut to 512 characters, without control characters.
    pub node: String,
    /// The client certificate that its connection was made with, DER, if it has one.
    pub certificate: Option<Vec<u8>>,
    /// Tells its streams apart; grows, so that the newest can be told.
    pub stream: u64,
}

/// The bundle, and what readers say about it.
///
/// Calls come in order for each stream: [`Bundles::opened`], then any of the others, then [`Bundles::closed`]. They must not block.
pub trait Bundles: Send + Sync + 'static {
    /// What is published now, and what follows. The end of the sender ends the streams.
    fn watch(&self) -> watch::Receiver<Arc<Bundle>>;

    /// What is revoked now, and what follows. The end of the sender ends the streams.
    fn revoked(&self) -> watch::Receiver<Arc<Revoked>>;

    /// A stream for the bundle has begun. What its reader has is not known yet.
    fn opened(&self, reader: &Reader);

    /// The reader uses the bundle of this sequence number.
    fn acknowledged(&self, reader: &Reader, sequence: u64);

    /// The reader would not have it, and goes on with what it had. The text is its own, cut short.
    fn rejected(&self, reader: &Reader, sequence: u64, why: &str);

    /// The stream has ended.
    fn closed(&self, reader: &Reader);
}
