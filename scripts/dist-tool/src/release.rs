//! The release folder.

use crate::{VERSION, archive, check, files, oci, sbom, sums, workspace};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The daemon.
pub const BINARY: &str = "bin/credence";
/// The filter.
pub const FILTER: &str = "wasm/credence_filter.wasm";
/// The signing module.
pub const SIGNER: &str = "wasm/credence_signer.wasm";
/// The OCI image layout of the filter.
pub const LAYOUT: &str = "oci/credence-filter";
/// The man pages.
pub const PAGES: &str = "man/man1";
/// Completions: the shell, and the file's name there.
pub const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "completions/credence.bash"),
    ("zsh", "completions/_credence"),
    ("fish", "completions/credence.fish"),
];
/// Bills of materials: the file, of which program, and what it is about.
pub const SBOMS: [(&str, &str, sbom::Program<'_>); 3] = [
    ("sbom/credence.cdx.json", BINARY, sbom::CREDENCE),
    ("sbom/credence_filter.cdx.json", FILTER, sbom::FILTER),
    ("sbom/credence_signer.cdx.json", SIGNER, sbom::SIGNER),
];
/// What is taken from the repository as it is: from where, to where.
pub const COPIED: [(&str, &str); 12] = [
    ("LICENSE", "LICENSE"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("envoy/README.md", "envoy/README.md"),
    ("envoy/server.yaml", "envoy/server.yaml"),
    ("envoy/tcp.yaml", "envoy/tcp.yaml"),
    ("envoy/client.yaml", "envoy/client.yaml"),
    ("envoy/filter.yaml", "envoy/filter.yaml"),
    ("envoy/stats.yaml", "envoy/stats.yaml"),
    ("envoy/drain.lua", "envoy/drain.lua"),
    ("filter/plugin/capabilities.txt", "envoy/capabilities.txt"),
    (
        "envoy/systemd/credence-ca.service",
        "systemd/credence-ca.service",
    ),
    (
        "envoy/systemd/credence-agent.service",
        "systemd/credence-agent.service",
    ),
];

const README: &str = include_str!("../release.md");

/// What is packed.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The credence binary.
    pub binary: PathBuf,
    /// The filter.
    pub filter: PathBuf,
    /// The signing module.
    pub signer: PathBuf,
}

/// Where it comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The commit.
    pub commit: String,
    /// Its time, in seconds since 1970.
    pub time: u64,
}

/// What the folder is called.
#[must_use]
pub fn name() -> String {
    format!("credence-{VERSION}-x86_64-linux")
}

/// Makes the folder below `out`, in the place of one that is there, and checks it.
///
/// # Errors
/// If a part is missing or not whole.
pub fn make(out: &Path, parts: &Parts, origin: &Origin) -> Result<PathBuf> {
    let folder = out.join(name());
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    let binary = files::read(&parts.binary)?;
    files::write_program(&folder.join(BINARY), &binary)?;
    wasm(&folder, parts, origin)?;
    for (from, to) in COPIED {
        files::write(&folder.join(to), &files::read(&workspace()?.join(from))?)?;
    }
    said_by_the_binary(&folder)?;
    for (file, program, what) in SBOMS {
        let program = files::read(&folder.join(program))?;
        files::write(&folder.join(file), &sbom::of(what, &program, origin.time)?)?;
    }
    let readme = README
        .replace("{version}", VERSION)
        .replace("{commit}", &origin.commit);
    files::write(&folder.join("README.md"), readme.as_bytes())?;
    sums::write(&folder)?;
    check::folder(&folder)?;
    Ok(folder)
}

/// Packs a folder beside itself: an archive, and its sum.
///
/// # Errors
/// If a file cannot be read or written.
pub fn pack(folder: &Path, time: u64) -> Result<PathBuf> {
    let name = format!("{}.tar.gz", name());
    let path = folder.with_file_name(&name);
    let packed = archive::of_folder(folder, time)?;
    files::write(&path, &packed)?;
    let sum = format!("{}  {name}\n", sums::sha256(&packed));
    files::write(
        &folder.with_file_name(format!("{name}.sha256")),
        sum.as_bytes(),
    )?;
    Ok(path)
}

fn wasm(folder: &Path, parts: &Parts, origin: &Origin) -> Result<()> {
    let filter = files::read(&parts.filter)?;
    files::write(&folder.join(FILTER), &filter)?;
    files::write(&folder.join(SIGNER), &files::read(&parts.signer)?)?;
    sums::write(&folder.join("wasm"))?;
    oci::write(&folder.join(LAYOUT), &filter, VERSION, &origin.commit)
}

fn said_by_the_binary(folder: &Path) -> Result<()> {
    for (shell, file) in COMPLETIONS {
        files::write(&folder.join(file), &completions(folder, shell)?)?;
    }
    pages(folder, &folder.join(PAGES))
}

/// What the folder's binary prints as a shell's completions.
///
/// # Errors
/// If it does not run.
pub fn completions(folder: &Path, shell: &str) -> Result<Vec<u8>> {
    run(folder, &["completions".as_ref(), shell.as_ref()])
}

/// Has the folder's binary write its man pages.
///
/// # Errors
/// If it does not run.
pub fn pages(folder: &Path, to: &Path) -> Result<()> {
    run(folder, &["man".as_ref(), to.as_os_str()])?;
    for page in files::below(to)? {
        let page = to.join(page);
        files::write(&page, &files::read(&page)?)?;
    }
    Ok(())
}

/// What the folder's binary says of its version.
///
/// # Errors
/// If it does not run.
pub fn version(folder: &Path) -> Result<String> {
    Ok(String::from_utf8(run(folder, &["--version".as_ref()])?)?)
}

fn run(folder: &Path, arguments: &[&std::ffi::OsStr]) -> Result<Vec<u8>> {
    let binary = fs::canonicalize(folder.join(BINARY))?;
    let output = Command::new(&binary).args(arguments).output();
    let output = output.with_context(|| binary.display().to_string())?;
    ensure!(
        output.status.success(),
        "credence {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}
