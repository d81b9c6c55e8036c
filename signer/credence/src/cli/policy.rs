//! What can be typed after `credence policy`.

use clap::{ArgGroup, Args, Subcommand};
use credence_policy::SpiffeId;
use credence_policy_ask::peer;
use std::{net::IpAddr, path::PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Say all that is wrong with a policy, each fault with its place.
    Check(CheckArguments),
    /// Say how a policy decides a request, by which rule, and why each other rule did not match.
    Explain(ExplainArguments),
    /// Compare a policy's decisions with expected ones, for a team's own CI.
    Test(TestArguments),
    /// Make a policy of Istio's AuthorizationPolicy and PeerAuthentication.
    Import(ImportArguments),
}

const CHECK_HELP: &str = "\
FILE is a policy, or a configuration of the filter with a policy in its field `policy`; of a
configuration the deny list in `revocations` is checked too. A fault is a JSON pointer and what to
write instead.

Exit codes: 0 it is a policy; 3 it has faults, each of them is listed; 1 FILE cannot be read.";

#[derive(Debug, Args)]
#[command(after_long_help = CHECK_HELP)]
pub(crate) struct CheckArguments {
    /// The policy, JSON; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Print a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

const EXPLAIN_HELP: &str = "\
Who asks is said with --peer, or with --plaintext for a client without certificate. What is left out
of the request is missing from it: a rule that hangs on it cannot be told, and what cannot be told is
refused. With --tcp it is a connection that carries no HTTP.

  credence policy explain policy.json --peer spiffe://example.org/frontend --method GET --path /x

Exit codes: 0 the policy could be asked, whatever it decides; 3 it has faults; 1 FILE cannot be read.";

#[derive(Debug, Args)]
#[command(after_long_help = EXPLAIN_HELP)]
#[command(group = ArgGroup::new("who").required(true).args(["peer", "plaintext"]))]
pub(crate) struct ExplainArguments {
    /// The policy, or a configuration of the filter with one in it, JSON; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The SPIFFE ID in the client's certificate.
    #[arg(long, value_name = "ID", value_parser = peer)]
    pub(crate) peer: Option<SpiffeId>,
    /// The client has no certificate.
    #[arg(long)]
    pub(crate) plaintext: bool,
    /// The request's method.
    #[arg(long)]
    pub(crate) method: Option<String>,
    /// The request's target as it is sent, with its query if it has one.
    #[arg(long)]
    pub(crate) path: Option<String>,
    /// The request's host, with its port if it names one.
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// The port that the connection came to.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// The address that the connection came from.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) source: Option<IpAddr>,
    /// The connection carries no HTTP.
    #[arg(long, conflicts_with_all = ["method", "path", "host"])]
    pub(crate) tcp: bool,
    /// Print a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

const TEST_HELP: &str = "\
CASES is YAML (or JSON); the policy's path is relative to its folder:

  policy: policy.json              # or the policy itself
  cases:
  - name: the frontend reads
    peer: spiffe://example.org/frontend
    method: GET
    path: /api/users
    expect: allow
  - name: nobody without certificate
    plaintext: true
    expect: {decision: deny, reason: mtls_required}
  - name: the frontend does not write
    peer: spiffe://example.org/frontend
    method: POST
    path: /api/users
    host: api.example.org          # as --host, --port, --source and --tcp of `explain`
    port: 8443
    source: 10.0.0.1
    tcp: false
    expect: {decision: deny, reason: deny_rule, rule: no-writes}

A case has `peer` or `plaintext: true`. In `expect`, `reason` and `rule` are compared if they are
there; `would: deny` (or allow) is what would have been decided if nothing were a dry run.

Exit codes: 0 all is decided as expected; 6 some case is not; 3 the policy or the cases are wrong;
1 a file cannot be read.";

#[derive(Debug, Args)]
#[command(after_long_help = TEST_HELP)]
pub(crate) struct TestArguments {
    /// The cases; `-` is standard input, paths are relative to the current folder then.
    #[arg(value_name = "CASES")]
    pub(crate) file: PathBuf,
    /// Print a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

const IMPORT_HELP: &str = "\
Reads AuthorizationPolicy and PeerAuthentication (security.istio.io/v1 and v1beta1), as many
documents as the files have, `kubectl get -o yaml` too, as they hold for one workload, and prints the
policy. It never lets in more than Istio would: an ALLOW rule with a condition that has no
counterpart is left out, a DENY rule is kept without the condition. Each such thing is a warning on
standard error; read them before the policy is used.

Without --namespace the files must speak of one namespace (besides the root namespace); without
--label and --target they must have one selector or target at most, which is taken to be the
workload's.

Exit codes: 0 a policy is printed, with or without warnings; 3 it cannot be told what the files
mean, every cause is listed; 1 a file cannot be read.";

#[derive(Debug, Args)]
#[command(after_long_help = IMPORT_HELP)]
pub(crate) struct ImportArguments {
    /// YAML files; `-` is standard input.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The mesh's own trust domain, which `cluster.local` means too.
    #[arg(long, value_name = "NAME", default_value = "cluster.local")]
    pub(crate) trust_domain: String,
    /// Another name of the own trust domain; can be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) trust_domain_alias: Vec<String>,
    /// The trust domain of others whose workloads are let in; can be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) federated_trust_domain: Vec<String>,
    /// The workload's namespace.
    #[arg(long)]
    pub(crate) namespace: Option<String>,
    /// The namespace whose policies hold for every namespace.
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-system")]
    pub(crate) root_namespace: String,
    /// One of the workload's labels; can be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) label: Vec<(String, String)>,
    /// What the policies of a gateway or waypoint are attached to, such as Gateway/edge.
    #[arg(long, value_name = "KIND/NAME")]
    pub(crate) target: Option<String>,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it like app=orders".to_owned()),
    }
}
