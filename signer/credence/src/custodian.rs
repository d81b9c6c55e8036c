//! Who holds the CA's keys, as the configuration has it.

use crate::{failure::Failure, settings};
use credence_config::custody::{CustodyConfig, VaultConfig};
use credence_host::custody::Custodian;

/// Reads the passphrase, or opens the token.
pub(crate) fn open(config: &CustodyConfig) -> Result<Custodian, Failure> {
    match &config.vault {
        VaultConfig::Files(passphrase) => {
            let source = passphrase.as_ref().map(settings::secret);
            let passphrase = source.map(|source| source.read()).transpose()?;
            Ok(Custodian::files(config.kind, passphrase))
        }
        #[cfg(feature = "pkcs11")]
        VaultConfig::Token(settings, pin) => {
            let pin = settings::secret(pin).read()?;
            let settings = settings::token(settings);
            let token = credence_host::custody::pkcs11::Token::open(settings.clone(), &pin)?;
            tracing::info!(token = settings.token, "PKCS#11 token opened");
            Ok(Custodian::token(config.kind, token))
        }
        // the configuration has refused it already
        #[cfg(not(feature = "pkcs11"))]
        VaultConfig::Token(..) => Err(Failure::NoPkcs11),
    }
}
