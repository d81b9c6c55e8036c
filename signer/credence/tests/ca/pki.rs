//! Somebody else's CA, by OpenSSL: roots, and issuers below them.

use credence_ca_tests::client::certificates;
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

/// What OpenSSL is to put into certificates.
const CONFIG: &str = "\
[req]
distinguished_name=dn
[dn]
[ca]
basicConstraints=critical,CA:true
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
[without_lists]
basicConstraints=critical,CA:true
keyUsage=critical,keyCertSign
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
";

/// As whoever asked wants it.
pub(crate) const AS_ASKED: &str = "-copy_extensions copyall";
/// A CA.
pub(crate) const CA: &str = "-extfile x.cnf -extensions ca";
/// A CA that may not sign revocation lists.
pub(crate) const WITHOUT_LISTS: &str = "-extfile x.cnf -extensions without_lists";

/// Kinds of keys.
pub(crate) const P256: &str = "EC -pkeyopt ec_paramgen_curve:P-256";
pub(crate) const RSA: &str = "RSA -pkeyopt rsa_keygen_bits:2048";

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {words}");
}

/// A key, PKCS#8.
fn key(folder: &Path, kind: &str, file: &str) {
    fs::write(folder.join("x.cnf"), CONFIG).unwrap();
    openssl(folder, &format!("genpkey -algorithm {kind} -out {file}"));
    fs::set_permissions(folder.join(file), fs::Permissions::from_mode(0o600)).unwrap();
}

/// A root: `NAME.pem` and `NAME.key`.
pub(crate) fn root(folder: &Path, kind: &str, name: &str) {
    key(folder, kind, &format!("{name}.key"));
    let to = format!("-key {name}.key -subj /O=Corp/CN={name} -out {name}.pem");
    let from = "req -x509 -days 30 -config x.cnf -extensions ca";
    openssl(folder, &format!("{from} {to}"));
}

/// An issuer with a key that is there: `i.pem`.
pub(crate) fn issuer_of(folder: &Path, key: &str, root: &str, extensions: &str, name: &str) {
    let request = format!("req -new -key {key} -config x.cnf -subj /O=Corp/CN={name} -out i.csr");
    openssl(folder, &request);
    sign(folder, root, extensions, "i.pem");
}

/// An issuer with a key of its own: `i.pem` and `i.key`.
pub(crate) fn issuer(folder: &Path, kind: &str, root: &str, extensions: &str, name: &str) {
    key(folder, kind, "i.key");
    issuer_of(folder, "i.key", root, extensions, name);
}

/// A root signs what is asked for in `i.csr`.
pub(crate) fn sign(folder: &Path, root: &str, extensions: &str, out: &str) {
    let by = format!("-CA {root}.pem -CAkey {root}.key -CAcreateserial -days 10");
    let request = format!("x509 -req -in i.csr {by} {extensions} -out {out}");
    openssl(folder, &request);
}

/// `i.pem` as Istio's `cacerts` has it, below the first of these roots, each file put into place at once.
pub(crate) fn cacerts(pki: &Path, roots: &[&str], to: &Path) {
    fs::create_dir_all(to).unwrap();
    let put = |name: &str, text: &[u8]| {
        let beside = to.join(format!("{name}.beside"));
        fs::write(&beside, text).unwrap();
        if name == "ca-key.pem" {
            fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::rename(beside, to.join(name)).unwrap();
    };
    let read = |name: &str| fs::read(pki.join(name)).unwrap();
    let all: Vec<_> = roots.iter().map(|r| read(&format!("{r}.pem"))).collect();
    put("ca-key.pem", &read("i.key"));
    put("ca-cert.pem", &read("i.pem"));
    put("cert-chain.pem", &[&read("i.pem")[..], &all[0]].concat());
    put("root-cert.pem", &all.concat());
}

/// The first certificate of a PEM file.
pub(crate) fn der(file: &Path) -> Vec<u8> {
    certificates(&fs::read_to_string(file).unwrap()).remove(0)
}
