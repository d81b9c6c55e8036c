//! The page as it is built, in real headless Chromium.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

mod support;

use credence_playground_build::web;
use credence_playground_tests::{
    browser::{
        Browser,
        keys::{DOWN, ENTER, SHIFT, TAB},
    },
    server::Server,
};
use serde_json::json;
use std::{fs, io::Read, net::TcpListener, time::Duration};
use support::Page;

/// By keyboard alone: choose, break the policy, go to the fault, mend it, ask, run the cases.
#[test]
fn the_whole_page_is_used_by_keyboard() {
    let page = Page::open();
    page.until_text("word", "ALLOW");
    assert_eq!(page.text("summary"), "a policy of 3 rules");
    assert!(page.text("reason").contains("allow_rule: frontend-reads"));

    page.tab_to("policy");
    page.type_over("{\n\"trustDomains\": [\"example.org\"],\n\"rules\": [\n{\"name\": \"a b\"}, {\"name\": \"c\", \"paths\": []}]}");
    page.until_text("summary", "2 faults");
    page.until_text("word", "No decision");
    assert_eq!(
        page.run("return [...document.querySelectorAll('.gutter .fault')].map((line) => line.textContent)"),
        json!(["4"])
    );
    assert!(
        page.text("faults")
            .contains("line 4, /rules/1/paths the list is empty"),
        "{}",
        page.text("faults")
    );

    page.key(TAB);
    page.key(ENTER);
    assert_eq!(page.focused(), "policy");
    let selected = page.run("const p = document.getElementById('policy'); return p.value.slice(p.selectionStart, p.selectionEnd)");
    assert!(
        selected.as_str().unwrap().starts_with("\"name\": \"a b\""),
        "{selected}"
    );
    page.type_over("{\"trustDomains\": [\"example.org\"], \"rules\": [{\"name\": \"in\", \"methods\": [\"GET\"]}, {\"name\": \"dry\", \"action\": \"DENY\", \"dryRun\": true, \"paths\": [\"/old\"]}]}");
    page.until_text("summary", "a policy of 2 rules");
    page.until_text("reason", "allow_rule: in");

    page.tab_to("method");
    page.type_over("POST");
    page.until_text("word", "DENY");
    assert!(page.text("reason").contains("no_rule"));
    assert!(
        page.text("sentence")
            .contains("no rule of this service's policy allows")
    );
    assert!(
        page.text("rules").contains("methods does not match"),
        "{}",
        page.text("rules")
    );
    page.type_over("GET");
    page.key(TAB);
    page.type_over("/old");
    page.key(ENTER);
    page.until_text("would", "If nothing were a dry run: deny (deny_rule: dry)");
    assert_eq!(page.text("word"), "ALLOW");

    page.tab_to("port");
    page.press("0");
    page.until_text("sentence", "a port is a number from 1 to 65535");
    assert_eq!(
        page.run("return document.activeElement.getAttribute('aria-invalid')"),
        "true"
    );

    page.browser.chord(SHIFT, TAB).unwrap();
    assert_eq!(page.focused(), "host");
    page.tab_to("example");
    page.key(DOWN);
    page.until_text("summary", "a policy of 3 rules");
    page.until_text("would", "deny (deny_rule: reports-only-inside)");
    assert!(page.text("audited").contains("watched"));
    page.run("document.querySelector('#test > summary').focus()");
    page.key(ENTER);
    page.tab_to("run");
    page.key(ENTER);
    page.until_text("outcome", "2 cases as expected, 0 not");
}

#[test]
fn istio_is_read_and_wrong_cases_are_told() {
    let page = Page::open();
    page.run("document.querySelector('#istio > summary').click(); document.getElementById('import').click()");
    page.until_text("imported", "This is the policy now.");
    page.until_text("summary", "a policy of 1 rule");
    assert!(
        page.text("notes").contains("labelled app=orders"),
        "{}",
        page.text("notes")
    );
    page.run("document.getElementById('yaml').value = 'a: b: c'; document.getElementById('import').click()");
    page.until_text("imported", "Nothing is imported.");
    assert!(page.text("notes").contains("not YAML"));
    page.run(
        "document.querySelector('#test > summary').click(); document.getElementById('run').click()",
    );
    page.until_text("outcome", "the policy has no rule \"no-admin\"");
    // What a policy says is shown as text.
    page.run("const p = document.getElementById('policy'); p.value = '{\"<img src=x onerror=alert(1)>\": 1}'; p.dispatchEvent(new Event('input'))");
    page.until_text("faults", "<img src=x onerror=alert(1)>");
    assert_eq!(
        page.run("return document.querySelectorAll('main img').length"),
        0
    );
}

/// A link brings policy and request, in its fragment alone.
#[test]
fn a_link_brings_policy_and_request() {
    let page = Page::open();
    page.run("const p = document.getElementById('path'); p.value = '/shared'; p.dispatchEvent(new Event('input', {bubbles: true})); document.getElementById('share').click()");
    page.until(
        "location.hash.startsWith('#1.') && document.getElementById('shared').innerText !== ''",
    );
    let url = page
        .run("return location.href")
        .as_str()
        .unwrap()
        .to_owned();
    page.browser
        .command("POST", "/url", &json!({"url": "about:blank"}))
        .unwrap();
    page.browser.visit(&url).unwrap();
    assert_eq!(
        page.run("return document.getElementById('path').value"),
        "/shared"
    );
    assert!(
        page.server
            .asked()
            .iter()
            .all(|target| !target.contains("1.")),
        "{:?}",
        page.server.asked()
    );
    // A broken link is no link.
    page.browser
        .command("POST", "/url", &json!({"url": "about:blank"}))
        .unwrap();
    page.browser
        .visit(&format!("{}/#1.AAAA", page.server.origin()))
        .unwrap();
    page.until_text("word", "ALLOW");
}

#[test]
fn nothing_but_the_pages_own_files_is_asked_for() {
    let page = Page::open();
    page.run("document.getElementById('share').click()");
    page.until("document.getElementById('shared').innerText !== ''");
    let origin = page.server.origin();
    let requested = page.browser.requested().unwrap();
    assert!(requested.len() >= 10, "{requested:?}");
    for url in &requested {
        let name = url
            .strip_prefix(&format!("{origin}/"))
            .unwrap_or_else(|| panic!("{url}"));
        assert!(name.is_empty() || page.files.contains(name), "{url}");
    }
    // Even a page that tried could not: its policy of contents refuses before anything leaves.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let there = format!("http://{}/x", other.local_addr().unwrap());
    let tried = page.browser.run_async(&format!(
        "const refused = [];
         document.addEventListener('securitypolicyviolation', (event) => refused.push(event.effectiveDirective));
         const tries = [fetch('{there}').then(() => 'went', () => 'no')];
         for (const [name, field] of [['img', 'src'], ['script', 'src'], ['iframe', 'src']]) {{
           const element = document.createElement(name);
           try {{ element[field] = '{there}'; document.body.append(element); }} catch (error) {{ refused.push(error.name); }}
         }}
         navigator.sendBeacon('{there}', 'x');
         const wait = (done) => ['connect-src', 'img-src', 'frame-src'].every((name) => refused.includes(name)) ? done() : setTimeout(wait, 10, done);
         await new Promise(wait);
         return [await tries[0], ...refused.sort()];"
    ));
    let tried = tried.unwrap();
    assert_eq!(tried[0], "no", "{tried}");
    for directive in ["connect-src", "img-src", "frame-src", "TypeError"] {
        assert!(
            tried.as_array().unwrap().contains(&json!(directive)),
            "{directive} in {tried}"
        );
    }
    assert_eq!(heard(&other), "", "something left");
}

/// What was sent to a listener by those who have connected: Chromium may open a connection ahead of a
/// request that it then refuses, and sends nothing on it.
fn heard(listener: &TcpListener) -> String {
    let mut all = String::new();
    while let Ok((mut stream, _)) = listener.accept() {
        stream.set_nonblocking(false).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        let mut part = [0; 4096];
        let read = stream.read(&mut part).unwrap_or(0);
        all.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    all
}

/// Where the engine cannot be had, the page says so rather than decide.
#[test]
fn a_page_without_its_engine_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let built = web(&folder.path().join("web")).unwrap();
    fs::remove_file(built.folder.join("credence_playground_bg.wasm")).unwrap();
    let server = Server::of(&built.folder).unwrap();
    let browser = Browser::start().unwrap();
    browser
        .command(
            "POST",
            "/url",
            &json!({"url": format!("{}/", server.origin())}),
        )
        .unwrap();
    browser
        .until("document.getElementById('broken').innerText.includes('could not be loaded')")
        .unwrap();
    assert_eq!(
        browser
            .run("return document.getElementById('word').innerText")
            .unwrap(),
        ""
    );
}
