//! Commands that ask a running CA over its administration socket.

use super::{chains, files, show};
use crate::{
    cli::{CaCommand, ForceArguments, ForceCommand, RevokeArguments, Target, TokenArguments},
    failure::Failure,
};
use credence_service::admin::{
    ask,
    protocol::{Answer, Request, Standing},
};
use std::io::{self, Write as _};

pub(super) fn run(command: &CaCommand) -> Result<(), Failure> {
    let plain = |target: &Target, request: Request| done(target, &request);
    match command {
        // this one is not asked of a running CA
        CaCommand::Run(_) => Ok(()),
        CaCommand::IssuerCsr(state) => chains::issuer_csr(state),
        CaCommand::ImportIssuer(arguments) => chains::import_issuer(arguments),
        CaCommand::Renew(arguments) => chains::renew(arguments),
        CaCommand::Export(arguments) => files::export(arguments),
        CaCommand::Archive(arguments) => files::archive(arguments),
        CaCommand::Backup(arguments) => files::backup(arguments),
        CaCommand::Restore(arguments) => files::restore(arguments),
        CaCommand::Status(arguments) => status(&arguments.target, arguments.json),
        CaCommand::Expiry(target) => expiry(target),
        CaCommand::Roots(target) => match ask(&target.socket, &Request::Roots)? {
            Answer::Pem(text) => print(&text),
            other => Err(unexpected(&other)),
        },
        CaCommand::Crl(target) => match ask(&target.socket, &Request::RevocationLists)? {
            Answer::Pem(text) => print(&text),
            other => Err(unexpected(&other)),
        },
        CaCommand::DenyList(target) => match ask(&target.socket, &Request::DenyList)? {
            Answer::Json(text) => print(&format!("{text}\n")),
            other => Err(unexpected(&other)),
        },
        CaCommand::RotateRoot(target) => plain(target, Request::RotateRoot),
        CaCommand::WithdrawRoot(target) => plain(target, Request::WithdrawRoot),
        CaCommand::RotateIssuer(target) => plain(target, Request::RotateIssuer),
        CaCommand::WithdrawIssuer(target) => plain(target, Request::WithdrawIssuer),
        CaCommand::ConfirmClock(target) => plain(target, Request::ConfirmClock),
        CaCommand::Restored(target) => plain(target, Request::Restored),
        CaCommand::RemoveRootKey(target) => plain(target, Request::RemoveRootKey),
        CaCommand::AddVerifier(arguments) => {
            let name = arguments.name.clone();
            plain(&arguments.target, Request::RegisterVerifier { name })
        }
        CaCommand::RemoveVerifier(arguments) => {
            let name = arguments.name.clone();
            plain(&arguments.target, Request::RemoveVerifier { name })
        }
        CaCommand::Restarted(arguments) => {
            let request = Request::Restarted {
                identity: arguments.identity.clone(),
                bundle: arguments.bundle.clone(),
            };
            plain(&arguments.target, request)
        }
        CaCommand::Force(ForceCommand::Activate(arguments)) => {
            force(arguments, |ask| Request::ForceActivate { ask })
        }
        CaCommand::Force(ForceCommand::Retire(arguments)) => {
            let root = arguments.root.clone();
            force(&arguments.force, |ask| Request::ForceRetire {
                root: root.clone(),
                ask,
            })
        }
    }
}

pub(crate) fn revoke(arguments: &RevokeArguments) -> Result<(), Failure> {
    let (subject, reason) = (arguments.subject.clone(), arguments.reason.clone());
    let request = match arguments.lift {
        false => Request::Revoke { subject, reason },
        true => Request::Reinstate {
            identity: subject,
            reason,
        },
    };
    done(&arguments.target, &request)
}

pub(crate) fn token(arguments: &TokenArguments) -> Result<(), Failure> {
    let request = Request::CreateToken {
        identity: arguments.identity.clone(),
        seconds: arguments.ttl.as_secs(),
    };
    match ask(&arguments.target.socket, &request)? {
        Answer::Token { token, .. } => print(&format!("{token}\n")),
        other => Err(unexpected(&other)),
    }
}

pub(super) fn done(target: &Target, request: &Request) -> Result<(), Failure> {
    match ask(&target.socket, request)? {
        Answer::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}

/// Nothing is forced that was not shown.
fn force(arguments: &ForceArguments, request: impl Fn(bool) -> Request) -> Result<(), Failure> {
    match ask(&arguments.target.socket, &request(!arguments.yes))? {
        Answer::Breaks(breaks) => {
            print(&show::breaks(&breaks, arguments.yes))?;
            match breaks.is_empty() || arguments.yes {
                true => Ok(()),
                false => Err(Failure::NotForced),
            }
        }
        other => Err(unexpected(&other)),
    }
}

fn standing(target: &Target) -> Result<Standing, Failure> {
    match ask(&target.socket, &Request::Status)? {
        Answer::Status(standing) => Ok(*standing),
        other => Err(unexpected(&other)),
    }
}

fn status(target: &Target, json: bool) -> Result<(), Failure> {
    let standing = standing(target)?;
    if json {
        let text = serde_json::to_string_pretty(&standing).map_err(io::Error::other);
        return print(&format!("{}\n", text.map_err(Failure::Output)?));
    }
    print(&show::status(&standing))
}

fn expiry(target: &Target) -> Result<(), Failure> {
    let standing = standing(target)?;
    print(&show::expiry(&standing))?;
    match standing.warnings.len() {
        0 => Ok(()),
        due => Err(Failure::Due(due)),
    }
}

pub(super) fn print(text: &str) -> Result<(), Failure> {
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(Failure::Output)
}

pub(super) fn unexpected(answer: &Answer) -> Failure {
    // the answer's content may be a secret
    let kind = match answer {
        Answer::Done => "done",
        Answer::Breaks(_) => "breaks",
        Answer::Status(_) => "status",
        Answer::Pem(_) => "pem",
        Answer::Told(_) => "told",
        Answer::Json(_) => "json",
        Answer::Token { .. } => "token",
        Answer::Error(_) => "error",
    };
    Failure::Unexpected(kind)
}
