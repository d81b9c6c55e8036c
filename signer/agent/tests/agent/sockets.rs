//! The sockets: whose they are, who may connect, what is left behind.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use credence_agent::{AgentError, SocketError};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{Uid, geteuid};

use tokio::time::sleep;

use crate::harness::{Envoy, MINUTE, Mood, SECOND, Setup};

const NOBODY: u32 = 65_534;

fn setup() -> Setup {
    Setup::new(60 * MINUTE)
}

fn socket_error(setup: &Setup, name: &str) -> SocketError {
    match setup.bind(vec![setup.workload(name)]).err() {
        Some(AgentError::Socket(error)) => error,
        other => panic!("not a socket's error: {other:?}"),
    }
}

fn entries(setup: &Setup) -> usize {
    fs::read_dir(setup.folder.path()).unwrap().count()
}

#[tokio::test(start_paused = true)]
async fn a_socket_is_private() {
    let setup = setup();
    let _agent = setup.bind(vec![setup.workload("s")]).unwrap();
    let metadata = fs::symlink_metadata(setup.path("s")).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o600);
    assert_eq!(metadata.uid(), geteuid().as_raw());
    assert_eq!(entries(&setup), 1);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_a_living_process_serves_is_left_alone() {
    let setup = setup();
    let living = UnixListener::bind(setup.path("s")).unwrap();
    let before = fs::symlink_metadata(setup.path("s")).unwrap().ino();
    let error = socket_error(&setup, "s");
    assert!(
        matches!(&error, SocketError::AlreadyServed { path } if *path == setup.path("s")),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains(setup.path("s").to_str().unwrap())
    );
    assert_eq!(fs::symlink_metadata(setup.path("s")).unwrap().ino(), before);
    drop(living);
}

/// Connections that nobody accepts, until there is no room for one more.
fn fill_backlog(path: &Path) -> Vec<OwnedFd> {
    let address = SocketAddrUnix::new(path).unwrap();
    let mut waiting = Vec::new();
    loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        match connect(&socket, &address) {
            Ok(()) => waiting.push(socket),
            Err(Errno::AGAIN) => return waiting,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Who never accepts must not hold up the agent's start.
#[tokio::test(start_paused = true)]
async fn a_living_process_that_is_stuck_is_recognised_at_once() {
    let setup = setup();
    let _stuck = UnixListener::bind(setup.path("s")).unwrap();
    let _waiting = fill_backlog(&setup.path("s"));
    let error = socket_error(&setup, "s");
    assert!(
        matches!(error, SocketError::AlreadyServed { .. }),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_a_dead_process_left_is_replaced() {
    let setup = setup();
    drop(UnixListener::bind(setup.path("s")).unwrap());
    let _agent = setup.start();
    let mut envoy = setup.envoy().await;
    envoy.subscribe(&["default"]).await;
    envoy.response().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_a_socket_is_left_alone() {
    let setup = setup();
    fs::write(setup.path("file"), "precious").unwrap();
    fs::create_dir(setup.path("folder")).unwrap();
    drop(UnixListener::bind(setup.path("dead")).unwrap());
    symlink(setup.path("dead"), setup.path("link")).unwrap();
    for name in ["file", "folder", "link"] {
        let error = socket_error(&setup, name);
        assert!(
            matches!(&error, SocketError::NotASocket { path } if *path == setup.path(name)),
            "{error}"
        );
    }
    assert_eq!(fs::read_to_string(setup.path("file")).unwrap(), "precious");
    assert_eq!(entries(&setup), 4);
}

#[tokio::test(start_paused = true)]
async fn the_folder_must_exist() {
    let setup = setup();
    fs::write(setup.path("file"), "").unwrap();
    for name in ["missing/s", "file/s"] {
        let error = socket_error(&setup, name);
        assert!(matches!(error, SocketError::Folder { .. }), "{error}");
        assert!(error.to_string().contains("must exist"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_too_long_for_a_socket_is_named() {
    let setup = setup();
    let error = socket_error(&setup, &"x".repeat(108));
    assert!(matches!(error, SocketError::PathTooLong { .. }), "{error}");
    assert!(error.to_string().contains("107"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn one_bad_socket_leaves_none_behind() {
    let setup = setup();
    let workloads = vec![setup.workload("good"), setup.workload("missing/bad")];
    assert!(setup.bind(workloads).is_err());
    assert_eq!(entries(&setup), 0);
    let twice = setup
        .bind(vec![setup.workload("s"), setup.workload("s")])
        .err();
    assert!(matches!(twice, Some(AgentError::SharedSocket(path)) if path == setup.path("s")));
    assert_eq!(entries(&setup), 0);
}

#[tokio::test(start_paused = true)]
async fn a_second_agent_on_the_same_socket_fails_and_the_first_serves_on() {
    let setup = setup();
    let _agent = setup.start();
    let error = socket_error(&setup, "s");
    assert!(
        matches!(error, SocketError::AlreadyServed { .. }),
        "{error}"
    );
    let mut envoy = setup.envoy().await;
    envoy.subscribe(&["default"]).await;
    envoy.response().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_the_streams_and_removes_the_sockets() {
    let setup = setup();
    let agent = setup.start_with(vec![setup.workload("s"), setup.workload("t")]);
    let mut envoy = setup.envoy().await;
    envoy.subscribe(&["default"]).await;
    envoy.response().await;
    agent.stop().await.unwrap();
    assert_eq!(envoy.fault().await.code(), tonic::Code::Unavailable);
    assert_eq!(entries(&setup), 0);
    setup.start().stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_task_ends_the_agent_and_removes_all_sockets() {
    let setup = setup();
    setup.ca.set(Mood::Panics);
    let agent = setup.start_with(vec![setup.workload("s"), setup.workload("t")]);
    let ended = agent.end().await;
    assert!(matches!(ended, Err(AgentError::Task(_))), "{ended:?}");
    assert_eq!(entries(&setup), 0);
}

#[tokio::test(start_paused = true)]
async fn shutdown_leaves_what_somebody_else_put_there() {
    let setup = setup();
    let agent = setup.start();
    fs::remove_file(setup.path("s")).unwrap();
    let successor = UnixListener::bind(setup.path("s")).unwrap();
    agent.stop().await.unwrap();
    assert!(UnixStream::connect(setup.path("s")).is_ok());
    drop(successor);
}

#[tokio::test(start_paused = true)]
async fn connections_are_bounded_and_make_room_when_they_end() {
    let mut setup = setup();
    setup.limits.connections = 1;
    let _agent = setup.start();
    let mut first = setup.envoy().await;
    first.subscribe(&["default"]).await;
    first.response().await;
    let path = setup.path("s");
    let refused = tokio::task::spawn_blocking(move || is_dropped(&path))
        .await
        .unwrap();
    assert!(refused, "a second connection was let in");
    drop(first);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut second = setup.envoy().await;
    second.subscribe(&["default"]).await;
    second.response().await;
}

/// Connects, and tells whether the agent hangs up without a word.
fn is_dropped(path: &Path) -> bool {
    let mut stream = UnixStream::connect(path).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut byte = [0];
    match stream.read(&mut byte) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// Runs `work` on a thread of its own whose uid, to the kernel, is `uid`. Only root can do that.
pub(crate) async fn as_uid<T: Send + 'static>(
    uid: u32,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let thread = move || {
        let uid = Uid::from_raw(uid);
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        work()
    };
    let thread = std::thread::spawn(thread);
    tokio::task::spawn_blocking(|| thread.join().unwrap())
        .await
        .unwrap()
}

pub(crate) fn open_up(setup: &Setup) {
    fs::set_permissions(setup.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_foreign_uid_is_dropped_even_where_the_file_would_let_it_in() {
    let setup = setup();
    if !geteuid().is_root() {
        return cannot_give_away(&setup);
    }
    open_up(&setup);
    let _agent = setup.start();
    let path = setup.path("s");
    let denied = as_uid(NOBODY, move || {
        UnixStream::connect(path).unwrap_err().kind()
    })
    .await;
    assert_eq!(denied, std::io::ErrorKind::PermissionDenied);
    fs::set_permissions(setup.path("s"), fs::Permissions::from_mode(0o666)).unwrap();
    let path = setup.path("s");
    assert!(as_uid(NOBODY, move || is_dropped(&path)).await);
}

#[tokio::test(start_paused = true)]
async fn the_workloads_uid_and_root_are_served() {
    let setup = setup();
    if !geteuid().is_root() {
        return cannot_give_away(&setup);
    }
    open_up(&setup);
    let mut workload = setup.workload("s");
    workload.uid = Some(NOBODY);
    let _agent = setup.start_with(vec![workload]);
    let path = setup.path("s");
    let fetched = as_uid(NOBODY, move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(fetch(&path))
    });
    assert_eq!(fetched.await, 1);
    assert_eq!(fetch(&setup.path("s")).await, 1);
}

async fn fetch(path: &Path) -> usize {
    let mut envoy = Envoy::connect(path).await;
    envoy.subscribe(&["default"]).await;
    envoy.response().await.resources.len()
}

/// Without privilege, a socket for another uid cannot be made at all.
fn cannot_give_away(setup: &Setup) {
    let mut workload = setup.workload("s");
    workload.uid = Some(geteuid().as_raw() + 1);
    let error = setup.bind(vec![workload]).err();
    assert!(
        matches!(error, Some(AgentError::Socket(SocketError::Io { .. }))),
        "{error:?}"
    );
    assert_eq!(entries(setup), 0);
}

#[tokio::test(start_paused = true)]
async fn a_socket_whose_file_is_removed_is_made_anew_and_who_is_connected_stays() {
    let setup = setup();
    let mut workload = setup.workload("s");
    workload.uid = None;
    let agent = setup.start_with(vec![workload]);
    let path = setup.path("s");
    let mut connected = Envoy::connect(&path).await;
    connected.subscribe(&["default"]).await;
    connected.accept(&["default"]).await;
    fs::remove_file(&path).unwrap();
    sleep(2 * SECOND).await;
    let metadata = fs::symlink_metadata(&path).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o600);
    let mut newcomer = Envoy::connect(&path).await;
    newcomer.subscribe(&["default"]).await;
    newcomer.accept(&["default"]).await;
    sleep(35 * MINUTE).await;
    connected.accept(&["default"]).await;
    newcomer.accept(&["default"]).await;
    agent.stop().await.unwrap();
    assert!(!path.exists(), "the new file goes with the agent, too");
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_somebody_else_has_made_is_theirs_until_they_go() {
    let setup = setup();
    let _agent = setup.start_with(vec![setup.workload("s")]);
    let path = setup.path("s");
    fs::remove_file(&path).unwrap();
    let theirs = UnixListener::bind(&path).unwrap();
    let inode = fs::symlink_metadata(&path).unwrap().ino();
    sleep(10 * SECOND).await;
    assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), inode);
    drop(theirs);
    sleep(2 * SECOND).await;
    let mut envoy = Envoy::connect(&path).await;
    envoy.subscribe(&["default"]).await;
    envoy.accept(&["default"]).await;
}
