//! SHA-256 of executables, kept where that is sound: a program that is asked for at each push is hashed once.
//!
//! A file is told from what it was by its number, size and times. Nobody can set a change time (`st_ctime`), and content that is written
//! moves it; what is left are clocks that are coarse, pages that are written long after they were mapped, and file systems that say what
//! they like. So only files are kept that root alone may write, on file systems whose times are this kernel's own. All others are
//! hashed each time.

use crate::error::Refusal;
use rustix::fs::fstatfs;
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    fs::{File, Metadata},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The longest executable that is hashed, in octets.
const LONGEST: u64 = 512 << 20;
/// How many are kept at most. When there are more, all are hashed anew.
const MOST: usize = 1_024;
/// ext2 to 4, XFS, Btrfs, F2FS, tmpfs, overlayfs, SquashFS, EROFS (statfs(2)). Those of a network or of FUSE are none of them.
const LOCAL: [u64; 8] = [
    0xEF53,
    0x5846_5342,
    0x9123_683E,
    0xF2F5_2010,
    0x0102_1994,
    0x794C_7630,
    0x7371_7368,
    0xE0F5_E1E2,
];
/// Write for the group and for others. Where there is an access control list, the group's bits are what it allows at most.
const OTHERS_WRITE: u32 = 0o022;
const FAILED: Refusal = Refusal::Process("what it runs cannot be read");

/// A file with its content: another file, or another content, has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// The hashes that are known.
#[derive(Debug, Default)]
pub(super) struct Digests(Mutex<HashMap<Stamp, [u8; 32]>>);

impl Digests {
    /// SHA-256 of a file's content.
    pub(super) fn of(&self, file: &File) -> Result<[u8; 32], Refusal> {
        let before = stamp(file)?;
        if let Some(known) = before.and_then(|stamp| self.lock().get(&stamp).copied()) {
            return Ok(known);
        }
        let digest = hash(file)?;
        // it is kept as what it was all the time
        if let Some(stamp) = before.filter(|before| stamp(file) == Ok(Some(*before))) {
            let mut known = self.lock();
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(stamp, digest);
        }
        Ok(digest)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Stamp, [u8; 32]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the file is known by; none if its hash is not to be kept.
fn stamp(file: &File) -> Result<Option<Stamp>, Refusal> {
    let metadata = file.metadata().map_err(|_| FAILED)?;
    let roots = metadata.uid() == 0 && metadata.mode() & OTHERS_WRITE == 0;
    if !roots || !metadata.is_file() {
        return Ok(None);
    }
    let kind = fstatfs(file).map_err(|_| FAILED)?.f_type;
    let local = u64::try_from(kind).is_ok_and(|kind| LOCAL.contains(&kind));
    Ok(local.then(|| Stamp::of(&metadata)))
}

fn hash(file: &File) -> Result<[u8; 32], Refusal> {
    let mut rest = file.take(LONGEST + 1);
    let mut digest = Sha256::new();
    let mut block = vec![0; 64 << 10];
    let mut total = 0;
    loop {
        let read = rest.read(&mut block).map_err(|_| FAILED)?;
        let Some(part) = block.get(..read).filter(|part| !part.is_empty()) else {
            return Ok(digest.finalize().into());
        };
        total += part.len() as u64;
        if total > LONGEST {
            return Err(Refusal::Process("what it runs is too long to be hashed"));
        }
        digest.update(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt as _, chown},
        path::Path,
    };
    use tempfile::TempDir;

    const SAID: [u8; 32] = [7; 32];

    fn program(content: &str, mode: u32) -> (TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    fn of(digests: &Digests, path: &Path) -> [u8; 32] {
        digests.of(&File::open(path).unwrap()).unwrap()
    }

    /// What is kept is made to be something else, so that it is seen where it is used.
    fn say_otherwise(digests: &Digests) -> usize {
        let mut known = digests.lock();
        known.values_mut().for_each(|digest| *digest = SAID);
        known.len()
    }

    fn sha256(content: &str) -> [u8; 32] {
        Sha256::digest(content).into()
    }

    #[test]
    fn a_program_of_root_s_is_hashed_once_and_again_when_it_has_changed() {
        let (_folder, path) = program("one", 0o755);
        let digests = Digests::default();
        assert_eq!(of(&digests, &path), sha256("one"));
        assert_eq!(
            say_otherwise(&digests),
            1,
            "run as root, on a local file system"
        );
        assert_eq!(of(&digests, &path), SAID);
        // as long as it was, and as old by what can be set
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let changed = |path: &Path| Stamp::of(&fs::metadata(path).unwrap()).changed;
        let before = changed(&path);
        while changed(&path) == before {
            fs::write(&path, "two").unwrap();
        }
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(modified).unwrap();
        assert_eq!(of(&digests, &path), sha256("two"));
        // another in its place
        say_otherwise(&digests);
        let (_other, other) = program("two", 0o755);
        fs::rename(other, &path).unwrap();
        assert_eq!(of(&digests, &path), sha256("two"));
    }

    #[test]
    fn what_others_may_write_is_hashed_each_time() {
        let digests = Digests::default();
        for mode in [0o775, 0o757, 0o777] {
            let (_folder, path) = program("one", mode);
            assert_eq!(of(&digests, &path), sha256("one"));
        }
        let (_folder, path) = program("one", 0o755);
        chown(&path, Some(61_001), None).unwrap();
        assert_eq!(of(&digests, &path), sha256("one"));
        assert_eq!(say_otherwise(&digests), 0);
        // what a file system says that is not of this kernel alone
        assert_eq!(stamp(&File::open("/proc/version").unwrap()), Ok(None));
    }

    #[test]
    fn so_many_are_kept_and_no_more() {
        let digests = Digests::default();
        let (_folder, path) = program("one", 0o755);
        let stamp = stamp(&File::open(&path).unwrap()).unwrap().unwrap();
        for inode in 0..MOST as u64 {
            digests.lock().insert(
                Stamp {
                    inode,
                    device: u64::MAX,
                    ..stamp
                },
                SAID,
            );
        }
        assert_eq!(of(&digests, &path), sha256("one"));
        assert_eq!(digests.lock().len(), 1);
    }
}
