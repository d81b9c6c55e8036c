//! A bundle is served, and an issuer signs.

use super::Worker;
use crate::{current::Snapshot, lifecycle::LifecycleError};
use credence_ca::lifecycle::{BundleId, CertificateId, Event, State};
use credence_daemon::ports::Bundle;
use credence_host::authority::Authority;
use rustls_pki_types::CertificateDer;
use std::sync::Arc;

impl Worker {
    pub(super) fn serve(
        &mut self,
        state: &State,
        id: BundleId,
        roots: &[CertificateId],
    ) -> Result<Event, LifecycleError> {
        let stored: Result<Vec<_>, _> = roots.iter().map(|root| self.stored(*root)).collect();
        let bundle = Arc::new(Bundle {
            trust_domain: self.parts.trust_domain.trust_domain().clone(),
            roots: stored?
                .iter()
                .map(|root| root.certificate.der().to_vec())
                .collect(),
            sequence: id.sequence(),
            refresh_hint: state.settings().terms().refresh_hint,
        });
        self.bundle = Some((id, Arc::clone(&bundle)));
        self.renew_snapshot(state)?;
        self.parts.publication.publish(id, bundle);
        Ok(Event::Served { bundle: id })
    }

    pub(super) fn sign_with(
        &mut self,
        state: &State,
        issuer: CertificateId,
    ) -> Result<(), LifecycleError> {
        // a list before the first leaf, where lists are out there
        self.list(state);
        let before = self.signing.replace(issuer);
        self.renew_snapshot(state)?;
        if before != Some(issuer) {
            tracing::info!(%issuer, root = %state.active().root.id, "leaves are signed by this issuer");
        }
        Ok(())
    }

    /// What the door goes by. Before there are both a bundle and an issuer, there is nothing.
    fn renew_snapshot(&self, state: &State) -> Result<(), LifecycleError> {
        let (Some((bundle_id, bundle)), Some(issuer)) = (&self.bundle, self.signing) else {
            return Ok(());
        };
        let active = state.active();
        if issuer != active.issuer.id {
            // the one that the state has now is about to be asked for
            return Ok(());
        }
        let one = self.stored(issuer)?;
        let root = self.stored(active.root.id)?;
        let key = one.key.clone();
        let key =
            key.ok_or_else(|| LifecycleError::Missing(format!("the key of issuer {issuer}")))?;
        let authority = Authority::new(
            Arc::clone(&self.parts.signer),
            self.parts.trust_domain.clone(),
            root.certificate.clone(),
            one.certificate.clone(),
            key,
        );
        let ours = state.superseded().iter().map(|issuer| issuer.id);
        let ours = [issuer]
            .into_iter()
            .chain(ours)
            .filter_map(|id| self.parts.authorities.get(id));
        let issuers = ours.map(|one| CertificateDer::from(one.certificate.der().to_vec()));
        self.parts.current.set(Snapshot {
            authority: authority
                .with_intermediates(one.above.clone())
                .with_dns_templates(self.parts.dns_templates.clone())
                .with_further_trust_domains(self.parts.further_domains.clone())
                .with_backdating(self.parts.backdate),
            issuer,
            bundle: Arc::clone(bundle),
            bundle_id: *bundle_id,
            longest_leaf_life: state.settings().terms().longest_leaf_life,
            ends: active.issuer.ends(),
            issuers: Arc::new(issuers.collect()),
        });
        Ok(())
    }
}
