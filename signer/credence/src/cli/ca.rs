//! `credence ca`, `credence revoke`, `credence token`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

const RUN_HELP: &str = "\
The configuration file is TOML; relative paths are relative to its folder:

  trust_domain = \"example.org\"
  state_dir = \"state\"            # roots, issuers, ledger; made with mode 0700
  # admin_socket = \"admin.sock\"  # by default in the state folder; mode 0600

  [listen]
  grpc = \"0.0.0.0:15012\"         # Istio's and Dapr's protocols, the bundle over SDS, health
  monitor = \"127.0.0.1:15014\"    # /livez, /readyz, /metrics; on loopback only

  [serving]                      # the daemon's own certificate, from its own CA
  identity = \"spiffe://example.org/credence/ca\"  # Dapr: .../ns/NAMESPACE/dapr-sentry
  dns_names = []                 # Istio: [\"istiod.istio-system.svc\"]

  [leaf]
  shortest = \"1m\"
  usual = \"1h\"                   # where nothing is asked for
  longest = \"24h\"
  too_long = \"clamp\"             # or \"refuse\"

  [lifecycle]
  refresh_hint = \"5m\"
  clock_skew = \"5m\"
  issuer_life = \"365days\"
  root_life = \"3650days\"
  rotate_roots = \"by-itself\"     # or \"on-order\"

  [istio]                        # left out: not served
  trust_domains = [\"example.org\"]
  attestors = [\"tokens\", \"renewal\"]

  [dapr]                         # left out: not served
  trust_domains = [\"public\"]
  jwks = [\"tokens\"]              # attestors of each validator: jwks, kubernetes
  # default = \"jwks\"             # for requests that name none

  [attestors.tokens]
  kind = \"jwt\"
  issuer = \"https://kubernetes.default.svc\"
  audiences = [\"istio-ca\"]
  jwks_file = \"jwks.json\"        # or jwks_url, and ca_file
  algorithms = [\"RS256\"]
  identity = \"istio\"             # subject, or a template: spiffe://example.org/ns/{...}

  [attestors.renewal]
  kind = \"svid\"                  # others: token-review, join-token
  longest_lineage = \"30days\"

  # [chain]                      # root and issuer from your own files; left out: made here
  # kind = \"istio\"               # or dapr; or files, with roots, chain, key, root_key
  # folder = \"/etc/cacerts\"      # looked at while it runs; a change is taken up
  # readers = \"nobody\"           # who else may read the keys: group, anyone
  # leaves_live = \"24h\"          # at most, of those that another CA signed below it
  # [bundle_endpoint]            # the SPIFFE bundle endpoint
  # address = \"0.0.0.0:8443\"
  # [[node_agents]]              # who may ask for others (ztunnel)
  # identity = \"spiffe://example.org/ns/istio-system/sa/ztunnel\"
  # may_ask_for = [\"/ns/*/sa/*\"]
  # [limits] [sandbox] [custody] [[dns_templates]]: see docs/ca.md and `credence dev --help`

On the first start a root and an issuer are made. SIGHUP reads the signing module's file again.
SIGINT and SIGTERM end it; requests under way get to end.";

#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Run the CA: Istio's and Dapr's protocols, the bundle, health.
    Run(CaRunArguments),
    /// Show every root and issuer, its phase and end, and who holds up the next phase.
    Status(StatusArguments),
    /// Print the roots that are trusted now, PEM.
    Roots(Target),
    /// Show when each root and issuer ends; exit code 7 if a warning is due.
    Expiry(Target),
    /// Begin with a new root: it is made, distributed, and signs once everybody has it.
    RotateRoot(Target),
    /// Give up the root that is on its way.
    WithdrawRoot(Target),
    /// Make a new issuer below the active root, and sign with it.
    RotateIssuer(Target),
    /// Give up the issuer that is on its way.
    WithdrawIssuer(Target),
    /// Take a step though gates are shut. Says first what that breaks, and does nothing without --yes.
    #[command(subcommand)]
    Force(ForceCommand),
    /// Report that every process of an identity was restarted, which reads roots when it starts (daprd).
    Restarted(RestartedArguments),
    /// Register somebody who verifies and has no leaf, and who reads the bundle's stream.
    AddVerifier(VerifierArguments),
    /// Remove a registered verifier.
    RemoveVerifier(VerifierArguments),
    /// Say that the wall clock is right, after it jumped.
    ConfirmClock(Target),
    /// Say that the state comes from a backup: gates are shut for the longest life of a leaf.
    Restored(Target),
    /// Say that the active root's key was taken away: its issuers have to be imported from now on.
    RootKeyRemoved(Target),
}

#[derive(Debug, Args)]
#[command(after_long_help = RUN_HELP)]
pub(crate) struct CaRunArguments {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// Which CA.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// The administration socket of a running CA: STATE/admin.sock, where the configuration does not say otherwise.
    #[arg(
        long,
        short = 'S',
        value_name = "SOCKET",
        env = "CREDENCE_ADMIN_SOCKET"
    )]
    pub(crate) socket: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ForceCommand {
    /// Make the next root active.
    Activate(ForceArguments),
    /// Take a retiring root out of the bundle.
    Retire(RetireArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ForceArguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Do it, whatever it breaks.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RetireArguments {
    /// The root's SHA-256, as `credence ca status` shows it.
    #[arg(value_name = "SHA256")]
    pub(crate) root: String,
    #[command(flatten)]
    pub(crate) force: ForceArguments,
}

#[derive(Debug, Args)]
pub(crate) struct RestartedArguments {
    /// The SPIFFE ID.
    #[arg(value_name = "SPIFFE-ID")]
    pub(crate) identity: String,
    /// The bundle that was there to be read; by default the one that is published now.
    #[arg(long, value_name = "NAME")]
    pub(crate) bundle: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct VerifierArguments {
    /// Its SPIFFE ID.
    #[arg(value_name = "SPIFFE-ID")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArguments {
    /// A certificate's serial number in hexadecimal digits, or a SPIFFE ID.
    #[arg(value_name = "SERIAL|SPIFFE-ID")]
    pub(crate) subject: String,
    /// Why; goes on record.
    #[arg(long, default_value = "not said")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a join token: good once, for one identity, and carrying the root's hash.
    Create(TokenArguments),
}

#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    /// The SPIFFE ID that it is good for.
    #[arg(value_name = "SPIFFE-ID")]
    pub(crate) identity: String,
    /// For how long, such as 10m or 1h; at most 7 days.
    #[arg(long, default_value = "10m", value_parser = humantime::parse_duration)]
    pub(crate) ttl: std::time::Duration,
    #[command(flatten)]
    pub(crate) target: Target,
}
