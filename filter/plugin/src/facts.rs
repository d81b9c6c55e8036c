//! What the enforcing code asks, answered by Envoy.

use std::net::{IpAddr, SocketAddr};

use credence_enforce::{
    ConnectionId, Millis,
    ports::{
        Answer, ConnectionFacts, Facts, OutboundFacts, RequestFacts, Set, Shared, Stored,
        Unreadable,
    },
};

use crate::host::{self, property};

impl From<host::Failed> for Unreadable {
    fn from(_: host::Failed) -> Self {
        Self
    }
}

/// The context that a callback is for, or the effective one.
pub(crate) struct Host;

pub(crate) fn now() -> Answer<Millis> {
    Ok(Millis::from_nanoseconds(host::now()?))
}

/// The number of the connection, if there is one that can be read.
pub(crate) fn connection_id() -> Option<ConnectionId> {
    let bytes = host::property(property::CONNECTION).ok()??;
    ConnectionId::from_bytes(&bytes)
}

/// Where the connection comes from. In the network role it is the connection's own; in an HTTP role it could be
/// what a header says.
pub(crate) fn source() -> Option<IpAddr> {
    let text = host::property(property::SOURCE).ok()??;
    let address: SocketAddr = std::str::from_utf8(&text).ok()?.parse().ok()?;
    Some(address.ip().to_canonical())
}

fn read(path: &[u8]) -> Answer<Option<Vec<u8>>> {
    Ok(host::property(path)?)
}

fn header(name: &str) -> Answer<Option<Vec<u8>>> {
    Ok(host::request_header(name)?)
}

impl ConnectionFacts for Host {
    fn peer_digest(&mut self) -> Answer<Option<Vec<u8>>> {
        read(property::PEER_DIGEST)
    }

    fn is_mtls(&mut self) -> Answer<bool> {
        // Envoy writes a boolean property as one byte.
        Ok(read(property::MTLS)?.as_deref() == Some(&[1]))
    }

    fn is_tls(&mut self) -> Answer<bool> {
        Ok(read(property::TLS_VERSION)?.is_some())
    }

    fn peer_pem(&mut self) -> Answer<Option<Vec<u8>>> {
        read(property::PEER_PEM)
    }

    fn port(&mut self) -> Answer<Option<u16>> {
        // Envoy writes a number as 8 bytes.
        let bytes = read(property::PORT)?;
        let number = bytes.and_then(|bytes| Some(i64::from_le_bytes(bytes.try_into().ok()?)));
        Ok(number.and_then(|number| number.try_into().ok()))
    }

    fn now(&mut self) -> Answer<Millis> {
        now()
    }
}

impl RequestFacts for Host {
    type Error = Unreadable;

    fn method(&mut self) -> Answer<Option<Vec<u8>>> {
        header(":method")
    }

    fn path(&mut self) -> Answer<Option<Vec<u8>>> {
        header(":path")
    }

    fn host(&mut self) -> Answer<Option<Vec<u8>>> {
        header(":authority")
    }
}

impl Facts for Host {
    fn connection_id(&mut self) -> Answer<Option<Vec<u8>>> {
        read(property::CONNECTION)
    }
}

impl OutboundFacts for Host {
    fn route(&mut self) -> Answer<Option<Vec<u8>>> {
        read(property::ROUTE)
    }

    fn cluster(&mut self) -> Answer<Option<Vec<u8>>> {
        read(property::CLUSTER)
    }

    fn server_digest(&mut self) -> Answer<Option<Vec<u8>>> {
        read(property::SERVER_DIGEST)
    }

    fn server_pem(&mut self) -> Answer<Option<Vec<u8>>> {
        read(property::SERVER_PEM)
    }

    fn is_from_server(&mut self) -> Answer<bool> {
        Ok(read(property::RESPONSE_DETAILS)?.as_deref() == Some(b"via_upstream"))
    }

    fn now(&mut self) -> Answer<Millis> {
        now()
    }
}

impl Shared for Host {
    fn get(&mut self, key: &str) -> Answer<Option<Stored>> {
        let found = host::shared_data(key)?;
        Ok(found.map(|(value, cas)| Stored { value, cas }))
    }

    fn put(&mut self, key: &str, value: &[u8]) -> Answer<()> {
        host::set_shared_data(key, value, 0)?;
        Ok(())
    }

    fn set(&mut self, key: &str, value: &[u8], cas: u32) -> Answer<Set> {
        Ok(match host::set_shared_data(key, value, cas)? {
            true => Set::Done,
            false => Set::Raced,
        })
    }
}
