//! Real processes at the other end of real Unix sockets.

use crate::{now, refusal};
use credence_attest::{
    AttestError, Attestor as _, Evidence, ProofKind, Refusal,
    peer::{Conditions, Entry, PeerAttestor, PeerCredentials, Registry},
};
use sha2::{Digest as _, Sha256};
use spiffe::SpiffeId;
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tokio::{
    io::AsyncReadExt as _,
    net::{UnixListener, UnixStream},
};

pub(crate) fn attestor(conditions: Conditions) -> PeerAttestor {
    let entry = Entry {
        conditions,
        identity: SpiffeId::new("spiffe://example.org/web").unwrap(),
    };
    PeerAttestor::new("local".into(), Registry::new(vec![entry]).unwrap())
}

pub(crate) fn from(peer: PeerCredentials) -> Evidence {
    Evidence {
        peer: Some(peer),
        ..Evidence::default()
    }
}

/// This very process, through a pair of sockets.
fn ourselves() -> PeerCredentials {
    let (one, _other) = UnixStream::pair().unwrap();
    PeerCredentials::of(&one).unwrap()
}

fn number(peer: &PeerCredentials) -> u32 {
    peer.process.as_ref().unwrap().id().try_into().unwrap()
}

fn our_executable() -> (PathBuf, [u8; 32]) {
    let path = std::env::current_exe().unwrap();
    let content = std::fs::read(&path).unwrap();
    (path, Sha256::digest(content).into())
}

#[tokio::test]
async fn a_uid_is_an_identity() {
    let peer = ourselves();
    assert_eq!(number(&peer), std::process::id());
    let uid = peer.uid;
    let found = attestor(Conditions::of_uid(uid))
        .attest(&from(peer), now())
        .await
        .unwrap();
    assert_eq!(found.identity.path(), "/web");
    assert_eq!(found.proof.kind, ProofKind::Peer);
    assert!(
        found
            .proof
            .subject
            .unwrap()
            .starts_with(&format!("uid={uid} gid="))
    );
    let other = refusal(
        &attestor(Conditions::of_uid(uid + 1)),
        &from(ourselves()),
        now(),
    )
    .await;
    assert_eq!(other, Refusal::NoEntry(uid));
    let nobody = attestor(Conditions::of_uid(uid))
        .attest(&Evidence::default(), now())
        .await;
    assert_eq!(nobody, Err(AttestError::NoEvidence));
}

#[tokio::test]
async fn group_executable_and_hash_narrow_it() {
    let (path, sha256) = our_executable();
    let peer = ourselves();
    let narrow = Conditions {
        gid: Some(peer.gid),
        executable: Some(path),
        sha256: Some(sha256),
        ..Conditions::of_uid(peer.uid)
    };
    let found = attestor(narrow.clone())
        .attest(&from(ourselves()), now())
        .await
        .unwrap();
    assert_eq!(found.proof.fingerprint, Some(sha256));
    for other in [
        Conditions {
            gid: Some(peer.gid + 1),
            ..narrow.clone()
        },
        Conditions {
            executable: Some("/bin/false".into()),
            ..narrow.clone()
        },
        Conditions {
            sha256: Some([0; 32]),
            ..narrow
        },
    ] {
        let why = refusal(&attestor(other), &from(ourselves()), now()).await;
        assert_eq!(why, Refusal::NoEntry(peer.uid));
    }
}

/// A process that connects, and then does what it is told: `exec` something else, leave its connection to a child with
/// `fork`, or end.
pub(crate) struct Connected {
    pub(crate) child: Child,
    pub(crate) peer: PeerCredentials,
    stream: UnixStream,
}

impl Connected {
    fn tell(&mut self, what: &str) {
        let mut stdin = self.child.stdin.take().unwrap();
        stdin.write_all(what.as_bytes()).unwrap();
        // what it becomes goes on reading from it
        self.child.stdin = Some(stdin);
    }
}

pub(crate) async fn connect(folder: &Path) -> Connected {
    let path = folder.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    const SCRIPT: &str = "import os,socket,sys
s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'x'); s.set_inheritable(True)
told=sys.stdin.readline()
if told=='exec\\n': os.execvp('cat',['cat'])
if told=='fork\\n' and os.fork()==0: s.sendall(b'y'); os.read(s.fileno(),1)
";
    let child = Command::new("python3")
        .args(["-c", SCRIPT])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let peer = PeerCredentials::of(&stream).unwrap();
    // by now it is python that runs, and not what started it
    stream.read_exact(&mut [0]).await.unwrap();
    Connected {
        child,
        peer,
        stream,
    }
}

#[tokio::test]
async fn a_process_that_has_ended_is_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let Connected {
        mut child,
        peer,
        stream: _stream,
    } = connect(folder.path()).await;
    assert_eq!(number(&peer), child.id());
    let running = std::fs::read_link(format!("/proc/{}/exe", child.id())).unwrap();
    let narrow = Conditions {
        executable: Some(running),
        ..Conditions::of_uid(peer.uid)
    };
    let attestor = attestor(narrow);
    assert!(attestor.attest(&from(peer.clone()), now()).await.is_ok());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(!peer.process.as_ref().unwrap().is_alive());
    let why = refusal(&attestor, &from(peer), now()).await;
    assert!(matches!(why, Refusal::Process(_)), "{why}");
}

#[tokio::test]
async fn a_process_that_cannot_be_held_is_nobody() {
    let mut peer = ourselves();
    peer.process = None;
    let (path, _) = our_executable();
    let broad = Conditions::of_uid(peer.uid);
    let narrow = Conditions {
        executable: Some(path),
        ..broad.clone()
    };
    for entry in [broad, narrow] {
        let why = refusal(&attestor(entry), &from(peer.clone()), now()).await;
        assert!(matches!(why, Refusal::Process(_)), "{why}");
    }
}

/// Also where no entry asks what it runs.
#[tokio::test]
async fn a_process_that_runs_something_else_by_now_is_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut connected = connect(folder.path()).await;
    let (attestor, peer) = (
        attestor(Conditions::of_uid(connected.peer.uid)),
        connected.peer.clone(),
    );
    let found = attestor.attest(&from(peer.clone()), now()).await.unwrap();
    let subject = found.proof.subject.unwrap();
    assert!(
        subject.contains(" exe=") && subject.contains("python"),
        "{subject}"
    );
    connected.tell("exec\n");
    let link = format!("/proc/{}/exe", connected.child.id());
    while std::fs::read_link(&link)
        .unwrap()
        .to_string_lossy()
        .contains("python")
    {
        tokio::task::yield_now().await;
    }
    assert!(peer.process.as_ref().unwrap().is_alive());
    let why = refusal(&attestor, &from(peer), now()).await;
    assert!(why.to_string().contains("something else"), "{why}");
    connected.child.kill().unwrap();
    connected.child.wait().unwrap();
}

/// Its child has the connection, and writes to it.
#[tokio::test]
async fn a_process_that_left_its_connection_to_a_child_is_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut connected = connect(folder.path()).await;
    connected.tell("fork\n");
    connected.stream.read_exact(&mut [0]).await.unwrap();
    assert!(connected.child.wait().unwrap().success());
    let peer = connected.peer.clone();
    let why = refusal(&attestor(Conditions::of_uid(peer.uid)), &from(peer), now()).await;
    assert!(why.to_string().contains("gone"), "{why}");
}

#[tokio::test]
async fn a_registry_is_read_again_and_a_bad_one_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts.toml");
    let attestor = PeerAttestor::file("local".into(), path.clone());
    let peer = ourselves();
    let mut steady = now();
    let mut ask = async || {
        steady.steady += std::time::Duration::from_secs(2);
        let found = attestor.attest(&from(peer.clone()), steady).await;
        found.map(|found| found.identity.path().to_owned())
    };
    let missing = ask().await.unwrap_err();
    assert!(
        matches!(missing, AttestError::Unavailable { .. }),
        "{missing}"
    );
    let write = |text: String| {
        let beside = folder.path().join("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, &path).unwrap();
    };
    let uid = peer.uid;
    let one = |name: &str| {
        format!("[[entries]]\nuid = {uid}\nidentity = \"spiffe://example.org/{name}\"\n")
    };
    write(one("first"));
    assert_eq!(ask().await.as_deref(), Ok("/first"));
    write(one("second"));
    assert_eq!(ask().await.as_deref(), Ok("/second"));
    write(format!("{}{}", one("third"), one("third")));
    assert_eq!(ask().await.as_deref(), Ok("/second"));
    write(String::new());
    assert!(matches!(ask().await, Err(AttestError::Refused { .. })));
}
