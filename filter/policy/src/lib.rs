//! Pure: SPIFFE peer policy, decisions and their reasons.
//!
//! A [`Policy`] is parsed once from its JSON document ([`Policy::from_json`], every fault reported
//! together), narrowed once for each connection ([`Policy::for_connection`]) and asked for each request
//! ([`Narrowed::decide`]). No IO, no clock: the same code runs in the Envoy filter, on the command
//! line and in the browser.
//!
//! The vocabulary is Istio's. `DENY` comes before `ALLOW`, and nothing matches means deny:
//!
//! ```
//! use credence_policy::{Connection, Policy, Reason, SpiffeId, plain::Request};
//!
//! let policy = Policy::from_json(br#"{
//!     "trustDomains": ["example.org"],
//!     "rules": [{
//!         "name": "frontend-reads",
//!         "principals": ["spiffe://example.org/frontend"],
//!         "methods": ["GET"],
//!         "paths": ["/api/*"]
//!     }]
//! }"#)?;
//! let frontend = SpiffeId::new("spiffe://example.org/frontend")?;
//! let connection = Connection { peer: Some(&frontend), ..Connection::default() };
//! let narrowed = policy.for_connection(&connection);
//! let users = narrowed.decide(&mut Request::new("GET", "/api/users?page=2"))?;
//! assert!(users.is_allowed());
//! let other = narrowed.decide(&mut Request::new("GET", "/api//users"))?;
//! assert_eq!(other.reason(), Reason::PathNotCanonical);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decision;
mod document;
mod domains;
mod engine;
mod explain;
mod fault;
mod index;
pub mod limits;
mod path;
mod pattern;
mod pending;
pub mod plain;
mod principal;
mod request;
mod revocation;
mod rule;
mod rules;
mod server;
mod target;
mod values;

pub use decision::{Decision, Outcome, Reason, RuleRef};
pub use engine::{Connection, Mode, Narrowed, Needs, Policy, RequestPolicy};
pub use explain::{Explanation, RuleExplanation, RuleVerdict};
pub use fault::{Fault, FaultKind, Faults, read_json};
pub use path::{PathFault, PathPatternFault, canonical_path, path_pattern};
pub use pattern::{Pattern, PatternFault};
pub use principal::{Principal, PrincipalFault};
pub use request::RequestFacts;
pub use revocation::{Leaf, Revocations, RevokedBy};
pub use rule::Action;
pub use server::{Server, ServerDecision, ServerQuery};
pub use spiffe::{SpiffeId, TrustDomain};
pub use target::{HostFault, MethodFault, canonical_host, canonical_method};
