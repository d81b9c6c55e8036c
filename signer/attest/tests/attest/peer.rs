//! Real processes at the other end of real Unix sockets.

use crate::{now, refusal};
use credence_attest::{
    AttestError, Attestor as _, Evidence, ProofKind, Refusal,
    peer::{Entry, PeerAttestor, PeerCredentials, Registry},
};
use sha2::{Digest as _, Sha256};
use spiffe::SpiffeId;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tokio::{
    io::AsyncReadExt as _,
    net::{UnixListener, UnixStream},
};

fn entry(uid: u32) -> Entry {
    Entry {
        uid,
        gid: None,
        executable: None,
        sha256: None,
        identity: SpiffeId::new("spiffe://example.org/web").unwrap(),
    }
}

fn attestor(entry: Entry) -> PeerAttestor {
    PeerAttestor::new("local".into(), Registry::new(vec![entry]).unwrap())
}

fn from(peer: PeerCredentials) -> Evidence {
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
    let found = attestor(entry(uid))
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
    let other = refusal(&attestor(entry(uid + 1)), &from(ourselves()), now()).await;
    assert_eq!(other, Refusal::NoEntry(uid));
    let nobody = attestor(entry(uid))
        .attest(&Evidence::default(), now())
        .await;
    assert_eq!(nobody, Err(AttestError::NoEvidence));
}

#[tokio::test]
async fn group_executable_and_hash_narrow_it() {
    let (path, sha256) = our_executable();
    let peer = ourselves();
    let narrow = Entry {
        gid: Some(peer.gid),
        executable: Some(path),
        sha256: Some(sha256),
        ..entry(peer.uid)
    };
    let found = attestor(narrow.clone())
        .attest(&from(ourselves()), now())
        .await
        .unwrap();
    assert_eq!(found.proof.fingerprint, Some(sha256));
    for other in [
        Entry {
            gid: Some(peer.gid + 1),
            ..narrow.clone()
        },
        Entry {
            executable: Some("/bin/false".into()),
            ..narrow.clone()
        },
        Entry {
            sha256: Some([0; 32]),
            ..narrow
        },
    ] {
        let why = refusal(&attestor(other), &from(ourselves()), now()).await;
        assert_eq!(why, Refusal::NoEntry(peer.uid));
    }
}

/// A process that connects, and then waits until it is told to end.
struct Connected {
    child: Child,
    peer: PeerCredentials,
    _stream: UnixStream,
}

async fn connect(folder: &Path) -> Connected {
    let path = folder.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let script = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'x'); sys.stdin.read()";
    let child = Command::new("python3")
        .args(["-c", script])
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
        _stream: stream,
    }
}

#[tokio::test]
async fn a_process_that_has_ended_is_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let Connected {
        mut child,
        peer,
        _stream,
    } = connect(folder.path()).await;
    assert_eq!(number(&peer), child.id());
    let running = std::fs::read_link(format!("/proc/{}/exe", child.id())).unwrap();
    let narrow = Entry {
        executable: Some(running),
        ..entry(peer.uid)
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
async fn a_process_that_cannot_be_held_has_no_executable() {
    let mut peer = ourselves();
    peer.process = None;
    let (path, _) = our_executable();
    let narrow = Entry {
        executable: Some(path),
        ..entry(peer.uid)
    };
    let why = refusal(&attestor(narrow), &from(peer), now()).await;
    assert!(matches!(why, Refusal::Process(_)), "{why}");
}
