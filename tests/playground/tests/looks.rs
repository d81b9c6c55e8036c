//! How the page looks and is told: names, focus, contrast; with pictures for people.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

mod support;

use credence_playground_tests::browser::keys::TAB;
use serde_json::{Value, json};
use std::{fs, path::Path};
use support::Page;

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
