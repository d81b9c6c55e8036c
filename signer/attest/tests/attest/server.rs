//! A TLS server on loopback that answers as a test scripts it.

use crate::certs::Authority;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use std::{
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
}

pub(crate) type Reply = (u16, String);
type Pending = Pin<Box<dyn Future<Output = Reply> + Send>>;
type Script = dyn Fn(Asked) -> Pending + Send + Sync;

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) ca_file: PathBuf,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers at once.
    pub(crate) async fn start(script: impl Fn(Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(move |asked| {
            let reply = script(asked);
            Box::pin(async move { reply })
        })
        .await
    }

    /// Answers when the script is ready to.
    pub(crate) async fn with(script: impl Fn(Asked) -> Pending + Send + Sync + 'static) -> Self {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, authority.pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let acceptor = TlsAcceptor::from(Arc::new(config(&authority)));
        let task = tokio::spawn(accept(
            listener,
            acceptor,
            Arc::new(script),
            Arc::clone(&asked),
        ));
        Self {
            url: format!("https://localhost:{port}"),
            ca_file,
            asked,
            task,
            _folder: folder,
        }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn config(authority: &Authority) -> ServerConfig {
    let (chain, key) = authority.server();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    script: Arc<Script>,
    asked: Arc<Mutex<Vec<Asked>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, script, asked) = (acceptor.clone(), Arc::clone(&script), Arc::clone(&asked));
        tokio::spawn(async move {
            // a client that does not trust us hangs up: that is what some tests are about
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(|request| answer(request, &script, &asked));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = connection.await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    script: &Arc<Script>,
    asked: &Arc<Mutex<Vec<Asked>>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let authorization = parts.headers.get("authorization");
    let question = Asked {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        authorization: authorization.map(|value| value.to_str().unwrap().to_owned()),
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    asked.lock().unwrap().push(question.clone());
    let (status, text) = script(question).await;
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if status == 302 {
        let elsewhere = "/elsewhere".parse().unwrap();
        response.headers_mut().insert("location", elsewhere);
    }
    Ok(response)
}
