//! Builds the playground: the page, and the package for Node.
//!
//! The module itself is built by this crate's build script, in profile `wasm`. What is left is the JavaScript
//! beside it, which wasm-bindgen's own library writes, and the files that are as they are in
//! `filter/playground`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;
use wasm_bindgen_cli_support::Bindgen;

/// Why nothing was built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// A file could not be read or written.
    #[error("{} could not be {what}", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// `written`, for example.
        what: &'static str,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// wasm-bindgen did not take the module.
    #[error("wasm-bindgen: {0}")]
    Bindgen(String),
}

/// A part of what is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The folder.
    pub folder: PathBuf,
    /// Its files by name, with their sizes in bytes.
    pub files: Vec<(String, u64)>,
}

/// For whom the module is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Browser,
    Node,
}

/// The name of the files that wasm-bindgen writes.
const NAME: &str = "credence_playground";

/// Builds the page into `folder`; what was there is replaced.
///
/// # Errors
/// If a file cannot be read or written, or wasm-bindgen does not take the module.
pub fn web(folder: &Path) -> Result<Built, BuildError> {
    let page = source("www");
    let mut files = list(&page)?;
    files.push(source("js/api.js"));
    assemble(folder, For::Browser, &files, &source("js/engine-web.js"))
}

/// Builds the package into `folder`; what was there is replaced.
///
/// # Errors
/// As [`web`].
pub fn node(folder: &Path) -> Result<Built, BuildError> {
    let files = [
        source("js/api.js"),
        source("js/index.d.ts"),
        source("js/index.js"),
        source("package.json"),
        source("README.md"),
        source("../../LICENSE"),
    ];
    assemble(folder, For::Node, &files, &source("js/engine-node.js"))
}

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../filter/playground")
        .join(path)
}

fn assemble(
    folder: &Path,
    whom: For,
    files: &[PathBuf],
    engine: &Path,
) -> Result<Built, BuildError> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(failed(folder, "removed"))?;
    }
    fs::create_dir_all(folder).map_err(failed(folder, "made"))?;
    bind(folder, whom)?;
    for file in files {
        let name = file.file_name().unwrap_or_default();
        copy(file, &folder.join(name))?;
    }
    copy(engine, &folder.join("engine.js"))?;
    sizes(folder)
}

fn bind(folder: &Path, whom: For) -> Result<(), BuildError> {
    let refused = |error| BuildError::Bindgen(format!("{error:#}"));
    let mut bindgen = Bindgen::new();
    let bindgen = match whom {
        For::Browser => bindgen.web(true),
        For::Node => bindgen.nodejs_module(true),
    };
    bindgen
        .map_err(refused)?
        .input_path(env!("CREDENCE_PLAYGROUND_WASM"))
        .out_name(NAME)
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(folder)
        .map_err(refused)
}

fn copy(from: &Path, to: &Path) -> Result<(), BuildError> {
    let bytes = fs::read(from).map_err(failed(from, "read"))?;
    fs::write(to, bytes).map_err(failed(to, "written"))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let entries = fs::read_dir(folder).map_err(failed(folder, "read"))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<_> = paths
        .collect::<Result<_, _>>()
        .map_err(failed(folder, "read"))?;
    paths.sort();
    Ok(paths)
}

fn sizes(folder: &Path) -> Result<Built, BuildError> {
    let mut files = Vec::new();
    for path in list(folder)? {
        let about = fs::metadata(&path).map_err(failed(&path, "read"))?;
        let name = path.file_name().unwrap_or_default();
        files.push((name.to_string_lossy().into_owned(), about.len()));
    }
    Ok(Built {
        folder: folder.to_owned(),
        files,
    })
}

fn failed(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> BuildError {
    let path = path.to_owned();
    move |cause| BuildError::File { path, what, cause }
}
