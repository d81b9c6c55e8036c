//! File descriptors: as many as the limits take, or limits that fit in what there is.

use crate::failure::Failure;
use credence_agent::Limits as AgentLimits;
use credence_service::plan::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

/// What is open beside connections: the ledger and its readers, the state's lock, sockets, what attestors ask of servers, files
/// that are looked at, administration.
const RESERVE: usize = 160;
/// With fewer connections than this a CA is none.
const LEAST_CONNECTIONS: usize = 64;
/// A connection to a Unix socket has its own descriptor, and one that holds the process at its other end.
const OF_A_LOCAL_CONNECTION: usize = 2;
/// Of what there is, one part in so many is for each HTTP listener, where there is too little.
const PART_OF_HTTP: usize = 16;

/// Raises the soft limit as far as the hard one lets it where that is needed, and bounds connections to what fits.
///
/// # Errors
/// If so few fit that it would be no use to start.
pub(crate) fn fit(limits: &mut Limits, http_listeners: usize) -> Result<(), Failure> {
    let wanted = needed(limits, http_listeners);
    let there = raised(wanted);
    if there >= wanted {
        return Ok(());
    }
    let (connections, http) = share(there, limits, http_listeners);
    if connections < LEAST_CONNECTIONS {
        return Err(Failure::Descriptors {
            there,
            least: least(http_listeners),
        });
    }
    warn!(
        there,
        wanted,
        connections,
        "fewer files may be open than the limits take: only so many connections are served at once, and others wait; \
         raise the hard limit to what is wanted (LimitNOFILE= in systemd, --ulimit nofile= in containers, ulimit -Hn), \
         or lower limits.connections"
    );
    limits.connections.connections = connections;
    limits.http.connections = http;
    Ok(())
}

/// The same for an agent: each of its sockets takes no more connections than there are descriptors for. Where its sockets take more
/// together, those that are too many wait in the kernel.
pub(crate) fn fit_agent(limits: &mut AgentLimits, sockets: usize) {
    let of_one = limits.connections.saturating_mul(OF_A_LOCAL_CONNECTION);
    let wanted = of_one.saturating_mul(sockets).saturating_add(RESERVE);
    let there = raised(wanted);
    let most = there.saturating_sub(RESERVE) / OF_A_LOCAL_CONNECTION;
    if most < limits.connections {
        warn!(
            there,
            connections = most,
            "fewer files may be open than a socket's limit takes: raise the hard limit (LimitNOFILE= in systemd, --ulimit nofile= in \
             containers, ulimit -Hn), or lower limits.connections"
        );
        limits.connections = most.max(1);
    }
}

/// What may be open after the soft limit was raised, if that was needed.
fn raised(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let count = |limit: Option<u64>| {
        limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        })
    };
    let (soft, hard) = (count(limit.current), count(limit.maximum));
    if soft >= wanted || soft >= hard {
        return soft;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => {
            info!(soft, hard, "the limit of open files is raised");
            hard
        }
        Err(error) => {
            warn!(soft, hard, %error, "the limit of open files cannot be raised");
            soft
        }
    }
}

fn needed(limits: &Limits, http_listeners: usize) -> usize {
    let http = limits.http.connections.saturating_mul(http_listeners);
    let connections = limits.connections.connections;
    connections.saturating_add(http).saturating_add(RESERVE)
}

/// How many connections fit, and how many of each HTTP listener.
fn share(there: usize, limits: &Limits, http_listeners: usize) -> (usize, usize) {
    let http = limits.http.connections.min(there / PART_OF_HTTP);
    let taken = http.saturating_mul(http_listeners).saturating_add(RESERVE);
    let connections = there.saturating_sub(taken);
    (limits.connections.connections.min(connections), http)
}

/// The fewest descriptors that will do.
fn least(http_listeners: usize) -> usize {
    let rest = PART_OF_HTTP.saturating_sub(http_listeners).max(1);
    ((RESERVE + LEAST_CONNECTIONS) * PART_OF_HTTP).div_ceil(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_out_is_never_more_than_there_is() {
        let limits = Limits::default();
        for listeners in 0..4 {
            assert!(share(least(listeners), &limits, listeners).0 >= LEAST_CONNECTIONS);
            assert!(share(least(listeners) - 16, &limits, listeners).0 < LEAST_CONNECTIONS);
            for there in [0, 100, 256, 300, 1_024, 4_096, 16_384, 1_000_000] {
                let (connections, http) = share(there, &limits, listeners);
                let all = connections + http * listeners + RESERVE;
                assert!(connections == 0 || all <= there, "{there} {listeners}");
                assert!(connections <= limits.connections.connections);
                assert!(http <= limits.http.connections);
            }
        }
    }

    #[test]
    fn what_is_needed_fits() {
        let limits = Limits::default();
        let all = (limits.connections.connections, limits.http.connections);
        assert_eq!(share(needed(&limits, 2), &limits, 2), all);
    }
}
