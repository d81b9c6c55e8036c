//! Chains that come from elsewhere, by command.

use super::{orders, run::read_config};
use crate::{
    cli::{CaStateArguments, ImportIssuerArguments, RenewArguments},
    clock::{Clocks, WallClock},
    custodian,
    failure::Failure,
    settings, signing,
};
use credence_ca::chain::Terms;
use credence_config::ca::CaConfig;
use credence_host::{
    authorities::Authorities,
    private_file,
    state::{StateError, StateFolder},
};
use credence_ledger::sqlite::Options;
use credence_service::{
    admin::{
        ask,
        protocol::{Answer, Request, Secret},
    },
    book::{Book, KEY, LEDGER, checkpoint_key},
    clock::Shared,
    lifecycle::{Beginning, Founder, Import, Lifecycle},
    requests::Requests,
    server::StartError,
};
use std::{path::Path, sync::Arc};

const DAY: u64 = 86_400;

pub(super) fn issuer_csr(state: &CaStateArguments) -> Result<(), Failure> {
    if let Some(config) = &state.config {
        let config = read_config(config)?;
        let (folder, _) = unbegun(&config)?;
        let custodian = custodian::open(&config.custody)?;
        let csr = Requests::below(folder.path()).make(&custodian, &config.trust_domain);
        return orders::print(&csr.map_err(Failure::from)?);
    }
    let socket = state.socket.clone().unwrap_or_default();
    match ask(&socket, &Request::IssuerCsr)? {
        Answer::Pem(csr) => orders::print(&csr),
        other => Err(orders::unexpected(&other)),
    }
}

pub(super) fn import_issuer(arguments: &ImportIssuerArguments) -> Result<(), Failure> {
    let (chain, roots) = (text(&arguments.chain)?, text(&arguments.roots)?);
    if let Some(config) = &arguments.state.config {
        return begin_with(&read_config(config)?, &chain, &roots);
    }
    let socket = arguments.state.socket.clone().unwrap_or_default();
    told(ask(&socket, &Request::ImportIssuer { chain, roots })?)
}

pub(super) fn renew(arguments: &RenewArguments) -> Result<(), Failure> {
    let secret = |path: &Path| {
        let octets = private_file::read_secret(path).map_err(StateError::from)?;
        let text = String::from_utf8(octets.to_vec());
        let bad = |_| Failure::BadInput(path.to_path_buf(), "it is not PEM".into());
        Ok::<_, Failure>(Secret(text.map_err(bad)?))
    };
    let request = match (&arguments.chain, &arguments.roots, &arguments.key) {
        (Some(chain), Some(roots), Some(key)) => Request::ImportChain {
            chain: text(chain)?,
            roots: text(roots)?,
            key: secret(key)?,
        },
        _ => Request::NewRoot {
            key: arguments.root_key.as_deref().map(secret).transpose()?,
            seconds: arguments.valid_until.map(|days| u64::from(days) * DAY),
        },
    };
    told(ask(&arguments.target.socket, &request)?)
}

fn told(answer: Answer) -> Result<(), Failure> {
    match answer {
        Answer::Told(text) => orders::print(&text),
        other => Err(orders::unexpected(&other)),
    }
}

fn text(path: &Path) -> Result<String, Failure> {
    let octets = private_file::read_public(path).map_err(StateError::from)?;
    String::from_utf8(octets)
        .map_err(|_| Failure::BadInput(path.to_path_buf(), "it is not PEM".into()))
}

/// The state folder of a CA that has not begun.
fn unbegun(config: &CaConfig) -> Result<(StateFolder, std::path::PathBuf), Failure> {
    let folder = StateFolder::open(&config.state_dir)?;
    let file = folder.path().join("lifecycle.json");
    if file.exists() {
        let what =
            "the CA has begun already: run it, and name its administration socket with --socket";
        return Err(Failure::BadInput(file, what.into()));
    }
    Ok((folder, file))
}

/// The first issuer of a CA is somebody else's work.
fn begin_with(config: &CaConfig, chain: &str, roots: &str) -> Result<(), Failure> {
    let (folder, file) = unbegun(config)?;
    let custodian = custodian::open(&config.custody)?;
    let clock = Shared(Arc::new(Clocks::start(WallClock)));
    let terms = Terms {
        trust_domain: &config.trust_domain,
        now: clock.time(),
        longest_leaf_life: config.longest,
    };
    let requests = Requests::below(folder.path());
    let (own, home, done) =
        requests.take(&custodian, (chain.as_bytes(), roots.as_bytes()), &terms)?;
    let warnings: String = own
        .warnings
        .iter()
        .map(|warning| format!("{warning}\n"))
        .collect();
    let signer = Arc::new(signing::open(settings::signer(&config.signer))?);
    // before the state: a state without a ledger is one that was lost
    let ledger = folder.path().join(LEDGER);
    let key = checkpoint_key(&folder.path().join(KEY), ledger.exists())?;
    let options = Options::default();
    let book = Book::open(
        &ledger,
        &config.trust_domain,
        &key,
        &options,
        Arc::clone(&signer),
        clock.clone(),
    )?;
    let mut authorities = Authorities::open(&folder, &custodian)?;
    let mut founder = Founder {
        file: &file,
        trust_domain: &config.trust_domain,
        authorities: &mut authorities,
        custodian: &custodian,
        signer: &signer,
        settings: config.settings,
        clock: &clock,
    };
    let import = Import::of(own, home, config.longest).map_err(StartError::from)?;
    Lifecycle::begin(&mut founder, Beginning::Import(Box::new(import)))
        .map_err(StartError::from)?;
    drop(book);
    Requests::done(&done);
    orders::print(&warnings)
}
