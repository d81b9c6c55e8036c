//! The example module in Python, `docs/module-in-python`, as a component.

use credence_host::sandbox::ModuleDigest;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The component, compiled by componentize-py of `scripts/setup --for-test`: once for each state of what it is
/// made of, since that takes some seconds. `cache` is a folder below the target folder.
#[must_use]
pub fn module(cache: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (app, wit) = (
        root.join("docs/module-in-python/app.py"),
        root.join("signer/wit"),
    );
    let pins = root.join("scripts/requirements/componentize-py.txt");
    let sources: Vec<u8> = [&app, &wit.join("signer.wit"), &pins]
        .into_iter()
        .flat_map(|path| fs::read(path).unwrap())
        .collect();
    let built = cache.join(format!(
        "module-in-python-{}.wasm",
        ModuleDigest::of(&sources)
    ));
    if !built.is_file() {
        // made aside and moved in: another test program may be at it too
        let aside = tempfile::tempdir_in(cache).unwrap();
        fs::copy(&app, aside.path().join("app.py")).unwrap();
        let component = aside.path().join("module.wasm");
        componentize(&root, &wit, aside.path(), &component);
        fs::rename(component, &built).unwrap();
    }
    built
}

/// As the module's first lines have it.
fn componentize(root: &Path, wit: &Path, sources: &Path, component: &Path) {
    let output = Command::new(root.join(".tools/componentize-py/bin/componentize-py"))
        .arg("-d")
        .arg(wit)
        .args(["-w", "signer", "componentize", "--stub-wasi", "-p"])
        .arg(sources)
        .args(["app", "-o"])
        .arg(component)
        .output();
    let output =
        output.unwrap_or_else(|e| panic!("componentize-py: {e}; run scripts/setup --for-test"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
