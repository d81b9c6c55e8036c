//! An OCI image layout, read as whoever pulls the filter reads it.

use crate::{
    archive, files,
    oci::{
        ARTIFACT, CONFIG, Config, Descriptor, INDEX, Index, LAYER, MANIFEST, Manifest, PLUGIN,
        REF_NAME, WASM_LAYER, digest,
    },
};
use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    path::{Path, PathBuf},
};

/// A layout of which everything holds: each blob is what its descriptor says, and nothing lies about beside them.
#[derive(Debug)]
pub struct Layout {
    /// The module in each image, by its tag.
    pub modules: BTreeMap<String, Vec<u8>>,
}

impl Layout {
    /// Reads one.
    ///
    /// # Errors
    /// If anything in it does not hold; what, and where.
    pub fn read(folder: &Path) -> Result<Self> {
        let marker = files::read(&folder.join("oci-layout"))?;
        let marker: BTreeMap<String, String> = serde_json::from_slice(&marker)?;
        let version = marker.get("imageLayoutVersion").map(String::as_str);
        ensure!(version == Some("1.0.0"), "oci-layout: version {version:?}");
        let index: Index = serde_json::from_slice(&files::read(&folder.join("index.json"))?)?;
        ensure!(
            index.schema_version == 2 && index.media_type == INDEX,
            "index.json is no index of schema 2"
        );
        let mut reader = Reader {
            folder,
            used: BTreeSet::new(),
        };
        let mut modules = BTreeMap::new();
        for image in &index.manifests {
            let tag = image
                .annotations
                .get(REF_NAME)
                .context("an image without a tag")?;
            let module = reader.image(image, tag).with_context(|| tag.clone())?;
            ensure!(
                modules.insert(tag.clone(), module).is_none(),
                "two images are tagged {tag}"
            );
        }
        reader.nothing_else()?;
        Ok(Self { modules })
    }
}

struct Reader<'a> {
    folder: &'a Path,
    used: BTreeSet<PathBuf>,
}

impl Reader<'_> {
    fn image(&mut self, image: &Descriptor, tag: &str) -> Result<Vec<u8>> {
        ensure!(image.media_type == MANIFEST, "not a manifest");
        let manifest: Manifest = self.json(image)?;
        ensure!(
            manifest.schema_version == 2 && manifest.media_type == MANIFEST,
            "no manifest of schema 2"
        );
        if tag.ends_with(ARTIFACT) {
            self.artifact(&manifest)
        } else {
            self.compat(&manifest)
        }
    }

    fn compat(&mut self, manifest: &Manifest) -> Result<Vec<u8>> {
        let [layer] = manifest.layers.as_slice() else {
            bail!("{} layers, not one", manifest.layers.len());
        };
        ensure!(layer.media_type == LAYER, "the layer is no tar and gzip");
        ensure!(
            manifest.config.media_type == CONFIG,
            "the configuration is none of an image"
        );
        let config: Config = self.json(&manifest.config)?;
        let tar = archive::gunzip(&self.blob(layer)?)?;
        ensure!(
            config.rootfs.diff_ids == [digest(&tar)],
            "the configuration names another layer"
        );
        only_file(&tar)
    }

    fn artifact(&mut self, manifest: &Manifest) -> Result<Vec<u8>> {
        self.blob(&manifest.config)?;
        ensure!(manifest.layers.len() == 2, "not two layers");
        let mut module = None;
        for layer in &manifest.layers {
            let bytes = self.blob(layer)?;
            if layer.media_type == WASM_LAYER {
                module = Some(bytes);
            }
        }
        module.with_context(|| format!("no layer of type {WASM_LAYER}"))
    }

    fn json<T: DeserializeOwned>(&mut self, descriptor: &Descriptor) -> Result<T> {
        let bytes = self.blob(descriptor)?;
        serde_json::from_slice(&bytes).with_context(|| descriptor.digest.clone())
    }

    fn blob(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let name = descriptor
            .digest
            .strip_prefix("sha256:")
            .filter(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
            .with_context(|| format!("not a SHA-256: {}", descriptor.digest))?;
        let path = Path::new("blobs/sha256").join(name);
        let bytes = files::read(&self.folder.join(&path))?;
        ensure!(
            digest(&bytes) == descriptor.digest,
            "{} is another blob",
            path.display()
        );
        ensure!(
            bytes.len() as u64 == descriptor.size,
            "{} has {} octets, not {}",
            path.display(),
            bytes.len(),
            descriptor.size
        );
        self.used.insert(path);
        Ok(bytes)
    }

    fn nothing_else(&self) -> Result<()> {
        for path in files::below(self.folder)? {
            let known = ["index.json", "oci-layout"].map(PathBuf::from);
            ensure!(
                known.contains(&path) || self.used.contains(&path),
                "{} belongs to no image",
                path.display()
            );
        }
        Ok(())
    }
}

fn only_file(tar: &[u8]) -> Result<Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    let mut module = None;
    for entry in archive.entries()? {
        let mut entry = entry?;
        ensure!(
            module.is_none() && entry.path()?.as_ref() == Path::new(PLUGIN),
            "the layer has more than {PLUGIN}"
        );
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        module = Some(bytes);
    }
    module.with_context(|| format!("the layer has no {PLUGIN}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci;
    use std::fs;

    const WASM: &[u8] = b"\0asm\x01\0\0\0";

    fn made() -> tempfile::TempDir {
        let scratch = tempfile::tempdir().unwrap();
        oci::write(scratch.path(), WASM, "1.2.3", "c0ffee").unwrap();
        scratch
    }

    #[test]
    fn both_variants_hold_the_module() {
        let scratch = made();
        let layout = Layout::read(scratch.path()).unwrap();
        let tags: Vec<_> = layout.modules.keys().map(String::as_str).collect();
        assert_eq!(tags, ["1.2.3", "1.2.3-artifact"]);
        assert!(layout.modules.values().all(|module| module == WASM));
    }

    #[test]
    fn the_same_module_is_the_same_layout() {
        let (one, two) = (made(), made());
        let names = files::below(one.path()).unwrap();
        assert_eq!(names, files::below(two.path()).unwrap());
        for name in names {
            let read = |of: &tempfile::TempDir| files::read(&of.path().join(&name)).unwrap();
            assert_eq!(read(&one), read(&two), "{}", name.display());
        }
    }

    /// Each file changed by one octet, cut, or removed, is noticed.
    #[test]
    fn what_was_tampered_with_does_not_hold() {
        let names = files::below(made().path()).unwrap();
        for name in &names {
            for change in ["flip", "cut", "remove", "grow"] {
                let scratch = made();
                let path = scratch.path().join(name);
                let mut bytes = files::read(&path).unwrap();
                match change {
                    "flip" => *bytes.last_mut().unwrap() ^= 1,
                    "cut" => bytes.truncate(bytes.len() - 1),
                    "grow" => bytes.push(b'x'),
                    _ => fs::remove_file(&path).unwrap(),
                }
                if change != "remove" {
                    files::write(&path, &bytes).unwrap();
                }
                let read = Layout::read(scratch.path());
                assert!(read.is_err(), "{} {change}", name.display());
            }
        }
    }

    #[test]
    fn a_blob_of_nobody_is_noticed() {
        let scratch = made();
        let stray = scratch.path().join("blobs/sha256").join("0".repeat(64));
        files::write(&stray, b"?").unwrap();
        let error = Layout::read(scratch.path()).unwrap_err();
        assert!(error.to_string().contains("no image"), "{error}");
    }
}
