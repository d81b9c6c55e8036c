//! Crate `spiffe`'s `X509Source`, the source that most applications in Rust will have, on a real agent.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use spiffe::{X509Source, X509Svid};
use tokio::time::timeout;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use crate::rig::{Rig, SOON};

async fn source(rig: &Rig) -> Result<X509Source> {
    let endpoint = format!("unix://{}", rig.socket("client").display());
    let source = X509Source::builder()
        .endpoint(&endpoint)
        .reconnect_backoff(Duration::from_millis(20), Duration::from_millis(200))
        .initial_sync_timeout(SOON);
    Ok(source.build().await?)
}

fn serial(svid: &X509Svid) -> String {
    let (_, leaf) = X509Certificate::from_der(svid.cert_chain()[0].as_bytes()).unwrap();
    leaf.raw_serial_as_string()
}

/// The one root that it has of its trust domain.
fn root(source: &X509Source) -> Vec<u8> {
    let domain = "example.org".try_into().unwrap();
    let bundle = source.try_bundle_for_trust_domain(&domain).unwrap();
    let [root] = bundle.authorities() else {
        panic!("not one root: {bundle:?}")
    };
    root.as_bytes().to_vec()
}

/// Waits until it holds another certificate than this one.
async fn renewed(source: &X509Source, than: &str) -> Result<Arc<X509Svid>> {
    let mut updates = source.updated();
    let newer = async {
        loop {
            if let Ok(svid) = source.svid()
                && serial(&svid) != than
            {
                return anyhow::Ok(svid);
            }
            updates.changed().await?;
        }
    };
    timeout(SOON, newer).await?
}

/// By names and key identifiers; signatures are for others to verify.
fn leads_to_the_root(svid: &X509Svid, source: &X509Source) {
    let [leaf, issuer] = svid.cert_chain() else {
        panic!("not a leaf and an issuer: {svid:?}")
    };
    let root = root(source);
    let read = |der| X509Certificate::from_der(der).unwrap().1;
    let [leaf, issuer, root] = [leaf.as_bytes(), issuer.as_bytes(), &root].map(read);
    for (child, parent) in [(&leaf, &issuer), (&issuer, &root)] {
        assert_eq!(child.issuer(), parent.subject());
        assert_eq!(authority_key(child), subject_key(parent));
    }
}

fn authority_key(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate
        .iter_extensions()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(key) => {
                key.key_identifier.as_ref().map(|id| id.0.to_vec())
            }
            _ => None,
        })
}

fn subject_key(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate
        .iter_extensions()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(key) => Some(key.0.to_vec()),
            _ => None,
        })
}

#[tokio::test]
async fn it_follows_rotations() -> Result<()> {
    let rig = Rig::start().await?;
    let source = source(&rig).await?;
    let (first, root_before) = (source.svid()?, root(&source));
    assert_eq!(first.spiffe_id().to_string(), "spiffe://example.org/client");
    let mut last = serial(&first);
    for _ in 0..3 {
        let next = renewed(&source, &last).await?;
        assert_eq!(next.spiffe_id(), first.spiffe_id());
        assert_ne!(
            next.private_key().as_bytes(),
            first.private_key().as_bytes()
        );
        leads_to_the_root(&next, &source);
        last = serial(&next);
    }
    assert_eq!(root(&source), root_before);
    assert!(source.is_healthy());
    Ok(())
}

#[tokio::test]
async fn it_comes_back_by_itself_when_the_agent_does() -> Result<()> {
    let mut rig = Rig::start().await?;
    let source = source(&rig).await?;
    let (before, root_before) = (serial(&*source.svid()?), root(&source));
    rig.kill_agent()?;
    rig.start_agent().await?;
    let after = renewed(&source, &before).await?;
    assert_eq!(root(&source), root_before);
    renewed(&source, &serial(&after)).await?;
    Ok(())
}

/// An agent that comes back with another CA: root and certificate change together.
#[tokio::test]
async fn it_takes_another_bundle() -> Result<()> {
    let mut rig = Rig::start().await?;
    let source = source(&rig).await?;
    let (before, root_before) = (serial(&*source.svid()?), root(&source));
    rig.kill_agent()?;
    rig.forget_ca()?;
    rig.start_agent().await?;
    let after = renewed(&source, &before).await?;
    assert_ne!(root(&source), root_before);
    leads_to_the_root(&after, &source);
    Ok(())
}
