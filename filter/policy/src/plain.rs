//! A request whose facts are at hand: for the command line, the browser and tests.

use std::convert::Infallible;

use crate::request::RequestFacts;

/// A request whose facts are at hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// `:method`
    pub method: Option<Vec<u8>>,
    /// `:path`
    pub path: Option<Vec<u8>>,
    /// `:authority`
    pub host: Option<Vec<u8>>,
}

impl Request {
    /// A request with this method and target, and no host.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: Some(method.into()),
            path: Some(path.into()),
            host: None,
        }
    }
}

impl RequestFacts for Request {
    type Error = Infallible;

    fn method(&mut self) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.method.clone())
    }

    fn path(&mut self) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.path.clone())
    }

    fn host(&mut self) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.host.clone())
    }
}
