//! Files that somebody else rotates, over real SDS streams.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use credence_agent::{Access, Clock, OneUid, Socket, View};
use credence_delivery::watched::{Grant, WatchedFiles, WatchedState, Who};
use credence_files::watched::Folders;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use envoy_types::pb::envoy::service::discovery::v3::DiscoveryResponse;
use rcgen::{CertificateParams, KeyPair, PublicKeyData, SerialNumber};
use spiffe::SpiffeId;
use tempfile::TempDir;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::harness::{Envoy, names, secrets};
use crate::rig::{ID, LIFE, Rig, SECOND, TestClock, until};

const OTHER: &str = "spiffe://example.org/other";
/// Longer than two looks.
const A_WHILE: std::time::Duration = std::time::Duration::from_secs(10);

/// Two sockets: `a` is [`ID`]'s, `b` is [`OTHER`]'s.
struct Files {
    folder: TempDir,
    clock: Arc<dyn Clock>,
    files: WatchedFiles,
    rig: Rig,
}

fn socket(path: PathBuf, id: &str) -> Socket {
    let uid = rustix::process::geteuid().as_raw();
    let view = View::of(SpiffeId::new(id).unwrap());
    Socket {
        path,
        access: Access::Uid(uid),
        callers: Arc::new(OneUid::new(uid, view)),
    }
}

fn only(folder: PathBuf, id: &str) -> Grant {
    fs::create_dir_all(&folder).unwrap();
    Grant {
        folders: Folders::new(vec![folder]).unwrap(),
        who: Who::Only([SpiffeId::new(id).unwrap()].into()),
    }
}

impl Files {
    /// The folder `certs` is [`ID`]'s, `others` is [`OTHER`]'s.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let clock = TestClock::begin();
        let grants = vec![only(path("certs"), ID), only(path("others"), OTHER)];
        let files = WatchedFiles::new(grants, Arc::clone(&clock));
        let sockets = vec![socket(path("a"), ID), socket(path("b"), OTHER)];
        let rig = Rig::with(Arc::clone(&clock), sockets, Some(Arc::new(files.clone())));
        tokio::spawn(files.clone().run());
        Self {
            folder,
            clock,
            files,
            rig,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn envoy(&self, socket: &str) -> Envoy {
        Envoy::connect(&self.path(socket)).await
    }

    fn state(&self) -> WatchedState {
        self.files.report().remove(0)
    }

    fn now(&self) -> SystemTime {
        self.clock.now()
    }

    fn pair_name(&self, folder: &str) -> String {
        let at = |name: &str| self.path(folder).join(name).display().to_string();
        format!("file-cert:{}~{}", at("tls.crt"), at("tls.key"))
    }

    fn pair(&self, serial: u64) -> (String, String) {
        self.pair_until(serial, self.now() + 24 * LIFE)
    }

    fn pair_until(&self, serial: u64, end: SystemTime) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["app.test".to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = (self.now() - LIFE).into();
        params.not_after = end.into();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn write(&self, folder: &str, (certificate, key): &(String, String)) {
        fs::write(self.path(folder).join("tls.crt"), certificate).unwrap();
        fs::write(self.path(folder).join("tls.key"), key).unwrap();
    }
}

fn inline(source: Option<envoy_types::pb::envoy::config::core::v3::DataSource>) -> String {
    match source.unwrap().specifier.unwrap() {
        Specifier::InlineBytes(bytes) => String::from_utf8(bytes).unwrap(),
        _ => panic!("not inline"),
    }
}

/// The serial number of the one certificate in a response. Its key is its own, or the test fails.
fn serial(response: &DiscoveryResponse) -> u64 {
    let mut all = secrets(response);
    assert_eq!(all.len(), 1);
    let Some(Type::TlsCertificate(tls)) = all.remove(0).r#type else {
        panic!("not a certificate")
    };
    let (chain, key) = (inline(tls.certificate_chain), inline(tls.private_key));
    let (_, pem) = x509_parser::pem::parse_x509_pem(chain.as_bytes()).unwrap();
    let (_, leaf) = X509Certificate::from_der(&pem.contents).unwrap();
    let key = KeyPair::from_pem(&key).unwrap();
    assert_eq!(leaf.public_key().raw, key.subject_public_key_info());
    leaf.serial.to_u64_digits()[0]
}

/// As the kubelet does: a folder with everything, and a link that is switched to it.
fn kubernetes(folder: &Path, number: u64, (certificate, key): &(String, String)) {
    let generation = format!("..{number}");
    fs::create_dir(folder.join(&generation)).unwrap();
    fs::write(folder.join(&generation).join("tls.crt"), certificate).unwrap();
    fs::write(folder.join(&generation).join("tls.key"), key).unwrap();
    symlink(&generation, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        if !folder.join(name).is_symlink() {
            symlink(format!("..data/{name}"), folder.join(name)).unwrap();
        }
    }
    if number > 1 {
        fs::remove_dir_all(folder.join(format!("..{}", number - 1))).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_of_kubernetes_is_followed_from_before_it_is_there() {
    let files = Files::start();
    let name = files.pair_name("certs");
    let mut envoy = files.envoy("a").await;
    envoy.subscribe(&[&name]).await;
    envoy.silence(A_WHILE).await;
    let state = files.state();
    assert_eq!(
        (state.name, state.asked_by.to_string(), state.served),
        (name.clone(), ID.to_owned(), None)
    );
    assert!(state.trouble.unwrap().reason.contains("No such file"));
    for number in 1..=3 {
        kubernetes(&files.path("certs"), number, &files.pair(number));
        let response = envoy.accept(&[&name]).await;
        assert_eq!(serial(&response), number);
        assert_eq!(names(&response), [name.as_str()]);
        envoy.silence(A_WHILE).await;
    }
    let state = files.state();
    assert_eq!(state.trouble, None);
    assert_eq!(state.served.unwrap().serial.unwrap(), "03");
    // whoever comes later has it at once, and the same version
    let mut second = files.envoy("a").await;
    second.subscribe(&[&name]).await;
    assert_eq!(serial(&second.response().await), 3);
}

#[tokio::test(start_paused = true)]
async fn an_editor_s_renames_are_followed_and_what_lies_between_them_is_not() {
    let files = Files::start();
    let (name, certs) = (files.pair_name("certs"), files.path("certs"));
    files.write("certs", &files.pair(1));
    let mut envoy = files.envoy("a").await;
    envoy.subscribe(&[&name]).await;
    assert_eq!(serial(&envoy.accept(&[&name]).await), 1);
    let (certificate, key) = files.pair(2);
    for (file, text) in [("tls.crt", certificate), ("tls.key", key)] {
        fs::write(certs.join("new"), text).unwrap();
        fs::rename(certs.join("new"), certs.join(file)).unwrap();
        if file == "tls.crt" {
            envoy.silence(A_WHILE).await;
            let trouble = files.state().trouble.unwrap();
            assert!(
                trouble.reason.contains("not the certificate's"),
                "{trouble:?}"
            );
            assert_eq!(files.state().served.unwrap().serial.unwrap(), "01");
        }
    }
    assert_eq!(serial(&envoy.accept(&[&name]).await), 2);
    assert_eq!(files.state().trouble, None);
}

#[tokio::test(start_paused = true)]
async fn half_of_a_file_is_not_pushed_at_any_length() {
    let files = Files::start();
    let name = files.pair_name("certs");
    files.write("certs", &files.pair(1));
    let mut envoy = files.envoy("a").await;
    envoy.subscribe(&[&name]).await;
    assert_eq!(serial(&envoy.accept(&[&name]).await), 1);
    let (certificate, key) = files.pair(2);
    for cut in (0..certificate.len()).step_by(97) {
        let half = certificate.get(..cut).unwrap().to_owned();
        files.write("certs", &(half, key.clone()));
        envoy.silence(3 * SECOND).await;
        assert!(files.state().trouble.is_some(), "{cut}");
    }
    files.write("certs", &(certificate, key));
    assert_eq!(serial(&envoy.accept(&[&name]).await), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_caller_s_looks_like_what_does_not_exist() {
    let files = Files::start();
    for (folder, number) in [("certs", 1), ("others", 2)] {
        files.write(folder, &files.pair(number));
    }
    let (mine, theirs) = (files.pair_name("certs"), files.pair_name("others"));
    let missing = mine.replace("tls.crt", "none.crt");
    let (mut a, mut b) = (files.envoy("a").await, files.envoy("b").await);
    a.subscribe(&[&theirs, &missing, &mine]).await;
    b.subscribe(&[&mine, &theirs]).await;
    let response = a.accept(&[&theirs, &missing, &mine]).await;
    assert_eq!(
        (names(&response), serial(&response)),
        (vec![mine.clone()], 1)
    );
    let response = b.accept(&[&mine, &theirs]).await;
    assert_eq!(
        (names(&response), serial(&response)),
        (vec![theirs.clone()], 2)
    );
    // a pair of two folders is nobody's here; nor is a file beside them, whatever the way to it
    let crossed = format!(
        "file-cert:{}~{}",
        files.path("certs/tls.crt").display(),
        files.path("others/tls.key").display()
    );
    let above = mine.replace("certs/tls", "certs/../others/tls");
    symlink(files.path("others"), files.path("certs/link")).unwrap();
    let through = mine.replace("certs/tls", "certs/link/tls");
    let all = [theirs.as_str(), &crossed, &above, &through];
    let mut second = files.envoy("a").await;
    second.subscribe(&all).await;
    second.silence(A_WHILE).await;
    let watched: Vec<_> = files
        .files
        .report()
        .into_iter()
        .map(|state| state.name)
        .collect();
    // what leads out by a link is below the folder by its words: watched, and refused at each look
    assert!(
        watched.contains(&through) && watched.contains(&missing),
        "{watched:?}"
    );
    assert_eq!(watched.len(), 4, "{watched:?}");
    // the change of one is none for the other
    files.write("others", &files.pair(3));
    assert_eq!(serial(&b.accept(&[&mine, &theirs]).await), 3);
    a.silence(A_WHILE).await;
    second.silence(A_WHILE).await;
}

#[tokio::test(start_paused = true)]
async fn roots_are_watched_as_well() {
    let files = Files::start();
    let path = files.path("certs/ca.crt");
    let name = format!("file-root:{}", path.display());
    let roots = |count: u64| (1..=count).map(|n| files.pair(n).0).collect::<String>();
    fs::write(&path, roots(1)).unwrap();
    let mut envoy = files.envoy("a").await;
    envoy.subscribe(&[&name]).await;
    for expected in [1, 2] {
        let response = envoy.accept(&[&name]).await;
        let Some(Type::ValidationContext(context)) = secrets(&response).remove(0).r#type else {
            panic!("not roots")
        };
        assert_eq!(
            inline(context.trusted_ca).matches("BEGIN").count(),
            expected
        );
        fs::write(&path, roots(2)).unwrap();
    }
}

/// Envoy keeps what it has; who comes anew gets nothing, and the next one is taken.
#[tokio::test(start_paused = true)]
async fn a_certificate_that_has_ended_is_not_handed_out() {
    let files = Files::start();
    let name = files.pair_name("certs");
    files.write("certs", &files.pair_until(1, files.now() + 60 * SECOND));
    let mut envoy = files.envoy("a").await;
    envoy.subscribe(&[&name]).await;
    assert_eq!(serial(&envoy.accept(&[&name]).await), 1);
    until("its end", || files.state().served.is_none().then_some(())).await;
    let mut second = files.envoy("a").await;
    second.subscribe(&[&name]).await;
    second.silence(A_WHILE).await;
    files.write("certs", &files.pair(2));
    assert_eq!(serial(&envoy.accept(&[&name]).await), 2);
    assert_eq!(serial(&second.accept(&[&name]).await), 2);
}

/// Three hours without a change: who is there is not forgotten, who has left is.
#[tokio::test(start_paused = true)]
async fn who_listens_on_is_not_forgotten_and_who_left_is() {
    let files = Files::start();
    // nothing but the roll calls makes anybody ask again
    files.rig.ca.away.store(true, Ordering::Relaxed);
    let (name, gone) = (files.pair_name("certs"), files.pair_name("others"));
    files.write("certs", &files.pair(1));
    files.write("others", &files.pair(1));
    let mut envoy = files.envoy("a").await;
    envoy.subscribe(&[&name]).await;
    assert_eq!(serial(&envoy.accept(&[&name]).await), 1);
    let mut other = files.envoy("b").await;
    other.subscribe(&[&gone]).await;
    assert_eq!(serial(&other.accept(&[&gone]).await), 1);
    drop(other);
    envoy.silence(3 * LIFE).await;
    let watched: Vec<_> = files
        .files
        .report()
        .into_iter()
        .map(|state| state.name)
        .collect();
    assert_eq!(watched, [name.as_str()]);
    files.write("certs", &files.pair(2));
    assert_eq!(serial(&envoy.accept(&[&name]).await), 2);
}
