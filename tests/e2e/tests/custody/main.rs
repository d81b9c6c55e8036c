//! The CA's own keys, of every kind and wherever they are: made at the first start, found again at the next.

mod ca;
mod memory;

use std::fs;

use anyhow::{Context, Result, ensure};
use ca::{Ca, Vault};
use credence_e2e::{checks, process::Fate, steps, tools, world};

/// As `[custody] key` has it, and how OpenSSL prints such a key and its signature.
const KINDS: [(&str, &str, &str); 6] = [
    ("p256", "NIST CURVE: P-256", "ecdsa-with-SHA256"),
    ("p384", "NIST CURVE: P-384", "ecdsa-with-SHA384"),
    ("ed25519", "ED25519 Public-Key", "ED25519"),
    (
        "rsa2048",
        "Public-Key: (2048 bit)",
        "sha256WithRSAEncryption",
    ),
    (
        "rsa3072",
        "Public-Key: (3072 bit)",
        "sha256WithRSAEncryption",
    ),
    (
        "rsa4096",
        "Public-Key: (4096 bit)",
        "sha256WithRSAEncryption",
    ),
];

/// Starts a CA, has it sign, stops it, and starts it again on what it left: it is the same CA, and signs.
async fn goes_on(vault: Vault, kind: (&str, &str, &str)) -> Result<()> {
    let (name, key, algorithm) = kind;
    let ca = Ca::new(name, vault)?;
    let before = ca.run().await.context("the first start")?;
    for certificate in ["root.pem", "issuer.pem"] {
        let text = checks::openssl_text(&ca.state(certificate)).await?;
        ensure!(text.contains(key), "{certificate} has no {key}: {text}");
    }
    fs::write(ca.folder().join("leaf.pem"), &before.leaf)?;
    let leaf = checks::openssl_text(&ca.folder().join("leaf.pem")).await?;
    let signed = format!("Signature Algorithm: {algorithm}");
    ensure!(leaf.contains(&signed), "no {signed} in {leaf}");
    ca.keys_are_where_they_should_be()?;

    let kept = ca.files()?;
    let after = ca.run().await.context("the second start")?;
    assert_eq!(ca.files()?, kept, "the state folder has changed");
    assert_eq!(
        (&after.issuer, &after.bundle),
        (&before.issuer, &before.bundle)
    );
    ensure!(after.leaf != before.leaf, "the leaf is the old one");
    Ok(())
}

async fn all_kinds_go_on(vault: Vault) -> Result<()> {
    for kind in KINDS {
        // RSA's keys take their time; how they are kept does not hang on their length
        if vault != Vault::Files && kind.0 == "rsa3072" {
            continue;
        }
        goes_on(vault, kind)
            .await
            .with_context(|| format!("{} in {vault:?}", kind.0))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_ca_in_files_goes_on_after_a_restart() -> Result<()> {
    all_kinds_go_on(Vault::Files).await
}

#[tokio::test]
async fn a_ca_in_encrypted_files_goes_on_after_a_restart() -> Result<()> {
    all_kinds_go_on(Vault::Encrypted).await
}

#[tokio::test]
async fn a_ca_in_a_token_goes_on_after_a_restart() -> Result<()> {
    all_kinds_go_on(Vault::Token).await
}

/// The passphrase on a descriptor, as `docs/custody.md` has it.
#[tokio::test]
async fn a_passphrase_comes_on_a_descriptor() -> Result<()> {
    goes_on(Vault::EncryptedByDescriptor, KINDS[0]).await?;
    let ca = Ca::new("p256", Vault::EncryptedByDescriptor)?;
    ca.run().await?;
    // descriptor 3 is not there
    let refused = ca.refused_through(&[]).await?;
    ensure!(refused.contains("file descriptor 3"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_pin_comes_on_a_descriptor() -> Result<()> {
    goes_on(Vault::TokenByDescriptor, KINDS[0]).await
}

/// A key that is there stays what it is, whatever `key` says of new ones.
#[tokio::test]
async fn a_configured_kind_is_of_new_keys_only() -> Result<()> {
    for vault in [Vault::Files, Vault::Token] {
        let ca = Ca::new("rsa2048", vault)?;
        let before = ca.run().await?;
        ca.configure("p384", vault)?;
        let after = ca.run().await?;
        assert_eq!((after.issuer, after.bundle), (before.issuer, before.bundle));
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_passphrase_and_a_wrong_pin_are_refused() -> Result<()> {
    for (vault, words) in [
        (Vault::Encrypted, "root.key cannot be decrypted"),
        (Vault::Token, "refuses the PIN"),
    ] {
        let ca = Ca::new("p256", vault)?;
        ca.run().await?;
        let kept = ca.files()?;
        ca.secret("not the secret")?;
        let refused = ca.refused().await?;
        ensure!(refused.contains(words), "no '{words}' in {refused}");
        ensure!(!refused.contains("not the secret"), "{refused}");
        assert_eq!(ca.files()?, kept);
    }
    Ok(())
}

#[tokio::test]
async fn a_secret_that_others_can_read_is_refused() -> Result<()> {
    for vault in [Vault::Encrypted, Vault::Token] {
        let ca = Ca::new("p256", vault)?;
        for mode in [0o644, 0o640, 0o602] {
            ca.secret_mode(mode)?;
            let refused = ca.refused().await?;
            let words = format!("secret can be read by others (mode {mode:04o})");
            ensure!(refused.contains(&words), "no '{words}' in {refused}");
            ensure!(refused.contains("chmod 600"), "{refused}");
            ensure!(!ca.state("").exists(), "a CA was made");
        }
    }
    Ok(())
}

/// Neither a key's file nor the passphrase is left in the memory of a CA that serves, be it that it made
/// the key or that it read it. (The cryptographic library holds the key in a form of its own.)
#[tokio::test]
async fn what_was_read_is_wiped() -> Result<()> {
    for (vault, kind) in [
        (Vault::Files, "p256"),
        (Vault::Files, "rsa2048"),
        (Vault::Encrypted, "rsa2048"),
    ] {
        let ca = Ca::new(kind, vault)?;
        let plain = ca.long_secret()?;
        for start in ["first", "second"] {
            let mut credence = ca.start().await?;
            let mut needles = vec![("the passphrase".to_owned(), plain.clone())];
            needles.extend(memory::needles(&ca.plain_keys()?)?);
            let memory = memory::of(credence.process().id())?;
            for (what, needle) in needles {
                let found = memory.iter().any(|part| memory::holds(part, &needle));
                ensure!(
                    !found,
                    "{what} of {kind} in {vault:?} is in memory after the {start} start"
                );
            }
            // the search finds what is there
            let socket = ca.folder().join("workload.sock").display().to_string();
            ensure!(
                memory
                    .iter()
                    .any(|part| memory::holds(part, socket.as_bytes()))
            );
        }
    }
    Ok(())
}

/// As the error of a key that is not encrypted says how.
#[tokio::test]
async fn a_plain_key_is_refused_until_it_is_encrypted() -> Result<()> {
    let ca = Ca::new("p256", Vault::Files)?;
    let before = ca.run().await?;
    let ca = ca.moved_to("p256", Vault::Encrypted)?;
    let refused = ca.refused().await?;
    ensure!(
        refused.contains("openssl pkcs8 -topk8 -scrypt"),
        "{refused}"
    );
    for key in ["root.key", "issuer.key"] {
        ca.encrypt(key).await?;
    }
    let after = ca.run().await?;
    assert_eq!((after.issuer, after.bundle), (before.issuer, before.bundle));
    Ok(())
}

/// Istio's CAs are RSA's; a corporate one may be P-384's.
#[tokio::test]
async fn envoys_trust_a_ca_of_any_kind() -> Result<()> {
    let kinds = ["p384", "ed25519", "rsa2048"];
    for (name, key, _) in KINDS.into_iter().filter(|(name, ..)| kinds.contains(name)) {
        let options = world::Options {
            credence: tools::fresh_credence()?,
            leaf_life: std::time::Duration::from_secs(600),
            ca_key: name,
            fate: Fate::DiesWithUs,
        };
        let world = world::World::start(options).await.context(name)?;
        let root = checks::openssl_text(&world.credence.state("ca/root.pem")).await?;
        ensure!(root.contains(key), "the root has no {key}: {root}");
        steps::frontend_is_let_in(&world).await.context(name)?;
        steps::intruder_is_refused(&world).await.context(name)?;
        steps::stranger_fails_at_the_handshake(&world)
            .await
            .context(name)?;
    }
    Ok(())
}
