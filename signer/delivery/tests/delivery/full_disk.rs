//! A disk that is full, and has room again.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::outputs::{in_files, start, state};
use crate::rig::{LIFE, Rig, until};

/// A disk of 64 KiB that goes with its process.
struct SmallDisk {
    process: Child,
    path: PathBuf,
}

impl SmallDisk {
    fn below(folder: &Path) -> Self {
        let script = "mount -t tmpfs -o size=64k,mode=0700 none \"$0\" && echo ready && read never";
        let mut process = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let stdout = process.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut said).unwrap();
        assert_eq!(
            said, "ready\n",
            "no small disk: mounting one takes root, and unshare(1) and mount(8)"
        );
        let path = format!("/proc/{}/root{}", process.id(), folder.display());
        Self {
            process,
            path: path.into(),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("filling");
    let mut file = File::create(&path).unwrap();
    while file.write_all(&[1; 4 << 10]).is_ok() {}
    path
}

#[tokio::test(start_paused = true)]
async fn while_the_disk_is_full_the_last_files_stay_and_then_it_goes_on_by_itself() {
    let rig = Rig::start();
    let disk = SmallDisk::below(&rig.below("disk"));
    let states = start(&rig, &disk.path, None);
    until("files", || state(&states).written).await;
    let filling = fill(&disk.path);
    let trouble = until("the trouble", || state(&states).trouble).await;
    assert!(
        trouble.reason.contains("No space left on device"),
        "{trouble:?}"
    );
    assert_eq!(in_files(&disk.path), "01");
    tokio::time::sleep(LIFE / 10).await;
    assert_eq!(
        state(&states).trouble,
        Some(trouble),
        "it is one trouble, told once"
    );
    assert_eq!(in_files(&disk.path), "01");
    fs::remove_file(filling).unwrap();
    until("room", || state(&states).trouble.is_none().then_some(())).await;
    assert_eq!(in_files(&disk.path), "02");
    assert_eq!(state(&states).written.unwrap().serial, "02");
}
