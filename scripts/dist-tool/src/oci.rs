//! An OCI image layout of the filter, in both formats of the Wasm image specification: what Istio's `WasmPlugin` and Envoy
//! Gateway's `EnvoyExtensionPolicy` pull.
//!
//! - `VERSION`, the "compat" variant: an ordinary image with one tar and gzip layer that has `plugin.wasm`. Every registry takes it.
//! - `VERSION-artifact`, the "oci" variant: an artifact of two layers, the bare wasm and a few words about it.
//!
//! Nothing in it has a time or a machine's name.

use crate::{archive, files, sums};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

/// An image's manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The list of what is in a layout.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An image's configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A layer of the compat variant.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The bare module, in the oci variant.
pub const WASM_LAYER: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
/// What is said of the module, in the oci variant.
pub const WASM_CONFIG: &str = "application/vnd.module.wasm.config.v1+json";
/// The module's name in a layer of the compat variant.
pub const PLUGIN: &str = "plugin.wasm";
/// Under which annotation a layout's index has an image's tag.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// What a tag of the oci variant ends with.
pub const ARTIFACT: &str = "-artifact";
/// The ABI that the filter's module exports.
const ABI: &str = "0.2.1";

/// Where something is, by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// `sha256:` and hexadecimal digits.
    pub digest: String,
    /// In octets.
    pub size: u64,
    /// More about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An image: its configuration and its layers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    pub schema_version: u32,
    /// [`MANIFEST`].
    pub media_type: String,
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers.
    pub layers: Vec<Descriptor>,
    /// More about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What is in a layout.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// 2.
    pub schema_version: u32,
    /// [`INDEX`].
    pub media_type: String,
    /// The images, by tag.
    pub manifests: Vec<Descriptor>,
}

/// The configuration of an image of the compat variant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// `wasm`.
    pub architecture: String,
    /// `wasi`.
    pub os: String,
    /// What an image runs: nothing.
    pub config: BTreeMap<String, String>,
    /// The layers.
    pub rootfs: RootFs,
}

/// The layers before they were compressed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A digest each.
    pub diff_ids: Vec<String>,
}

/// What is said of the module in the oci variant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RuntimeConfig {
    /// `envoy_proxy`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The proxy-wasm ABI.
    pub abi_version: String,
    /// Its root contexts.
    pub config: RootIds,
}

/// The names of root contexts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RootIds {
    /// None: the filter goes by its configuration.
    pub root_ids: Vec<String>,
}

/// Writes a layout with both variants of one module.
///
/// # Errors
/// If a file cannot be written.
pub fn write(folder: &Path, wasm: &[u8], version: &str, commit: &str) -> Result<()> {
    let blobs = Blobs { folder };
    let about = about(version, commit);
    let index = Index {
        schema_version: 2,
        media_type: INDEX.into(),
        manifests: vec![
            tagged(compat(&blobs, wasm, &about)?, version),
            tagged(
                artifact(&blobs, wasm, &about)?,
                &format!("{version}{ARTIFACT}"),
            ),
        ],
    };
    files::write(&folder.join("index.json"), &serde_json::to_vec(&index)?)?;
    files::write(
        &folder.join("oci-layout"),
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    )
}

fn compat(blobs: &Blobs<'_>, wasm: &[u8], about: &BTreeMap<String, String>) -> Result<Descriptor> {
    let tar = archive::tar_of_one(PLUGIN, wasm)?;
    let config = Config {
        architecture: "wasm".into(),
        os: "wasi".into(),
        config: BTreeMap::new(),
        rootfs: RootFs {
            kind: "layers".into(),
            diff_ids: vec![digest(&tar)],
        },
    };
    let mut annotations = about.clone();
    annotations.insert("module.wasm.image/variant".into(), "compat".into());
    let config = blobs.put(CONFIG, &serde_json::to_vec(&config)?)?;
    let layers = vec![blobs.put(LAYER, &archive::gzip(&tar)?)?];
    blobs.manifest(config, layers, annotations)
}

/// Two layers, and no other number: Istio and Envoy Gateway insist.
fn artifact(
    blobs: &Blobs<'_>,
    wasm: &[u8],
    about: &BTreeMap<String, String>,
) -> Result<Descriptor> {
    let runtime = serde_json::to_vec(&RuntimeConfig {
        kind: "envoy_proxy".into(),
        abi_version: ABI.into(),
        config: RootIds { root_ids: vec![] },
    })?;
    let config = blobs.put(WASM_CONFIG, &runtime)?;
    let layers = vec![
        titled(blobs.put(WASM_CONFIG, &runtime)?, "runtime-config.json"),
        titled(blobs.put(WASM_LAYER, wasm)?, PLUGIN),
    ];
    blobs.manifest(config, layers, about.clone())
}

fn about(version: &str, commit: &str) -> BTreeMap<String, String> {
    let about = [
        ("title", "credence-filter"),
        ("description", "SPIFFE authorization for Envoy"),
        ("licenses", "Apache-2.0"),
        ("revision", commit),
        ("version", version),
    ];
    about
        .map(|(name, value)| (format!("org.opencontainers.image.{name}"), value.to_owned()))
        .into()
}

fn tagged(mut image: Descriptor, tag: &str) -> Descriptor {
    image.annotations.insert(REF_NAME.into(), tag.into());
    image
}

fn titled(mut layer: Descriptor, title: &str) -> Descriptor {
    let name = "org.opencontainers.image.title";
    layer.annotations.insert(name.into(), title.into());
    layer
}

/// What a descriptor calls these octets.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sums::sha256(bytes))
}

struct Blobs<'a> {
    folder: &'a Path,
}

impl Blobs<'_> {
    fn put(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor> {
        let name = sums::sha256(bytes);
        files::write(&self.folder.join("blobs/sha256").join(name), bytes)?;
        Ok(Descriptor {
            media_type: media_type.into(),
            digest: digest(bytes),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        })
    }

    fn manifest(
        &self,
        config: Descriptor,
        layers: Vec<Descriptor>,
        annotations: BTreeMap<String, String>,
    ) -> Result<Descriptor> {
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST.into(),
            config,
            layers,
            annotations,
        };
        self.put(MANIFEST, &serde_json::to_vec(&manifest)?)
    }
}
