//! Export, backup and restore.

use super::{orders, run::read_config};
use crate::{
    cli::{ArchiveCaArguments, BackupArguments, ExportCaArguments, RestoreArguments},
    clock::{Clocks, WallClock},
    failure::Failure,
};
use credence_ca::{
    certificate::CaCertificate,
    lifecycle::{CertificateId, State},
};
use credence_host::{chain::pem, private_file, state::StateError};
use credence_service::{
    admin::{
        ask,
        protocol::{Answer, Request},
    },
    backup,
    clock::Shared,
};
use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Reads the files of a state folder, which may be in use: what is written there is written whole.
pub(super) fn export(arguments: &ExportCaArguments) -> Result<(), Failure> {
    let file = arguments.state.join("lifecycle.json");
    let text = private_file::read_public(&file).map_err(StateError::from)?;
    let state: State =
        serde_json::from_slice(&text).map_err(|e| Failure::BadInput(file, e.to_string()))?;
    let folders = Folders::read(&arguments.state.join("authorities"))?;
    let roots: Result<Vec<_>, _> = state
        .bundle()
        .roots
        .iter()
        .map(|id| folders.certificate(*id))
        .collect();
    let issuer = state.active().issuer.id;
    let chain = format!("{}{}", folders.certificate(issuer)?, folders.above(issuer)?);
    let mut files = vec![
        ("ca.crt", roots?.concat()),
        ("issuer.crt", chain),
        ("issuer.key", folders.key(issuer)?),
    ];
    if arguments.root_key {
        files.push(("root.key", folders.key(state.active().root.id)?));
    }
    match fs::DirBuilder::new().mode(0o700).create(&arguments.out) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        made => made.map_err(|e| Failure::Unreadable(arguments.out.clone(), e))?,
    }
    for (name, text) in files {
        private_file::write_new(&arguments.out.join(name), text.as_bytes())
            .map_err(StateError::from)?;
    }
    Ok(())
}

/// The folders of roots and issuers, by their certificates.
struct Folders(Vec<(CertificateId, PathBuf)>);

impl Folders {
    fn read(all: &Path) -> Result<Self, Failure> {
        let failed = |e| Failure::Unreadable(all.to_path_buf(), e);
        let mut found = Vec::new();
        for entry in fs::read_dir(all).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Ok(text) = private_file::read_public(&path.join("certificate.pem")) else {
                continue;
            };
            if let Some(der) = pem::certificates(&text)
                .ok()
                .and_then(|all| all.into_iter().next())
            {
                found.push((CertificateId::of(&der), path));
            }
        }
        Ok(Self(found))
    }

    fn text(&self, id: CertificateId, name: &str) -> Result<String, Failure> {
        let files = self
            .0
            .iter()
            .filter(|(one, _)| *one == id)
            .map(|(_, folder)| folder.join(name));
        let file = files.clone().find(|file| file.exists());
        let missing = || {
            let what = format!(
                "certificate {id} has no {name} in the state folder: it is in a token, or somebody else's"
            );
            Failure::BadInput(files.clone().next().unwrap_or_default(), what)
        };
        let file = file.ok_or_else(missing)?;
        let text = private_file::read_public(&file).map_err(StateError::from)?;
        String::from_utf8(text).map_err(|_| Failure::BadInput(file, "it is not PEM".into()))
    }

    fn certificate(&self, id: CertificateId) -> Result<String, Failure> {
        self.text(id, "certificate.pem")
    }

    fn above(&self, id: CertificateId) -> Result<String, Failure> {
        Ok(self.text(id, "above.pem").unwrap_or_default())
    }

    fn key(&self, id: CertificateId) -> Result<String, Failure> {
        self.text(id, "key.pem")
    }
}

pub(super) fn archive(arguments: &ArchiveCaArguments) -> Result<(), Failure> {
    let request = Request::Archive {
        before: arguments.before.past(WallClock.time()).unix(),
        to: absolute(&arguments.to)?,
    };
    match ask(&arguments.target.socket, &request)? {
        Answer::Told(text) => orders::print(&text),
        other => Err(orders::unexpected(&other)),
    }
}

pub(super) fn backup(arguments: &BackupArguments) -> Result<(), Failure> {
    let to = absolute(&arguments.to)?;
    orders::done(&arguments.target, &Request::Backup { to })
}

/// The CA's process has another working folder than this command.
fn absolute(path: &Path) -> Result<String, Failure> {
    let whole =
        std::path::absolute(path).map_err(|e| Failure::Unreadable(path.to_path_buf(), e))?;
    let bad = |_| Failure::BadInput(path.to_path_buf(), "its name is not UTF-8".into());
    whole.into_os_string().into_string().map_err(bad)
}

pub(super) fn restore(arguments: &RestoreArguments) -> Result<(), Failure> {
    let config = read_config(&arguments.config)?;
    let anchors = match &arguments.anchors {
        None => Vec::new(),
        Some(path) => anchors(path)?,
    };
    let clock = Shared(Arc::new(Clocks::start(WallClock)));
    let uid = rustix::process::getuid().as_raw();
    backup::make_again(
        &arguments.from,
        &config.state_dir,
        &config.trust_domain,
        anchors,
        &clock,
        uid,
    )?;
    Ok(())
}

fn anchors(path: &Path) -> Result<Vec<CaCertificate>, Failure> {
    let text = private_file::read_public(path).map_err(StateError::from)?;
    let bad = |why: String| Failure::BadInput(path.to_path_buf(), why);
    let ders = pem::certificates(&text).map_err(|e| bad(e.to_string()))?;
    let read = ders
        .iter()
        .map(|der| CaCertificate::from_der(der).map_err(|e| bad(e.to_string())));
    read.collect()
}
