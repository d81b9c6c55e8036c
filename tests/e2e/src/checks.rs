//! Certificates looked at by code that is not ours: OpenSSL and pkilint.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{envoy::text, process::run, tools};

/// Verifies a leaf by OpenSSL, strictly, up to `root`, for both ends of a TLS connection.
///
/// # Errors
/// If OpenSSL has an objection.
pub async fn openssl_verifies(leaf: &Path, issuer: &Path, root: &Path) -> Result<()> {
    for purpose in ["sslserver", "sslclient"] {
        let arguments = [
            "verify",
            "-x509_strict",
            "-check_ss_sig",
            "-purpose",
            purpose,
            "-CAfile",
            &text(root)?,
            "-untrusted",
            &text(issuer)?,
            &text(leaf)?,
        ];
        let output = run(Path::new("openssl"), &arguments).await?;
        ensure!(output.contains(": OK"), "openssl verify: {output}");
    }
    Ok(())
}

/// Verifies a CA's certificate by OpenSSL, strictly, up to one of `roots`.
///
/// # Errors
/// If OpenSSL has an objection.
pub async fn openssl_verifies_ca(authority: &Path, roots: &Path) -> Result<()> {
    let (authority, roots) = (text(authority)?, text(roots)?);
    let arguments = [
        "verify",
        "-x509_strict",
        "-check_ss_sig",
        "-CAfile",
        &roots,
        &authority,
    ];
    let output = run(Path::new("openssl"), &arguments).await?;
    ensure!(output.contains(": OK"), "openssl verify: {output}");
    Ok(())
}

/// What OpenSSL prints of a certificate, in full.
///
/// # Errors
/// If it cannot read it.
pub async fn openssl_text(certificate: &Path) -> Result<String> {
    let file = text(certificate)?;
    run(
        Path::new("openssl"),
        &["x509", "-in", &file, "-noout", "-text"],
    )
    .await
}

/// A finding of pkilint's.
#[derive(Debug)]
pub struct Finding {
    /// Where in the certificate.
    pub place: String,
    /// DEBUG, INFO, NOTICE, WARNING, ERROR or FATAL.
    pub severity: String,
    /// What, as pkilint names it.
    pub code: String,
    /// In words.
    pub message: String,
}

/// The findings that we accept, each with its reason.
fn accepted(finding: &Finding) -> bool {
    match finding.code.as_str() {
        // It knows a fixed list of URI schemes, which lacks `spiffe`. RFC 5280 §4.2.1.6 wants an
        // absolute URI of RFC 3986, in which any scheme is one.
        "pkix.invalid_uri_syntax" => finding.message.contains("\"spiffe://"),
        // Not an objection: it says how the key identifier was made, by SHA-256 (RFC 7093 §2).
        "pkix.subject_key_identifier_rfc7093_method_1_identified" => finding.severity == "INFO",
        _ => false,
    }
}

/// Lints a certificate; gives the findings that are not accepted.
///
/// # Errors
/// If pkilint is not there or does not answer in its own format.
pub async fn pkilint(certificate: &Path) -> Result<Vec<Finding>> {
    let linter = tools::pkilint()?;
    let output = tokio::process::Command::new(linter)
        .args(["lint", "--severity", "INFO", "--format", "JSON"])
        .arg(certificate)
        .output()
        .await?;
    // Its exit status counts the findings; without any it is 0, and with a crash there is no JSON.
    let report: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("pkilint: {}", String::from_utf8_lossy(&output.stderr)))?;
    let results = report["results"]
        .as_array()
        .context("pkilint: no results")?;
    Ok(results
        .iter()
        .flat_map(findings)
        .filter(|finding| !accepted(finding))
        .collect())
}

fn findings(result: &Value) -> impl Iterator<Item = Finding> {
    let field = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let descriptions = result["finding_descriptions"].as_array();
    descriptions
        .into_iter()
        .flatten()
        .map(move |description| Finding {
            place: field(&result["node_path"]),
            severity: field(&description["severity"]),
            code: field(&description["code"]),
            message: field(&description["message"]),
        })
}
