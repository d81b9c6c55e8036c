//! Certificates by openssl, in a folder of each test's own.

use credence_ca::{
    certificate::{CaCertificate, Signed},
    chain::{Place, Terms},
    tbs::Tbs,
    validity::Time,
};
use credence_host::chain::{BadChain, Layout, OwnChain, Reading, Why, pem};
use spiffe::SpiffeId;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
    time::Duration,
};
use tempfile::TempDir;

pub(crate) static DOMAIN: LazyLock<SpiffeId> =
    LazyLock::new(|| SpiffeId::new("spiffe://example.org").unwrap());

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) const CA: &str = "basicConstraints=critical,CA:true";
pub(crate) const USAGE: &str = "keyUsage=critical,keyCertSign,cRLSign";
pub(crate) const SKI: &str = "subjectKeyIdentifier=hash";
pub(crate) const AKI: &str = "authorityKeyIdentifier=keyid";
pub(crate) const ID: &str = "subjectAltName=URI:spiffe://example.org";

/// A certificate to be.
pub(crate) struct Spec<'a> {
    pub(crate) name: &'a str,
    pub(crate) subject: &'a str,
    /// Who signs it; none, if it is itself.
    pub(crate) signer: Option<&'a str>,
    /// Lines of the extensions; none for version 1.
    pub(crate) extensions: &'a [&'a str],
    pub(crate) days: u32,
    pub(crate) digest: &'a str,
    /// What genpkey takes; for a key that is not there yet.
    pub(crate) key: &'a [&'a str],
}

pub(crate) const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
pub(crate) const P384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
pub(crate) const P521: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"];
pub(crate) const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
pub(crate) const RSA1024: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"];
pub(crate) const ED25519: &[&str] = &["-algorithm", "ED25519"];

pub(crate) fn root() -> Spec<'static> {
    Spec {
        name: "root",
        subject: "/O=Corp/CN=Root",
        signer: None,
        extensions: &[CA, USAGE, SKI],
        days: 1000,
        digest: "-sha256",
        key: P256,
    }
}

pub(crate) fn mid() -> Spec<'static> {
    Spec {
        name: "mid",
        subject: "/O=Corp/CN=Intermediate",
        signer: Some("root"),
        extensions: &[CA, USAGE, SKI, AKI],
        ..root()
    }
}

pub(crate) fn issuer() -> Spec<'static> {
    Spec {
        name: "issuer",
        subject: "/O=example.org/CN=Issuer",
        signer: Some("mid"),
        extensions: &[
            "basicConstraints=critical,CA:true,pathlen:0",
            USAGE,
            SKI,
            AKI,
            ID,
        ],
        ..root()
    }
}

pub(crate) struct Pki {
    dir: TempDir,
}

/// Made once, and copied.
static BASE: LazyLock<Pki> = LazyLock::new(|| {
    let pki = Pki::empty();
    for spec in [root(), mid(), issuer()] {
        pki.make(&spec);
    }
    pki
});

impl Pki {
    pub(crate) fn empty() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// A root, an intermediate and an issuer.
    pub(crate) fn new() -> Self {
        let pki = Self::empty();
        for name in ["root", "mid", "issuer"] {
            for end in ["key", "crt"] {
                let file = format!("{name}.{end}");
                fs::copy(BASE.path(&file), pki.path(&file)).unwrap();
            }
        }
        pki
    }

    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A file of mode 0600.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
        self.mode(name, 0o600);
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn try_openssl(&self, arguments: &[&str]) -> Output {
        Command::new("openssl")
            .args(arguments)
            .current_dir(self.dir.path())
            .output()
            .unwrap()
    }

    pub(crate) fn openssl(&self, arguments: &[&str]) {
        let output = self.try_openssl(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?}: {text}");
    }

    /// Makes a certificate, and its key if that is not there.
    pub(crate) fn make(&self, spec: &Spec<'_>) {
        let file = |end: &str| format!("{}.{end}", spec.name);
        let key = file("key");
        if !self.path(&key).exists() {
            self.openssl(&[&["genpkey", "-out", &key], spec.key].concat());
            self.mode(&key, 0o600);
        }
        let (csr, certificate, extensions) = (file("csr"), file("crt"), file("ext"));
        self.openssl(&[
            "req",
            "-new",
            "-key",
            &key,
            "-subj",
            spec.subject,
            "-out",
            &csr,
        ]);
        let days = spec.days.to_string();
        let common = [
            "x509",
            "-req",
            "-in",
            &csr,
            "-out",
            &certificate,
            "-days",
            &days,
            spec.digest,
        ];
        let mut arguments = common.to_vec();
        let signer = spec
            .signer
            .map(|name| [format!("{name}.crt"), format!("{name}.key")]);
        match &signer {
            None => arguments.extend(["-signkey", &key]),
            Some([signer, signer_key]) => {
                arguments.extend(["-CA", signer, "-CAkey", signer_key, "-CAcreateserial"]);
            }
        }
        if !spec.extensions.is_empty() {
            fs::write(self.path(&extensions), spec.extensions.join("\n")).unwrap();
            arguments.extend(["-extfile", &extensions]);
        }
        self.openssl(&arguments);
    }

    pub(crate) fn der(&self, name: &str) -> Vec<u8> {
        let mut found = pem::certificates(self.read(&format!("{name}.crt")).as_bytes()).unwrap();
        found.remove(0)
    }

    pub(crate) fn certificate(&self, name: &str) -> CaCertificate {
        CaCertificate::from_der(&self.der(name)).unwrap()
    }

    /// Changes a certificate's octets.
    pub(crate) fn patch(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut der = self.der(name);
        change(&mut der);
        let text = ::pem::encode(&::pem::Pem::new("CERTIFICATE", der));
        fs::write(self.path(&format!("{name}.crt")), text).unwrap();
    }

    /// Puts certificates into one file.
    pub(crate) fn bundle(&self, file: &str, names: &[&str]) {
        let texts = names.iter().map(|name| self.read(&format!("{name}.crt")));
        fs::write(self.path(file), texts.collect::<String>()).unwrap();
    }

    /// An hour after a certificate begins.
    pub(crate) fn an_hour_after(&self, name: &str) -> Time {
        let der = self.der(name);
        let tbs = Tbs::read(Signed::split(&der).unwrap().tbs).unwrap();
        tbs.validity.not_before.plus(HOUR)
    }

    pub(crate) fn now(&self) -> Time {
        self.an_hour_after("root")
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::Files {
            roots: self.path("roots.pem"),
            chain: self.path("chain.pem"),
            issuer_key: self.path("issuer.key"),
            root_key: None,
        }
    }

    /// Loads `roots.pem`, `chain.pem` and `issuer.key`.
    pub(crate) fn load_at(&self, now: Time) -> Result<OwnChain, BadChain> {
        self.layout()
            .load(&Reading::default(), &terms(now))
            .map(|chain| chain.expect("files that are named have to be there"))
    }

    /// Whether openssl takes a leaf below the issuer: of `chain.pem`, to `roots.pem`.
    pub(crate) fn openssl_accepts(&self, now: Time, flags: &[&str]) -> Result<(), String> {
        self.make(&Spec {
            name: "leaf",
            subject: "/",
            signer: Some("issuer"),
            extensions: &[
                "basicConstraints=critical,CA:false",
                "keyUsage=critical,digitalSignature",
                "extendedKeyUsage=serverAuth,clientAuth",
                "subjectAltName=critical,URI:spiffe://example.org/a",
                SKI,
                AKI,
            ],
            ..root()
        });
        let at = now.unix().to_string();
        for purpose in ["sslserver", "sslclient"] {
            let arguments = [
                &[
                    "verify",
                    "-attime",
                    &at,
                    "-purpose",
                    purpose,
                    "-CAfile",
                    "roots.pem",
                ][..],
                &["-untrusted", "chain.pem"],
                flags,
                &["leaf.crt"],
            ];
            let output = self.try_openssl(&arguments.concat());
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
        Ok(())
    }
}

pub(crate) fn terms(now: Time) -> Terms<'static> {
    Terms {
        trust_domain: &DOMAIN,
        now,
        longest_leaf_life: DAY,
    }
}

/// The reasons by name; with its place, where it is a fault of the chain.
pub(crate) fn names(bad: &BadChain) -> Vec<(Option<Place>, &'static str)> {
    let name = |why: &Why| match why {
        Why::Chain { fault } => (Some(fault.place), fault.what.name()),
        other => (None, other.name()),
    };
    bad.why().iter().map(name).collect()
}
