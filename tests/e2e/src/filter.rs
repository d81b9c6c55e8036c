//! The file from which an Envoy takes its filter and policy: `envoy/filter.yaml`, filled in.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde_json::Value;

use crate::template::{self, Edit};

/// Where the filter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// In an HTTP chain.
    Http,
    /// In front of `tcp_proxy`.
    Network,
}

/// The file; replaced by rename.
#[derive(Debug)]
pub struct FilterFile {
    path: PathBuf,
    values: BTreeMap<&'static str, String>,
    edits: Vec<Edit>,
    version: u32,
}

impl FilterFile {
    /// Writes the first version. `roles` are those that share the filter's VM.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(
        path: &Path,
        layer: Layer,
        roles: &[&str],
        edits: &[Edit],
        config: &str,
    ) -> Result<Self> {
        let mut values = template::common(roles)?;
        let layer = match layer {
            Layer::Http => "http",
            Layer::Network => "network",
        };
        values.insert("LAYER", layer.to_owned());
        let mut file = Self {
            path: path.to_owned(),
            values,
            edits: edits.to_vec(),
            version: 0,
        };
        file.replace_by(config)?;
        Ok(file)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts another configuration of the filter in force.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn replace(&mut self, config: &Value) -> Result<()> {
        self.replace_by(&config.to_string())
    }

    /// The same with a text that may be no JSON at all; one line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn replace_by(&mut self, config: &str) -> Result<()> {
        self.version += 1;
        self.values.insert("VERSION", self.version.to_string());
        self.values.insert("POLICY", config.to_owned());
        let text = template::shipped("filter.yaml", &self.edits, &self.values)?;
        template::put(&self.path, &text)
    }
}
