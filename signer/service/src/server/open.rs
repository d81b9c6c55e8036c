//! All that blocks: the state is opened, a CA founded if there is none, the lifecycle started.

use super::{
    StartError,
    found::{Found, is_written, not_a_ca},
};
use crate::{
    book::{Book, KEY, checkpoint_key},
    current::Current,
    lifecycle::{Beginning, Founder, Import, Lifecycle, Parts, Places},
    lists::Lists,
    plan::Plan,
    publication::Publication,
    revocations::Revocations,
    tokens::Tokens,
};
use credence_host::{authorities::Authorities, chain::Watch, state::StateFolder};
use std::{sync::Arc, time::Duration};

/// What is open, before it is served.
pub(super) struct Core {
    pub(super) folder: StateFolder,
    pub(super) book: Arc<Book>,
    pub(super) current: Arc<Current>,
    pub(super) places: Arc<Places>,
    pub(super) publication: Arc<Publication>,
    pub(super) revocations: Arc<Revocations>,
    pub(super) lists: Arc<Lists>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) files: Option<Watch>,
}

/// All that blocks.
pub(super) fn open(plan: &mut Plan) -> Result<Core, StartError> {
    let folder = StateFolder::open(&plan.state)?;
    let found = Found::look(&folder, plan)?;
    let (has_ledger, file) = (found.ledger.exists(), found.lifecycle);
    let key = checkpoint_key(&folder.path().join(KEY), has_ledger)?;
    let (signer, clock) = (Arc::clone(&plan.signer), plan.clock.clone());
    let (mut brought, files) = bring(plan, found.fresh)?;
    let mut authorities = Authorities::open(&folder, &plan.custodian)?;
    if found.ledger_lost {
        tracing::error!(
            "another ledger is begun: what was revoked is not known, nor which leaves live; gates stay shut for the longest life of a leaf"
        );
        Lifecycle::ledger_lost(&file, &clock)?;
    }
    let book = Book::open(
        &found.ledger,
        &plan.trust_domain,
        &key,
        &plan.ledger,
        Arc::clone(&signer),
        clock.clone(),
    )?;
    let book = Arc::new(book);
    let reader = book.reader()?;
    if found.fresh {
        if is_written(&reader) {
            return Err(not_a_ca(&folder));
        }
        let mut founder = Founder {
            file: &file,
            trust_domain: &plan.trust_domain,
            authorities: &mut authorities,
            custodian: &plan.custodian,
            signer: &signer,
            settings: plan.settings,
            clock: &clock,
        };
        let beginning = brought
            .take()
            .map_or(Beginning::Found, |chain| Beginning::Import(Box::new(chain)));
        Lifecycle::begin(&mut founder, beginning)?;
        tracing::info!(trust_domain = %plan.trust_domain, "a new CA begins");
    }
    if let Err(error) = book.module() {
        tracing::error!(%error, "the signing module is not on record yet");
    }
    let (current, places) = (Arc::<Current>::default(), Arc::<Places>::default());
    let revocations = Arc::new(Revocations::read(&reader)?);
    let numbers = folder.path().join("revocations.json");
    let lists = Lists::open(numbers, Arc::clone(&revocations), clock.clone())?;
    let lists = Arc::new(lists);
    let tokens = Arc::new(Tokens::read(Arc::clone(&book), &reader, clock.clone())?);
    let domain = plan.trust_domain.trust_domain().clone();
    let publication = Arc::new(Publication::new(
        domain,
        Arc::clone(&places),
        Arc::clone(&lists),
    ));
    let parts = Parts {
        file,
        trust_domain: plan.trust_domain.clone(),
        further_domains: plan.further_domains.clone(),
        authorities,
        custodian: std::mem::take(&mut plan.custodian),
        signer: Arc::clone(&plan.signer),
        book: Arc::clone(&book),
        places: Arc::clone(&places),
        revocations: Arc::clone(&revocations),
        lists: Arc::clone(&lists),
        publication: Arc::clone(&publication),
        current: Arc::clone(&current),
        backdate: plan.backdate,
        dns_templates: plan.dns_templates.clone(),
        clock,
    };
    let lifecycle = Arc::new(Lifecycle::start(parts, plan.settings, brought)?);
    Ok(Core {
        folder,
        book,
        current,
        places,
        publication,
        revocations,
        lists,
        tokens,
        lifecycle,
        files,
    })
}

/// The chain in somebody else's files, and what looks at them from then on.
fn bring(plan: &Plan, fresh: bool) -> Result<(Option<Import>, Option<Watch>), StartError> {
    let Some(chain) = &plan.chain else {
        return Ok((None, None));
    };
    // one that is in use already may be near its end
    let longest = if fresh && !chain.near_its_end {
        plan.settings.terms().longest_leaf_life
    } else {
        Duration::ZERO
    };
    let loaded = chain.load(&plan.trust_domain, plan.clock.time(), longest)?;
    let watch = Watch::new(chain.layout.clone(), chain.reading.clone(), Some(&loaded));
    Ok((Some(chain.import(loaded)?), Some(watch)))
}
