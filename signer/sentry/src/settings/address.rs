//! Where something listens, as Go writes it: an address, a name, or nothing for all addresses.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
#[cfg(feature = "serve")]
use tokio::net::TcpListener;
use tokio::net::lookup_host;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    All,
    Address(IpAddr),
    Name(String),
}

/// Not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is neither an address nor a host's name")]
pub struct ListenError;

impl Listen {
    /// Reads what a flag says.
    ///
    /// # Errors
    /// If it is neither an IP address nor a name.
    pub fn new(host: &str, port: u16) -> Result<Self, ListenError> {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let host = match bare.parse() {
            _ if host.is_empty() => Host::All,
            Ok(address) => Host::Address(address),
            Err(_) if is_name(host) => Host::Name(host.to_owned()),
            Err(_) => return Err(ListenError),
        };
        Ok(Self { host, port })
    }

    /// Listens. All addresses are those of IPv6 and IPv4, or of IPv4 where there is no IPv6; of a name's addresses the first that can be
    /// had is taken, IPv4 before IPv6, as Go does it.
    ///
    /// # Errors
    /// If none can be had; with the last reason.
    #[cfg(feature = "serve")]
    pub async fn bind(&self) -> io::Result<TcpListener> {
        let mut why = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in self.candidates().await? {
            match credence_daemon::grpc::bind(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// The addresses, in the order in which they are tried.
    ///
    /// # Errors
    /// If a name cannot be looked up.
    pub async fn candidates(&self) -> io::Result<Vec<SocketAddr>> {
        let at = |address| SocketAddr::new(address, self.port);
        Ok(match &self.host {
            Host::All => vec![
                at(Ipv6Addr::UNSPECIFIED.into()),
                at(Ipv4Addr::UNSPECIFIED.into()),
            ],
            Host::Address(address) => vec![at(*address)],
            Host::Name(name) => {
                let mut found: Vec<_> = lookup_host((name.as_str(), self.port)).await?.collect();
                found.sort_by_key(SocketAddr::is_ipv6);
                found
            }
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::All => write!(f, ":{}", self.port),
            Host::Address(address) => SocketAddr::new(*address, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

pub(super) fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
    };
    text.len() <= 253 && text.trim_end_matches('.').split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_a_name_or_nothing() {
        for (host, shown) in [
            ("", ":1"),
            ("127.0.0.1", "127.0.0.1:1"),
            ("::1", "[::1]:1"),
            ("[::1]", "[::1]:1"),
            ("localhost", "localhost:1"),
            ("a.b-c.test.", "a.b-c.test.:1"),
        ] {
            assert_eq!(Listen::new(host, 1).unwrap().to_string(), shown);
        }
        for bad in [
            " ",
            "a b",
            "a:1",
            "..",
            "a/b",
            "[::1",
            "-a\0",
            &"x".repeat(300),
        ] {
            assert_eq!(Listen::new(bad, 1), Err(ListenError), "{bad}");
        }
    }

    #[cfg(feature = "serve")]
    #[tokio::test]
    async fn it_listens_where_it_says() {
        let port = |host: &str| {
            let listen = Listen::new(host, 0).unwrap();
            async move {
                listen
                    .bind()
                    .await
                    .map(|socket| socket.local_addr().unwrap())
            }
        };
        assert!(port("127.0.0.1").await.unwrap().ip().is_loopback());
        assert!(port("localhost").await.unwrap().is_ipv4());
        let taken = port("127.0.0.1").await.unwrap();
        let held = TcpListener::bind(taken).await.unwrap();
        let again = Listen::new("127.0.0.1", taken.port()).unwrap();
        assert!(again.bind().await.is_err());
        drop(held);
        assert!(port("192.0.2.1").await.is_err());
    }
}
