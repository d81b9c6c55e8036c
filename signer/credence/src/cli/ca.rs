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

  [unix]                         # left out: not served. Istio's protocol, the bundle, health
  socket = \"ca.sock\"
  attestors = [\"hosts\"]
  mode = \"0600\"                  # who may connect: its owner; 0660: its group, too; 0666: everybody
  # owner = 1000                 # numbers of its user and group; by default the daemon's
  # group = 1000

  [attestors.tokens]
  kind = \"jwt\"
  issuer = \"https://example.org/\"
  audiences = [\"istio-ca\"]
  jwks_file = \"jwks.json\"        # or jwks_url, and ca_file
  algorithms = [\"RS256\"]
  identity = \"istio\"             # subject, or a template: spiffe://example.org/ns/{...}

  [attestors.renewal]
  kind = \"svid\"                  # others: token-review, join-token
  longest_lineage = \"30days\"

  [attestors.hosts]
  kind = \"peer\"                  # processes on this host, by the kernel's word; for [unix] alone
  # registry = \"hosts.toml\"      # [[entries]] as here, in a file that is read again when it changes
  [[attestors.hosts.entries]]
  uid = 1000                     # or unit, container, pod: at least one of them; the others narrow it
  # unit = \"web.service\"
  # gid = 1000
  # executable = \"/usr/bin/web\"
  # sha256 = \"...\"               # of the executable, 64 hexadecimal digits
  identity = \"spiffe://example.org/host/web\"

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

/// The example in `credence ca run --help`.
#[cfg(test)]
pub(crate) fn run_example() -> String {
    let lines = RUN_HELP.lines().filter_map(|line| line.strip_prefix("  "));
    lines.map(|line| format!("{line}\n")).collect()
}

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
    /// Print the published revocation lists, PEM: one of each issuer; none while nothing was ever revoked.
    Crl(Target),
    /// Print the deny list of Envoy's filter as it is now, JSON: the field `revocations` of its configuration.
    DenyList(Target),
    /// Say that the wall clock is right, after it jumped.
    ConfirmClock(Target),
    /// Say that the state comes from a backup: gates are shut for the longest life of a leaf.
    Restored(Target),
    /// Remove the active root's key from the state folder; export it first. Its issuers have to be imported from then on.
    RemoveRootKey(Target),
    /// Make a key and a request for an issuer's certificate, for somebody else's CA: PEM, on standard output.
    IssuerCsr(CaStateArguments),
    /// Take the certificate for such a request, with what is above it.
    ImportIssuer(ImportIssuerArguments),
    /// A new root and issuer: fresh, with your own root key, or your own chain. What `dapr mtls renew-certificate` does.
    Renew(RenewArguments),
    /// Write roots, issuer and the issuer's key to a folder, as `dapr mtls export` does.
    Export(ExportCaArguments),
    /// Move old entries of a running CA's ledger to a file of their own, as `credence log archive` does for one that is not running.
    Archive(ArchiveCaArguments),
    /// Copy the state of a running CA to a new folder. The CA's keys are in it.
    Backup(BackupArguments),
    /// Make a state folder of a backup. Gates are shut for the longest life of a leaf then.
    Restore(RestoreArguments),
}

/// A running CA, or one that has not begun.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct CaStateArguments {
    /// The administration socket of a running CA.
    #[arg(
        long,
        short = 'S',
        value_name = "SOCKET",
        env = "CREDENCE_ADMIN_SOCKET"
    )]
    pub(crate) socket: Option<PathBuf>,
    /// The configuration of a CA that has not begun yet: its first issuer is to be somebody else's.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportIssuerArguments {
    /// The issuer's certificate, then those above it, PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) chain: PathBuf,
    /// The trust anchors, PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) roots: PathBuf,
    #[command(flatten)]
    pub(crate) state: CaStateArguments,
}

#[derive(Debug, Args)]
pub(crate) struct RenewArguments {
    /// Your own chain: the issuer's certificate, then those above it, PEM. With --roots and --key.
    #[arg(
        long,
        value_name = "FILE",
        requires = "roots",
        requires = "key",
        conflicts_with = "root_key"
    )]
    pub(crate) chain: Option<PathBuf>,
    /// The trust anchors of your own chain, PEM.
    #[arg(long, value_name = "FILE", requires = "chain")]
    pub(crate) roots: Option<PathBuf>,
    /// The key of your own issuer: PEM, PKCS#8, not encrypted, mode 0600.
    #[arg(long, value_name = "FILE", requires = "chain")]
    pub(crate) key: Option<PathBuf>,
    /// Your own root key: PEM, PKCS#8, not encrypted, mode 0600. A root and an issuer are made for it.
    #[arg(long, value_name = "FILE")]
    pub(crate) root_key: Option<PathBuf>,
    /// How many days a root that is made is valid; by default as configured.
    #[arg(long, value_name = "DAYS", conflicts_with = "chain")]
    pub(crate) valid_until: Option<u16>,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct ExportCaArguments {
    /// The state folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: PathBuf,
    /// A folder: ca.crt, issuer.crt and issuer.key are written to it, mode 0600. Made if it is not there.
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Write the root's key, too: root.key.
    #[arg(long)]
    pub(crate) root_key: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ArchiveCaArguments {
    /// Entries from before this time: RFC 3339, a day, or how long ago, such as 30d.
    #[arg(long, value_name = "TIME")]
    pub(crate) before: crate::logbook::When,
    /// The archive, a file to make; a relative path is of this command's folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    /// A folder that is not there yet; a relative path is of this command's folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The backup.
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,
    /// The configuration of the CA, whose state folder must not be there.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Roots that are out there and that the backup may not know, PEM: what `credence ca roots` or a workload's bundle says.
    #[arg(long, value_name = "FILE")]
    pub(crate) anchors: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_long_help = RUN_HELP)]
pub(crate) struct CaRunArguments {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Begin another ledger though this CA had one, which is lost, and of which there is no backup.
    /// What was revoked is not known any more: revoke it again.
    #[arg(long)]
    pub(crate) new_ledger: bool,
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
    /// Take an identity's revocation back: certificates are issued for it again. Those that it had stay revoked.
    #[arg(long)]
    pub(crate) lift: bool,
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
