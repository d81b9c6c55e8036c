use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use tempfile::TempDir;

use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SerialNumber,
};

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn pem(label: &str, der: &[u8]) -> String {
    pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, der).unwrap()
}

fn certificate(der: &[u8]) -> String {
    pem("CERTIFICATE", der)
}

fn root() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = (now() - Duration::from_secs(60)).into();
    params.not_after = (now() + Duration::from_secs(86_400)).into();
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A folder with a certificate's files in it, and the CA that they are of.
struct Bench {
    folder: TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
    serial: u64,
}

/// PEM of a certificate and of its key.
struct Files(String, String);

impl Bench {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            ca: root(),
            serial: 0,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn folders(&self) -> Folders {
        Folders::new(vec![self.folder.path().to_owned()]).unwrap()
    }

    fn watch(&self) -> Watch {
        Watch::new(Source::Pair {
            certificate: self.path("tls.crt"),
            key: self.path("tls.key"),
        })
    }

    /// A leaf, and its issuer behind it.
    fn issue_until(&mut self, ends: SystemTime) -> Files {
        self.serial += 1;
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from(self.serial));
        params.not_before = (now() - Duration::from_secs(60)).into();
        params.not_after = ends.into();
        let leaf = params.signed_by(&key, &self.ca).unwrap();
        Files(
            certificate(leaf.der()) + &certificate(self.ca.der()),
            pem("PRIVATE KEY", key.serialized_der()),
        )
    }

    fn issue(&mut self) -> Files {
        self.issue_until(now() + Duration::from_secs(3600))
    }

    fn put(&self, files: &Files) {
        fs::write(self.path("tls.crt"), &files.0).unwrap();
        fs::write(self.path("tls.key"), &files.1).unwrap();
    }

    fn look(&self, watch: &mut Watch) -> Seen {
        watch.look(&self.folders(), now())
    }

    /// Two looks: the second one says what comes of it.
    fn settle(&self, watch: &mut Watch) -> Seen {
        nothing(self.look(watch));
        self.look(watch)
    }
}

/// The serial number of what is served newly.
fn serial(seen: Seen) -> u64 {
    match seen {
        Seen::Changed(Content::Pair(pair)) => u64::from_str_radix(&pair.serial, 16).unwrap(),
        other => panic!("nothing new: {other:?}"),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "as the others")]
fn nothing(seen: Seen) {
    assert!(matches!(seen, Seen::Unchanged), "{seen:?}");
}

fn fault(seen: Seen) -> Fault {
    match seen {
        Seen::Bad(Why::Fault(fault)) => fault,
        other => panic!("no fault: {other:?}"),
    }
}

#[test]
fn what_is_there_at_first_is_served_and_told_once() {
    let mut bench = Bench::new();
    let one = bench.issue();
    bench.put(&one);
    let mut watch = bench.watch();
    assert_eq!(serial(bench.settle(&mut watch)), 1);
    nothing(bench.look(&mut watch));
}

#[test]
fn a_change_is_served_once_two_looks_have_found_it() {
    let mut bench = Bench::new();
    let (one, two) = (bench.issue(), bench.issue());
    bench.put(&one);
    let mut watch = bench.watch();
    serial(bench.settle(&mut watch));
    bench.put(&two);
    assert_eq!(serial(bench.settle(&mut watch)), 2);
    nothing(bench.look(&mut watch));
}

#[test]
fn a_certificate_never_goes_on_with_the_key_of_another() {
    let mut bench = Bench::new();
    let (one, two) = (bench.issue(), bench.issue());
    bench.put(&one);
    let mut watch = bench.watch();
    serial(bench.settle(&mut watch));
    fs::write(bench.path("tls.crt"), &two.0).unwrap();
    assert_eq!(fault(bench.settle(&mut watch)), Fault::Mismatch);
    assert!(watch.is_bad());
    nothing(bench.look(&mut watch));
    // the other half comes
    fs::write(bench.path("tls.key"), &two.1).unwrap();
    assert_eq!(serial(bench.settle(&mut watch)), 2);
    assert!(!watch.is_bad());
}

#[test]
fn nothing_that_is_half_written_is_served_at_any_length() {
    let mut bench = Bench::new();
    let one = bench.issue();
    let whole = one.0.trim_end().len();
    for length in (0..whole).step_by(37) {
        bench.put(&one);
        fs::write(bench.path("tls.crt"), one.0.get(..length).unwrap()).unwrap();
        let mut watch = bench.watch();
        for _ in 0..2 {
            let seen = bench.look(&mut watch);
            let first = one.0.find("-----END CERTIFICATE-----\n").unwrap() + 26;
            // the leaf alone is a chain too, one that somebody may have meant
            assert!(
                length >= first && length <= first + 11 || !matches!(seen, Seen::Changed(_)),
                "{length}"
            );
        }
    }
    for length in 0..one.1.trim_end().len() {
        bench.put(&one);
        fs::write(bench.path("tls.key"), one.1.get(..length).unwrap()).unwrap();
        assert_eq!(
            fault(bench.settle(&mut bench.watch())),
            Fault::Key,
            "{length}"
        );
    }
}

#[test]
fn keys_of_openssl_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| {
        let made = std::process::Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{arguments}: {made:?}");
    };
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    for key in [
        "ecparam -name prime256v1 -genkey -out key",
        "genrsa -traditional -out key 2048",
        "genpkey -algorithm ed25519 -out key",
        "genpkey -algorithm ec -pkeyopt ec_paramgen_curve:secp384r1 -out key",
    ] {
        openssl(key);
        openssl("req -x509 -key key -subj /CN=a -days 20000 -out crt");
        // openssl goes by the machine's clock: this is within what it makes for a long time
        let in_2039 = UNIX_EPOCH + Duration::from_secs(2_200_000_000);
        let pair = Pair::parse(&read("crt"), &read("key"), in_2039);
        let pair = pair.unwrap_or_else(|fault| panic!("{key}: {fault}"));
        assert!(
            pair.key.starts_with("-----BEGIN PRIVATE KEY-----\n"),
            "{key}"
        );
    }
    openssl("genrsa -aes128 -passout pass:secret -out locked 2048");
    let refused = Pair::parse(&read("crt"), &read("locked"), now());
    assert_eq!(refused.unwrap_err(), Fault::Key);
}

#[test]
fn files_that_vanish_or_spoil_leave_what_is_served() {
    let mut bench = Bench::new();
    let (one, two) = (bench.issue(), bench.issue());
    bench.put(&one);
    let mut watch = bench.watch();
    serial(bench.settle(&mut watch));
    fs::remove_file(bench.path("tls.key")).unwrap();
    assert!(matches!(bench.look(&mut watch), Seen::Bad(Why::Unread(_))));
    nothing(bench.look(&mut watch));
    bench.put(&one);
    nothing(bench.look(&mut watch));
    assert!(!watch.is_bad());
    bench.put(&two);
    assert_eq!(serial(bench.settle(&mut watch)), 2);
}

#[test]
fn a_kubernetes_volume_that_is_switched_is_seen() {
    let mut bench = Bench::new();
    let files = [bench.issue(), bench.issue()];
    for (number, files) in files.iter().enumerate() {
        let set = bench.path(&format!("..{number}"));
        fs::create_dir(&set).unwrap();
        fs::write(set.join("tls.crt"), &files.0).unwrap();
        fs::write(set.join("tls.key"), &files.1).unwrap();
    }
    symlink("..0", bench.path("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(name), bench.path(name)).unwrap();
    }
    let mut watch = bench.watch();
    assert_eq!(serial(bench.settle(&mut watch)), 1);
    symlink("..1", bench.path("..data_tmp")).unwrap();
    fs::rename(bench.path("..data_tmp"), bench.path("..data")).unwrap();
    fs::remove_dir_all(bench.path("..0")).unwrap();
    assert_eq!(serial(bench.settle(&mut watch)), 2);
}

#[test]
fn a_file_that_an_editor_renames_over_another_is_seen() {
    let mut bench = Bench::new();
    let (one, two) = (bench.issue(), bench.issue());
    bench.put(&one);
    let mut watch = bench.watch();
    serial(bench.settle(&mut watch));
    for (name, text) in [("tls.key", &two.1), ("tls.crt", &two.0)] {
        fs::write(bench.path("new"), text).unwrap();
        fs::rename(bench.path("new"), bench.path(name)).unwrap();
    }
    assert_eq!(serial(bench.settle(&mut watch)), 2);
}

#[test]
fn a_certificate_that_has_ended_or_not_begun_is_not_served() {
    let mut bench = Bench::new();
    let ended = bench.issue_until(now());
    bench.put(&ended);
    assert_eq!(fault(bench.settle(&mut bench.watch())), Fault::Ended(now()));
    let good = bench.issue();
    bench.put(&good);
    let mut watch = bench.watch();
    let early = now() - Duration::from_secs(61);
    nothing(watch.look(&bench.folders(), early));
    let seen = watch.look(&bench.folders(), early);
    assert!(matches!(fault(seen), Fault::NotYetValid(_)));
    // its time comes
    assert_eq!(serial(bench.look(&mut watch)), 2);
}

#[test]
fn roots_are_served_and_anything_else_is_not() {
    let bench = Bench::new();
    let path = bench.path("ca.crt");
    let mut watch = Watch::new(Source::Roots(path.clone()));
    let (root, pem) = (bench.ca.der().to_vec(), certificate(bench.ca.der()));
    fs::write(&path, format!("# ours\n{pem}\n{pem}")).unwrap();
    let Seen::Changed(Content::Roots(found)) = bench.settle(&mut watch) else {
        panic!("nothing new");
    };
    assert_eq!(found, [root.clone(), root]);
    for bad in [
        "",
        "roots",
        pem.get(..100).unwrap(),
        &format!("{pem}-----END CERTIFICATE-----\n"),
    ] {
        fs::write(&path, bad).unwrap();
        let mut watch = Watch::new(Source::Roots(path.clone()));
        assert!(matches!(bench.settle(&mut watch), Seen::Bad(_)), "{bad}");
    }
    let key = pem.replace("CERTIFICATE", "PRIVATE KEY");
    fs::write(&path, key).unwrap();
    let mut watch = Watch::new(Source::Roots(path));
    let expected = Fault::NotACertificate {
        part: "root certificates",
        position: 1,
    };
    assert_eq!(fault(bench.settle(&mut watch)), expected);
}

#[test]
fn debug_shows_no_key() {
    let mut bench = Bench::new();
    let one = bench.issue();
    bench.put(&one);
    let seen = format!("{:?}", bench.settle(&mut bench.watch()));
    assert_eq!(seen, "Changed(Pair(Pair(01, ..)))");
}
