//! Headless Chromium, driven through chromedriver: as much of WebDriver (W3C) as the tests need. It is JSON over
//! HTTP; the crates that speak it bring a licence that deny.toml does not allow, or several dozen others.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    error::Error,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// Whatever went wrong, in words.
pub type Trouble = Box<dyn Error + Send + Sync>;

/// The longest that one command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Keys that have no character (WebDriver §17.4.2).
pub mod keys {
    /// To the next control.
    pub const TAB: char = '\u{e004}';
    /// Activates a button, submits a form.
    pub const ENTER: char = '\u{e007}';
    /// Held down while the next key is pressed.
    pub const SHIFT: char = '\u{e008}';
    /// Held down while the next key is pressed.
    pub const CONTROL: char = '\u{e009}';
    /// The next entry of a list.
    pub const DOWN: char = '\u{e015}';
}

/// A browser of its own, with an empty profile; it ends when this is dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: TempDir,
}

impl Browser {
    /// Starts chromedriver, and through it Chromium.
    ///
    /// # Errors
    /// If one of them is missing or does not start.
    pub fn start() -> Result<Self, Trouble> {
        let profile = tempfile::tempdir()?;
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                format!("chromedriver does not start ({error}); scripts/setup --for-test brings it")
            })?;
        let port = match port_of(&mut driver) {
            Ok(port) => port,
            Err(error) => {
                driver.kill()?;
                driver.wait()?;
                return Err(error);
            }
        };
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            profile,
        };
        browser.session = browser.open()?;
        Ok(browser)
    }

    fn open(&self) -> Result<String, Trouble> {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        let arguments = json!([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1400,1000",
            profile,
        ]);
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
            "timeouts": {"script": 20_000, "pageLoad": 30_000},
        }}});
        let opened = self.call("POST", "/session", &wanted)?;
        let session = opened.get("sessionId").and_then(Value::as_str);
        Ok(session.ok_or("chromedriver names no session")?.to_owned())
    }

    /// One command of the session.
    ///
    /// # Errors
    /// What chromedriver says.
    pub fn command(&self, method: &str, path: &str, body: &Value) -> Result<Value, Trouble> {
        self.call(method, &format!("/session/{}{path}", self.session), body)
    }

    /// Opens a page and waits until it has said that it is ready.
    ///
    /// # Errors
    /// If it does not within the time for scripts.
    pub fn visit(&self, url: &str) -> Result<(), Trouble> {
        self.command("POST", "/url", &json!({"url": url}))?;
        self.until("document.documentElement.dataset.ready === 'true'")
    }

    /// What a function body returns in the page.
    ///
    /// # Errors
    /// If it throws.
    pub fn run(&self, script: &str) -> Result<Value, Trouble> {
        self.command(
            "POST",
            "/execute/sync",
            &json!({"script": script, "args": []}),
        )
    }

    /// As [`Self::run`], for a body that awaits.
    ///
    /// # Errors
    /// If it throws.
    pub fn run_async(&self, script: &str) -> Result<Value, Trouble> {
        let body = format!(
            "const done = arguments[0]; (async () => {{ {script} }})().then(done, (e) => done('threw ' + e));"
        );
        self.command(
            "POST",
            "/execute/async",
            &json!({"script": body, "args": []}),
        )
    }

    /// Waits until an expression is true in the page.
    ///
    /// # Errors
    /// If it is not within the time for scripts.
    pub fn until(&self, expression: &str) -> Result<(), Trouble> {
        let body = format!(
            "const done = arguments[0]; const look = () => ({expression}) ? done(true) : setTimeout(look, 10); look();"
        );
        self.command(
            "POST",
            "/execute/async",
            &json!({"script": body, "args": []}),
        )
        .map(|_| ())
        .map_err(|error| format!("{expression}: {error}").into())
    }

    /// Presses keys one after the other.
    ///
    /// # Errors
    /// What chromedriver says.
    pub fn press(&self, keys: &str) -> Result<(), Trouble> {
        let actions = keys.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()}))
        });
        self.act(&actions.collect::<Vec<_>>())
    }

    /// Presses a key while another is held.
    ///
    /// # Errors
    /// What chromedriver says.
    pub fn chord(&self, held: char, key: char) -> Result<(), Trouble> {
        self.act(&[
            json!({"type": "keyDown", "value": held}),
            json!({"type": "keyDown", "value": key}),
            json!({"type": "keyUp", "value": key}),
            json!({"type": "keyUp", "value": held}),
        ])
    }

    fn act(&self, actions: &[Value]) -> Result<(), Trouble> {
        let keyboard = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        self.command("POST", "/actions", &keyboard).map(|_| ())
    }

    /// A picture of the window, PNG.
    ///
    /// # Errors
    /// What chromedriver says.
    pub fn picture(&self) -> Result<Vec<u8>, Trouble> {
        let told = self.command("GET", "/screenshot", &Value::Null)?;
        Ok(STANDARD.decode(told.as_str().ok_or("no picture")?)?)
    }

    /// Every URL that the browser was made to ask for since this was last called.
    ///
    /// # Errors
    /// What chromedriver says.
    pub fn requested(&self) -> Result<Vec<String>, Trouble> {
        let log = self.command("POST", "/se/log", &json!({"type": "performance"}))?;
        let entries = log.as_array().ok_or("no log")?.iter();
        let messages = entries.filter_map(|entry| entry.get("message")?.as_str());
        let mut urls = Vec::new();
        for message in messages {
            let event: Value = serde_json::from_str(message)?;
            if event.pointer("/message/method") == Some(&json!("Network.requestWillBeSent")) {
                let url = event.pointer("/message/params/request/url");
                urls.push(url.and_then(Value::as_str).ok_or("no URL")?.to_owned());
            }
        }
        Ok(urls)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, Trouble> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )?;
        let answer: Value = serde_json::from_slice(&answer(stream)?)?;
        let value = answer.get("value").cloned().unwrap_or_default();
        match value.get("error").and_then(Value::as_str) {
            Some(error) => {
                let message = value.get("message").and_then(Value::as_str);
                Err(format!("{method} {path}: {error}: {}", message.unwrap_or_default()).into())
            }
            None => Ok(value),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium; chromedriver would leave it behind if it were killed first.
        if !self.session.is_empty() {
            let _ = self.command("DELETE", "", &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The port that chromedriver chose, which it prints once it listens.
fn port_of(driver: &mut Child) -> Result<u16, Trouble> {
    let out = driver.stdout.take().ok_or("chromedriver has no output")?;
    for line in BufReader::new(out).lines() {
        let line = line?;
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            return Ok(port.trim_end_matches('.').parse()?);
        }
    }
    Err("chromedriver ended before it listened".into())
}

/// The body of an HTTP answer, by its length.
fn answer(stream: TcpStream) -> Result<Vec<u8>, Trouble> {
    let mut reader = BufReader::new(stream);
    let mut length = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err("chromedriver closed the connection".into());
        }
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = Some(value.trim().parse()?);
        }
    }
    let mut body = vec![0; length.ok_or("an answer without length")?];
    reader.read_exact(&mut body)?;
    Ok(body)
}
