//! Bundles of other trust domains, from files and from the bundle endpoint that the CA serves.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use credence_attest::{HttpsUrl, Roots};
use credence_daemon::http::{Page, Pages};
use credence_delivery::federation::{Federation, FederationError, Foreign, Source};
use http::StatusCode;
use spiffe::TrustDomain;

use crate::foreign::{
    Published, SERVER, Says, World, asked_again, foreign, held, holds, is, json, pem, state,
    trouble,
};
use crate::rig::SECOND;

#[tokio::test(start_paused = true)]
async fn https_spiffe_goes_by_the_first_bundle_and_then_by_the_one_that_is_held() {
    let world = World::new();
    let published = Published::new(world.ca.bundle(), 1);
    let pair = world.pair(&world.ca, SERVER);
    let (address, serving) = world.serve(pair, world.endpoint(&published));
    let sources = world.follow(world.by_id(address));
    holds(&world, &sources, (Some(1), 1)).await;
    assert_eq!(state(&sources).trouble, None);
    let next = world.next_ca("Next");
    published.publish([world.ca.bundle(), next.bundle()].concat(), 2);
    holds(&world, &sources, (Some(2), 2)).await;
    // the server's certificate is the new root's now, which the first bundle does not have
    let (chain, key) = world.pair(&next, SERVER);
    serving.replace(chain, key).unwrap();
    published.publish(next.bundle(), 3);
    holds(&world, &sources, (Some(3), 1)).await;
    // and what the first bundle had counts no more
    let (chain, key) = world.pair(&world.ca, SERVER);
    serving.replace(chain, key).unwrap();
    published.publish(world.ca.bundle(), 4);
    trouble(&world, &sources, "UnknownIssuer").await;
    assert_eq!(held(&sources), Some((Some(3), 1)));
    // unless the operator says so anew
    fs::write(
        world.path("first.pem"),
        format!("# again\n{}", pem(&world.ca.bundle())),
    )
    .unwrap();
    holds(&world, &sources, (Some(4), 1)).await;
}

#[tokio::test(start_paused = true)]
async fn https_spiffe_is_another_s_for_another_id_and_for_another_root() {
    let world = World::new();
    let published = Published::new(world.ca.bundle(), 5);
    let pair = world.pair(&world.ca, "spiffe://foreign.org/somebody");
    let (address, serving) = world.serve(pair, world.endpoint(&published));
    let sources = world.follow(world.by_id(address));
    trouble(&world, &sources, "NotValidForName").await;
    assert_eq!(
        held(&sources),
        Some((None, 1)),
        "the first bundle is served meanwhile"
    );
    let imposter = world.next_ca("Foreign");
    let (chain, key) = world.pair(&imposter, SERVER);
    serving.replace(chain, key).unwrap();
    trouble(&world, &sources, "BadSignature").await;
    let told = state(&sources).trouble;
    asked_again(&world, &sources).await;
    assert_eq!(
        state(&sources).trouble,
        told,
        "it is one trouble, told once"
    );
    assert_eq!(held(&sources), Some((None, 1)));
    let (chain, key) = world.pair(&world.ca, SERVER);
    serving.replace(chain, key).unwrap();
    holds(&world, &sources, (Some(5), 1)).await;
}

#[tokio::test(start_paused = true)]
async fn https_web_goes_by_the_web_s_roots_and_the_name() {
    let world = World::new();
    let web = world.next_ca("Web");
    let published = Published::new(world.ca.bundle(), 1);
    let pair = world.pair(&web, "localhost");
    let (address, serving) = world.serve(pair, world.endpoint(&published));
    let source = |host: &str| Source::HttpsWeb {
        url: HttpsUrl::parse(&format!("https://{host}:{}/?token=secret", address.port())).unwrap(),
        roots: Roots::File(world.path("web.pem")),
    };
    let sources = world.follow(source("localhost"));
    assert!(!state(&sources).source.contains("secret"));
    trouble(&world, &sources, "web.pem: it cannot be read").await;
    fs::write(world.path("web.pem"), pem(&web.bundle())).unwrap();
    holds(&world, &sources, (Some(1), 1)).await;
    assert_eq!(state(&sources).trouble, None);
    // a name that is not its own, and a SPIFFE ID in its place
    let other = world.follow(source("127.0.0.1"));
    trouble(&world, &other, "not valid for name").await;
    let (chain, key) = world.pair(&web, SERVER);
    serving.replace(chain, key).unwrap();
    trouble(&world, &sources, "not valid for name").await;
    // and the foreign trust domain's own CA is none of the web's
    let (chain, key) = world.pair(&world.ca, "localhost");
    serving.replace(chain, key).unwrap();
    trouble(&world, &sources, "UnknownIssuer").await;
    assert_eq!(held(&sources), Some((Some(1), 1)));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_bundle_is_refused_and_the_last_good_one_goes_on() {
    let world = World::new();
    let (one, two) = (world.ca.bundle(), world.next_ca("Two").bundle());
    let good = Page::json(json(&one, 7));
    let says = Arc::new(Says(Mutex::new(good.clone())));
    let pair = world.pair(&world.ca, SERVER);
    let (address, _) = world.serve(pair, Arc::clone(&says) as Arc<dyn Pages>);
    let sources = world.follow(world.by_id(address));
    holds(&world, &sources, (Some(7), 1)).await;
    let long = format!("{}{}", json(&two, 8), " ".repeat(1 << 20));
    let twice = json(&two, 8).replacen('{', r#"{"spiffe_sequence":9,"#, 1);
    for (page, words) in [
        (
            Page::text(StatusCode::FOUND, json(&two, 8)),
            "redirects are not followed",
        ),
        (
            Page::text(StatusCode::OK, json(&two, 8)),
            "not with application/json",
        ),
        (
            Page::text(StatusCode::NOT_FOUND, "no".into()),
            "answers 404",
        ),
        (Page::json("<html>".into()), "not a JSON object"),
        (Page::json(json(&[], 8)), "no root for X509-SVIDs"),
        (
            Page::json(json(&[vec![1, 2, 3]], 8)),
            "root 1 is not a CA's certificate",
        ),
        (Page::json(twice), "each name stands once"),
        (Page::json(long), "length limit exceeded"),
        (Page::json(json(&two, 6)), "it does not go back"),
        (
            Page::json(json(&two, 8).replace(r#""spiffe_sequence":8,"#, "")),
            "does not go back",
        ),
    ] {
        *says.0.lock().unwrap() = page;
        trouble(&world, &sources, words).await;
        let since = state(&sources).trouble;
        asked_again(&world, &sources).await;
        assert_eq!(
            state(&sources).trouble,
            since,
            "it is one trouble, told once"
        );
        assert_eq!(held(&sources), Some((Some(7), 1)), "{words}");
        let confirmed = state(&sources).held.unwrap().confirmed;
        assert!(
            confirmed + 10 * SECOND < world.clock.now(),
            "its age is not told"
        );
        *says.0.lock().unwrap() = good.clone();
        is(&world, &sources, "the good one", |state| {
            state.trouble.is_none()
        })
        .await;
        let held = state(&sources).held.unwrap();
        assert!(held.confirmed > confirmed && held.since <= confirmed);
    }
    *says.0.lock().unwrap() = Page::json(json(&two, 8));
    holds(&world, &sources, (Some(8), 1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_is_followed_in_both_its_forms() {
    let world = World::new();
    let path = world.path("foreign.pem");
    let sources = world.follow(Source::File(path.clone()));
    trouble(&world, &sources, "it cannot be read").await;
    let (one, two) = (world.ca.bundle(), world.next_ca("Two").bundle());
    let both = [one.clone(), two].concat();
    let replace = |text: &str| {
        fs::write(world.path("new"), text).unwrap();
        fs::rename(world.path("new"), &path).unwrap();
    };
    replace(&pem(&one));
    holds(&world, &sources, (None, 1)).await;
    assert_eq!(state(&sources).trouble, None);
    let whole = pem(&both);
    replace(whole.get(..whole.len() - 40).unwrap());
    trouble(&world, &sources, "is it being written?").await;
    assert_eq!(held(&sources), Some((None, 1)));
    replace(&whole);
    holds(&world, &sources, (None, 2)).await;
    replace(&json(&one, 7));
    holds(&world, &sources, (Some(7), 1)).await;
    replace(&json(&both, 6));
    trouble(&world, &sources, "does not go back").await;
    assert_eq!(held(&sources), Some((Some(7), 1)));
    fs::remove_file(&path).unwrap();
    trouble(&world, &sources, "it cannot be read").await;
    replace(&json(&both, 8));
    holds(&world, &sources, (Some(8), 2)).await;
    assert_eq!(state(&sources).trouble, None);
}

#[tokio::test(start_paused = true)]
async fn sources_that_cannot_be_meant_are_refused() {
    let world = World::new();
    let new = |all: Vec<Foreign>, own: BTreeSet<TrustDomain>| {
        Federation::new(all, &own, 7, &world.shelf, &world.clock).unwrap_err()
    };
    let one = |trust_domain: &TrustDomain| Foreign {
        trust_domain: trust_domain.clone(),
        source: Source::File(Path::new("/etc/foreign.pem").to_owned()),
    };
    let twice = new(vec![one(&foreign()), one(&foreign())], BTreeSet::new());
    assert_eq!(twice, FederationError::Twice(foreign()));
    let own = new(vec![one(&foreign())], [foreign()].into());
    assert_eq!(own, FederationError::Own(foreign()));
    let other = TrustDomain::new("other.org").unwrap();
    let source = world.by_id("127.0.0.1:1".parse().unwrap());
    let elsewhere = Foreign {
        trust_domain: other.clone(),
        source,
    };
    let refused = new(vec![elsewhere], BTreeSet::new());
    assert!(
        matches!(refused, FederationError::Elsewhere { trust_domain, .. } if trust_domain == other)
    );
}
