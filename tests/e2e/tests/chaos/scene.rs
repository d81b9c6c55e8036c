//! A CA, an agent, two Envoys with traffic through them, and what can be done to them.

use crate::pair;
use anyhow::{Context, Result, bail, ensure};
use credence_ca_tests::{
    agent::Agent,
    daemon::{Daemon, Setup},
};
use credence_e2e::{envoy::Envoy, tools, traffic::Traffic};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::time::{Instant, sleep};

/// What certificates live: long enough for a busy machine to do something within half of it.
pub(crate) const LIFE: Duration = Duration::from_secs(16);
/// How long something may take that is bound to come.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// A handshake with each so many requests.
const A_CONNECTION: u32 = 50;
/// Before a certificate's very end: Envoys cut off connections on one that ends.
const MARGIN: Duration = Duration::from_secs(2);
const NAMES: [&str; 2] = ["frontend", "server"];

const SECTIONS: &str = r#"
[leaf]
shortest = "5s"
usual = "16s"
longest = "16s"
[lifecycle]
refresh_hint = "1s"
clock_skew = "0s"
rotate_roots = "on-order"
[limits]
identity_burst = 100000
"#;

/// What a scene has beside the usual.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options {
    /// The agent's clock can be moved.
    pub(crate) moved_clock: bool,
    /// The agent writes files, too, to a disk of its own that is small.
    pub(crate) small_disk: bool,
    /// Renewals go by the token.
    pub(crate) by_token: bool,
}

/// All that runs.
pub(crate) struct Scene {
    // Fields are dropped from the top.
    traffic: Traffic,
    frontend: Envoy,
    server: Envoy,
    pub(crate) agent: Agent,
    pub(crate) ca: Daemon,
}

impl Scene {
    pub(crate) async fn start(options: Options) -> Result<Self> {
        let binary = tools::fresh_credence()?;
        let binary = binary.to_str().context("a path in UTF-8")?;
        let ca = Setup::new(binary, SECTIONS).start();
        keep_address(&ca)?;
        let mut agent = Agent::prepared(binary, &toml(&ca, options));
        fs::write(agent.path("roots.pem"), ca.order(&["ca", "roots"]))?;
        put_tokens(&ca, &agent)?;
        if options.moved_clock {
            agent.through = faked(&agent)?;
        }
        if options.small_disk {
            agent.through = on_a_small_disk(&agent)?;
        }
        agent.start_again();
        let folder = agent.path("");
        let server = pair::server(&folder, LIFE).await?;
        let frontend = pair::frontend(&folder, LIFE, &server, A_CONNECTION).await?;
        let pause = Duration::from_millis(5);
        let traffic = Traffic::start_with(frontend.address(), "/api/hello", 4, pause);
        Ok(Self {
            traffic,
            frontend,
            server,
            agent,
            ca,
        })
    }

    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.agent.path(&format!("{name}.sock"))
    }

    /// At the address that it had.
    pub(crate) fn start_ca(&mut self) {
        self.ca.start_again();
    }

    pub(crate) fn put_tokens(&self) -> Result<()> {
        put_tokens(&self.ca, &self.agent)
    }

    /// Tokens whose time is over.
    pub(crate) fn expire_tokens(&self) -> Result<()> {
        for name in NAMES {
            let ended = credence_ca_tests::token::now() - 3_600;
            let claims = serde_json::json!({
                "iss": "https://kubernetes.test",
                "aud": ["istio-ca"],
                "sub": format!("system:serviceaccount:shop:{name}"),
                "iat": ended - 600,
                "exp": ended,
            });
            let token = self.ca.setup.issuer.sign(&claims);
            replace(&self.agent.path(&format!("{name}.token")), token.as_bytes())?;
        }
        Ok(())
    }

    /// Moves the agent's clock to so many seconds beside the right time.
    pub(crate) fn move_clock(&self, by: &str) -> Result<()> {
        eprintln!("       the agent's clock is at {by} s");
        replace(&self.agent.path("clock"), by.as_bytes())
    }

    /// The agent's files, as it tells of them.
    pub(crate) fn files(&self) -> Value {
        self.agent.status()["files"][0].clone()
    }

    /// Fills the agent's disk; gives what has to be removed for room.
    pub(crate) fn fill_disk(&self) -> Result<PathBuf> {
        let folder = self.agent.path("tls");
        let path = format!(
            "/proc/{}/root{}/filling",
            self.agent.pid(),
            folder.display()
        );
        let mut file = File::create(&path)?;
        let block = vec![1; 4 << 10];
        while file.write_all(&block).is_ok() {}
        Ok(path.into())
    }

    pub(crate) fn all_are(&self, state: &str) -> Result<bool> {
        Ok(NAMES
            .iter()
            .all(|name| self.identity(name)["state"] == state))
    }

    pub(crate) fn any_is(&self, state: &str) -> Result<bool> {
        Ok(NAMES
            .iter()
            .any(|name| self.identity(name)["state"] == state))
    }

    fn identity(&self, name: &str) -> Value {
        self.agent.identity(&pair::id(name))
    }

    /// When the first of the certificates that are held ends.
    pub(crate) fn earliest_end(&self) -> OffsetDateTime {
        let end = |name: &&str| {
            let ends = self.identity(name)["expires"].as_str().map(str::to_owned);
            OffsetDateTime::parse(&ends.expect("a certificate"), &Rfc3339).expect("RFC 3339")
        };
        NAMES.iter().map(end).min().expect("two")
    }

    /// The serial numbers of what the Envoys hold.
    async fn serials(&self) -> Result<BTreeMap<&'static str, Vec<String>>> {
        let mut serials = BTreeMap::new();
        for (name, envoy) in [("frontend", &self.frontend), ("server", &self.server)] {
            let held = envoy.held().await?.into_iter();
            serials.insert(name, held.map(|held| held.serial).collect());
        }
        Ok(serials)
    }

    /// Waits until both Envoys have another certificate than now; fails as soon as a request has.
    pub(crate) async fn renewed(&mut self, what: &str) -> Result<()> {
        let before = self.serials().await?;
        let begun = Instant::now();
        loop {
            let now = self.serials().await?;
            if NAMES
                .iter()
                .all(|name| !now[name].is_empty() && now[name] != before[name])
            {
                eprintln!("{:>5.1} s  {what}", begun.elapsed().as_secs_f64());
                return self.unharmed();
            }
            self.unharmed()?;
            ensure!(
                begun.elapsed() < SOON,
                "not in time: {what}\n{}",
                self.troubles()
            );
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until something is so. What becomes of requests meanwhile is another matter.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        limit: Duration,
        look: impl Fn(&Self) -> Result<bool>,
    ) -> Result<()> {
        let begun = Instant::now();
        while !look(self)? {
            ensure!(
                begun.elapsed() < limit,
                "not in time: {what}\n{}",
                self.troubles()
            );
            sleep(Duration::from_millis(200)).await;
        }
        eprintln!("{:>5.1} s  {what}", begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// Nothing fails for so long.
    pub(crate) async fn for_a(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.unharmed()?;
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Nothing fails until shortly before this moment.
    pub(crate) async fn without_failure_until(&mut self, end: OffsetDateTime) -> Result<()> {
        while OffsetDateTime::now_utc() + MARGIN < end {
            self.unharmed()?;
            sleep(Duration::from_millis(100)).await;
        }
        eprintln!("       no request failed while the last certificate was valid");
        Ok(())
    }

    fn unharmed(&self) -> Result<()> {
        let tally = self.traffic.so_far();
        match tally.failed {
            0 => Ok(()),
            _ => tally.without_failure().with_context(|| self.troubles()),
        }
    }

    /// Requests succeed again, with nobody's doing.
    pub(crate) async fn recovered(&mut self) -> Result<()> {
        let begun = Instant::now();
        let mut before = self.traffic.so_far();
        loop {
            sleep(Duration::from_secs(1)).await;
            let now = self.traffic.so_far();
            if now.failed == before.failed && now.succeeded > before.succeeded {
                eprintln!("{:>5.1} s  it has recovered", begun.elapsed().as_secs_f64());
                return Ok(());
            }
            ensure!(
                begun.elapsed() < SOON,
                "it does not recover\n{}",
                self.troubles()
            );
            before = now;
        }
    }

    pub(crate) async fn no_failure_at_all(self) -> Result<()> {
        self.unharmed()?;
        let tally = self.traffic.so_far();
        eprintln!("       {} requests, none failed", tally.succeeded);
        tally.without_failure()?;
        self.end().await
    }

    /// The last look: no key has come to a disk but where files are written.
    pub(crate) async fn end(self) -> Result<()> {
        let folder = self.agent.path("");
        let output = self.agent.path("tls");
        let mut looked = 0;
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() && entry.path() != output {
                    folders.push(entry.path());
                } else if entry.file_type()?.is_file() {
                    looked += 1;
                    has_no_key(&entry.path())?;
                }
            }
        }
        ensure!(looked > 5, "only {looked} files were looked at");
        Ok(())
    }

    fn troubles(&self) -> String {
        let told = self.agent.log();
        let lines = told.lines().filter(|line| !line.contains("\"INFO\""));
        let told: Vec<_> = lines.rev_last(10);
        format!("{}\n{}", self.agent.command(&[]).1, told.join("\n"))
    }
}

/// The last few of some lines.
trait Last<'a> {
    fn rev_last(self, count: usize) -> Vec<&'a str>;
}

impl<'a, I: Iterator<Item = &'a str>> Last<'a> for I {
    fn rev_last(self, count: usize) -> Vec<&'a str> {
        let all: Vec<_> = self.collect();
        all.get(all.len().saturating_sub(count)..)
            .unwrap_or_default()
            .to_vec()
    }
}

/// Neither as PEM nor in the DER that P-256 keys have (PKCS #8, SEC 1).
fn has_no_key(path: &Path) -> Result<()> {
    const DER: [&[u8]; 2] = [
        b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04",
        b"\x30\x77\x02\x01\x01\x04\x20",
    ];
    let content = fs::read(path)?;
    let has = |part: &[u8]| content.windows(part.len()).any(|window| window == part);
    if has(b"PRIVATE KEY") || DER.iter().any(|der| has(der)) {
        bail!("{} has a key", path.display());
    }
    Ok(())
}

fn toml(ca: &Daemon, options: Options) -> String {
    let renewals = if options.by_token {
        "renewals = \"by-proof\"\n"
    } else {
        ""
    };
    let mut text = format!(
        "trust_domain = \"example.org\"\n[ca]\naddress = \"{}\"\nid = \"spiffe://example.org/credence/ca\"\n\
         roots_file = \"roots.pem\"\n{renewals}",
        ca.running().grpc
    );
    for name in NAMES {
        let id = pair::id(name);
        text += &format!(
            "[[identities]]\nid = \"{id}\"\nsocket = \"{name}.sock\"\ntoken_file = \"{name}.token\"\n"
        );
    }
    if options.small_disk {
        let id = pair::id("server");
        text += &format!("[[files]]\nidentity = \"{id}\"\nfolder = \"tls\"\n");
    }
    text
}

/// From now on it listens where it listens now.
fn keep_address(ca: &Daemon) -> Result<()> {
    let path = ca.folder().join("ca.toml");
    let text = fs::read_to_string(&path)?;
    let fixed = format!("grpc = \"{}\"", ca.running().grpc);
    Ok(fs::write(
        &path,
        text.replace("grpc = \"127.0.0.1:0\"", &fixed),
    )?)
}

fn put_tokens(ca: &Daemon, agent: &Agent) -> Result<()> {
    for name in NAMES {
        let token = ca.setup.issuer.service_account("shop", name);
        replace(&agent.path(&format!("{name}.token")), token.as_bytes())?;
    }
    Ok(())
}

/// As whoever rotates files does it.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let next = path.with_extension("next");
    fs::write(&next, content)?;
    Ok(fs::rename(next, path)?)
}

/// The wall clock of the process goes by a file; the one that never goes back is left alone.
fn faked(agent: &Agent) -> Result<Vec<String>> {
    let library = fs::read_dir("/usr/lib")?.filter_map(|entry| {
        let path = entry.ok()?.path().join("faketime/libfaketime.so.1");
        path.exists().then_some(path)
    });
    let library = library
        .last()
        .context("libfaketime is not there: scripts/setup --for-test")?;
    fs::write(agent.path("clock"), "+0")?;
    let clock = agent.path("clock");
    Ok(vec![
        "env".to_owned(),
        format!("LD_PRELOAD={}", library.display()),
        format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
    ])
}

/// The folder for files is a disk of 1 MiB that only the agent sees: it goes with the process.
fn on_a_small_disk(agent: &Agent) -> Result<Vec<String>> {
    let folder = agent.path("tls");
    fs::create_dir(&folder)?;
    let mount = format!(
        "mount -t tmpfs -o size=1m,mode=0700 none '{}' && exec \"$0\" \"$@\"",
        folder.display()
    );
    let words = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        &mount,
    ];
    Ok(words.map(str::to_owned).to_vec())
}
