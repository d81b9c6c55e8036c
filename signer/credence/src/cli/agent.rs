//! `credence agent …`

use clap::{Args, Subcommand};
use std::path::PathBuf;

const RUN_HELP: &str = "\
The configuration file is TOML; relative paths are relative to its folder:

  trust_domain = \"example.org\"
  # state_dir = \"state\"          # mode 0700: keys and certificates are kept there, and served at the next start; left out: nowhere
  # status_socket = \"agent-status.sock\"  # where `credence agent status` asks
  # monitor = \"127.0.0.1:9102\"   # /livez, /readyz, /metrics; loopback only
  # validation = \"trusted-ca\"    # or spiffe: how Envoys are told whom to trust; a node's metadata overrides it

  [ca]
  protocol = \"credence\"          # or istio: any CA that speaks Istio's API; or sentry: Dapr's
  address = \"ca.example.org:8443\"  # or socket = \"/run/credence/ca.sock\", without TLS and proof
  # name = \"ca.example.org\"      # who has to be there, if that is not the address's host; or by its SPIFFE ID:
  id = \"spiffe://example.org/credence/ca\"
  roots_file = \"roots.pem\"       # until the first bundle; a join token names a root, too
  token_file = \"token\"           # what identities begin with, read again at each use; or
  # join_token_file = \"join\"     # for one identity, once: `credence token create`
  # node_agent = true            # the token is the agent's own: the CA's [[node_agents]] say for whom it may ask
  # life = \"1h\"                  # of certificates; left out, the CA decides
  # renewals = \"by-certificate\"  # or by-proof: a token each time; the default with istio
  # cluster = \"Kubernetes\"       # of the token, where the CA knows several
  # node = \"host-1\"              # what the CA calls this agent; default: the host's name
  # bundle_poll = \"5min\"         # where there is no stream of the bundle
  # control_plane_namespace = \"dapr-system\"       # of sentry; with control_plane_trust_domain, and
  # validator = \"kubernetes\"     # or jwks: how it is to look at tokens

  [[identities]]
  id = \"spiffe://example.org/frontend\"
  socket = \"frontend.sock\"       # of its own; may be left out where [shared] or [[files]] serve it
  uid = 1000                     # who may connect besides root; default: this process's user
  # dns_names = [\"frontend.example.org\"]  # what it asks for; the CA has to grant each
  # hint = \"internal\"            # what tells it from the others of a caller (Workload API)
  # also = [\"spiffe://example.org/other\"]  # identities that its callers have, too
  # federates_with = [\"other.org\"]  # default: all of [[federation]]
  # token_file = \"frontend-token\"  # or join_token_file: what it alone begins with

  [[identities]]
  id = \"spiffe://example.org/backend\"

  [shared]                       # one socket for everybody: who is whom is looked up
  socket = \"agent.sock\"
  # registry = \"callers.toml\"    # [[entries]] as here, in a file that is read again when it changes
  [[shared.entries]]
  uid = 1001                     # or unit, container, pod: at least one of them; the others narrow it
  # unit = \"backend.service\"
  # gid = 1001
  # executable = \"/usr/bin/backend\"
  # sha256 = \"...\"               # of the executable, 64 hexadecimal digits
  identity = \"spiffe://example.org/backend\"

  [[files]]                      # for applications that know neither SDS nor the Workload API
  identity = \"spiffe://example.org/backend\"
  folder = \"/etc/backend/tls\"    # there already; tls.crt, tls.key, ca.crt in it are switched together
  # certificate = \"tls.crt\"      # the files' names; key = \"tls.key\", bundle = \"ca.crt\"
  # mode = \"0644\"                # of certificate and bundle; key_mode = \"0600\"; uid, gid: whose they become
  reload = { command = [\"/usr/bin/systemctl\", \"reload\", \"backend\"] }
  # reload = { signal = \"SIGHUP\", pid_file = \"/run/backend.pid\" }

  # [[sds_files]]                # file-cert:CERT~KEY and file-root:PATH on SDS, only below these folders
  # folders = [\"/etc/pki/web\"]   # watched: what somebody else rotates there is pushed
  # identities = [\"spiffe://example.org/frontend\"]  # whose callers may have them; default: all

  # [[federation]]               # bundles of foreign trust domains
  # trust_domain = \"other.org\"
  # profile = \"https-spiffe\"     # or https-web, with url and roots_file (default: the system's); or file, with file
  # url = \"https://ca.example.com:8443/\"
  # endpoint_id = \"spiffe://other.org/credence/ca\"
  # bundle_file = \"other.json\"   # the first one: PEM, or a SPIFFE bundle

  # [limits]                     # of each socket
  # connections = 8192           # connections_per_uid = 6144
  # streams = 16384              # streams_per_uid = 12288

Keys are made in memory, a new one for each certificate; they leave it over sockets, and to [[files]].
Registries, tokens and watched files are looked at by themselves; another configuration takes a restart. SIGHUP does nothing.
SIGINT and SIGTERM end it; sockets are removed then, and files stay.";

/// The example in `credence agent run --help`.
#[cfg(test)]
pub(crate) fn run_example() -> String {
    let lines = RUN_HELP.lines().filter_map(|line| line.strip_prefix("  "));
    lines.map(|line| format!("{line}\n")).collect()
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Run the agent: keys, renewal, and delivery over SDS, the Workload API and files.
    Run(AgentRunArguments),
    /// Show how each identity is doing: state, certificate, next renewal, streams, last error.
    Status(AgentStatusArguments),
}

#[derive(Debug, Args)]
#[command(after_long_help = RUN_HELP)]
pub(crate) struct AgentRunArguments {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("where").required(true)))]
pub(crate) struct AgentStatusArguments {
    /// The agent's configuration file: its status socket is asked.
    #[arg(long, short, value_name = "FILE", group = "where")]
    pub(crate) config: Option<PathBuf>,
    /// The status socket.
    #[arg(long, value_name = "SOCKET", group = "where")]
    pub(crate) socket: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
