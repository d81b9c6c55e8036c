//! A gRPC client whose identity and trust come from the Workload API that `SPIFFE_ENDPOINT_SOCKET` names. It calls a hundred
//! times a second, and says of each call what came of it.
//!
//! usage: `mirror-client ADDRESS SERVER_ID`

use std::{env, io, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use credence_example::{Peer, mirror::mirror_client::MirrorClient};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use spiffe::X509Source;
use spiffe_rustls::{LocalOnly, TlsStatus, authorizer, mtls_client};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{interval, sleep},
};
use tokio_rustls::TlsConnector;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tower::service_fn;

/// Between two calls.
const PAUSE: Duration = Duration::from_millis(10);
/// Before a connection that failed is tried again.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long a call may take.
const LIMIT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().context("which address?")?;
    let server = arguments.next().context("which server should that be?")?;

    // Waits until there is an identity, and keeps it new from then on.
    let source = X509Source::new().await?;
    let trust_domain = source.svid()?.spiffe_id().trust_domain().clone();
    let (tls, rotations) = mtls_client(source)
        .authorize(authorizer::exact([server])?)
        .trust_domain_policy(LocalOnly(trust_domain))
        .with_alpn_protocols([b"h2"])
        .build_with_status()?;

    let dialer = Dialer {
        address,
        tls: TlsConnector::from(Arc::new(tls)),
    };
    let (newest, connection) = watch::channel(dialer.connect().await?);
    tokio::spawn(follow(rotations, dialer, newest));
    let mut ticks = interval(PAUSE);
    loop {
        ticks.tick().await;
        let connection = connection.borrow().clone();
        tokio::spawn(async move {
            match connection.call().await {
                Ok(me) => println!("ok: {} {} answers {me}", connection.id, connection.serial),
                Err(status) => println!("FAILED: {status}"),
            }
        });
    }
}

/// Opens a new connection whenever there is a new certificate, and hands it over once it has proved good: until then the old one
/// serves. Calls that are under way on that end there.
async fn follow(mut rotations: TlsStatus, dialer: Dialer, newest: watch::Sender<Connection>) {
    while rotations.changed().await.is_ok() {
        newest.send_replace(dialer.connect_at_last().await);
    }
}

/// A way to the server, and who was there.
#[derive(Clone)]
struct Connection {
    client: MirrorClient<Channel>,
    id: String,
    serial: String,
}

impl Connection {
    async fn call(&self) -> Result<String, Status> {
        let answer = self.client.clone().who_am_i(()).await?;
        Ok(answer.into_inner())
    }
}

/// Makes connections.
struct Dialer {
    address: String,
    tls: TlsConnector,
}

impl Dialer {
    /// Tries until it has one.
    async fn connect_at_last(&self) -> Connection {
        loop {
            match self.connect().await {
                Ok(connection) => return connection,
                Err(error) => eprintln!("tried again soon: {error:#}"),
            }
            sleep(PATIENCE).await;
        }
    }

    /// One that a call has gone over already. Under TLS 1.3 a client is done before the server has looked at its certificate: only
    /// an answer says that it is let in.
    async fn connect(&self) -> Result<Connection> {
        let tcp = TcpStream::connect(&self.address).await?;
        // rustls wants a name; what counts is the SPIFFE ID
        let name = ServerName::from(tcp.peer_addr()?.ip());
        let tls = self.tls.connect(name, tcp).await?;
        let chain = tls.get_ref().1.peer_certificates();
        let peer = chain.and_then(<[_]>::first).context("no certificate")?;
        let peer = Peer::read(peer)?;

        let mut once = Some(TokioIo::new(tls));
        let channel = Endpoint::from_shared(format!("http://{}", self.address))?
            .timeout(LIMIT)
            .connect_with_connector(service_fn(move |_| {
                std::future::ready(once.take().ok_or_else(|| io::Error::other("closed")))
            }))
            .await?;
        let connection = Connection {
            client: MirrorClient::new(channel),
            id: peer.id,
            serial: peer.serial,
        };
        connection.call().await?;
        Ok(connection)
    }
}
