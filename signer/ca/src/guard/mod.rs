//! The guard: nothing is signed that it has not derived.
//!
//! A signing module proposes bytes. The guard reads them with a reader of its own and compares
//! every value with one that it works out from what was authenticated and decided. There is
//! nothing in a to-be-signed certificate that it does not look at. The order of the extensions,
//! and which of the permitted DNS names stand beside the identity, are all that a module may
//! choose.
//!
//! Each rule is a small function in one of the modules below, and has the name that a refusal
//! bears: [`Rule`].

mod certificate;
mod crl;
mod extension;
mod field;
mod life;
mod names;
mod refusal;
mod rule;
#[cfg(test)]
mod sample;

pub use certificate::{TbsCertificate, check_certificate};
pub use crl::{LONGEST_CRL_LIFE, MAX_REVOKED, TbsCertList, check_crl};
pub(crate) use names::identity_alone;
pub use refusal::Refusal;
pub use rule::Rule;

/// What a rule says: nothing, or no.
type Verdict = Result<(), Refusal>;

/// A value that the guard has checked, or made from nothing but our own. Nothing outside this
/// crate's guard can make one, and a key in custody signs nothing else
/// ([`crate::custody::Custody`]).
///
/// Neither from a value of the right type:
///
/// ```compile_fail,E0423
/// # use credence_ca::guard::{Checked, TbsCertificate};
/// fn forge(tbs: TbsCertificate) -> Checked<TbsCertificate> {
///     Checked(tbs)
/// }
/// ```
///
/// ```compile_fail,E0423
/// # use credence_ca::guard::{Checked, TbsCertList};
/// fn forge(list: TbsCertList) -> Checked<TbsCertList> {
///     Checked(list)
/// }
/// ```
///
/// nor by the constructor that this crate uses:
///
/// ```compile_fail,E0624
/// # use credence_ca::guard::{Checked, TbsCertificate};
/// fn forge(tbs: TbsCertificate) -> Checked<TbsCertificate> {
///     Checked::derived(tbs)
/// }
/// ```
///
/// nor by changing one that was checked:
///
/// ```compile_fail,E0596
/// # use credence_ca::guard::{Checked, TbsCertificate};
/// fn alter(mut checked: Checked<TbsCertificate>, other: TbsCertificate) {
///     let inside: &mut TbsCertificate = &mut checked;
///     *inside = other;
/// }
/// ```
///
/// And the values themselves have no public constructor:
///
/// ```compile_fail,E0451
/// # use credence_ca::{guard::TbsCertificate, key::{PublicKey, SignatureAlgorithm}};
/// fn make(der: Vec<u8>, algorithm: SignatureAlgorithm, issuer_key: PublicKey) -> TbsCertificate {
///     TbsCertificate { der, algorithm, issuer_key }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked<T>(T);

impl<T> Checked<T> {
    /// For what this crate derives by itself.
    pub(crate) fn derived(value: T) -> Self {
        Self(value)
    }
}

impl<T> std::ops::Deref for Checked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
