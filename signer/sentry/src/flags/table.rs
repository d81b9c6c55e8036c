//! The flags that there are, in the order of the alphabet.

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// Nothing, or `=true` and `=false`.
    Switch,
    /// A port's number.
    Port,
    /// A duration of Go's.
    Duration,
    /// Texts with commas between; more than once adds to it.
    List,
}

impl Kind {
    /// As `--help` names the value.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => " string",
            Self::Switch => "",
            Self::Port => " port",
            Self::Duration => " duration",
            Self::List => " strings",
        }
    }
}

/// A flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// As it would be written; nothing where there is no value.
    pub(super) default: &'static str,
    pub(super) help: &'static str,
}

const fn flag(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        kind,
        default,
        help,
    }
}

/// Every flag.
pub(super) const FLAGS: &[Flag] = &[
    flag(
        "config",
        Kind::Text,
        "daprsystem",
        "File of the configuration; in mode kubernetes the name of the Configuration object",
    ),
    flag(
        "enable-metrics",
        Kind::Switch,
        "true",
        "Serve metrics for Prometheus",
    ),
    flag(
        "healthz-listen-address",
        Kind::Text,
        "",
        "Address of the health page; all addresses where empty",
    ),
    flag(
        "healthz-port",
        Kind::Port,
        "8080",
        "Port of the health page",
    ),
    flag(
        "issuer-ca-filename",
        Kind::Text,
        "ca.crt",
        "File of the trust anchors, in the credentials' folder or absolute",
    ),
    flag(
        "issuer-certificate-filename",
        Kind::Text,
        "issuer.crt",
        "File of the issuer's certificates, in the credentials' folder or absolute",
    ),
    flag(
        "issuer-credentials",
        Kind::Text,
        "/var/run/secrets/dapr.io/credentials",
        "Folder of the credentials",
    ),
    flag(
        "issuer-key-filename",
        Kind::Text,
        "issuer.key",
        "File of the issuer's private key, in the credentials' folder or absolute",
    ),
    flag(
        "jwks-filename",
        Kind::Text,
        "jwks.json",
        "File of the key set that verifies JWTs, in the credentials' folder or absolute",
    ),
    flag("jwt-enabled", Kind::Switch, "false", "Issue JWTs too"),
    flag(
        "jwt-issuer",
        Kind::Text,
        "",
        "Issuer in JWTs (iss); none where empty",
    ),
    flag(
        "jwt-key-filename",
        Kind::Text,
        "jwt.key",
        "File of the private key that signs JWTs, in the credentials' folder or absolute",
    ),
    flag(
        "jwt-key-id",
        Kind::Text,
        "",
        "Key's ID in JWTs (kid); where empty, base64 of the key's SHA-256 thumbprint (RFC 7638)",
    ),
    flag(
        "jwt-signing-algorithm",
        Kind::Text,
        "RS256",
        "Algorithm of JWTs: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA, as the key has it",
    ),
    flag("jwt-ttl", Kind::Duration, "24h0m0s", "How long JWTs live"),
    flag(
        "kubeconfig",
        Kind::Text,
        "",
        "File of the Kubernetes client's configuration, outside of a cluster (default $HOME/.kube/config)",
    ),
    flag(
        "listen-address",
        Kind::Text,
        "",
        "Address of the CA; all addresses where empty",
    ),
    flag(
        "log-as-json",
        Kind::Switch,
        "false",
        "Write the log as JSON",
    ),
    flag(
        "log-file",
        Kind::Text,
        "",
        "File of the log; the standard output where empty",
    ),
    flag(
        "log-level",
        Kind::Text,
        "info",
        "Least level in the log: debug, info, warn, error or fatal",
    ),
    flag(
        "metrics-listen-address",
        Kind::Text,
        "0.0.0.0",
        "Address of the metrics",
    ),
    flag("metrics-port", Kind::Port, "9090", "Port of the metrics"),
    flag(
        "mode",
        Kind::Text,
        "standalone",
        "Where it runs: standalone or kubernetes",
    ),
    flag(
        "oidc-allowed-hosts",
        Kind::List,
        "",
        "Hosts that the OIDC server answers for; any where there is none",
    ),
    flag(
        "oidc-enabled",
        Kind::Switch,
        "false",
        "Serve OIDC discovery and the key set over HTTP; needs jwt-enabled",
    ),
    flag(
        "oidc-jwks-uri",
        Kind::Text,
        "",
        "URI of the key set in the discovery document, where it is another than this server's",
    ),
    flag(
        "oidc-path-prefix",
        Kind::Text,
        "",
        "Prefix of the OIDC server's paths",
    ),
    flag(
        "oidc-server-listen-address",
        Kind::Text,
        "localhost",
        "Address of the OIDC server",
    ),
    flag(
        "oidc-server-listen-port",
        Kind::Port,
        "9080",
        "Port of the OIDC server",
    ),
    flag(
        "oidc-server-tls-cert-file",
        Kind::Text,
        "",
        "File of the OIDC server's certificates, unless oidc-server-tls-enabled is false",
    ),
    flag(
        "oidc-server-tls-enabled",
        Kind::Switch,
        "true",
        "Serve OIDC over TLS",
    ),
    flag(
        "oidc-server-tls-key-file",
        Kind::Text,
        "",
        "File of the OIDC server's private key, unless oidc-server-tls-enabled is false",
    ),
    flag("port", Kind::Port, "50001", "Port of the CA"),
    flag(
        "state-dir",
        Kind::Text,
        "",
        "Folder of the record of what was issued; where empty, beside the credentials' (Credence's own)",
    ),
    flag(
        "trust-domain",
        Kind::Text,
        "localhost",
        "Trust domain of the control plane",
    ),
];

/// The flag of this name.
pub(super) fn find(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_distinct() {
        assert!(FLAGS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
