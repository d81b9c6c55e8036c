//! The lifecycle of a trust domain's roots and issuers: a state machine without a clock, a file or a socket.
//!
//! An [`Event`] and the time go into [`State::step`]; the next [`State`] and [`Action`]s come out. Whoever drives it persists the
//! state, then does the actions, and tells what came of them by further events. After a crash [`State::resume`] gives again what is
//! to be done; actions bear names (slots, bundles, step numbers) by which doing one twice is doing it once.
//!
//! ```text
//!            made        in the bundle     gates open      no leaf left
//!  root  Wanted ─▶ Prepared ─▶ Distributing ─────▶ active ─────▶ Retiring ─────▶ retired
//!                                                 │    ▲
//!                                    signs issuers│    │changes together with its root
//!                                                 ▼    │
//!  issuer        Wanted ─▶ Prepared ─────▶ active ─────▶ Superseded ─▶ retired
//! ```
//!
//! What it holds to, whatever happens and in whatever order, unless a step is forced:
//!
//! - There is one active root and one active issuer, and the issuer is below the root.
//! - No leaf is signed below a root that some verifier may not have, and no root leaves the bundle while a live leaf may chain to it.
//! - Phases only go forward.
//! - No gate opens since a clock jumped: gates count time that was observed to pass.
//! - What is not known counts against going on: a holder that is silent, a bundle or an issuer that is not remembered, leaves that have not been read.
//!
//! Each gate is a function in `gate.rs`, and [`Hold`] is what a shut one says. The operator's page is `docs/lifecycle.md`.
//!
//! What it asks of whoever drives it:
//!
//! - **A [`Event::Tick`] every few seconds**, and at once when a holder said something that may open a gate. While a gate is
//!   waited for, and then only, a tick looks at every live leaf.
//! - **[`Holders`] is complete**: each leaf is told to it before the answer leaves, the CA's own serving certificates too, and a
//!   holder is one place where trust is kept ([`HolderId`]).
//! - **Actions are done in order, and soon**: within a refresh hint, or leaves are signed by an issuer whose root is about to go. An action that
//!   fails is asked for again with [`State::resume`].
//! - **A restore is told** ([`Event::Restored`]), with the roots that are out there ([`Event::ImportAnchor`]), before the bundle is served.

mod advance;
mod authority;
mod check;
mod clock;
mod event;
mod force;
mod gate;
mod hold;
mod holders;
mod id;
mod import;
mod outlook;
mod resume;
mod settings;
mod state;
mod status;
mod step;
mod stored;
mod words;

pub use authority::{
    Active, Coming, Distributing, IssuerCertificate, KeyPlace, NextIssuer, NextRoot, Order, Phase,
    Published, Retiring, RootCertificate, Slot,
};
pub use clock::{Jump, Observed, Reading, RunId};
pub use event::{Action, Cause, Change, Event, Forced, Refused, Step, World};
pub use gate::REFRESH_HINTS;
pub use hold::{Crowd, Hold, Lack, NAMED, QuietWhy, Waiting};
pub use holders::{HolderError, HolderId, Holders, LONGEST_NAME, Leaf, Learns};
pub use id::{BundleId, CertificateId, IdError};
pub use outlook::{Outlook, Place};
pub use settings::{RootSchedule, Settings, SettingsError, Terms};
pub use state::{
    MOST_BUNDLES, MOST_RESTARTED, MOST_RETIRED, MOST_ROOTS, MOST_UNRECORDED, MOST_VERIFIERS, State,
};
pub use status::{Standing, Status, Warning};
pub use stored::{Inconsistent, Stored, V1};
