//! The command line of Dapr's sentry.
//!
//! One dash or two, `-flag value` or `-flag=value`; a switch alone is true, and takes another value only after `=`. The last of several wins; a list
//! grows.

mod help;
mod table;
mod values;
mod words;

pub use help::help;

use crate::{
    Environment,
    algorithm::Algorithm,
    fault::{Faults, Review},
};
use std::{path::PathBuf, time::Duration};
use values::Values;
use words::Words;

/// The configuration's name where none is given.
pub const DEFAULT_CONFIG: &str = "daprsystem";
/// The control plane's namespace where `NAMESPACE` is not set.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Where sentry runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// On a host; the configuration is a file.
    Standalone,
    /// In a cluster; the configuration is an object.
    Kubernetes,
}

/// The least level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// All.
    Debug,
    /// What is worth knowing.
    Info,
    /// What may need somebody.
    Warn,
    /// What went wrong.
    Error,
    /// What ends the process.
    Fatal,
}

/// What was given on the command line, with sentry's defaults for the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    /// `config`, if it was given.
    pub config: Option<String>,
    /// `issuer-credentials`
    pub credentials: PathBuf,
    /// `issuer-ca-filename`
    pub ca_filename: PathBuf,
    /// `issuer-certificate-filename`
    pub certificate_filename: PathBuf,
    /// `issuer-key-filename`
    pub key_filename: PathBuf,
    /// `trust-domain`, if it was given.
    pub trust_domain: Option<String>,
    /// `mode`
    pub mode: Mode,
    /// `kubeconfig`, or where it is by custom if there is a home.
    pub kubeconfig: Option<PathBuf>,
    /// The environment's `NAMESPACE`: the control plane's.
    pub namespace: String,
    /// `listen-address`
    pub listen_address: String,
    /// `port`
    pub port: u16,
    /// `healthz-listen-address`
    pub healthz_listen_address: String,
    /// `healthz-port`
    pub healthz_port: u16,
    /// `enable-metrics`
    pub enable_metrics: bool,
    /// `metrics-listen-address`
    pub metrics_listen_address: String,
    /// `metrics-port`
    pub metrics_port: u16,
    /// `log-level`
    pub log_level: LogLevel,
    /// `log-as-json`
    pub log_as_json: bool,
    /// `log-file`
    pub log_file: Option<PathBuf>,
    /// `state-dir`, which is Credence's own, if it was given and is not empty.
    pub state_dir: Option<PathBuf>,
    /// The flags about JWTs.
    pub jwt: JwtFlags,
    /// The flags about the OIDC server.
    pub oidc: OidcFlags,
}

/// The flags about JWTs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtFlags {
    /// `jwt-enabled`
    pub enabled: bool,
    /// `jwt-key-filename`
    pub key_filename: PathBuf,
    /// `jwks-filename`
    pub jwks_filename: PathBuf,
    /// `jwt-issuer`, if it was given and is not empty.
    pub issuer: Option<String>,
    /// `jwt-signing-algorithm`
    pub algorithm: Algorithm,
    /// `jwt-key-id`, if it was given and is not empty.
    pub key_id: Option<String>,
    /// `jwt-ttl`
    pub ttl: Duration,
}

/// The flags about the OIDC server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcFlags {
    /// `oidc-enabled`
    pub enabled: bool,
    /// `oidc-server-listen-address`
    pub listen_address: String,
    /// `oidc-server-listen-port`
    pub port: u16,
    /// `oidc-server-tls-enabled`
    pub tls: bool,
    /// `oidc-server-tls-cert-file`
    pub certificate: Option<PathBuf>,
    /// `oidc-server-tls-key-file`
    pub key: Option<PathBuf>,
    /// `oidc-jwks-uri`
    pub jwks_uri: Option<String>,
    /// `oidc-path-prefix`
    pub path_prefix: Option<String>,
    /// `oidc-allowed-hosts`
    pub allowed_hosts: Vec<String>,
}

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// To be told what flags there are: [`help`].
    Help,
    /// To run.
    Run(Box<Flags>),
}

impl Flags {
    /// Reads the words after the command's name.
    ///
    /// # Errors
    /// With every fault: flags that there are not, values that are none, and `NAMESPACE` without a value.
    pub fn parse(arguments: &[String], environment: &Environment) -> Result<Parsed, Faults> {
        let mut review = Review::default();
        let given = match words::read(arguments, &mut review) {
            Words::Help => return Ok(Parsed::Help),
            Words::Given(given) => given,
        };
        let flags = Self::of(&mut Values::new(&given, &mut review), environment);
        let (flags, _) = review.end(flags)?;
        Ok(Parsed::Run(Box::new(flags)))
    }

    /// Each value is looked at, also behind one that is a fault.
    fn of(values: &mut Values<'_>, environment: &Environment) -> Option<Self> {
        let (mode, log_level) = (values.mode(), values.log_level());
        let (port, healthz_port) = (values.port("port"), values.port("healthz-port"));
        let metrics_port = values.port("metrics-port");
        let (enable_metrics, log_as_json) = (
            values.switch("enable-metrics"),
            values.switch("log-as-json"),
        );
        let namespace = values.namespace(environment);
        let (jwt, oidc) = (JwtFlags::of(values), OidcFlags::of(values));
        Some(Self {
            config: values.given("config").filter(|name| !name.is_empty()),
            credentials: values.path("issuer-credentials"),
            ca_filename: values.file("issuer-ca-filename")?,
            certificate_filename: values.file("issuer-certificate-filename")?,
            key_filename: values.file("issuer-key-filename")?,
            trust_domain: values.given("trust-domain"),
            mode: mode?,
            kubeconfig: values.kubeconfig(environment),
            namespace: namespace?,
            listen_address: values.text("listen-address"),
            port: port?,
            healthz_listen_address: values.text("healthz-listen-address"),
            healthz_port: healthz_port?,
            enable_metrics: enable_metrics?,
            metrics_listen_address: values.text("metrics-listen-address"),
            metrics_port: metrics_port?,
            log_level: log_level?,
            log_as_json: log_as_json?,
            log_file: values.some("log-file").map(PathBuf::from),
            state_dir: values.some("state-dir").map(PathBuf::from),
            jwt: jwt?,
            oidc: oidc?,
        })
    }
}

impl JwtFlags {
    fn of(values: &mut Values<'_>) -> Option<Self> {
        let (enabled, ttl) = (values.switch("jwt-enabled"), values.duration("jwt-ttl"));
        let algorithm = values.algorithm();
        Some(Self {
            enabled: enabled?,
            key_filename: values.file("jwt-key-filename")?,
            jwks_filename: values.file("jwks-filename")?,
            issuer: values.some("jwt-issuer"),
            algorithm: algorithm?,
            key_id: values.some("jwt-key-id"),
            ttl: ttl?,
        })
    }
}

impl OidcFlags {
    fn of(values: &mut Values<'_>) -> Option<Self> {
        let enabled = values.switch("oidc-enabled");
        let tls = values.switch("oidc-server-tls-enabled");
        let port = values.port("oidc-server-listen-port");
        let allowed_hosts = values.list("oidc-allowed-hosts");
        Some(Self {
            enabled: enabled?,
            listen_address: values.text("oidc-server-listen-address"),
            port: port?,
            tls: tls?,
            certificate: values.some("oidc-server-tls-cert-file").map(PathBuf::from),
            key: values.some("oidc-server-tls-key-file").map(PathBuf::from),
            jwks_uri: values.some("oidc-jwks-uri"),
            path_prefix: values.some("oidc-path-prefix"),
            allowed_hosts: allowed_hosts?,
        })
    }
}

#[cfg(test)]
mod tests;
