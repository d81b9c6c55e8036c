//! From a request to an order, and back.

use super::protocol::{Answer, Authority, Gate, Request, Standing, Who};
use crate::{
    lifecycle::Manual,
    operator::{Operator, OperatorError},
};
use credence_ca::{
    lifecycle::{self, BundleId, CertificateId, Event, Forced, Hold, Lack, Status, Waiting},
    serial::Serial,
    validity::Time,
};
use credence_ledger::entry::Subject;
use spiffe::SpiffeId;
use std::{collections::BTreeMap, time::Duration};
use zeroize::Zeroizing;

/// The longest reason, in characters.
const LONGEST_REASON: usize = 1000;

pub(super) async fn handle(operator: &Operator, uid: u32, request: Request) -> Answer {
    let answered = match request {
        Request::Status => status(operator).await,
        Request::Roots => Ok(Answer::Pem(pem(&operator.roots()))),
        Request::IssuerCsr => manual(
            operator,
            uid,
            ("issuer-csr", BTreeMap::new()),
            Manual::IssuerCsr,
        )
        .await
        .map(Answer::Pem),
        Request::ImportIssuer { chain, roots } => {
            let order = Manual::ImportIssuer { chain, roots };
            manual(operator, uid, ("import-issuer", BTreeMap::new()), order)
                .await
                .map(Answer::Told)
        }
        Request::ImportChain { chain, roots, key } => {
            let key = Zeroizing::new(key.0.clone());
            let order = Manual::ImportChain { chain, roots, key };
            manual(operator, uid, ("import-chain", BTreeMap::new()), order)
                .await
                .map(Answer::Told)
        }
        Request::NewRoot { key, seconds } => {
            let own = if key.is_some() { "yes" } else { "no" };
            let arguments = BTreeMap::from([("own-key".to_owned(), own.to_owned())]);
            let order = Manual::NewRoot {
                key: key.map(|key| Zeroizing::new(key.0.clone())),
                life: seconds.map(Duration::from_secs),
            };
            manual(operator, uid, ("new-root", arguments), order)
                .await
                .map(Answer::Told)
        }
        Request::RemoveRootKey => {
            let done = manual(
                operator,
                uid,
                ("remove-root-key", BTreeMap::new()),
                Manual::RemoveRootKey,
            );
            done.await.map(|_| Answer::Done)
        }
        Request::Archive { before, to } => {
            let archived = operator
                .archive(uid, Time::from_unix(before), to.into())
                .await;
            archived.map(Answer::Told).map_err(told)
        }
        Request::Backup { to } => {
            let arguments = BTreeMap::from([("to".to_owned(), to.clone())]);
            let order = Manual::Backup(to.into());
            manual(operator, uid, ("backup", arguments), order)
                .await
                .map(|_| Answer::Done)
        }
        Request::ForceActivate { ask } => force(operator, uid, Forced::ActivateRoot, ask).await,
        Request::ForceRetire { root, ask } => match root.parse() {
            Ok(root) => force(operator, uid, Forced::RetireRoot(root), ask).await,
            Err(_) => Err(format!(
                "{root:?} is not a root's SHA-256, as `credence ca status` shows it"
            )),
        },
        Request::Revoke { subject, reason } => revoke(operator, uid, &subject, reason).await,
        Request::Reinstate { identity, reason } => {
            reinstate(operator, uid, &identity, reason).await
        }
        Request::RevocationLists => Ok(Answer::Pem(lists(&operator.revocation_lists()))),
        Request::DenyList => operator.deny_list().map(Answer::Json).map_err(told),
        Request::CreateToken { identity, seconds } => {
            token(operator, uid, &identity, seconds).await
        }
        other => match event(operator, &other).await {
            Ok((command, arguments, event)) => {
                let ordered = operator.order(uid, command, arguments, event).await;
                ordered.map(|()| Answer::Done).map_err(told)
            }
            Err(why) => Err(why),
        },
    };
    answered.unwrap_or_else(Answer::Error)
}

#[allow(clippy::needless_pass_by_value, reason = "map_err gives the value")]
fn told(error: OperatorError) -> String {
    error.to_string()
}

type Ordered = (&'static str, BTreeMap<String, String>, Event);

/// What is nothing but an event of the lifecycle's.
async fn event(operator: &Operator, request: &Request) -> Result<Ordered, String> {
    let none = BTreeMap::new;
    let named = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    Ok(match request {
        Request::RotateRoot => ("rotate-root", none(), Event::RotateRoot),
        Request::WithdrawRoot => ("withdraw-root", none(), Event::WithdrawRoot),
        Request::RotateIssuer => ("rotate-issuer", none(), Event::RotateIssuer),
        Request::WithdrawIssuer => ("withdraw-issuer", none(), Event::WithdrawIssuer),
        Request::ConfirmClock => ("confirm-clock", none(), Event::ClockConfirmed),
        Request::Restored => ("restored", none(), Event::Restored),
        Request::RegisterVerifier { name } => {
            let event = Event::RegisterVerifier { name: name.clone() };
            ("register-verifier", named("name", name), event)
        }
        Request::RemoveVerifier { name } => {
            let event = Event::RemoveVerifier { name: name.clone() };
            ("remove-verifier", named("name", name), event)
        }
        Request::Restarted { identity, bundle } => {
            let id = SpiffeId::new(identity)
                .map_err(|e| format!("{identity:?} is not a SPIFFE ID: {e}"))?;
            let bundle = bundle_id(operator, bundle.as_deref()).await?;
            let event = Event::Restarted {
                identity: id,
                bundle,
            };
            ("restarted", named("identity", identity), event)
        }
        _ => return Err("this is no order to the lifecycle".into()),
    })
}

async fn bundle_id(operator: &Operator, text: Option<&str>) -> Result<BundleId, String> {
    match text {
        Some(text) => text.parse().map_err(|e: lifecycle::IdError| e.to_string()),
        None => Ok(operator.status().await.map_err(told)?.0.bundle),
    }
}

async fn manual(
    operator: &Operator,
    uid: u32,
    (command, arguments): (&str, BTreeMap<String, String>),
    order: Manual,
) -> Result<String, String> {
    operator
        .manual(uid, command, arguments, order)
        .await
        .map_err(told)
}

async fn force(operator: &Operator, uid: u32, forced: Forced, ask: bool) -> Result<Answer, String> {
    let breaks = operator.breaks(forced).await.map_err(told)?;
    if ask {
        return Ok(Answer::Breaks(breaks));
    }
    let arguments = BTreeMap::from([("breaks".to_owned(), breaks.join("; "))]);
    let command = match forced {
        Forced::ActivateRoot => "force-activate",
        Forced::RetireRoot(_) => "force-retire",
    };
    operator
        .order(uid, command, arguments, Event::Force(forced))
        .await
        .map_err(told)?;
    Ok(Answer::Breaks(breaks))
}

async fn revoke(
    operator: &Operator,
    uid: u32,
    subject: &str,
    reason: String,
) -> Result<Answer, String> {
    check_reason(&reason)?;
    let subject = if subject.starts_with("spiffe://") {
        let id =
            SpiffeId::new(subject).map_err(|e| format!("{subject:?} is not a SPIFFE ID: {e}"))?;
        Subject::Identity(id.to_string())
    } else {
        Subject::Serial(serial(subject).ok_or_else(|| {
            format!("{subject:?} is neither a SPIFFE ID nor a serial number in hexadecimal digits")
        })?)
    };
    operator.revoke(uid, subject, reason).await.map_err(told)?;
    Ok(Answer::Done)
}

fn check_reason(reason: &str) -> Result<(), String> {
    if reason.chars().count() > LONGEST_REASON || reason.chars().any(char::is_control) {
        return Err(format!(
            "a reason has at most {LONGEST_REASON} characters, and no control characters"
        ));
    }
    Ok(())
}

async fn reinstate(
    operator: &Operator,
    uid: u32,
    identity: &str,
    reason: String,
) -> Result<Answer, String> {
    check_reason(&reason)?;
    let id = SpiffeId::new(identity).map_err(|e| {
        format!("{identity:?} is not a SPIFFE ID ({e}); a certificate's own revocation is for ever")
    })?;
    let reinstated = operator.reinstate(uid, &id, reason).await;
    reinstated.map(|()| Answer::Done).map_err(told)
}

/// Hexadecimal digits, in pairs, with colons or without, as openssl and `credence log` show it.
fn serial(text: &str) -> Option<Serial> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let digits = if digits.len() % 2 == 1 {
        format!("0{digits}")
    } else {
        digits
    };
    let octets: Option<Vec<u8>> = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    Serial::from_octets(&octets?).ok()
}

async fn token(
    operator: &Operator,
    uid: u32,
    identity: &str,
    seconds: u64,
) -> Result<Answer, String> {
    let id =
        SpiffeId::new(identity).map_err(|e| format!("{identity:?} is not a SPIFFE ID: {e}"))?;
    if id.path().is_empty() {
        return Err(format!("{identity} has no path: a token is for a workload"));
    }
    let made = operator.token(uid, id, Duration::from_secs(seconds)).await;
    let (token, expires) = made.map_err(told)?;
    Ok(Answer::Token {
        token: token.to_string(),
        expires: expires.unix(),
    })
}

async fn status(operator: &Operator) -> Result<Answer, String> {
    let (status, _) = operator.status().await.map_err(told)?;
    let Status {
        bundle,
        roots,
        issuers,
        warnings,
    } = status;
    Ok(Answer::Status(Box::new(Standing {
        trust_domain: operator.trust_domain(),
        bundle: bundle.to_string(),
        roots: roots.iter().map(authority).collect(),
        issuers: issuers.iter().map(authority).collect(),
        warnings: warnings
            .iter()
            .map(ToString::to_string)
            .chain(operator.lists_trouble())
            .collect(),
        live_leaves: u64::try_from(operator.live_leaves()).unwrap_or(u64::MAX),
    })))
}

fn authority(one: &lifecycle::Standing) -> Authority {
    let unix = |time: Time| time.unix();
    Authority {
        id: one.id.map(|id: CertificateId| id.to_string()),
        phase: one.phase.to_string(),
        not_before: one.validity.map(|validity| unix(validity.not_before)),
        not_after: one.validity.map(|validity| unix(validity.not_after)),
        holds: one.holds.iter().map(gate).collect(),
    }
}

fn gate(hold: &Hold) -> Gate {
    let crowd = match hold {
        Hold::Holders(crowd) | Hold::Leaves(crowd) | Hold::LostHistory(crowd) => Some(crowd),
        _ => None,
    };
    let who = crowd.map_or_else(Vec::new, |crowd| crowd.named.iter().map(who).collect());
    Gate {
        gate: hold.gate().to_owned(),
        // they are named in `who`
        why: format!("{hold:#}"),
        who,
    }
}

fn who(waiting: &Waiting) -> Who {
    Who {
        holder: waiting.holder.clone(),
        identity: waiting.identity.clone(),
        lacks: waiting.lack.to_string(),
        restart: waiting.lack == Lack::NeedsRestart,
        until: waiting.until.unix(),
    }
}

fn pem(certificates: &[Vec<u8>]) -> String {
    let one = |der: &Vec<u8>| credence_daemon::pem::certificate(der).unwrap_or_default();
    certificates.iter().map(one).collect()
}

fn lists(lists: &[Vec<u8>]) -> String {
    let one = |der: &Vec<u8>| credence_daemon::pem::revocation_list(der).unwrap_or_default();
    lists.iter().map(one).collect()
}
