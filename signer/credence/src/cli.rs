//! What can be typed.

mod agent;
mod ca;
mod log;
mod policy;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{ffi::OsString, path::PathBuf};

#[cfg(test)]
pub(crate) use agent::run_example as agent_run_example;
pub(crate) use agent::{AgentCommand, AgentRunArguments, AgentStatusArguments};
#[cfg(test)]
pub(crate) use ca::run_example as ca_run_example;
pub(crate) use ca::{
    ArchiveCaArguments, BackupArguments, CaCommand, CaRunArguments, CaStateArguments,
    ExportCaArguments, ForceArguments, ForceCommand, ImportIssuerArguments, RenewArguments,
    RestoreArguments, RevokeArguments, Target, TokenArguments, TokenCommand,
};
pub(crate) use log::{
    ArchiveArguments, BookArguments, ExportArguments, ListArguments, LogCommand, ShowArguments,
    VerifyArguments,
};
pub(crate) use policy::{
    CheckArguments, ExplainArguments, ImportArguments, PolicyCommand, TestArguments,
};

const EXIT_CODES: &str = "\
Exit codes:
  0  it did what was asked
  1  it failed while running, or a file given to it cannot be read
  2  the command line is wrong
  3  the configuration, a policy or a file of cases is wrong; every fault is listed
  4  the state folder, a key, certificate, passphrase or token cannot be used
  5  a socket cannot be had: in use, or its folder is not there
  6  a policy decides otherwise than `credence policy test` expects
  7  `credence ca expiry`: something needs attention; `credence ca force`: it would break something
  8  no CA answers on the administration socket, or it refused the order; no agent on its status socket
  9  a ledger is not what was written; the first fault is named";

/// SPIFFE workload identity for Envoy.
///
/// Credence issues short-lived X.509-SVIDs from a CA whose signing logic runs in a WebAssembly
/// sandbox, and delivers and rotates them over Envoy's secret discovery service (SDS).
///
/// To begin: write a configuration file (see `credence dev --help`), run `credence dev --config
/// FILE`, and point Envoy's SDS at the socket of an identity.
#[derive(Debug, Parser)]
#[command(name = "credence", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) log: LogArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LogArguments {
    /// How log lines look, on standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, global = true)]
    pub(crate) log_format: LogFormat,
    /// How much is logged: error, warn, info, debug or trace; or tracing directives such as
    /// `info,credence_agent=debug`.
    #[arg(
        long,
        default_value = "info",
        env = "CREDENCE_LOG",
        global = true,
        value_name = "LEVEL"
    )]
    pub(crate) log_level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an agent beside workloads, and see how it is doing.
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Run a CA on the network, and look after it.
    #[command(subcommand)]
    Ca(CaCommand),
    /// Revoke a certificate, or an identity with every certificate that it has: nothing is issued for it any more, and it is on the
    /// revocation lists.
    Revoke(RevokeArguments),
    /// Make join tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Take the place of Dapr's sentry: its flags, files and configuration (`credence sentry --help`). So does a link to this binary
    /// that is called sentry.
    #[command(disable_help_flag = true)]
    Sentry(SentryArguments),
    /// Run a CA and an agent in one process: everything two Envoys need to trust each other.
    Dev(DevArguments),
    /// Look at certificates.
    #[command(subcommand)]
    Cert(CertCommand),
    /// Look at a CA's record: list, show, verify, export and archive it.
    #[command(subcommand)]
    Log(LogCommand),
    /// Ask the filter's policy: check, explain and test it, and make one of Istio's.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Print completions of these commands for a shell.
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(CompletionsArguments),
    /// Write a man page for each command.
    Man(ManArguments),
}

const COMPLETIONS_HELP: &str = "\
In bash, for this shell: source <(credence completions bash). A release has all of them as files.";

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// Which shell.
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// The folder for them, such as /usr/local/share/man/man1; made if it is not there.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

/// Sentry's own flags are read by themselves: see `crate::sentry::asked`.
#[derive(Debug, Args)]
pub(crate) struct SentryArguments {
    /// Sentry's flags.
    #[arg(
        value_name = "FLAGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(crate) words: Vec<OsString>,
}

const DEV_HELP: &str = "\
The configuration file is TOML; relative paths are relative to its folder:

  trust_domain = \"example.org\"
  state_dir = \"state\"            # the CA's keys and its ledger; made with mode 0700
  leaf_life = \"1h\"               # 5s to 7d; renewed at half of it

  [sandbox]                      # all of it may be left out; these are the defaults
  # module = \"mine.wasm\"         # another signing module than the built-in one
  memory_kib = 16384             # of an instance; there is one for each request
  table_elements = 10000
  stack_kib = 512
  deadline = \"500ms\"            # from call to answer
  proposal_kib = 32              # the longest answer
  instances = 64                 # at once
  misbehaviours = 5              # in a row, until the CA calls itself degraded; it serves on

  [custody]                      # of the CA's own keys
  key = \"p256\"                  # of new ones; p384, ed25519, rsa2048, rsa3072, rsa4096
  # passphrase_file = \"secret\"   # mode 0600; or passphrase_fd = 3: encrypts the key files
  # [custody.pkcs11]             # keys made in a token, never out of it
  # library = \"/usr/lib/softhsm/libsofthsm2.so\"
  # token = \"credence\"           # the token's label
  # pin_file = \"pin\"             # mode 0600; or pin_fd = 3

  [[identities]]
  id = \"spiffe://example.org/frontend\"
  socket = \"frontend.sock\"       # Envoy's SDS: secrets \"default\" and \"ROOTCA\"
  uid = 1000                     # who may connect besides root; default: this process's user
  # dns_names = [\"frontend.example.org\"]  # what it asks for; a template has to grant each

  # [[dns_templates]]            # DNS names beside an identity that the CA grants; none by default
  # path = \"/{workload}\"         # of the identity; a variable is a whole segment
  # name = \"{workload}.example.org\"  # and a whole label

On the first start a root and an issuer are made and kept in the state folder. Whoever may
connect to an identity's socket gets its private key: that is what the socket is for.
SIGHUP reads the signing module's file again: a good one takes the place of the old one, a bad one
is refused in the log and changes nothing. SIGINT and SIGTERM end it; sockets are removed then.";

#[derive(Debug, Args)]
#[command(after_long_help = DEV_HELP)]
pub(crate) struct DevArguments {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// A signing module to use in place of the built-in one: a component of `credence:signer`.
    /// It is compiled and tried before it is taken. Overrides `sandbox.module`.
    #[arg(long, value_name = "FILE.wasm")]
    pub(crate) module: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertCommand {
    /// Print what the certificates in a file say, and how they differ from an X.509-SVID.
    Inspect(InspectArguments),
}

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// A file of PEM or DER certificates; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Print a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
}
