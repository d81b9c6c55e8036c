//! What one caller may see. Everything that it is answered is looked up in here: what is outside looks like what does not exist.

use std::collections::BTreeSet;

use spiffe::{SpiffeId, TrustDomain};

/// An identity that a caller may have, and what the caller knows it by beside its ID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entitled {
    /// The identity.
    pub id: SpiffeId,
    /// A word that tells it from the caller's other ones (Workload API, `X509SVID.hint`); may be empty.
    pub hint: String,
}

/// The identities that a caller may have, the first one its default; and the foreign trust domains that it may trust.
///
/// The trust domains of its identities are its own, that of the default identity first of all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct View {
    default: Entitled,
    others: Vec<Entitled>,
    federated: BTreeSet<TrustDomain>,
}

/// Why a view is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// An identity is there twice.
    #[error("{0} is there twice")]
    Twice(SpiffeId),
    /// A client could not tell two identities apart.
    #[error("two identities have the hint {0:?}")]
    SameHint(String),
    /// An ID without a path is a trust domain's.
    #[error("{0} is a trust domain's ID, not a workload's")]
    NotAWorkload(SpiffeId),
}

impl View {
    /// Of one identity and no foreign trust domain.
    #[must_use]
    pub fn of(id: SpiffeId) -> Self {
        Self {
            default: Entitled {
                id,
                hint: String::new(),
            },
            others: Vec::new(),
            federated: BTreeSet::new(),
        }
    }

    /// Of several identities, the first given one the default.
    ///
    /// # Errors
    /// [`ViewError`] if they cannot be told apart by ID, and by hint where they have one.
    pub fn new(
        default: Entitled,
        others: Vec<Entitled>,
        federated: BTreeSet<TrustDomain>,
    ) -> Result<Self, ViewError> {
        let view = Self {
            default,
            others,
            federated,
        };
        let (mut ids, mut hints) = (BTreeSet::new(), BTreeSet::new());
        for Entitled { id, hint } in view.entitled() {
            if id.path().is_empty() {
                return Err(ViewError::NotAWorkload(id.clone()));
            }
            if !ids.insert(id) {
                return Err(ViewError::Twice(id.clone()));
            }
            if !hint.is_empty() && !hints.insert(hint) {
                return Err(ViewError::SameHint(hint.clone()));
            }
        }
        Ok(view)
    }

    /// The identity that it has where it names none.
    #[must_use]
    pub fn default_id(&self) -> &SpiffeId {
        &self.default.id
    }

    /// Its identities, the default first.
    pub fn entitled(&self) -> impl Iterator<Item = &Entitled> {
        std::iter::once(&self.default).chain(&self.others)
    }

    /// The trust domain whose bundle is the caller's own.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        self.default.id.trust_domain()
    }

    /// All trust domains whose bundles it may have, its own first, none twice.
    #[must_use]
    pub fn trust_domains(&self) -> Vec<&TrustDomain> {
        let own = self.entitled().map(|entitled| entitled.id.trust_domain());
        let mut domains: Vec<&TrustDomain> = Vec::new();
        for domain in own.chain(&self.federated) {
            if !domains.contains(&domain) {
                domains.push(domain);
            }
        }
        domains
    }

    /// Whether the trust domain is foreign to it.
    #[must_use]
    pub fn is_foreign(&self, domain: &TrustDomain) -> bool {
        self.entitled()
            .all(|entitled| entitled.id.trust_domain() != domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entitled(id: &str, hint: &str) -> Entitled {
        Entitled {
            id: SpiffeId::new(id).unwrap(),
            hint: hint.to_owned(),
        }
    }

    fn domain(name: &str) -> TrustDomain {
        TrustDomain::new(name).unwrap()
    }

    #[test]
    fn domains_come_once_and_the_own_one_first() {
        let view = View::new(
            entitled("spiffe://z.org/a", "one"),
            vec![
                entitled("spiffe://b.org/a", ""),
                entitled("spiffe://z.org/b", ""),
            ],
            BTreeSet::from([domain("b.org"), domain("a.org"), domain("z.org")]),
        )
        .unwrap();
        let names: Vec<_> = view.trust_domains().iter().map(|d| d.as_str()).collect();
        assert_eq!(names, ["z.org", "b.org", "a.org"]);
        assert_eq!(view.trust_domain(), &domain("z.org"));
        assert!(view.is_foreign(&domain("a.org")) && !view.is_foreign(&domain("b.org")));
    }

    #[test]
    fn identities_that_cannot_be_told_apart_are_refused() {
        let new = |others| View::new(entitled("spiffe://a.org/a", "x"), others, BTreeSet::new());
        let twice = new(vec![entitled("spiffe://a.org/a", "y")]);
        assert!(matches!(twice, Err(ViewError::Twice(_))));
        let same = new(vec![entitled("spiffe://a.org/b", "x")]);
        assert_eq!(same, Err(ViewError::SameHint("x".to_owned())));
        let domain = new(vec![entitled("spiffe://a.org", "")]);
        assert!(matches!(domain, Err(ViewError::NotAWorkload(_))));
        let fine = new(vec![
            entitled("spiffe://a.org/b", ""),
            entitled("spiffe://a.org/c", ""),
        ]);
        assert!(fine.is_ok());
    }
}
