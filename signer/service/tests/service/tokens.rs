//! Join tokens: once, in time, across a restart.

use crate::rig::{Rig, now};
use credence_attest::join::{JoinToken, RootPin, Take, Tokens as _};
use credence_ca::validity::Time;
use credence_ledger::entry::By;
use credence_service::{
    clock::Shared,
    tokens::{LONGEST, Lookup, TokenError, Tokens},
};
use spiffe::SpiffeId;
use std::{sync::Arc, time::Duration};

fn tokens(rig: &Rig) -> Arc<Tokens> {
    let clock = Shared(Arc::clone(&rig.clock) as _);
    Arc::new(Tokens::read(Arc::clone(&rig.book), &rig.reader(), clock).unwrap())
}

async fn made(tokens: &Tokens, seconds: u64) -> JoinToken {
    let id = SpiffeId::new("spiffe://example.org/agent").unwrap();
    let life = Duration::from_secs(seconds);
    let (text, expires) = tokens
        .make(id, life, b"the root", By::Uid(7))
        .await
        .unwrap();
    assert_eq!(expires, now().plus(life));
    JoinToken::parse(&text).unwrap()
}

async fn take(tokens: &Arc<Tokens>, token: &JoinToken, at: Time) -> Take {
    Lookup(Arc::clone(tokens))
        .take(&token.hash(), at)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_token_is_good_once_and_a_restart_does_not_forget() {
    let rig = Rig::new();
    let all = tokens(&rig);
    let (first, second) = (made(&all, 60).await, made(&all, 60).await);
    assert_eq!(first.root_pin(), RootPin::of(b"the root"));
    assert!(matches!(take(&all, &first, now()).await, Take::Taken(_)));
    assert_eq!(take(&all, &first, now()).await, Take::Used);
    drop(all);
    let rig = rig.again();
    let all = tokens(&rig);
    assert_eq!(take(&all, &first, now()).await, Take::Used);
    assert!(matches!(take(&all, &second, now()).await, Take::Taken(_)));
}

#[tokio::test]
async fn of_many_who_try_one_gets_it() {
    let rig = Rig::new();
    let all = tokens(&rig);
    let token = Arc::new(made(&all, 60).await);
    let tries = (0..32).map(|_| {
        let (all, token) = (Arc::clone(&all), Arc::clone(&token));
        tokio::spawn(async move { take(&all, &token, now()).await })
    });
    let mut taken = 0;
    for tried in tries.collect::<Vec<_>>() {
        taken += u32::from(matches!(tried.await.unwrap(), Take::Taken(_)));
    }
    assert_eq!(taken, 1);
}

#[tokio::test]
async fn a_token_ends() {
    let rig = Rig::new();
    let all = tokens(&rig);
    let token = made(&all, 60).await;
    let late = now().plus(Duration::from_secs(60));
    assert_eq!(take(&all, &token, late).await, Take::Expired);
    assert!(matches!(take(&all, &token, now()).await, Take::Taken(_)));
}

#[tokio::test]
async fn a_life_has_bounds() {
    let rig = Rig::new();
    let all = tokens(&rig);
    let id = SpiffeId::new("spiffe://example.org/agent").unwrap();
    for life in [Duration::ZERO, LONGEST + Duration::from_secs(1)] {
        let refused = all
            .make(id.clone(), life, b"root", By::Uid(7))
            .await
            .unwrap_err();
        assert!(matches!(refused, TokenError::Life));
    }
}
