use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::written::{Names, Owner};

const ONE: Material<'static> = Material {
    certificate: "certificate 1",
    key: "key 1",
    bundle: "bundle",
};
const TWO: Material<'static> = Material {
    certificate: "certificate 2",
    key: "key 2",
    bundle: "bundle",
};

fn place(folder: &tempfile::TempDir) -> Place {
    Place::new(folder.path()).unwrap()
}

fn text(folder: &tempfile::TempDir, name: &str) -> String {
    fs::read_to_string(folder.path().join(name)).unwrap()
}

fn names(folder: &tempfile::TempDir) -> Vec<String> {
    let names = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn all_three_are_there_under_their_names_with_their_modes() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::open(place(&folder)).unwrap();
    assert_eq!(writer.write(&ONE).unwrap(), Written::New);
    let found = ["tls.crt", "tls.key", "ca.crt"].map(|name| text(&folder, name));
    assert_eq!(found, ["certificate 1", "key 1", "bundle"]);
    let mode = |name: &str| {
        let metadata = fs::metadata(folder.path().join(name)).unwrap();
        metadata.permissions().mode() & 0o7777
    };
    assert_eq!(
        ["tls.crt", "tls.key", "ca.crt"].map(mode),
        [0o644, 0o600, 0o644]
    );
}

#[test]
fn the_next_ones_take_their_place_and_nothing_is_left_of_the_old_key() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::open(place(&folder)).unwrap();
    writer.write(&ONE).unwrap();
    assert_eq!(writer.write(&TWO).unwrap(), Written::New);
    assert_eq!(text(&folder, "tls.key"), "key 2");
    assert_eq!(
        names(&folder),
        ["..data", &TWO.name(), "ca.crt", "tls.crt", "tls.key"]
    );
}

#[test]
fn what_is_there_already_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let inode = || fs::metadata(folder.path().join("tls.crt")).unwrap().ino();
    let writer = Writer::open(place(&folder)).unwrap();
    writer.write(&ONE).unwrap();
    let before = inode();
    assert_eq!(writer.write(&ONE).unwrap(), Written::Same);
    drop(writer);
    // the next agent too
    let writer = Writer::open(place(&folder)).unwrap();
    assert_eq!(writer.write(&ONE).unwrap(), Written::Same);
    assert_eq!(inode(), before);
}

#[test]
fn what_somebody_changed_or_removed_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::open(place(&folder)).unwrap();
    writer.write(&ONE).unwrap();
    fs::write(folder.path().join("tls.key"), "another").unwrap();
    assert_eq!(writer.write(&ONE).unwrap(), Written::New);
    assert_eq!(text(&folder, "tls.key"), "key 1");
    fs::remove_file(folder.path().join("tls.crt")).unwrap();
    assert_eq!(writer.write(&ONE).unwrap(), Written::Same);
    assert_eq!(text(&folder, "tls.crt"), "certificate 1");
}

/// Whoever goes through `..data` once, as a Kubernetes volume is read, has what belongs together.
#[test]
fn nobody_sees_one_certificate_with_the_key_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::open(place(&folder)).unwrap();
    writer.write(&ONE).unwrap();
    let (done, path) = (AtomicBool::new(false), folder.path().join("..data"));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut whole = 0;
            while !done.load(Ordering::Relaxed) || whole == 0 {
                // the set that the link was read to be may be swept before it is entered; the link is always there
                let Ok(set) = fs::canonicalize(&path) else {
                    assert!(path.is_symlink());
                    continue;
                };
                let read = |name: &str| fs::read_to_string(set.join(name));
                // the set may be swept between two reads; what was read belongs together
                if let (Ok(certificate), Ok(key)) = (read("tls.crt"), read("tls.key")) {
                    assert_eq!(certificate.replace("certificate", "key"), key);
                    whole += 1;
                }
            }
        });
        for _ in 0..100 {
            writer.write(&TWO).unwrap();
            writer.write(&ONE).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
}

#[test]
fn what_a_killed_agent_left_is_cleared_away_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    Writer::open(place(&folder)).unwrap().write(&ONE).unwrap();
    let half = folder.path().join("..0123456789abcdef");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("tls.key"), "half a k").unwrap();
    symlink("..0123456789abcdef", folder.path().join("..data_tmp")).unwrap();
    let others = ["..2026_11_21", "notes", "..0123456789abcdeg"];
    for other in others {
        fs::create_dir(folder.path().join(other)).unwrap();
    }
    let writer = Writer::open(place(&folder)).unwrap();
    assert!(!half.exists());
    assert_eq!(text(&folder, "tls.key"), "key 1");
    writer.write(&TWO).unwrap();
    assert_eq!(text(&folder, "tls.key"), "key 2");
    assert!(
        others
            .iter()
            .all(|other| folder.path().join(other).exists())
    );
}

#[test]
fn a_set_that_was_begun_under_the_same_name_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::open(place(&folder)).unwrap();
    let half = folder.path().join(ONE.name());
    fs::create_dir(&half).unwrap();
    fs::write(half.join("tls.crt"), "certif").unwrap();
    assert_eq!(writer.write(&ONE).unwrap(), Written::New);
    assert_eq!(text(&folder, "tls.crt"), "certificate 1");
}

#[test]
fn somebody_elses_files_stay() {
    for name in ["tls.crt", "tls.key", "ca.crt", "..data"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), "mine").unwrap();
        let refused = Writer::open(place(&folder)).unwrap_err();
        let path = folder.path().join(name);
        assert!(
            matches!(&refused, FilesError::InTheWay(found) if *found == path),
            "{refused}"
        );
        assert_eq!(names(&folder), [name]);
        assert_eq!(text(&folder, name), "mine");
    }
}

#[test]
fn a_link_to_elsewhere_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, "mine").unwrap();
    let writer = Writer::open(place(&folder)).unwrap();
    symlink(&elsewhere, folder.path().join("tls.key")).unwrap();
    assert!(matches!(writer.write(&ONE), Err(FilesError::InTheWay(_))));
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "mine");
    assert_eq!(names(&folder), ["elsewhere", "tls.key"]);
}

#[test]
fn a_folder_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let first = Writer::open(place(&folder)).unwrap();
    assert!(matches!(
        Writer::open(place(&folder)),
        Err(FilesError::Busy(_))
    ));
    drop(first);
    assert!(Writer::open(place(&folder)).is_ok());
}

#[test]
fn a_folder_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let refused = Writer::open(Place::new(&missing).unwrap());
    assert!(matches!(refused, Err(FilesError::Folder { .. })));
    assert!(!missing.exists());
}

#[test]
fn names_and_modes_are_as_configured() {
    let folder = tempfile::tempdir().unwrap();
    let names = Names::new("svid.pem", "svid_key.pem", "bundle.pem").unwrap();
    let place = place(&folder).with_names(names).with_modes(0o444, 0o440);
    let writer = Writer::open(place.unwrap()).unwrap();
    writer.write(&ONE).unwrap();
    assert_eq!(text(&folder, "svid.pem"), "certificate 1");
    let metadata = fs::metadata(folder.path().join("svid_key.pem")).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o440);
}

#[test]
fn files_are_their_owners() {
    let folder = tempfile::tempdir().unwrap();
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    // whoever is root can give files away; whoever is not, to itself
    let (uid, gid) = if uid == 0 { (4242, 4343) } else { (uid, gid) };
    let owner = Owner {
        uid: Some(uid),
        gid: Some(gid),
    };
    let writer = Writer::open(place(&folder).with_owner(owner)).unwrap();
    writer.write(&ONE).unwrap();
    for name in ["tls.crt", "tls.key", "ca.crt", "..data/"] {
        let metadata = fs::metadata(folder.path().join(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (uid, gid), "{name}");
    }
}

/// It fails after the new files were made, where a disk that is full may fail too.
#[test]
fn what_cannot_be_switched_to_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::open(place(&folder)).unwrap();
    writer.write(&ONE).unwrap();
    let in_the_way = folder.path().join("..data_tmp");
    fs::create_dir(&in_the_way).unwrap();
    let before = names(&folder);
    assert!(matches!(writer.write(&TWO), Err(FilesError::Io { .. })));
    assert_eq!(names(&folder), before);
    assert_eq!(text(&folder, "tls.key"), "key 1");
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(writer.write(&TWO).unwrap(), Written::New);
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{ONE:?}"), "Material(..)");
}

#[test]
fn a_folder_that_was_made_anew_is_another() {
    let above = tempfile::tempdir().unwrap();
    let path = above.path().join("tls");
    fs::create_dir(&path).unwrap();
    let writer = Writer::open(Place::new(&path).unwrap()).unwrap();
    assert!(writer.is_there());
    fs::rename(&path, above.path().join("old")).unwrap();
    assert!(!writer.is_there(), "it is elsewhere");
    fs::create_dir(&path).unwrap();
    assert!(!writer.is_there(), "it is another one");
}
