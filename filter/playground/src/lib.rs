//! The policy engine for the browser and Node.
//!
//! [`api`] is plain Rust: text goes in, types that are written as JSON come out, and whatever is
//! wrong with the text is a [`api::Failure`]. [`edge`] hands that to JavaScript, as JSON; what a user
//! sees of it is `js/api.js` with its types in `js/index.d.ts`.

pub mod api;
pub mod edge;
pub mod place;
