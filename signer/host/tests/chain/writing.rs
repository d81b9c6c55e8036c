//! Dapr's layout, written; and what a crash at any point leaves.

use super::pki::{DAY, DOMAIN, terms};
use credence_ca::{key::KeyKind, validity::Time};
use credence_host::{
    chain::{
        DaprNames, Existing, Layout, Material, OwnChain, Reading, WriteError, finish_writing,
        write_dapr,
    },
    custody::{Custodian, Secret},
    founding::{self, Founding},
    signer::{Settings, Signer},
};
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::LazyLock,
};
use zeroize::Zeroizing;

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::open(Settings::default()).unwrap());
const NOW: Time = Time::EPOCH;

fn now() -> Time {
    NOW.plus(DAY * 20_000)
}

fn found(passphrase: Option<Secret>) -> Founding {
    let custodian = Custodian::files(KeyKind::P256, passphrase);
    founding::found(&SIGNER, &custodian, &DOMAIN, now()).unwrap()
}

fn names() -> DaprNames {
    DaprNames::default()
}

fn load(folder: &Path) -> Option<OwnChain> {
    let layout = Layout::Dapr {
        folder: folder.to_path_buf(),
        names: names(),
    };
    layout.load(&Reading::default(), &terms(now())).unwrap()
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("credentials");
    (dir, folder)
}

#[test]
fn what_is_written_is_read_back() {
    let (_dir, folder) = scratch();
    let (new, old) = (found(None), found(None));
    let material = Material::of(&new, std::slice::from_ref(&old.root.certificate)).unwrap();
    write_dapr(&folder, &names(), &material, Existing::Keep).unwrap();
    let own = load(&folder).unwrap();
    assert_eq!(own.roots, [new.root.certificate, old.root.certificate]);
    assert_eq!(own.issuer, new.issuer.certificate);
    assert!(own.above.is_empty() && own.warnings.is_empty());
    let mut listed: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    listed.sort();
    assert_eq!(listed, ["ca.crt", "issuer.crt", "issuer.key"]);
    for name in listed {
        let mode = fs::metadata(folder.join(&name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    // what is exported is what was written
    assert_eq!(
        own.chain_pem(),
        fs::read_to_string(folder.join("issuer.crt")).unwrap()
    );
    assert_eq!(
        own.roots_pem(),
        fs::read_to_string(folder.join("ca.crt")).unwrap()
    );
}

#[test]
fn files_are_not_overwritten_unless_asked() {
    let (_dir, folder) = scratch();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("issuer.crt"), "mine").unwrap();
    let new = found(None);
    let material = Material::of(&new, &[]).unwrap();
    let refused = write_dapr(&folder, &names(), &material, Existing::Keep);
    assert!(matches!(refused, Err(WriteError::Exists(path)) if path.ends_with("issuer.crt")));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    write_dapr(&folder, &names(), &material, Existing::Replace).unwrap();
    assert_eq!(load(&folder).unwrap().issuer, new.issuer.certificate);
}

#[test]
fn what_is_not_ours_to_write_is_refused() {
    let (_dir, folder) = scratch();
    let encrypted = found(Secret::from_line(b"sesame"));
    assert!(matches!(
        Material::of(&encrypted, &[]),
        Err(WriteError::KeyEncrypted)
    ));
    let mut in_token = found(None);
    in_token.issuer.key_pem = None;
    assert!(matches!(
        Material::of(&in_token, &[]),
        Err(WriteError::KeyInToken)
    ));
    let material = Material::of(&found(None), &[]).unwrap();
    for bad in ["../ca.crt", "a/b", "", "..", ".credence-new"] {
        let names = DaprNames {
            roots: bad.into(),
            ..names()
        };
        let refused = write_dapr(&folder, &names, &material, Existing::Keep);
        assert!(matches!(refused, Err(WriteError::Name(_))), "{bad}");
    }
    assert!(!folder.exists());
    fs::create_dir(&folder).unwrap();
    symlink("..1", folder.join("..data")).unwrap();
    let refused = write_dapr(&folder, &names(), &material, Existing::Replace);
    assert!(matches!(refused, Err(WriteError::Volume(_))));
}

/// The old set, the new one, and every state between them that a crash can leave: what follows is always the old or the new, whole.
#[test]
fn a_crash_at_any_point_leaves_the_old_or_the_new() {
    let (old, new) = (found(None), found(None));
    let files = |founding: &Founding| {
        let (_dir, folder) = scratch();
        write_dapr(
            &folder,
            &names(),
            &Material::of(founding, &[]).unwrap(),
            Existing::Keep,
        )
        .unwrap();
        ["issuer.key", "issuer.crt", "ca.crt"]
            .map(|name| (name, fs::read(folder.join(name)).unwrap()))
    };
    let new_files = files(&new);
    for had_old in [false, true] {
        // not whole yet: it counts for nothing
        for written in 0..=3 {
            let (_dir, folder) = scratch();
            start(&folder, had_old.then_some(&old));
            put(&folder.join(".credence-new.begun"), &new_files[..written]);
            assert!(!finish_writing(&folder).unwrap());
            let expected = had_old.then(|| old.issuer.certificate.clone());
            assert_eq!(load(&folder).map(|own| own.issuer), expected);
        }
        // whole, and so many moved
        for moved in 0..=3 {
            let (_dir, folder) = scratch();
            start(&folder, had_old.then_some(&old));
            put(&folder, &new_files[..moved]);
            put(&folder.join(".credence-new"), &new_files[moved..]);
            assert!(finish_writing(&folder).unwrap());
            assert_eq!(load(&folder).unwrap().issuer, new.issuer.certificate);
            assert!(!finish_writing(&folder).unwrap());
        }
    }
}

/// Here the system refuses in the middle, rather than a crash.
#[test]
fn what_could_not_be_moved_is_moved_later() {
    let (_dir, folder) = scratch();
    let new = found(None);
    fs::create_dir_all(folder.join("issuer.crt/in-the-way")).unwrap();
    let material = Material::of(&new, &[]).unwrap();
    let refused = write_dapr(&folder, &names(), &material, Existing::Replace);
    assert!(matches!(refused, Err(WriteError::File(_))));
    assert!(finish_writing(&folder).is_err());
    fs::remove_dir_all(folder.join("issuer.crt")).unwrap();
    assert!(finish_writing(&folder).unwrap());
    assert_eq!(load(&folder).unwrap().issuer, new.issuer.certificate);
}

fn start(folder: &Path, old: Option<&Founding>) {
    fs::create_dir(folder).unwrap();
    if let Some(old) = old {
        write_dapr(
            folder,
            &names(),
            &Material::of(old, &[]).unwrap(),
            Existing::Keep,
        )
        .unwrap();
    }
}

fn put(folder: &Path, files: &[(&str, Vec<u8>)]) {
    fs::create_dir_all(folder).unwrap();
    for (name, octets) in files {
        let path = folder.join(name);
        fs::write(&path, octets).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn pem_of_somebody_elses_is_written_as_it_is() {
    let (_dir, folder) = scratch();
    let material = |key: &str| {
        let key = Zeroizing::new(key.to_owned());
        Material::new("roots\n".into(), "chain\n".into(), key)
    };
    assert!(material("-----BEGIN ENCRYPTED PRIVATE KEY-----").is_err());
    write_dapr(
        &folder,
        &names(),
        &material("key\n").unwrap(),
        Existing::Keep,
    )
    .unwrap();
    for (name, text) in [
        ("ca.crt", "roots\n"),
        ("issuer.crt", "chain\n"),
        ("issuer.key", "key\n"),
    ] {
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), text);
    }
}
