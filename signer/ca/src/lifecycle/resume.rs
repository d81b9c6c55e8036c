//! What is to be done, as it follows from the state alone.

use super::{
    authority::{NextIssuer, NextRoot},
    event::Action,
    id::CertificateId,
    state::State,
};

impl State {
    /// All that is to be done in this state, whatever of it was done before: after a start, or when an action came to nothing.
    #[must_use]
    pub fn resume(&self) -> Vec<Action> {
        let mut actions = vec![
            Action::Serve {
                bundle: self.bundle.id,
                roots: self.bundle.roots.clone(),
            },
            Action::SignWith {
                issuer: self.active.issuer.id,
            },
        ];
        actions.extend(self.orders());
        actions.extend(self.unrecorded.iter().cloned().map(Action::Record));
        let roots = self.retired_roots.iter().map(|root| root.id);
        let issuers = self.retired_issuers.iter().map(|issuer| issuer.id);
        actions.extend(
            issuers
                .chain(roots)
                .map(|certificate| Action::Release { certificate }),
        );
        actions
    }

    fn orders(&self) -> impl Iterator<Item = Action> {
        let terms = self.settings.terms();
        let root = match self.next_root {
            Some(NextRoot::Wanted(order)) => Some(Action::MakeRoot {
                order,
                life: terms.root_life,
            }),
            Some(NextRoot::Prepared(_) | NextRoot::Distributing(_)) | None => None,
        };
        let issuer = |root: CertificateId, next: Option<NextIssuer>| match next {
            Some(NextIssuer::Wanted(order)) => Some(Action::MakeIssuer {
                order,
                root,
                life: terms.issuer_life,
            }),
            Some(NextIssuer::Prepared(_)) | None => None,
        };
        let coming = self.next_root.as_ref().and_then(NextRoot::coming);
        let coming = coming.and_then(|coming| issuer(coming.root.id, coming.issuer));
        let next = issuer(self.active.root.id, self.next_issuer);
        root.into_iter().chain(coming).chain(next)
    }

    /// Every certificate that is remembered.
    pub(super) fn certificates(&self) -> impl Iterator<Item = CertificateId> {
        let prepared = |next: Option<NextIssuer>| match next {
            Some(NextIssuer::Prepared(issuer)) => Some(issuer.id),
            Some(NextIssuer::Wanted(_)) | None => None,
        };
        let coming = self.next_root.as_ref().and_then(NextRoot::coming).copied();
        [self.active.root.id, self.active.issuer.id]
            .into_iter()
            .chain(coming.map(|coming| coming.root.id))
            .chain(coming.and_then(|coming| prepared(coming.issuer)))
            .chain(prepared(self.next_issuer))
            .chain(self.retiring.iter().map(|retiring| retiring.root.id))
            .chain(self.retired_roots.iter().map(|root| root.id))
            .chain(self.superseded.iter().map(|issuer| issuer.id))
            .chain(self.retired_issuers.iter().map(|issuer| issuer.id))
    }
}
