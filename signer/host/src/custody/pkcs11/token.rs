//! The way to a token: its library, its slot, a session that is logged in.

use super::Pkcs11Error;
use crate::custody::{Role, Secret, TokenSettings};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

/// A token that its user's PIN opens.
pub struct Token {
    settings: TokenSettings,
    library: Pkcs11,
    pin: AuthPin,
    /// The token refused the PIN: it is not shown it again.
    barred: AtomicBool,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?}, PIN not shown)", self.settings)
    }
}

impl Token {
    /// Loads the library, finds the token and logs in.
    ///
    /// # Errors
    /// If one of that cannot be done.
    pub fn open(settings: TokenSettings, pin: &Secret) -> Result<Self, Pkcs11Error> {
        let library = Pkcs11::new(&settings.library)
            .map_err(|e| Pkcs11Error::Library(settings.library.clone(), e))?;
        let pin = std::str::from_utf8(pin.octets()).map_err(|_| Pkcs11Error::PinNotText)?;
        let token = Self {
            settings,
            library,
            pin: AuthPin::from(pin),
            barred: AtomicBool::new(false),
        };
        token.session()?;
        Ok(token)
    }

    pub(super) fn label(&self, role: Role) -> &str {
        self.settings.label(role)
    }

    /// A new session, logged in.
    pub(super) fn session(&self) -> Result<Session, Pkcs11Error> {
        self.initialize()?;
        let session = self.library.open_rw_session(self.slot()?)?;
        self.log_in(&session)?;
        Ok(session)
    }

    /// Once for a process; again, if the library was shut down meanwhile.
    fn initialize(&self) -> Result<(), Pkcs11Error> {
        let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        match self.library.initialize(arguments) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// By the token's label: slots are numbered anew whenever they like.
    fn slot(&self) -> Result<Slot, Pkcs11Error> {
        let mut found = Vec::new();
        for slot in self.library.get_slots_with_initialized_token()? {
            if self.library.get_token_info(slot)?.label() == self.settings.token {
                found.push(slot);
            }
        }
        match found.as_slice() {
            [slot] => Ok(*slot),
            others => Err(Pkcs11Error::NoToken {
                label: self.settings.token.clone(),
                found: others.len(),
            }),
        }
    }

    /// A login is the whole process': another session may have done it.
    fn log_in(&self, session: &Session) -> Result<(), Pkcs11Error> {
        let refused = || Pkcs11Error::Pin(self.settings.token.clone());
        if self.barred.load(Ordering::Relaxed) {
            return Err(refused());
        }
        match session.login(UserType::User, Some(&self.pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(
                RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinExpired
                | RvError::PinLocked,
                _,
            )) => {
                self.barred.store(true, Ordering::Relaxed);
                Err(refused())
            }
            Err(e) => Err(e.into()),
        }
    }
}
