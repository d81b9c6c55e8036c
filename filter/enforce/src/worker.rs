//! What all configurations of one worker share: its clock, its connections, its counts.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    rc::Rc,
};

use crate::{
    certificate::{Certificate, Certificates, Digest},
    closing::Cause,
    connections::{Close, ConnectionId, Generation, Table, Terms, Watch},
    deny::DenyList,
    ledger::Ledger,
    names::{Protocol, Side, closed, decided, plaintext},
    ports::{Answer, ConnectionFacts, Meters, Shared},
    reason::{Flow, Reason},
    tally::{Positions, Tally},
    time::Millis,
};

/// A sweep comes no earlier than this after the one before, whichever configuration ticks.
const SWEEP_MS: u64 = 200;
/// The same for what is done once a second; ticks come every 250 ms and a little.
const REPORT_MS: u64 = 950;
/// Servers' certificates that count as in use.
const MAX_SERVERS_IN_USE: usize = 1024;
/// Milliseconds after its last response for which a server's certificate counts as in use.
const SERVER_IN_USE_MS: u64 = 60_000;

/// What a worker's VM has once.
#[derive(Debug, Default)]
pub struct Worker {
    now: Option<Millis>,
    last_sweep: Option<Millis>,
    last_report: Option<Millis>,
    generation: Generation,
    pub(crate) certificates: Certificates,
    pub(crate) servers: Certificates,
    servers_in_use: HashMap<Digest, (Rc<Certificate>, Millis)>,
    pub(crate) connections: Table,
    /// Contexts of connections without a number, or beyond the bound: they are closed.
    strays: Vec<u32>,
    pub(crate) deny: DenyList,
    pub(crate) ledger: Ledger,
    tally: Tally,
    inbound: Positions,
    outbound: Positions,
    network: Positions,
    plain: Positions,
}

impl Worker {
    /// The clock was read, or could not be: then it is read again when it is needed.
    pub fn set_clock(&mut self, now: Answer<Millis>) {
        self.now = now.ok();
    }

    /// What time it is, as of the last tick.
    pub(crate) fn now(&mut self, read: impl FnOnce() -> Answer<Millis>) -> Answer<Millis> {
        match self.now {
            Some(now) => Ok(now),
            None => Ok(*self.now.insert(read()?)),
        }
    }

    /// What time it is, to the millisecond.
    pub(crate) fn exact_now(&mut self, read: impl FnOnce() -> Answer<Millis>) -> Answer<Millis> {
        Ok(*self.now.insert(read()?))
    }

    pub(crate) fn next_generation(&mut self) -> Generation {
        self.generation.next()
    }

    pub(crate) fn configure_metrics(&mut self, peers: usize, roots: &BTreeMap<String, String>) {
        self.ledger.configure(peers, roots);
    }

    /// The deny list in force.
    #[must_use]
    pub fn deny_list(&self) -> &DenyList {
        &self.deny
    }

    /// Takes a deny list if its number is higher; whether it did.
    pub fn offer_deny_list(&mut self, list: DenyList) -> bool {
        self.deny.offer(list)
    }

    /// Takes a higher deny list from the other workers, or gives them this one's; whether one was taken.
    ///
    /// # Errors
    /// If the host fails: the list stays as it is.
    pub fn sync_deny_list(&mut self, shared: &mut impl Shared) -> Answer<bool> {
        self.deny.sync(shared)
    }

    /// Counts.
    pub(crate) fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// Counts a decision.
    pub fn count(&mut self, flow: Flow, reason: Reason) {
        let counts = match flow {
            Flow::Inbound => &mut self.inbound,
            Flow::Outbound => &mut self.outbound,
            Flow::Connection => &mut self.network,
        };
        counts.add(reason.index());
    }

    /// Counts what went without identity.
    pub(crate) fn count_plaintext(&mut self, protocol: Protocol) {
        self.plain.add(protocol as usize);
    }

    /// The counters that are there from the start, whichever the role.
    pub fn counters() -> impl Iterator<Item = String> {
        Cause::ALL.into_iter().map(closed)
    }

    /// Hands over what was counted.
    pub fn flush(&mut self, meters: &mut impl Meters) {
        for (flow, counts) in [
            (Flow::Inbound, &mut self.inbound),
            (Flow::Outbound, &mut self.outbound),
            (Flow::Connection, &mut self.network),
        ] {
            counts.drain(&mut self.tally, |at| {
                let reason = Reason::all().nth(at).unwrap_or(Reason::HostFailure);
                decided(flow, reason)
            });
        }
        self.plain.drain(&mut self.tally, |at| {
            let protocol = Protocol::ALL.get(at).copied().unwrap_or(Protocol::Http);
            plaintext(protocol).to_owned()
        });
        self.tally.flush(meters);
    }

    /// A new connection that the network role watches. False: it must not be let on, and is closed.
    pub fn open(
        &mut self,
        context: u32,
        id: Option<ConnectionId>,
        source: Option<IpAddr>,
        terms: Terms,
    ) -> bool {
        let watch = Watch::new(context, terms, source);
        let taken = id.is_some_and(|id| self.connections.open(id, watch));
        if !taken {
            self.strays.push(context);
        }
        taken
    }

    /// A connection that the network role watched has ended.
    pub fn end(&mut self, id: Option<ConnectionId>, context: u32) {
        if let Some(id) = id {
            self.connections.end(id, context);
        }
        self.strays.retain(|stray| *stray != context);
    }

    /// Whether a sweep is due; then, what the sweep has to know first: connections whose peer is not known yet,
    /// with their contexts.
    pub fn begin_sweep(&mut self) -> Option<Vec<(ConnectionId, u32)>> {
        let now = self.now?;
        is_due(&mut self.last_sweep, SWEEP_MS, now).then(|| self.connections.curious())
    }

    /// Looks at a connection from outside its callbacks; its peer's certificate if it shows one by now.
    ///
    /// # Errors
    /// If the host does not say.
    pub fn look(
        &mut self,
        id: ConnectionId,
        facts: &mut impl ConnectionFacts,
    ) -> Answer<Option<Rc<Certificate>>> {
        self.connections.look(id, &mut self.certificates, facts)
    }

    /// Connections that are to be closed now, with the host's contexts; and contexts of strays.
    pub fn sweep(&mut self) -> (Vec<Close>, Vec<u32>) {
        let Some(now) = self.now else {
            return (Vec::new(), Vec::new());
        };
        self.servers_in_use
            .retain(|_, (_, used)| now.since(*used).is_none_or(|ms| ms <= SERVER_IN_USE_MS));
        (self.connections.sweep(now, &self.deny), self.strays.clone())
    }

    /// The host took the order to close a connection.
    pub fn asked_to_close(&mut self, close: &Close) {
        if let Some(cause) = close.cause {
            self.tally.add(closed(cause), 1);
        }
        self.connections.asked(close.id);
    }

    /// The host took the order to close a stray.
    pub fn asked_to_close_stray(&mut self, context: u32) {
        self.strays.retain(|stray| *stray != context);
        self.tally.add(closed(Cause::Refused), 1);
    }

    /// A server presented this certificate with a response.
    pub(crate) fn server_in_use(&mut self, certificate: &Rc<Certificate>, now: Millis) {
        let digest = certificate.digest();
        if self.servers_in_use.len() < MAX_SERVERS_IN_USE
            || self.servers_in_use.contains_key(&digest)
        {
            let use_ = (Rc::clone(certificate), now);
            self.servers_in_use.insert(digest, use_);
        }
    }

    /// What a tick does about certificates: looks up those that are new here and, once a second, tells the
    /// other workers and sets the gauges.
    ///
    /// # Errors
    /// If the host fails; the rest is done at the next tick.
    pub fn keep_ledger(
        &mut self,
        shared: &mut impl Shared,
        meters: &mut impl Meters,
    ) -> Answer<()> {
        self.ledger.look_up(shared, &mut self.tally, meters)?;
        let Some(now) = self.now else {
            return Ok(());
        };
        if !is_due(&mut self.last_report, REPORT_MS, now) {
            return Ok(());
        }
        let peers = self.connections.certificates();
        let servers = self
            .servers_in_use
            .values()
            .map(|(certificate, _)| certificate);
        let in_use = peers
            .map(|certificate| (Side::Peer, certificate))
            .chain(servers.map(|certificate| (Side::Server, certificate)));
        self.ledger.report(in_use, now, shared, meters)
    }
}

/// Whether so many milliseconds have gone by since the last time; if so, this is the last time now.
fn is_due(last: &mut Option<Millis>, ms: u64, now: Millis) -> bool {
    let due = match *last {
        Some(last) => now.since(last).is_none_or(|since| since >= ms),
        None => true,
    };
    if due {
        *last = Some(now);
    }
    due
}
