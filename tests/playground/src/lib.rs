//! What the playground's tests share: a browser to drive, and a web server to see what it asks for.

pub mod browser;
pub mod server;
