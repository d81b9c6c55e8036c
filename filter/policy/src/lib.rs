//! Pure: SPIFFE peer policy, decisions and their reasons.
//!
//! A [`Policy`] is parsed once from its JSON document ([`Policy::from_json`], every fault reported
//! together), narrowed once for each peer ([`Policy::for_peer`]) and asked for each request
//! ([`PeerPolicy::decide`]). No IO, no clock: the same code runs in the Envoy filter, on the command
//! line and in the browser.
//!
//! The vocabulary is Istio's. `DENY` comes before `ALLOW`, and nothing matches means deny:
//!
//! ```
//! use credence_policy::{Policy, Reason, SpiffeId};
//!
//! let policy = Policy::from_json(br#"{
//!     "trustDomains": ["example.org"],
//!     "rules": [{
//!         "name": "frontend-reads",
//!         "principals": ["spiffe://example.org/frontend"],
//!         "paths": ["/api/*"]
//!     }]
//! }"#)?;
//! let frontend = policy.for_peer(&SpiffeId::new("spiffe://example.org/frontend")?);
//! assert!(frontend.decide(Some(b"/api/users?page=2")).is_allowed());
//! assert_eq!(frontend.decide(Some(b"/api//users")).reason(), Reason::PathNotCanonical);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decision;
mod document;
mod engine;
mod fault;
pub mod limits;
mod path;
mod principal;

pub use decision::{Decision, Reason};
pub use engine::{PathPolicy, PeerPolicy, Policy};
pub use fault::{Fault, FaultKind, Faults, read_json};
pub use path::{PathFault, PathPattern, PathPatternFault, canonical_path};
pub use principal::{Principal, PrincipalFault};
pub use spiffe::{SpiffeId, TrustDomain};
