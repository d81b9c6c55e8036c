//! What `credence ca run` signs, judged by OpenSSL and pkilint: each kind of leaf, the daemon's own, issuers and roots.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use anyhow::{Context, Result, ensure};
use credence_ca_tests::{
    client::{Client, Csr, DAPR, ISTIO, bearing, certificates},
    daemon::{Daemon, SELF, Setup},
    wire::{DaprRequest, DaprResponse, IstioResponse, istio},
};
use credence_e2e::{checks, process::run, tools, wait};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

const DAPR_SECTIONS: &str = r#"
[dapr]
trust_domains = ["public", "example.org"]
jwks = ["subjects"]

[attestors.subjects]
kind = "jwt"
audiences = ["spiffe://example.org/credence/ca"]
jwks_file = "jwks.json"
algorithms = ["ES256"]
identity = "subject"

[limits]
identity_burst = 100000
"#;

const SHORT_LIVES: &str = r#"
[leaf]
shortest = "5s"
usual = "5s"
longest = "6s"

[lifecycle]
refresh_hint = "1s"
clock_skew = "0s"
issuer_life = "10min"
root_life = "1h"
rotate_roots = "on-order"
"#;

/// A chain, leaf first, and what it was got with.
struct Got {
    name: String,
    chain: Vec<Vec<u8>>,
}

/// One certificate of each kind that it gives.
async fn each_kind(ca: &Daemon) -> Result<Vec<Got>> {
    let mut got = Vec::new();
    let client = ca.client(None);
    let token = ca.setup.issuer.service_account("shop", "web");
    for (name, algorithm) in [
        ("istio-rsa", &rcgen::PKCS_RSA_SHA256),
        ("istio-p256", &rcgen::PKCS_ECDSA_P256_SHA256),
    ] {
        let csr = Csr::with(algorithm, &[]);
        let asked = client.call(ISTIO, bearing(istio(&csr.pem), &token));
        let answer: IstioResponse = asked.await?;
        let (_, own) = answer.cert_chain.split_last().context("empty")?;
        let chain = certificates(&own.concat());
        got.push(Got {
            name: name.to_owned(),
            chain,
        });
    }
    for (name, domain) in [("dapr-ed25519", "example.org"), ("dapr-public", "public")] {
        let chain = sidecar(ca, &client, domain).await?;
        got.push(Got {
            name: name.to_owned(),
            chain,
        });
    }
    let stream = client.tls().await?;
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    got.push(Got {
        name: "own".to_owned(),
        chain: shown.iter().map(|der| der.to_vec()).collect(),
    });
    Ok(got)
}

/// As daprd asks.
async fn sidecar(ca: &Daemon, client: &Client, domain: &str) -> Result<Vec<Vec<u8>>> {
    let id = format!("spiffe://{domain}/ns/shop/orders");
    let request = DaprRequest {
        id: "orders".into(),
        token: ca.setup.issuer.subject(&id, SELF),
        trust_domain: domain.into(),
        namespace: "shop".into(),
        csr: Csr::with(&rcgen::PKCS_ED25519, &[]).pem.into_bytes(),
        token_validator: 3,
        jwt_audiences: Vec::new(),
    };
    let answer: DaprResponse = client.call(DAPR, tonic::Request::new(request)).await?;
    Ok(certificates(str::from_utf8(&answer.workload_certificate)?))
}

fn pem(folder: &Path, name: &str, ders: &[Vec<u8>]) -> Result<PathBuf> {
    let path = folder.join(format!("{name}.pem"));
    let blocks: Vec<_> = ders
        .iter()
        .map(|der| pem::Pem::new("CERTIFICATE", der.as_slice()))
        .collect();
    fs::write(&path, pem::encode_many(&blocks))?;
    Ok(path)
}

/// istiod gives P-256 keys keyEncipherment too, which RFC 8813 §3 forbids; who takes its place does as it does.
const AS_ISTIOD_DOES: &str = "pkix.key_usage_value_prohibited_for_ec";

async fn no_finding(certificate: &Path, but: &[&str]) -> Result<()> {
    let mut findings = checks::pkilint(certificate).await?;
    findings.retain(|finding| !but.contains(&finding.code.as_str()));
    ensure!(
        findings.is_empty(),
        "{}: {findings:#?}",
        certificate.display()
    );
    Ok(())
}

/// OpenSSL verifies each leaf for both ends of TLS, and each CA above it; pkilint has nothing to say of any leaf.
async fn judged(got: &[Got], roots: &[Vec<u8>], folder: &Path) -> Result<()> {
    let anchors = pem(folder, "roots", roots)?;
    for Got { name, chain } in got {
        let leaf = pem(folder, name, &chain[..1])?;
        let above = pem(folder, &format!("{name}.above"), &chain[1..])?;
        checks::openssl_verifies(&leaf, &above, &anchors)
            .await
            .with_context(|| name.clone())?;
    }
    // It takes a second for each, and a leaf here lives for few.
    for Got { name, .. } in got {
        let but: &[&str] = match name.as_str() {
            "istio-p256" => &[AS_ISTIOD_DOES],
            _ => &[],
        };
        no_finding(&folder.join(format!("{name}.pem")), but).await?;
    }
    Ok(())
}

/// What the CA made of its own: each issuer in the chains, and the roots.
async fn authorities_judged(got: &[Got], roots: &[Vec<u8>], folder: &Path) -> Result<()> {
    let anchors = pem(folder, "roots", roots)?;
    let mut issuers: Vec<_> = got.iter().map(|one| one.chain[1].clone()).collect();
    issuers.dedup();
    for (number, authority) in issuers.iter().chain(roots).enumerate() {
        let file = pem(
            folder,
            &format!("authority-{number}"),
            std::slice::from_ref(authority),
        )?;
        checks::openssl_verifies_ca(&file, &anchors).await?;
        no_finding(&file, &[]).await?;
    }
    Ok(())
}

fn start(sections: &str, prepare: impl Fn(&Path) + Send + Sync + 'static) -> Result<Daemon> {
    let mut setup = Setup::new(tools::fresh_credence()?.to_str().unwrap(), sections);
    setup.prepare = Some(Box::new(prepare));
    Ok(setup.start())
}

async fn rotated(ca: &Daemon) -> Result<()> {
    let old = ca.roots();
    ca.order(&["ca", "rotate-root"]);
    wait::until("the next root alone", Duration::from_secs(90), async || {
        let roots = ca.roots();
        Ok((roots.len() == 1 && roots != old).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_a_ca_signs_is_good_before_and_after_its_root_changed() -> Result<()> {
    let ca = start(&[DAPR_SECTIONS, SHORT_LIVES].concat(), |_| ())?;
    let folder = TempDir::new()?;
    for when in ["before", "after"] {
        if when == "after" {
            rotated(&ca).await?;
        }
        let (got, roots) = (each_kind(&ca).await?, ca.roots());
        let folder = folder.path();
        judged(&got, &roots, folder).await.context(when)?;
        authorities_judged(&got, &roots, folder)
            .await
            .context(when)?;
    }
    Ok(())
}

const EXTENSIONS: &str = "[ca]\nbasicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";

async fn openssl(folder: &Path, words: &str) -> Result<()> {
    let paths = words.replace('@', &format!("{}/", folder.display()));
    let arguments: Vec<_> = paths.split(' ').collect();
    run(Path::new("openssl"), &arguments).await.map(drop)
}

/// A corporate root, an intermediate below it, and below that the issuer, with keys of this kind: as Istio's `cacerts` has them.
async fn corporate(at: &Path, key: &str) -> Result<()> {
    let config = format!("[req]\ndistinguished_name=dn\n[dn]\n{EXTENSIONS}");
    fs::write(at.join("x.cnf"), config)?;
    openssl(at, &format!("req -x509 -newkey {key} -nodes -days 30 -config @x.cnf -extensions ca -subj /O=Corp/CN=root -keyout @root.key -out @root-cert.pem")).await?;
    for (above, name) in [("root-cert.pem", "middle"), ("middle.pem", "issuer")] {
        let signer = above.trim_end_matches("-cert.pem").trim_end_matches(".pem");
        openssl(at, &format!("req -new -newkey {key} -nodes -config @x.cnf -subj /O=Corp/CN={name} -keyout @{name}.key -out @{name}.csr")).await?;
        openssl(at, &format!("x509 -req -in @{name}.csr -CA @{above} -CAkey @{signer}.key -CAcreateserial -days 10 -extfile @x.cnf -extensions ca -out @{name}.pem")).await?;
    }
    let read = |name: &str| fs::read_to_string(at.join(name));
    fs::write(
        at.join("cert-chain.pem"),
        read("issuer.pem")? + &read("middle.pem")? + &read("root-cert.pem")?,
    )?;
    fs::rename(at.join("issuer.pem"), at.join("ca-cert.pem"))?;
    fs::rename(at.join("issuer.key"), at.join("ca-key.pem"))?;
    Ok(fs::set_permissions(
        at.join("ca-key.pem"),
        fs::Permissions::from_mode(0o600),
    )?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_signed_below_an_openssl_s_intermediate_is_good() -> Result<()> {
    for key in ["rsa:2048", "ec -pkeyopt ec_paramgen_curve:P-256"] {
        let pki = TempDir::new()?;
        corporate(pki.path(), key).await?;
        let files = pki.path().to_path_buf();
        let sections = "\n[chain]\nkind = \"istio\"\nfolder = \"cacerts\"\n";
        let ca = start(&[DAPR_SECTIONS, sections].concat(), move |folder| {
            let to = folder.join("cacerts");
            fs::create_dir(&to).unwrap();
            for name in [
                "root-cert.pem",
                "ca-cert.pem",
                "cert-chain.pem",
                "ca-key.pem",
            ] {
                fs::copy(files.join(name), to.join(name)).unwrap();
            }
        })?;
        let got = each_kind(&ca).await?;
        for one in &got {
            // in a handshake the root is sent along
            let expected = if one.name == "own" { 4 } else { 3 };
            ensure!(
                one.chain.len() == expected,
                "{}: {} certificates",
                one.name,
                one.chain.len()
            );
        }
        judged(&got, &ca.roots(), pki.path()).await.context(key)?;
    }
    Ok(())
}
