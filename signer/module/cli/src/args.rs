//! The command line. Written by hand: five options are not worth a parser's weight in wasm.

use crate::{failure::Failure, keys::NewKey};
use credence_ca::{dns::DnsName, profile::Profile};
use spiffe::SpiffeId;
use std::{path::PathBuf, time::Duration};

/// What `--help` says.
pub(crate) const HELP: &str = "\
credence_signer_cli: a CA in a folder, for labs and air-gapped machines

usage:
  credence_signer_cli init --trust-domain NAME [--dir DIR] [--key p256|ed25519]
      makes a root (10 years) and an issuer (1 year): root.pem, root.key, issuer.pem, issuer.key
  credence_signer_cli sign --id SPIFFE_ID --csr FILE [--dir DIR] [--out FILE]
                           [--profile PROFILE] [--hours N] [--dns NAME]...
      signs a certification request (PEM) by the issuer; the answer is the chain, PEM: leaf,
      issuer. PROFILE is x509-svid (the default), dapr-workload, istio-workload or serving.
      A NAME may stand beside the identity if the request asks for it (serving: in any case).
  credence_signer_cli inspect FILE
      prints the certificates of a PEM file
  credence_signer_cli --help

DIR is . unless said otherwise. Nothing that exists is overwritten. Keys are PKCS#8 PEM without a
passphrase, and WASI cannot set a file's mode: keep the folder private.
Requests are signed for P-256, P-384 and Ed25519 keys.

exit status: 0 done; 1 refused or failed, nothing was signed; 2 the command line is wrong
";

/// `init`
#[derive(Debug)]
pub(crate) struct Init {
    pub(crate) dir: PathBuf,
    pub(crate) trust_domain: SpiffeId,
    pub(crate) key: NewKey,
}

/// `sign`
#[derive(Debug)]
pub(crate) struct Sign {
    pub(crate) dir: PathBuf,
    pub(crate) identity: SpiffeId,
    pub(crate) csr: PathBuf,
    pub(crate) out: Option<PathBuf>,
    pub(crate) profile: Profile,
    pub(crate) life: Duration,
    pub(crate) dns_names: Vec<DnsName>,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Init(Init),
    Sign(Sign),
    Inspect(PathBuf),
}

pub(crate) fn parse(arguments: &[String]) -> Result<Command, Failure> {
    let usage = |what: &str| Failure::Usage(what.to_owned());
    if arguments.iter().any(|a| a == "--help" || a == "-h") {
        return Ok(Command::Help);
    }
    match arguments.split_first() {
        None => Err(usage("say init, sign or inspect")),
        Some((command, rest)) => match (command.as_str(), rest) {
            ("init", rest) => init(Options::read(rest, &["--trust-domain", "--dir", "--key"])?),
            ("sign", rest) => sign(Options::read(rest, &SIGN)?),
            ("inspect", [file]) => Ok(Command::Inspect(file.into())),
            ("inspect", _) => Err(usage("inspect takes one file")),
            (other, _) => Err(Failure::Usage(format!("there is no command '{other}'"))),
        },
    }
}

const SIGN: [&str; 7] = [
    "--id",
    "--csr",
    "--dir",
    "--out",
    "--profile",
    "--hours",
    "--dns",
];

/// Options with their values, in their order.
struct Options(Vec<(String, String)>);

impl Options {
    fn read(arguments: &[String], known: &[&str]) -> Result<Self, Failure> {
        let mut list: Vec<(String, String)> = Vec::new();
        for pair in arguments.chunks(2) {
            match pair {
                [name, _] if !known.contains(&name.as_str()) => {
                    return Err(Failure::Usage(format!("there is no option '{name}' here")));
                }
                [name, _] if name != "--dns" && list.iter().any(|(n, _)| n == name) => {
                    return Err(Failure::Usage(format!("{name} is given twice")));
                }
                [name, value] => list.push((name.clone(), value.clone())),
                [name] => return Err(Failure::Usage(format!("{name} has no value"))),
                _ => {}
            }
        }
        Ok(Self(list))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(at).1)
    }

    fn need(&mut self, name: &str) -> Result<String, Failure> {
        self.take(name)
            .ok_or_else(|| Failure::Usage(format!("{name} is needed")))
    }

    fn dir(&mut self) -> PathBuf {
        self.take("--dir").unwrap_or_else(|| ".".into()).into()
    }
}

fn init(mut options: Options) -> Result<Command, Failure> {
    let name = options.need("--trust-domain")?;
    let key = match options.take("--key").as_deref() {
        None | Some("p256") => NewKey::P256,
        Some("ed25519") => NewKey::Ed25519,
        Some(other) => {
            return Err(Failure::Usage(format!(
                "--key is p256 or ed25519, not '{other}'"
            )));
        }
    };
    Ok(Command::Init(Init {
        dir: options.dir(),
        trust_domain: spiffe_id(&format!("spiffe://{name}"))?,
        key,
    }))
}

fn sign(mut options: Options) -> Result<Command, Failure> {
    let mut dns_names = Vec::new();
    while let Some(name) = options.take("--dns") {
        let name = DnsName::parse(&name)?;
        if !dns_names.contains(&name) {
            dns_names.push(name);
        }
    }
    Ok(Command::Sign(Sign {
        identity: spiffe_id(&options.need("--id")?)?,
        csr: options.need("--csr")?.into(),
        dir: options.dir(),
        out: options.take("--out").map(Into::into),
        profile: profile(options.take("--profile").as_deref())?,
        life: hours(options.take("--hours").as_deref())?,
        dns_names,
    }))
}

fn spiffe_id(text: &str) -> Result<SpiffeId, Failure> {
    SpiffeId::new(text).map_err(|e| Failure::Identity(format!("'{text}' is not a SPIFFE ID: {e}")))
}

fn profile(name: Option<&str>) -> Result<Profile, Failure> {
    let name = name.unwrap_or("x509-svid");
    Profile::ALL
        .into_iter()
        .find(|profile| !profile.is_ca() && profile.name() == name)
        .ok_or_else(|| Failure::Usage(format!("there is no profile '{name}' for a leaf")))
}

fn hours(text: Option<&str>) -> Result<Duration, Failure> {
    let hours: u32 = text
        .unwrap_or("24")
        .parse()
        .map_err(|_| Failure::Usage("--hours is a whole number".into()))?;
    Ok(Duration::from_secs(u64::from(hours) * 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Command, Failure> {
        let arguments: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        parse(&arguments)
    }

    #[test]
    fn reads_what_help_says() {
        assert!(matches!(run("sign --help"), Ok(Command::Help)));
        assert!(matches!(run("inspect a.pem"), Ok(Command::Inspect(_))));
        let line = "sign --id spiffe://a/b --csr c --dns x.y --dns z --hours 2 --profile serving";
        let Ok(Command::Sign(sign)) = run(line) else {
            panic!("not read")
        };
        assert_eq!(sign.dns_names.len(), 2);
        assert_eq!(sign.life, Duration::from_secs(7200));
        assert_eq!(sign.profile, Profile::Serving);
        let Ok(Command::Init(init)) = run("init --trust-domain lab.example --key ed25519") else {
            panic!("not read")
        };
        assert_eq!(init.dir, PathBuf::from("."));
        assert_eq!(init.key, NewKey::Ed25519);
    }

    #[test]
    fn a_wrong_line_is_status_2_and_says_what_is_wrong() {
        for (line, what) in [
            ("", "say init, sign or inspect"),
            ("frob", "no command 'frob'"),
            ("init", "--trust-domain is needed"),
            ("init --trust-domain a --days 3", "no option '--days'"),
            ("init --trust-domain", "--trust-domain has no value"),
            (
                "init --trust-domain a --dir b --dir c",
                "--dir is given twice",
            ),
            (
                "init --trust-domain a --key rsa",
                "--key is p256 or ed25519",
            ),
            ("sign --id spiffe://a/b", "--csr is needed"),
            (
                "sign --id spiffe://a/b --csr c --profile root",
                "no profile 'root'",
            ),
            ("sign --id spiffe://a/b --csr c --hours x", "whole number"),
            ("inspect", "inspect takes one file"),
        ] {
            let failure = run(line).unwrap_err();
            assert_eq!(failure.code(), 2, "{line}");
            assert!(failure.to_string().contains(what), "{failure}");
        }
        assert_eq!(run("sign --id alice --csr c").unwrap_err().code(), 1);
    }
}
