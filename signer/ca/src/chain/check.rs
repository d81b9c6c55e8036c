//! The check as a whole.

use super::{
    Chain, MAX_ABOVE, MAX_ROOTS,
    certificate::Foreign,
    constraints, each,
    fault::{Fault, Faults, Finding, Findings, Place, Warning},
    links::{self, Placed},
};
use crate::{certificate::CaCertificate, key::PublicKey, scheme::Scheme, validity::Time};
use spiffe::SpiffeId;
use std::time::Duration;

/// Verifies a signature: by this scheme, of this key, over these octets.
pub type Verifier<'v> = &'v dyn Fn(Scheme, &PublicKey, &[u8], &[u8]) -> bool;

/// What a chain has to meet.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The trust domain's own ID.
    pub trust_domain: &'a SpiffeId,
    /// The time.
    pub now: Time,
    /// How long the longest leaf lives. Each certificate of the chain has to last for that; nothing, for a chain that is
    /// in use already.
    pub longest_leaf_life: Duration,
}

/// The keys that were given with a chain.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keys<'a> {
    /// The issuer's.
    pub issuer: Option<&'a PublicKey>,
    /// The root's.
    pub root: Option<&'a PublicKey>,
}

/// A chain in which nothing is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sound {
    roots: Vec<CaCertificate>,
    above: Vec<CaCertificate>,
    issuer: CaCertificate,
    warnings: Vec<Finding<Warning>>,
}

impl Sound {
    /// The trust anchors. The first is the one that the issuer chains to; the others are in the order that they were given in.
    #[must_use]
    pub fn roots(&self) -> &[CaCertificate] {
        &self.roots
    }

    /// What stands between issuer and root, nearest to the issuer first, without the root.
    #[must_use]
    pub fn above(&self) -> &[CaCertificate] {
        &self.above
    }

    /// What signs leaves.
    #[must_use]
    pub fn issuer(&self) -> &CaCertificate {
        &self.issuer
    }

    /// What is worth telling.
    #[must_use]
    pub fn warnings(&self) -> &[Finding<Warning>] {
        &self.warnings
    }

    /// The trust anchors, the intermediates, the issuer.
    #[must_use]
    pub fn into_parts(self) -> (Vec<CaCertificate>, Vec<CaCertificate>, CaCertificate) {
        (self.roots, self.above, self.issuer)
    }
}

/// Checks a chain.
///
/// # Errors
/// All that is wrong with it.
pub fn check(
    chain: &Chain,
    terms: &Terms<'_>,
    keys: Keys<'_>,
    verifier: Verifier<'_>,
) -> Result<Sound, Faults> {
    let mut findings = Findings::default();
    check_counts(chain, &mut findings);
    if !findings.faults.is_empty() {
        return Err(faults(findings));
    }
    let read = Read::new(chain, &mut findings);
    let root = read.check(terms, keys, verifier, &mut findings);
    finish(chain, root, findings)
}

/// Checks a root that issuers are to be made below. It comes alone.
///
/// # Errors
/// All that is wrong with it.
pub fn check_root(
    der: &[u8],
    terms: &Terms<'_>,
    key: &PublicKey,
    verifier: Verifier<'_>,
) -> Result<(CaCertificate, Vec<Finding<Warning>>), Faults> {
    let mut findings = Findings::default();
    let place = Place::Root(0);
    if let Some(root) = read_one(place, der, &mut findings) {
        let path = [(place, &root)];
        each::check(place, &root, terms, &mut findings);
        each::check_time(place, &root, terms, &mut findings);
        links::check_root((place, &root), verifier, &mut findings);
        links::check_path_lengths(&path, 1, &mut findings);
        constraints::check(&path, terms.trust_domain.trust_domain_name(), &mut findings);
        check_key((place, &root), Some(key), &mut findings);
    }
    let root = usable(place, der, &mut findings);
    match root {
        Some(root) if findings.faults.is_empty() => Ok((root, findings.warnings)),
        Some(_) | None => Err(faults(findings)),
    }
}

fn check_counts(chain: &Chain, findings: &mut Findings) {
    for (place, found, most) in [
        (Place::Above(0), chain.above.len(), MAX_ABOVE),
        (Place::Root(0), chain.roots.len(), MAX_ROOTS),
    ] {
        findings.fault_if(found > most, place, Fault::TooMany { found, most });
    }
    findings.fault_if(chain.roots.is_empty(), Place::Root(0), Fault::NoRoot);
}

fn read_one<'a>(place: Place, der: &'a [u8], findings: &mut Findings) -> Option<Foreign<'a>> {
    Foreign::read(der)
        .map_err(|fault| findings.fault(place, fault))
        .ok()
}

/// What could be read of a chain; there is nothing where a certificate could not.
struct Read<'a> {
    /// The issuer, then what is above it.
    below: Vec<Option<Foreign<'a>>>,
    roots: Vec<Option<Foreign<'a>>>,
}

impl<'a> Read<'a> {
    fn new(chain: &'a Chain, findings: &mut Findings) -> Self {
        let mut one = |place, der: &'a Vec<u8>| read_one(place, der, findings);
        let issuer = one(Place::Issuer, &chain.issuer);
        let above: Vec<_> = (chain.above.iter().enumerate())
            .map(|(at, der)| one(Place::Above(at), der))
            .collect();
        let roots = (chain.roots.iter().enumerate())
            .map(|(at, der)| one(Place::Root(at), der))
            .collect();
        Self {
            below: [issuer].into_iter().chain(above).collect(),
            roots,
        }
    }

    /// All of it. The answer is the anchor that the chain leads to.
    fn check(
        &self,
        terms: &Terms<'_>,
        keys: Keys<'_>,
        verifier: Verifier<'_>,
        findings: &mut Findings,
    ) -> usize {
        let root = self.root(verifier);
        let all = self.all();
        let path: Vec<_> = self.path(root).into_iter().flatten().collect();
        for (place, certificate) in &all {
            each::check(*place, certificate, terms, findings);
        }
        self.check_issuer(findings);
        self.check_links(root, &all, verifier, findings);
        self.check_times(root, terms, findings);
        if findings.are_in_order() {
            links::check_path_lengths(&path, 0, findings);
        }
        links::check_repeats(&all, &path, findings);
        constraints::check(&path, terms.trust_domain.trust_domain_name(), findings);
        self.check_keys(root, keys, findings);
        root
    }

    /// Which of the anchors the chain leads to.
    fn root(&self, verifier: Verifier<'_>) -> usize {
        let last = self.below.iter().rev().flatten().next();
        last.map_or(0, |last| links::find_root(last, &self.roots, verifier))
    }

    /// From the issuer to this root.
    fn path(&self, root: usize) -> Vec<Option<Placed<'_, 'a>>> {
        let below = self.below.iter().enumerate();
        let below = below.map(|(at, found)| Some((place_below(at), found.as_ref()?)));
        let root_found = self.roots.get(root).and_then(Option::as_ref);
        below
            .chain([root_found.map(|found| (Place::Root(root), found))])
            .collect()
    }

    fn all(&self) -> Vec<Placed<'_, 'a>> {
        let below = self.below.iter().enumerate();
        let below = below.filter_map(|(at, found)| Some((place_below(at), found.as_ref()?)));
        let roots = self.roots.iter().enumerate();
        let roots = roots.filter_map(|(at, found)| Some((Place::Root(at), found.as_ref()?)));
        below.chain(roots).collect()
    }

    fn check_issuer(&self, findings: &mut Findings) {
        if let Some(Some(issuer)) = self.below.first() {
            let is_root = issuer.is_self_issued();
            findings.fault_if(is_root, Place::Issuer, Fault::IssuerIsRoot);
            let no_lists = !issuer.may_sign_lists();
            findings.warn_if(no_lists, Place::Issuer, Warning::NoCrlSign);
        }
    }

    fn check_links(
        &self,
        root: usize,
        all: &[Placed<'_, 'a>],
        verifier: Verifier<'_>,
        findings: &mut Findings,
    ) {
        let path = self.path(root);
        for (one, next) in path.iter().zip(path.iter().skip(1)) {
            if let (Some(one), Some(next)) = (one, next)
                && !(one.0 == Place::Issuer && one.1.is_self_issued())
            {
                links::check_link(*one, *next, all, verifier, findings);
            }
        }
        for (at, anchor) in self.roots.iter().enumerate() {
            if let Some(anchor) = anchor {
                links::check_root((Place::Root(at), anchor), verifier, findings);
            }
        }
    }

    /// An anchor that the issuer does not chain to may have ended.
    fn check_times(&self, root: usize, terms: &Terms<'_>, findings: &mut Findings) {
        for (place, certificate) in self.path(root).into_iter().flatten() {
            each::check_time(place, certificate, terms, findings);
        }
        let others = self.roots.iter().enumerate().filter(|(at, _)| *at != root);
        for (at, anchor) in others {
            let ended = anchor.as_ref().map(|anchor| anchor.tbs.validity.not_after);
            if let Some(ended) = ended.filter(|end| *end < terms.now) {
                findings.warn(Place::Root(at), Warning::AnchorEnded(ended));
            }
        }
    }

    fn check_keys(&self, root: usize, keys: Keys<'_>, findings: &mut Findings) {
        let issuer = self.below.first().and_then(Option::as_ref);
        if let Some(issuer) = issuer {
            check_key((Place::Issuer, issuer), keys.issuer, findings);
        }
        if let Some(Some(anchor)) = self.roots.get(root) {
            check_key((Place::Root(root), anchor), keys.root, findings);
        }
    }
}

fn place_below(at: usize) -> Place {
    at.checked_sub(1).map_or(Place::Issuer, Place::Above)
}

fn check_key(
    (place, certificate): Placed<'_, '_>,
    given: Option<&PublicKey>,
    findings: &mut Findings,
) {
    if let (Ok(key), Some(given)) = (&certificate.key, given) {
        findings.fault_if(key != given, place, Fault::OtherKey);
    }
}

/// The last word: what issuing reads of a certificate has to be there.
fn usable(place: Place, der: &[u8], findings: &mut Findings) -> Option<CaCertificate> {
    CaCertificate::from_der(der)
        .map_err(|why| {
            if !findings.faults.iter().any(|fault| fault.place == place) {
                findings.fault(place, Fault::Unusable(why));
            }
        })
        .ok()
}

fn faults(findings: Findings) -> Faults {
    Faults {
        faults: findings.faults,
        warnings: findings.warnings,
    }
}

fn finish(chain: &Chain, root: usize, mut findings: Findings) -> Result<Sound, Faults> {
    let mut read = |place, der: &Vec<u8>| usable(place, der, &mut findings);
    let issuer = read(Place::Issuer, &chain.issuer);
    let above = chain.above.iter().enumerate();
    let above: Vec<_> = above
        .filter_map(|(at, der)| read(Place::Above(at), der))
        .collect();
    let roots = chain.roots.iter().enumerate();
    let mut roots: Vec<_> = roots
        .filter_map(|(at, der)| read(Place::Root(at), der))
        .collect();
    match issuer {
        Some(issuer) if findings.faults.is_empty() => {
            if let Some(first) = roots.get_mut(..=root) {
                first.rotate_right(1);
            }
            Ok(Sound {
                roots,
                above,
                issuer,
                warnings: findings.warnings,
            })
        }
        Some(_) | None => Err(faults(findings)),
    }
}
