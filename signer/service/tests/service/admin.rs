//! The administration socket: whose file it is, and what it answers.

use crate::rig::Rig;
use credence_agent::SocketError;
use credence_ledger::entry::Subject;
use credence_service::admin::{
    AdminError, AdminSocket, ask,
    protocol::{Answer, Request, Standing},
};
use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::Path,
};
use tokio::sync::oneshot;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn what_a_crash_left_is_replaced_and_the_socket_is_its_owner_s_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    drop(UnixListener::bind(&path).unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let socket = AdminSocket::bind(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_that_is_served_and_what_is_none_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let served = AdminSocket::bind(&path).unwrap();
    let refused = AdminSocket::bind(&path);
    assert!(
        matches!(
            refused,
            Err(AdminError::Socket(SocketError::AlreadyServed { .. }))
        ),
        "{refused:?}"
    );
    assert!(path.exists());
    drop(served);
    fs::write(&path, "mine").unwrap();
    let refused = AdminSocket::bind(&path);
    assert!(
        matches!(
            refused,
            Err(AdminError::Socket(SocketError::NotASocket { .. }))
        ),
        "{refused:?}"
    );
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

/// An operator may have moved it away and started another one.
#[tokio::test]
async fn at_the_end_only_its_own_file_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let old = AdminSocket::bind(&path).unwrap();
    fs::rename(&path, folder.path().join("moved.sock")).unwrap();
    let _new = AdminSocket::bind(&path).unwrap();
    drop(old);
    assert!(path.exists());
}

async fn standing(rig: &Rig) -> Standing {
    let path = rig.folder.path().join("admin.sock");
    let (stop, stopped) = oneshot::channel::<()>();
    let socket = AdminSocket::bind(&path).unwrap();
    let served = tokio::spawn(socket.run(rig.operator.clone(), async {
        let _ = stopped.await;
    }));
    let asked = tokio::task::spawn_blocking(move || ask(&path, &Request::Status));
    let answer = asked.await.unwrap().unwrap();
    drop(stop);
    served.await.unwrap();
    match answer {
        Answer::Status(standing) => *standing,
        _ => panic!("no status"),
    }
}

/// A list that nobody can make ends, and with it every connection that is checked against it: whoever looks has to see that.
#[tokio::test]
async fn the_status_says_what_is_wrong_with_the_revocation_lists() {
    let rig = Rig::new();
    rig.lifecycle.status().await.unwrap();
    let web = Subject::Identity("spiffe://example.org/ns/shop/sa/web".into());
    let revoked = rig.operator.revoke(7, web, "stolen".into()).await;
    revoked.unwrap();
    assert_eq!(standing(&rig).await.warnings, Vec::<String>::new());
    rig.jump(90 * 86_400);
    rig.settle().await;
    let other = Subject::Identity("spiffe://example.org/ns/shop/sa/other".into());
    let unlisted = rig.operator.revoke(7, other, String::new()).await;
    unlisted.unwrap_err();
    let trouble = rig.lists.trouble().unwrap();
    let warnings = standing(&rig).await.warnings;
    assert!(warnings.contains(&trouble), "{warnings:?}");
}
