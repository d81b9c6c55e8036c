//! An issuer below somebody else's CA, whose key never leaves the token.

use crate::support::{domain, token, with_token};
use credence_ca::{chain::Terms, custody::Custody as _, key::KeyKind, validity::Time};
use credence_host::{
    chain::{BadChain, OwnChain, Why, import, issuer_csr},
    custody::{Custodian, SigningKey},
};
use std::{fs, path::Path, process::Command, time::Duration};

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {text}");
}

fn take_back(folder: &Path, custodian: &Custodian) -> Result<OwnChain, BadChain> {
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let root = read("root.crt");
    let (_, der) = pem_rfc7468::decode_vec(&root).unwrap();
    let begins = credence_ca::certificate::CaCertificate::from_der(&der)
        .unwrap()
        .validity()
        .not_before;
    let terms = Terms {
        trust_domain: &domain(),
        now: Time::plus(begins, Duration::from_secs(3600)),
        longest_leaf_life: Duration::from_secs(3600),
    };
    let nowhere = folder.join("no.key");
    import(custodian, &nowhere, &read("ours.crt"), &root, &terms)
}

#[test]
fn a_chain_comes_back_to_a_key_in_the_token() {
    with_token(
        "chain::a_chain_comes_back_to_a_key_in_the_token",
        |folder| {
            let custodian = Custodian::token(KeyKind::P256, token());
            let request = issuer_csr(&custodian, &domain()).unwrap();
            assert!(request.key_pem.is_none());
            fs::write(folder.join("ours.csr"), &request.csr).unwrap();
            openssl(
                folder,
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -noenc -keyout root.key -out root.crt \
             -subj /CN=Root -days 100 -addext keyUsage=critical,keyCertSign,cRLSign",
            );
            openssl(folder, "req -in ours.csr -verify -noout");
            let sign = "x509 -req -in ours.csr -copy_extensions copyall -CA root.crt -CAkey root.key -out ours.crt -days 50";
            openssl(folder, sign);
            let own = take_back(folder, &custodian).unwrap();
            assert!(matches!(own.issuer_key, SigningKey::Token(_)));
            assert_eq!(own.issuer_key.public_key(), request.key.public_key());
            // a chain for a key that is not in it
            openssl(folder, "genpkey -algorithm ED25519 -out other.key");
            openssl(folder, "pkey -in other.key -pubout -out other.pub");
            openssl(folder, &format!("{sign} -force_pubkey other.pub"));
            let bad = take_back(folder, &custodian).unwrap_err();
            assert!(matches!(bad.why(), [Why::Key(_)]), "{bad}");
        },
    );
}
