//! A Kubernetes API server that answers as a test scripts it, and a client's configuration for it.

use rustls::ServerConfig;
use rustls_pki_types::PrivatePkcs8KeyDer;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// What is asked: method and path, and the body.
type Script = dyn Fn(&str, &str) -> (u16, String) + Send + Sync;

/// It ends with this.
pub struct ApiServer {
    /// The client's configuration: `--kubeconfig`.
    pub kubeconfig: PathBuf,
    task: JoinHandle<()>,
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ApiServer {
    /// Answers whoever shows the token `own-token`. The script is given `METHOD PATH` and the body.
    pub async fn start(
        folder: &Path,
        script: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(folder.join("api.crt"), made.cert.pem()).unwrap();
        fs::write(folder.join("api.token"), "own-token").unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(accept(listener, config, Arc::new(script)));
        let kubeconfig = folder.join("kubeconfig");
        fs::write(&kubeconfig, client(port)).unwrap();
        Self { kubeconfig, task }
    }
}

fn client(port: u16) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: 'https://localhost:{port}', certificate-authority: api.crt}}}}]
users: [{{name: u, user: {{tokenFile: api.token}}}}]
"
    )
}

async fn accept(listener: TcpListener, config: ServerConfig, script: Arc<Script>) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, acceptor.clone(), Arc::clone(&script)));
    }
}

async fn answer(stream: TcpStream, acceptor: TlsAcceptor, script: Arc<Script>) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let (head, body) = request(&mut stream).await;
    let (first, rest) = head.split_once("\r\n").unwrap();
    let what = first.strip_suffix(" HTTP/1.1").unwrap();
    let known = rest.contains("authorization: Bearer own-token");
    let (status, text) = match known {
        true => script(what, &body),
        false => (401, String::new()),
    };
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let _ = stream.shutdown().await;
}

async fn request(stream: &mut (impl AsyncRead + Unpin)) -> (String, String) {
    let mut octets = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&octets).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                break;
            }
        }
        if stream.read_buf(&mut octets).await.unwrap() == 0 {
            break;
        }
    }
    let text = String::from_utf8(octets).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}
