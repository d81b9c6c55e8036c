//! Join tokens: once, in time, for one identity.

use crate::{NOW, after, bearer, now, refusal, unavailable};
use credence_attest::{
    Answer, AttestError, Attestor as _, BoxFuture, Evidence, ProofKind, Refusal, Unavailable,
    join::{Grant, JoinAttestor, JoinToken, JoinTokenError, RootPin, Take, TokenHash, Tokens},
};
use credence_ca::validity::Time;
use spiffe::SpiffeId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// Tokens in memory, each with whether it was used.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<TokenHash, (Grant, bool)>>);

impl Tokens for Memory {
    fn take<'a>(&'a self, hash: &'a TokenHash, now: Time) -> BoxFuture<'a, Answer<Take>> {
        Box::pin(async move {
            let mut tokens = self.0.lock().unwrap();
            Ok(match tokens.get_mut(hash) {
                None => Take::Unknown,
                Some((_, true)) => Take::Used,
                Some((grant, _)) if now >= grant.expires => Take::Expired,
                Some((grant, used)) => {
                    *used = true;
                    Take::Taken(grant.clone())
                }
            })
        })
    }
}

fn token(seed: u8) -> JoinToken {
    JoinToken::new([seed; 32], RootPin::of(b"the root's DER"))
}

fn with(tokens: &[JoinToken]) -> JoinAttestor {
    let grant = Grant {
        identity: SpiffeId::new("spiffe://example.org/agent/host-1").unwrap(),
        expires: Time::from_unix(NOW + 60),
    };
    let known = tokens
        .iter()
        .map(|token| (token.hash(), (grant.clone(), false)));
    let memory = Memory(Mutex::new(known.collect()));
    JoinAttestor::new("join".into(), Arc::new(memory))
}

fn presents(token: &JoinToken) -> Evidence {
    bearer(token.to_text().as_str())
}

#[tokio::test]
async fn a_token_is_good_once() {
    let attestor = with(&[token(1)]);
    let found = attestor.attest(&presents(&token(1)), now()).await.unwrap();
    assert_eq!(
        found.identity.to_string(),
        "spiffe://example.org/agent/host-1"
    );
    assert_eq!(found.proof.kind, ProofKind::JoinToken);
    assert_eq!(found.proof.fingerprint, Some(*token(1).hash().octets()));
    assert_eq!(found.renewal, None);
    let text = token(1).to_text();
    assert!(!format!("{found:?}").contains(text.rsplit_once("-1-").unwrap().1));
    let again = refusal(&attestor, &presents(&token(1)), now()).await;
    assert_eq!(again, Refusal::JoinTokenState("it was used before"));
}

#[tokio::test]
async fn of_many_who_try_one_succeeds() {
    let attestor = Arc::new(with(&[token(1)]));
    let tries: Vec<_> = (0..20)
        .map(|_| {
            let attestor = Arc::clone(&attestor);
            tokio::spawn(async move { attestor.attest(&presents(&token(1)), now()).await.is_ok() })
        })
        .collect();
    let mut good = 0;
    for attempt in tries {
        good += usize::from(attempt.await.unwrap());
    }
    assert_eq!(good, 1);
}

#[tokio::test]
async fn an_unknown_or_expired_token_is_refused() {
    let attestor = with(&[token(1)]);
    let unknown = refusal(&attestor, &presents(&token(2)), now()).await;
    assert_eq!(unknown, Refusal::JoinTokenState("it is not known here"));
    let other_root = JoinToken::new([1; 32], RootPin::of(b"another root"));
    let unknown = refusal(&attestor, &presents(&other_root), now()).await;
    assert_eq!(unknown, Refusal::JoinTokenState("it is not known here"));
    let late = refusal(&attestor, &presents(&token(1)), after(60)).await;
    assert_eq!(late, Refusal::JoinTokenState("it has expired"));
}

#[tokio::test]
async fn a_mistyped_token_is_not_used_up() {
    let attestor = with(&[token(1)]);
    let text = token(1).to_text();
    let mut mistyped = text.to_string();
    let last = if mistyped.ends_with('A') { "B" } else { "A" };
    mistyped.replace_range(mistyped.len() - 5..mistyped.len() - 4, last);
    for bad in [
        mistyped.as_str(),
        text.get(..50).unwrap(),
        "credence-join-9-x",
    ] {
        let why = refusal(&attestor, &bearer(bad), now()).await;
        assert!(matches!(why, Refusal::JoinToken(_)), "{why}");
    }
    let version = refusal(&attestor, &bearer("credence-join-9-x"), now()).await;
    assert_eq!(version, Refusal::JoinToken(JoinTokenError::Version));
    assert!(attestor.attest(&presents(&token(1)), now()).await.is_ok());
}

#[tokio::test]
async fn other_tokens_are_left_to_others() {
    let attestor = with(&[]);
    for evidence in [Evidence::default(), bearer("a.b.c")] {
        let found = attestor.attest(&evidence, now()).await;
        assert_eq!(found, Err(AttestError::NoEvidence));
    }
}

/// A store that is away, and one that hands out what has expired.
struct Odd(Answer<Take>);

impl Tokens for Odd {
    fn take<'a>(&'a self, _: &'a TokenHash, _: Time) -> BoxFuture<'a, Answer<Take>> {
        Box::pin(async { self.0.clone() })
    }
}

#[tokio::test]
async fn a_store_s_slip_lets_nobody_in() {
    let away = Unavailable::Store("the disk is full".into());
    let attestor = JoinAttestor::new("join".into(), Arc::new(Odd(Err(away.clone()))));
    assert_eq!(
        unavailable(&attestor, &presents(&token(1)), now()).await,
        away
    );
    let grant = Grant {
        identity: SpiffeId::new("spiffe://example.org/a").unwrap(),
        expires: Time::from_unix(NOW),
    };
    let attestor = JoinAttestor::new("join".into(), Arc::new(Odd(Ok(Take::Taken(grant)))));
    let late = refusal(&attestor, &presents(&token(1)), now()).await;
    assert_eq!(late, Refusal::JoinTokenState("it has expired"));
}
