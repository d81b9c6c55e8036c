//! From flags and configuration to settings, with every fault.

use super::{
    APP_ID, Admission, Credentials, DEFAULT_CLOCK_SKEW, DEFAULT_TRUST_DOMAIN, DEFAULT_WORKLOAD_TTL,
    JwtSettings, Listen, LogSettings, OidcSettings, Settings, TlsFiles,
};
use crate::{
    configuration::{Configuration, JwksValidator},
    fault::{Review, excerpt},
    flags::{Flags, JwtFlags, Mode, OidcFlags},
    uri::{PathPrefix, PublicUri},
};
use spiffe::{SpiffeId, TrustDomain};
use std::{path::Path, time::Duration};

/// The longest issuer or key's ID in a token, in octets.
pub(super) const LONGEST_TEXT: usize = 2048;
/// Nobody could renew a shorter one in time.
const SHORTEST_CERTIFICATE: Duration = Duration::from_secs(5);
/// Lives and skews are within these.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);
const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);
const LONGEST_SKEW: Duration = Duration::from_secs(24 * 3600);

/// An app's identity, in Dapr's form.
pub(super) fn identity(
    domain: &TrustDomain,
    namespace: &str,
    app: &str,
) -> Result<SpiffeId, spiffe::SpiffeIdError> {
    SpiffeId::new(format!("spiffe://{domain}/ns/{namespace}/{app}"))
}

/// The settings, or faults. Everything is looked at, also behind what is a fault.
pub(super) fn judge(
    flags: Flags,
    configuration: Configuration,
    review: &mut Review,
) -> Option<Settings> {
    let trust_domain = trust_domain(&flags, &configuration, review);
    let app_trust_domain = configuration
        .app_trust_domain
        .as_deref()
        .and_then(|name| domain("spec.accessControl.trustDomain", name, review));
    let (workload_ttl, clock_skew) = spans(&configuration, review);
    let admission = admission(flags.mode, configuration.jwks, review);
    let jwt = jwt(&flags.jwt, &flags.credentials, review);
    let oidc = oidc(&flags.oidc, &flags.jwt, review);
    let [listen, healthz, metrics] = listens(&flags, review);
    Some(Settings {
        mode: flags.mode,
        trust_domain: trust_domain?,
        app_trust_domain,
        credentials: credentials(&flags),
        namespace: flags.namespace,
        workload_ttl,
        clock_skew,
        admission,
        listen: listen?,
        healthz: healthz?,
        metrics: metrics.filter(|_| flags.enable_metrics),
        jwt,
        oidc,
        kubeconfig: flags.kubeconfig,
        state_dir: flags.state_dir,
        log: LogSettings {
            level: flags.log_level,
            json: flags.log_as_json,
            file: flags.log_file,
        },
        warnings: Vec::new(),
    })
}

fn spans(configuration: &Configuration, review: &mut Review) -> (Duration, Duration) {
    let ttl = configuration.workload_ttl.unwrap_or(DEFAULT_WORKLOAD_TTL);
    let place = "spec.mtls.workloadCertTTL";
    within(place, ttl, SHORTEST_CERTIFICATE, LONGEST_LIFE, review);
    let skew = configuration.clock_skew.unwrap_or(DEFAULT_CLOCK_SKEW);
    let place = "spec.mtls.allowedClockSkew";
    within(place, skew, Duration::ZERO, LONGEST_SKEW, review);
    (ttl, skew)
}

fn admission(mode: Mode, jwks: Option<JwksValidator>, review: &mut Review) -> Admission {
    let admission = Admission::of(mode, jwks);
    if admission.is_insecure() {
        review.warn(
            "INSECURE",
            "no token validator is configured, so whoever reaches the port gets a certificate for any app that it names; configure spec.mtls.tokenValidators",
        );
    }
    admission
}

fn credentials(flags: &Flags) -> Credentials {
    let folder = &flags.credentials;
    Credentials {
        folder: folder.clone(),
        ca: folder.join(&flags.ca_filename),
        certificate: folder.join(&flags.certificate_filename),
        key: folder.join(&flags.key_filename),
    }
}

/// Where the CA, the health page and the metrics are.
fn listens(flags: &Flags, review: &mut Review) -> [Option<Listen>; 3] {
    [
        ("--listen-address", &flags.listen_address, flags.port),
        (
            "--healthz-listen-address",
            &flags.healthz_listen_address,
            flags.healthz_port,
        ),
        (
            "--metrics-listen-address",
            &flags.metrics_listen_address,
            flags.metrics_port,
        ),
    ]
    .map(|(place, address, port)| review.take(place, Listen::new(address, port)))
}

/// The control plane's, which makes an identity with its namespace.
fn trust_domain(
    flags: &Flags,
    configuration: &Configuration,
    review: &mut Review,
) -> Option<TrustDomain> {
    let domain = named_domain(flags, configuration, review)?;
    review.take("NAMESPACE", identity(&domain, &flags.namespace, APP_ID))?;
    Some(domain)
}

/// The flag's, or else the configuration's.
fn named_domain(
    flags: &Flags,
    configuration: &Configuration,
    review: &mut Review,
) -> Option<TrustDomain> {
    let place = "spec.mtls.controlPlaneTrustDomain";
    let configured = configuration.control_plane_trust_domain.as_deref();
    let Some(given) = &flags.trust_domain else {
        return domain(place, configured.unwrap_or(DEFAULT_TRUST_DOMAIN), review);
    };
    if let Some(other) = configured.filter(|other| other != given) {
        let what = format!(
            "{} is passed over: --trust-domain is another",
            excerpt(other)
        );
        review.warn(place, what);
    }
    domain("--trust-domain", given, review)
}

/// Only a name: a whole SPIFFE ID would parse too.
fn domain(place: &str, name: &str, review: &mut Review) -> Option<TrustDomain> {
    let parsed = TrustDomain::new(name)
        .ok()
        .filter(|domain| domain.as_str() == name)
        .ok_or_else(|| {
            format!(
                "{} is not a trust domain: a-z, 0-9, dots, dashes and underscores",
                excerpt(name)
            )
        });
    review.take(place, parsed)
}

fn within(place: &str, span: Duration, least: Duration, most: Duration, review: &mut Review) {
    if span < least || span > most {
        review.fault(
            place,
            format!("is {span:?}; it has to be from {least:?} to {most:?}"),
        );
    }
}

fn jwt(flags: &JwtFlags, folder: &Path, review: &mut Review) -> Option<JwtSettings> {
    if !flags.enabled {
        if flags.issuer.is_some() {
            review.fault("--jwt-issuer", "has no meaning without --jwt-enabled");
        }
        return None;
    }
    check_jwt(flags, review);
    Some(JwtSettings {
        key: folder.join(&flags.key_filename),
        jwks: folder.join(&flags.jwks_filename),
        issuer: flags.issuer.clone(),
        algorithm: flags.algorithm,
        key_id: flags.key_id.clone(),
        ttl: flags.ttl,
    })
}

fn check_jwt(flags: &JwtFlags, review: &mut Review) {
    within("--jwt-ttl", flags.ttl, SHORTEST_LIFE, LONGEST_LIFE, review);
    for (place, text) in [
        ("--jwt-issuer", &flags.issuer),
        ("--jwt-key-id", &flags.key_id),
    ] {
        if text
            .as_ref()
            .is_some_and(|text| text.len() > LONGEST_TEXT || text.contains(char::is_control))
        {
            review.fault(
                place,
                format!("has more than {LONGEST_TEXT} octets, or a control character"),
            );
        }
    }
    let names = [
        ("--jwt-key-filename", &flags.key_filename, "jwt.key"),
        ("--jwks-filename", &flags.jwks_filename, "jwks.json"),
    ];
    for (place, name, default) in names {
        if name.is_relative() && name != Path::new(default) {
            review.warn(
                place,
                format_args!(
                    "is heeded; Dapr's sentry goes on with {default} unless the name is absolute"
                ),
            );
        }
    }
}

fn oidc(flags: &OidcFlags, jwt: &JwtFlags, review: &mut Review) -> Option<OidcSettings> {
    if !flags.enabled {
        return None;
    }
    if !jwt.enabled {
        review.warn(
            "--oidc-enabled",
            "without --jwt-enabled there is nothing to serve, and it is not served",
        );
        return None;
    }
    let tls = tls(flags, review);
    let listen = Listen::new(&flags.listen_address, flags.port);
    let listen = review.take("--oidc-server-listen-address", listen);
    let prefix = PathPrefix::parse(flags.path_prefix.as_deref().unwrap_or_default());
    let prefix = review.take("--oidc-path-prefix", prefix);
    let uri = flags.jwks_uri.as_deref().map(PublicUri::parse).transpose();
    let uri = review.take("--oidc-jwks-uri", uri);
    if let Some(issuer) = jwt.issuer.as_deref() {
        review.take("--jwt-issuer", PublicUri::parse(issuer));
    }
    Some(OidcSettings {
        listen: listen?,
        tls: tls?,
        jwks_uri: uri?,
        path_prefix: prefix?,
        allowed_hosts: flags.allowed_hosts.clone(),
    })
}

/// As sentry has it: files that are named are used, also where TLS is said to be off.
fn tls(flags: &OidcFlags, review: &mut Review) -> Option<Option<TlsFiles>> {
    match (&flags.certificate, &flags.key) {
        (Some(certificate), Some(key)) => {
            if !flags.tls {
                review.warn(
                    "--oidc-server-tls-enabled",
                    "is false, and TLS is spoken: its files are named",
                );
            }
            Some(Some(TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            }))
        }
        (None, None) if !flags.tls => Some(None),
        (None, _) => {
            review.fault(
                "--oidc-server-tls-cert-file",
                "is missing; or say --oidc-server-tls-enabled=false",
            );
            if flags.key.is_none() {
                review.fault(
                    "--oidc-server-tls-key-file",
                    "is missing; or say --oidc-server-tls-enabled=false",
                );
            }
            None
        }
        (Some(_), None) => {
            review.fault(
                "--oidc-server-tls-key-file",
                "is missing, though there is a certificate",
            );
            None
        }
    }
}
