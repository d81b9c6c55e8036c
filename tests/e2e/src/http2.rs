//! HTTP/2 that sees how a connection ends.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{Request, Uri};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::{client::Tls, http1::Answer};

/// The longest that one answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A connection.
#[derive(Debug)]
pub struct Http2 {
    sender: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

/// A request under way.
#[derive(Debug)]
pub struct Pending(ResponseFuture);

impl Http2 {
    /// HTTP/2 over a connection.
    ///
    /// # Errors
    /// If it breaks.
    pub async fn over(tls: Tls) -> Result<Self> {
        let (sender, connection) = h2::client::handshake(tls).await?;
        let driver = tokio::spawn(connection);
        Ok(Self { sender, driver })
    }

    /// Sends a GET.
    ///
    /// # Errors
    /// If the connection takes no more requests.
    pub async fn start(&mut self, path: &str) -> Result<Pending> {
        self.send("GET", path, &[]).await
    }

    /// Sends a request without a body.
    ///
    /// # Errors
    /// If the connection takes no more requests.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &[u8])],
    ) -> Result<Pending> {
        let uri = Uri::builder().scheme("https").authority("server.test");
        let uri = uri.path_and_query(path).build()?;
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sender = self.sender.clone();
        let mut sender = timeout(LIMIT, sender.ready()).await??;
        let (response, _) = sender.send_request(request.body(())?, true)?;
        Ok(Pending(response))
    }

    /// GET, and the whole answer.
    ///
    /// # Errors
    /// If the connection breaks or there is no answer within ten seconds.
    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        self.start(path).await?.answer().await
    }

    /// Waits until the server has said, by GOAWAY without an error, that it takes no more requests.
    ///
    /// # Errors
    /// If it does not within `limit`, or the connection ends otherwise.
    pub async fn goaway(&self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            match self.sender.clone().ready().await {
                Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(error) => {
                    let graceful = error.reason() == Some(h2::Reason::NO_ERROR);
                    ensure!(
                        error.is_go_away() && error.is_remote() && graceful,
                        "no GOAWAY, but: {error}"
                    );
                    return Ok(());
                }
            }
        }
        bail!("no GOAWAY within {limit:?}")
    }

    /// Waits until the connection has ended; gives how long it took.
    ///
    /// # Errors
    /// If it does not within `limit`.
    pub async fn closed(self, limit: Duration) -> Result<Duration> {
        let start = Instant::now();
        // The sender stays: h2 would end a connection that nobody can use any more by itself.
        let ended = timeout(limit, self.driver).await;
        drop(self.sender);
        // How it ended is up to the server; that it did is what is asked.
        drop(ended.with_context(|| format!("still open after {limit:?}"))??);
        Ok(start.elapsed())
    }
}

impl Pending {
    /// The whole answer.
    ///
    /// # Errors
    /// If the connection breaks or there is no answer within ten seconds.
    pub async fn answer(self) -> Result<Answer> {
        timeout(LIMIT, read(self.0))
            .await
            .context("no answer in time")?
    }
}

async fn read(response: ResponseFuture) -> Result<Answer> {
    let (head, mut body) = response.await?.into_parts();
    let mut octets = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        octets.extend(chunk);
    }
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    Ok(Answer {
        status: head.status.as_u16(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&octets).into_owned(),
    })
}
