//! Section `[custody]`.

use super::{fault, parse, with_section};
use crate::custody::{CustodyConfig, SecretSource, VaultConfig};
use credence_ca::key::KeyKind;
use std::path::{Path, PathBuf};

fn custody(lines: &str) -> CustodyConfig {
    parse(&with_section(&format!("[custody]\n{lines}")))
        .unwrap()
        .custody
}

fn refused(lines: &str) -> String {
    fault(&with_section(&format!("[custody]\n{lines}")))
}

fn beside(name: &str) -> PathBuf {
    Path::new("/etc/credence").join(name)
}

#[test]
fn nothing_said_is_p256_in_files() {
    let config = parse(super::GOOD).unwrap().custody;
    assert_eq!(config.kind, KeyKind::P256);
    assert_eq!(config.vault, VaultConfig::Files(None));
    assert_eq!(custody(""), config);
}

#[test]
fn each_kind_of_key_has_its_name() {
    for (name, kind) in [
        ("p256", KeyKind::P256),
        ("p384", KeyKind::P384),
        ("ed25519", KeyKind::Ed25519),
        ("rsa2048", KeyKind::Rsa(2048)),
        ("rsa3072", KeyKind::Rsa(3072)),
        ("rsa4096", KeyKind::Rsa(4096)),
    ] {
        assert_eq!(custody(&format!("key = {name:?}")).kind, kind);
    }
    for name in ["", "P256", "p521", "rsa", "rsa1024", "rsa2047", "rsa8192"] {
        let told = refused(&format!("key = {name:?}"));
        let expected = format!(
            "custody.key: {name:?} is none of p256, p384, ed25519, rsa2048, rsa3072, rsa4096"
        );
        assert_eq!(told, expected);
    }
}

#[test]
fn a_passphrase_is_in_a_file_or_on_a_descriptor() {
    assert_eq!(
        custody("passphrase_file = \"secret\"").vault,
        VaultConfig::Files(Some(SecretSource::File(beside("secret"))))
    );
    assert_eq!(
        custody("passphrase_fd = 3").vault,
        VaultConfig::Files(Some(SecretSource::Descriptor(3)))
    );
    assert_eq!(
        refused("passphrase_file = \"secret\"\npassphrase_fd = 3"),
        "custody.passphrase_file and passphrase_fd: one of them, not both"
    );
}

/// Whoever may read the configuration may not be whoever may read the secret.
#[test]
fn a_secret_cannot_stand_in_the_configuration() {
    for (section, key) in [("", "passphrase"), (TOKEN, "pin")] {
        let told = refused(&format!("{section}{key} = \"246810\""));
        assert!(told.contains(&format!("unknown field `{key}`")), "{told}");
    }
}

#[cfg(not(feature = "pkcs11"))]
#[test]
fn a_token_is_refused_where_there_is_no_pkcs11() {
    let told = refused(&format!("{TOKEN}pin_fd = 3"));
    assert!(told.contains("built without it"), "{told}");
}

const TOKEN: &str = "[custody.pkcs11]\nlibrary = \"lib.so\"\ntoken = \"t\"\n";

#[cfg(feature = "pkcs11")]
mod pkcs11 {
    use super::*;
    use crate::custody::TokenSettings;

    fn token(lines: &str) -> VaultConfig {
        custody(&format!("{TOKEN}{lines}")).vault
    }

    #[test]
    fn a_token_has_two_labels_and_a_pin() {
        let settings = |root: &str, issuer: &str| TokenSettings {
            library: beside("lib.so"),
            token: "t".into(),
            root_label: root.into(),
            issuer_label: issuer.into(),
        };
        assert_eq!(
            token("pin_file = \"pin\""),
            VaultConfig::Token(
                settings("credence root", "credence issuer"),
                SecretSource::File(beside("pin"))
            )
        );
        assert_eq!(
            token("pin_fd = 3\nroot_label = \"a\"\nissuer_label = \"b\""),
            VaultConfig::Token(settings("a", "b"), SecretSource::Descriptor(3))
        );
    }

    #[test]
    fn a_token_without_what_it_needs_is_refused() {
        for (lines, expected) in [
            ("", "custody.pkcs11: pin_file or pin_fd is missing"),
            (
                "pin_file = \"pin\"\npin_fd = 3",
                "custody.pkcs11.pin_file and pkcs11.pin_fd: one of them, not both",
            ),
            (
                "pin_fd = 3\nroot_label = \"credence issuer\"",
                "custody.pkcs11: root_label and issuer_label are the same",
            ),
        ] {
            assert_eq!(refused(&format!("{TOKEN}{lines}")), expected);
        }
        for missing in ["library", "token"] {
            let lines = TOKEN.lines().filter(|line| !line.starts_with(missing));
            let lines: Vec<&str> = lines.collect();
            let told = refused(&format!("{}\npin_fd = 3", lines.join("\n")));
            assert!(
                told.contains(&format!("missing field `{missing}`")),
                "{told}"
            );
        }
    }

    #[test]
    fn a_passphrase_is_not_for_a_token() {
        let told = refused(&format!("passphrase_fd = 3\n{TOKEN}pin_fd = 4"));
        assert!(told.contains("a passphrase is for keys in files"), "{told}");
    }

    /// All but the first: every fault of the section, at once.
    #[test]
    fn every_fault_is_told_at_once() {
        let told = refused(&format!(
            "key = \"dsa\"\npassphrase_fd = 3\npassphrase_file = \"x\"\n{TOKEN}"
        ));
        assert!(told.starts_with("3 faults\n"), "{told}");
    }
}

#[test]
fn what_is_unknown_or_of_another_type_is_named_with_its_line() {
    for (line, word) in [
        ("kind = \"p256\"", "unknown field `kind`"),
        ("key = 256", "invalid type: integer"),
        ("passphrase_fd = -1", "-1"),
        ("passphrase_fd = \"3\"", "invalid type: string"),
        ("passphrase_file = 3", "invalid type: integer"),
        ("pkcs11 = \"lib.so\"", "invalid type: string"),
    ] {
        let told = refused(line);
        assert!(told.contains(word), "no {word:?} in {told}");
        assert!(told.contains("line 6"), "{told}");
    }
}
