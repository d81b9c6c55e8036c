//! Certificates in files, both ways: [`written`] whole for applications that know nothing of SDS, and [`watched`] where somebody
//! else rotates them. Nothing here runs by itself: whoever has the time and the runtime calls.
#![cfg(unix)]

pub mod watched;
pub mod written;
