//! A gRPC server whose identity and trust come from the Workload API that `SPIFFE_ENDPOINT_SOCKET` names.
//!
//! usage: `mirror-server ADDRESS CLIENT_ID`

use std::{env, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use credence_example::{
    Peer,
    mirror::mirror_server::{Mirror, MirrorServer},
};
use rustls::ServerConfig;
use spiffe::X509Source;
use spiffe_rustls::{LocalOnly, authorizer, mtls_server};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{
    Request, Response, Status,
    transport::server::{Connected, Server},
};

/// How long a peer may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().context("which address?")?;
    let client = arguments.next().context("which client may call?")?;

    // Waits until there is an identity, and keeps it new from then on.
    let source = X509Source::new().await?;
    let id = source.svid()?.spiffe_id().clone();
    let tls = mtls_server(source)
        .authorize(authorizer::exact([client])?)
        .trust_domain_policy(LocalOnly(id.trust_domain().clone()))
        .with_alpn_protocols([b"h2"])
        .build()?;

    let listener = TcpListener::bind(address).await?;
    println!("{id} serves on {}", listener.local_addr()?);
    Server::builder()
        .serve_with_incoming(MirrorServer::new(Answers), handshakes(listener, tls))
        .await?;
    Ok(())
}

/// Connections whose peer has shown who it is. One that hangs, or is refused, holds nobody else up.
fn handshakes(
    listener: TcpListener,
    tls: ServerConfig,
) -> impl tokio_stream::Stream<Item = Result<TlsStream<TcpStream>>> {
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let (accepted, connections) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((tcp, from)) = listener.accept().await {
            let (acceptor, accepted) = (acceptor.clone(), accepted.clone());
            tokio::spawn(async move {
                match timeout(HANDSHAKE, acceptor.accept(tcp)).await {
                    Ok(Ok(connection)) => drop(accepted.send(connection).await),
                    Ok(Err(error)) => eprintln!("refused: {from}: {error}"),
                    Err(_) => eprintln!("refused: {from}: its handshake takes too long"),
                }
            });
        }
    });
    ReceiverStream::new(connections).map(Ok)
}

struct Answers;

#[tonic::async_trait]
impl Mirror for Answers {
    async fn who_am_i(&self, request: Request<()>) -> Result<Response<String>, Status> {
        let peer = peer(&request).map_err(|error| Status::unauthenticated(error.to_string()))?;
        // TLS looks at a certificate once; a connection may stay open for longer than it is valid.
        if !peer.is_valid {
            return Err(Status::unauthenticated("your certificate has ended"));
        }
        Ok(Response::new(format!("{} {}", peer.id, peer.serial)))
    }
}

/// Who is at the other end of the connection that a request came on.
fn peer(request: &Request<()>) -> Result<Peer> {
    type Connection = <TlsStream<TcpStream> as Connected>::ConnectInfo;
    let connection = request.extensions().get::<Connection>();
    let chain = connection.and_then(Connection::peer_certs);
    let chain = chain.context("a connection without a certificate")?;
    Peer::read(chain.first().context("an empty chain")?)
}
