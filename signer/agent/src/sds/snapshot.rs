//! What there is to serve at one moment, by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::elsewhere::Elsewhere;
use super::names::{DENY_LIST, ROOT_CA, is_expected};
use super::secrets::Secret;
use crate::shelf::Bundle;
use crate::view::View;

/// The secrets that one kind of caller may have. Cheap to clone.
#[derive(Clone, Default)]
pub struct Snapshot {
    secrets: Arc<BTreeMap<String, Arc<Secret>>>,
    /// What "everything" is, in its order: each thing once, under its first name.
    everything: Arc<[String]>,
    /// The names of what is late: it is the caller's, and not there now.
    late: Arc<BTreeSet<String>>,
    elsewhere: Option<(Arc<View>, Arc<dyn Elsewhere>)>,
}

impl Snapshot {
    /// A trust bundle and nothing else: roots, and revocation lists where there are any, in DER. A verifier then wants a list of each
    /// leaf's issuer, and none of the issuers' issuers.
    #[must_use]
    pub fn of_bundle(roots: &[Vec<u8>], lists: &[Vec<u8>]) -> Self {
        let bundle = Bundle {
            roots: roots.to_vec(),
            lists: lists.to_vec(),
            ..Bundle::default()
        };
        Self::default().with(ROOT_CA, Secret::roots(ROOT_CA, &bundle))
    }

    /// The same with the filter's deny list, JSON.
    #[must_use]
    pub fn with_deny_list(self, json: &str) -> Self {
        self.with(DENY_LIST, Secret::deny_list(DENY_LIST, json))
    }

    /// The version of the bundle: the same for the same roots and revocation lists.
    #[must_use]
    pub fn bundle_version(&self) -> Option<&str> {
        self.secrets.get(ROOT_CA).map(|secret| secret.version())
    }

    /// These secrets; everything is what is listed of them.
    pub(super) fn new(
        secrets: BTreeMap<String, Arc<Secret>>,
        listed: Vec<String>,
        late: BTreeSet<String>,
    ) -> Self {
        Self {
            secrets: Arc::new(secrets),
            everything: listed.into(),
            late: Arc::new(late),
            elsewhere: None,
        }
    }

    /// The same, with names that are looked up elsewhere.
    pub(super) fn and_elsewhere(self, view: &Arc<View>, elsewhere: &Arc<dyn Elsewhere>) -> Self {
        Self {
            elsewhere: Some((Arc::clone(view), Arc::clone(elsewhere))),
            ..self
        }
    }

    fn with(mut self, name: &str, secret: Secret) -> Self {
        Arc::make_mut(&mut self.secrets).insert(name.to_owned(), Arc::new(secret));
        let names = self.everything.iter().cloned();
        self.everything = names.chain([name.to_owned()]).collect();
        self
    }

    /// The secret of this name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Secret>> {
        if let Some(secret) = self.secrets.get(name) {
            return Some(Arc::clone(secret));
        }
        let (view, elsewhere) = self.elsewhere.as_ref()?;
        elsewhere.secret(view, name)
    }

    /// Whether there will be something under this name sooner or later: nobody needs to be told that there is nothing yet.
    pub(super) fn expects(&self, name: &str) -> bool {
        is_expected(name) || self.late.contains(name)
    }

    /// The secret as it was made before, for a snapshot that comes after this one.
    pub(super) fn made(&self, name: &str) -> Option<&Arc<Secret>> {
        self.secrets.get(name)
    }

    /// The names of what is there under "everything".
    pub(super) fn everything(&self) -> &[String] {
        &self.everything
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.secrets.iter()).finish()
    }
}

#[cfg(test)]
impl Snapshot {
    /// Stand-ins whose contents are any text, for tests of what is sent when.
    pub(crate) fn stand_in(secrets: &[(&str, &str)]) -> Self {
        use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::CertificateValidationContext;
        use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
        let stand_in = |snapshot: Self, (name, text): &(&str, &str)| {
            let empty = Type::ValidationContext(CertificateValidationContext::default());
            snapshot.with(name, Secret::new(name, &[text.as_bytes()], empty))
        };
        secrets.iter().fold(Self::default(), stand_in)
    }
}
