//! The page as it is built, in real headless Chromium.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_playground_build::web;
use credence_playground_tests::{
    browser::{
        Browser,
        keys::{CONTROL, DOWN, ENTER, SHIFT, TAB},
    },
    server::Server,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, net::TcpListener, path::Path};
use tempfile::TempDir;

/// The page on a server of its own, in a browser of its own.
struct Page {
    browser: Browser,
    server: Server,
    files: BTreeSet<String>,
    _folder: TempDir,
}

impl Page {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let built = web(&folder.path().join("web")).unwrap();
        let server = Server::of(&built.folder).unwrap();
        let browser = Browser::start().unwrap();
        // The tab that Chromium begins with is a page of its own; what that asks for is forgotten.
        browser
            .command("POST", "/url", &json!({"url": "about:blank"}))
            .unwrap();
        browser.requested().unwrap();
        browser.visit(&format!("{}/", server.origin())).unwrap();
        Self {
            browser,
            server,
            files: built.files.into_iter().map(|(name, _)| name).collect(),
            _folder: folder,
        }
    }

    #[track_caller]
    fn run(&self, script: &str) -> Value {
        self.browser.run(script).unwrap()
    }

    #[track_caller]
    fn text(&self, id: &str) -> String {
        let text = self.run(&format!("return document.getElementById('{id}').innerText"));
        text.as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn until(&self, expression: &str) {
        self.browser.until(expression).unwrap();
    }

    #[track_caller]
    fn until_text(&self, id: &str, text: &str) {
        let text = json!(text);
        self.until(&format!(
            "document.getElementById('{id}').innerText.includes({text})"
        ));
    }

    #[track_caller]
    fn press(&self, keys: &str) {
        self.browser.press(keys).unwrap();
    }

    #[track_caller]
    fn key(&self, key: char) {
        self.press(&key.to_string());
    }

    fn focused(&self) -> String {
        let id = self.run("return document.activeElement.id || document.activeElement.className || document.activeElement.localName");
        id.as_str().unwrap().to_owned()
    }

    /// Tab until this has the focus.
    #[track_caller]
    fn tab_to(&self, id: &str) {
        for _ in 0..40 {
            if self.focused() == id {
                return;
            }
            self.key(TAB);
        }
        panic!("Tab does not come to {id}");
    }

    /// Types into the control that has the focus, in place of what is there.
    #[track_caller]
    fn type_over(&self, text: &str) {
        self.browser.chord(CONTROL, 'a').unwrap();
        self.press(text);
    }
}

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
    assert!(other.accept().is_err(), "something left");
}

/// Every control has a name and a visible focus, and Tab goes through all in the order of the page.
#[test]
fn every_control_has_a_name_a_place_and_a_visible_focus() {
    let page = Page::open();
    page.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })");
    let mut order = Vec::new();
    loop {
        page.key(TAB);
        let focus = page.run(
            "const e = document.activeElement;
             if (e === document.body) return null;
             const shown = e.closest('.editor') ?? e;
             const style = getComputedStyle(shown);
             const box = e.getBoundingClientRect();
             return [e.id || e.className || e.localName, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, box.width > 0 && box.bottom > 0];",
        );
        if focus.is_null() || order.len() > 60 {
            break;
        }
        assert_eq!(
            (&focus[1], &focus[2]),
            (&json!(true), &json!(true)),
            "{focus}"
        );
        order.push(focus[0].as_str().unwrap().to_owned());
    }
    let expected = [
        "skip",
        "example",
        "theme",
        "share",
        "policy",
        "summary",
        "yaml",
        "trust-domain",
        "namespace",
        "import",
        "preset",
        "peer",
        "method",
        "path",
        "host",
        "port",
        "source",
        "tcp",
        "decide",
        "scroll",
        "summary",
        "cases",
        "run",
    ];
    assert_eq!(order, expected);

    let controls = page.browser.command(
        "POST",
        "/elements",
        &json!({"using": "css selector", "value": "a, button, input, select, textarea, summary, [role], table, ul:not(:empty), ol:not(:empty), section"}),
    );
    let controls = controls.unwrap();
    assert!(controls.as_array().unwrap().len() > 25);
    for control in controls.as_array().unwrap() {
        let id = control
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .as_str()
            .unwrap();
        let ask = |what: &str| {
            page.browser
                .command("GET", &format!("/element/{id}/{what}"), &Value::Null)
                .unwrap()
        };
        let role = ask("computedrole");
        if ["status", "alert", "none", "generic"]
            .iter()
            .any(|quiet| role == *quiet)
        {
            continue;
        }
        let name = ask("computedlabel");
        assert!(
            name.as_str().is_some_and(|name| !name.trim().is_empty()),
            "{role} {}",
            ask("property/outerHTML")
        );
    }
    assert_eq!(page.run("return document.documentElement.lang"), "en");
    let live = page.run("return document.getElementById('decision').getAttribute('aria-live')");
    assert_eq!(live, "polite");
}

/// Texts whose contrast with what is behind them is under WCAG's 4.5 (1.4.3), and controls whose edge is under 3 (1.4.11).
const CONTRAST: &str = "
const parse = (color) => { const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number); return { r, g, b, a }; };
const behind = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const color = parse(getComputedStyle(e).backgroundColor);
    if (color.a === 1) return color;
    if (color.a > 0) throw new Error('a background that shows through: ' + e.outerHTML.slice(0, 80));
  }
  throw new Error('no background');
};
const light = ({ r, g, b }) => {
  const [x, y, z] = [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const contrast = (one, two) => { const [a, b] = [light(one), light(two)].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05); };
const low = [];
let looked = 0;
for (const element of document.querySelectorAll('body *')) {
  const style = getComputedStyle(element);
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== '') || (element.value ?? '') !== '';
  if (!element.checkVisibility() || element.disabled || element.localName === 'option') continue;
  if (own && parse(style.color).a === 1) {
    looked += 1;
    const found = contrast(parse(style.color), behind(element));
    if (found < 4.5) low.push([found, style.color, element.outerHTML.slice(0, 120)]);
  }
  if (element.matches('input:not([type=checkbox]), select, textarea.plain, .editor')) {
    const found = contrast(parse(style.borderTopColor), behind(element.parentElement));
    if (found < 3) low.push([found, 'edge', element.outerHTML.slice(0, 120)]);
  }
}
return { looked, low };";

/// Light and dark: contrasts computed, pictures written below the target folder for people to look at.
#[test]
fn light_and_dark_can_be_read() {
    let page = Page::open();
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("playground");
    fs::create_dir_all(&pictures).unwrap();
    let broken = "const p = document.getElementById('policy'); p.value = p.value.replace('no-admin', 'no admin').replace('\"ops\"', '\"\"'); p.dispatchEvent(new Event('input'))";
    let dry = "const e = document.getElementById('example'); e.value = '1'; e.dispatchEvent(new Event('change'))";
    let tools = "document.querySelectorAll('details').forEach((d) => { d.open = true; }); document.getElementById('run').click(); document.getElementById('import').click(); scrollTo(0, 9999)";
    let first = "const e = document.getElementById('example'); e.value = '0'; e.dispatchEvent(new Event('change')); document.querySelectorAll('details').forEach((d) => { d.open = false; }); scrollTo(0, 0)";
    let deny = "const e = document.getElementById('preset'); e.value = '2'; e.dispatchEvent(new Event('change'))";
    let mut pages = Vec::new();
    for theme in ["light", "dark"] {
        page.run(&format!("const t = document.getElementById('theme'); t.value = '{theme}'; t.dispatchEvent(new Event('change'))"));
        for (name, script, seen) in [
            ("allow", first, ("word", "ALLOW")),
            ("deny", deny, ("word", "DENY")),
            ("faults", broken, ("summary", "fault")),
            ("dry-run", dry, ("would", "If nothing were")),
            ("tools", tools, ("outcome", "as expected")),
        ] {
            page.run(script);
            page.until_text(seen.0, seen.1);
            page.until("document.getAnimations().length === 0");
            let found = page.run(CONTRAST);
            assert!(found["looked"].as_u64() > Some(25), "{found}");
            assert_eq!(found["low"], json!([]), "{theme} {name}");
            let picture = page.browser.picture().unwrap();
            fs::write(pictures.join(format!("{name}-{theme}.png")), &picture).unwrap();
            pages.push(picture);
        }
    }
    assert!(pages.iter().all(|picture| picture.starts_with(b"\x89PNG")));
    assert_ne!(pages[0], pages[5], "light and dark look alike");

    // The choice is remembered, and without one the system's is taken.
    page.browser
        .visit(&format!("{}/", page.server.origin()))
        .unwrap();
    assert_eq!(
        page.run("return getComputedStyle(document.body).colorScheme"),
        "dark"
    );
    page.run("const t = document.getElementById('theme'); t.value = 'system'; t.dispatchEvent(new Event('change'))");
    let background = "return getComputedStyle(document.body).backgroundColor";
    let emulate = |scheme: &str| {
        let features = json!({"cmd": "Emulation.setEmulatedMedia", "params": {"features": [{"name": "prefers-color-scheme", "value": scheme}]}});
        page.browser
            .command("POST", "/goog/cdp/execute", &features)
            .unwrap();
        page.run(background)
    };
    assert_ne!(emulate("light"), emulate("dark"));

    // A telephone's width: nothing sticks out.
    page.browser
        .command(
            "POST",
            "/window/rect",
            &json!({"width": 500, "height": 900}),
        )
        .unwrap();
    page.until("document.documentElement.scrollWidth <= innerWidth");
    fs::write(pictures.join("narrow.png"), page.browser.picture().unwrap()).unwrap();
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
