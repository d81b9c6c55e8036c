//! The page on a server of its own, in a browser of its own.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "shared by test programs, of which each uses a part; one that cannot go on has to fail loudly"
)]

use credence_playground_build::web;
use credence_playground_tests::{
    browser::{
        Browser,
        keys::{CONTROL, TAB},
    },
    server::Server,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tempfile::TempDir;

/// The page on a server of its own, in a browser of its own.
pub struct Page {
    pub browser: Browser,
    pub server: Server,
    pub files: BTreeSet<String>,
    _folder: TempDir,
}

impl Page {
    pub fn open() -> Self {
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
    pub fn run(&self, script: &str) -> Value {
        self.browser.run(script).unwrap()
    }

    #[track_caller]
    pub fn text(&self, id: &str) -> String {
        let text = self.run(&format!("return document.getElementById('{id}').innerText"));
        text.as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn until(&self, expression: &str) {
        self.browser.until(expression).unwrap();
    }

    #[track_caller]
    pub fn until_text(&self, id: &str, text: &str) {
        let text = json!(text);
        self.until(&format!(
            "document.getElementById('{id}').innerText.includes({text})"
        ));
    }

    #[track_caller]
    pub fn press(&self, keys: &str) {
        self.browser.press(keys).unwrap();
    }

    #[track_caller]
    pub fn key(&self, key: char) {
        self.press(&key.to_string());
    }

    pub fn focused(&self) -> String {
        let id = self.run("return document.activeElement.id || document.activeElement.className || document.activeElement.localName");
        id.as_str().unwrap().to_owned()
    }

    /// Tab until this has the focus.
    #[track_caller]
    pub fn tab_to(&self, id: &str) {
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
    pub fn type_over(&self, text: &str) {
        self.browser.chord(CONTROL, 'a').unwrap();
        self.press(text);
    }
}
