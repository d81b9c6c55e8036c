//! The guard: nothing is signed that it has not derived.
//!
//! A signing module proposes bytes. The guard reads them with a reader of its own and compares
//! every value with one that it works out from what was authenticated and decided. There is
//! nothing in a to-be-signed certificate that it does not look at; the order of the extensions
//! is all that a module may choose.

mod certificate;
mod rule;

pub use certificate::{TbsCertificate, check_certificate};
pub use rule::{Refusal, Rule};

/// A value that the guard has checked, or made from nothing but our own. Nothing outside this
/// crate's guard can make one, and a key in custody signs nothing else.
///
/// ```compile_fail
/// # use credence_ca::guard::{Checked, TbsCertificate};
/// fn forge(tbs: TbsCertificate) -> Checked<TbsCertificate> {
///     Checked(tbs)
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
