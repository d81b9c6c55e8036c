//! How many connections each address and each user has, and how many of them may be at their handshake.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Semaphore;

/// Where connections come from, as far as they are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// An address, or for IPv6 a /64.
    Address(IpAddr),
    /// A user of this host.
    User(u32),
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self::Address(site(address))
    }
}

/// Connections by origin. There are as many entries as connections at most.
#[derive(Debug)]
pub(super) struct Addresses {
    most: usize,
    handshakes: usize,
    open: Mutex<HashMap<Origin, Site>>,
}

/// What there is of one origin.
#[derive(Debug)]
struct Site {
    connections: usize,
    handshakes: Arc<Semaphore>,
}

impl Addresses {
    /// So many connections of one origin, and so many handshakes.
    pub(super) fn new(most: usize, handshakes: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            handshakes: handshakes.clamp(1, Semaphore::MAX_PERMITS),
            open: Mutex::default(),
        })
    }

    /// A place for one more connection from there, if it may have one.
    pub(super) fn enter(self: &Arc<Self>, from: impl Into<Origin>) -> Option<Place> {
        let origin = from.into();
        let mut open = self.open();
        let here = open.entry(origin).or_insert_with(|| Site {
            connections: 0,
            handshakes: Arc::new(Semaphore::new(self.handshakes)),
        });
        if here.connections >= self.most {
            return None;
        }
        here.connections += 1;
        Some(Place {
            handshakes: Arc::clone(&here.handshakes),
            addresses: Arc::clone(self),
            origin,
        })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Origin, Site>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever has an IPv6 address has its whole /64 as a rule.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Place {
    addresses: Arc<Addresses>,
    origin: Origin,
    handshakes: Arc<Semaphore>,
}

impl Place {
    /// Where connections of this address take their turns at the handshake: slow ones hold up their own neighbours first.
    pub(super) fn handshakes(&self) -> &Arc<Semaphore> {
        &self.handshakes
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.addresses.open();
        if let Some(here) = open.get_mut(&self.origin) {
            here.connections = here.connections.saturating_sub(1);
            if here.connections == 0 {
                open.remove(&self.origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_and_no_more() {
        let addresses = Addresses::new(2, 1);
        let [a, b]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let first = addresses.enter(a).unwrap();
        let second = addresses.enter(a).unwrap();
        assert!(addresses.enter(a).is_none());
        assert!(addresses.enter(b).is_some());
        assert!(addresses.enter(Origin::User(0)).is_some());
        drop(first);
        assert!(addresses.enter(a).is_some());
        drop(second);
        assert!(addresses.open().is_empty());
    }

    #[test]
    fn an_ipv6_site_is_one_address_and_a_mapped_one_is_its_ipv4() {
        let [a, b, c, mapped] = [
            "2001:db8::1",
            "2001:db8::ffff:2",
            "2001:db8:0:1::1",
            "::ffff:192.0.2.1",
        ]
        .map(|text| site(text.parse().unwrap()));
        assert_eq!(a, b);
        assert_ne!(a, c);
        assert_eq!(mapped, "192.0.2.1".parse::<IpAddr>().unwrap());
    }
}
