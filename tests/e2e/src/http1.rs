//! HTTP/1.1 to the octet: what is sent is what a test writes, and the connection's end is seen.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

/// The longest that one answer may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest head that is read.
const LONGEST_HEAD: usize = 128 * 1024;

/// A connection.
#[derive(Debug)]
pub struct Http1<S> {
    stream: S,
    unread: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, the names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body as text.
    pub body: String,
}

impl Answer {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Http1<TcpStream> {
    /// Connects in plain text.
    ///
    /// # Errors
    /// If nobody listens there.
    pub async fn plain(address: SocketAddr) -> Result<Self> {
        Ok(Self::over(TcpStream::connect(address).await?))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http1<S> {
    /// HTTP/1.1 over a connection.
    pub fn over(stream: S) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// What it is over.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// GET, and the whole answer.
    ///
    /// # Errors
    /// If the connection breaks or there is no answer within ten seconds.
    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        self.request("GET", path, &[]).await
    }

    /// A request without a body, and the whole answer.
    ///
    /// # Errors
    /// As [`Http1::get`].
    pub async fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &[u8])],
    ) -> Result<Answer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
        if !headers.iter().any(|(name, _)| *name == "host") {
            request.extend(b"host: server.test\r\n");
        }
        for (name, value) in headers {
            request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        request.extend(b"\r\n");
        self.stream.write_all(&request).await?;
        self.answer().await
    }

    /// Reads the next answer.
    ///
    /// # Errors
    /// As [`Http1::get`].
    pub async fn answer(&mut self) -> Result<Answer> {
        timeout(LIMIT, self.read_answer())
            .await
            .context("no answer in time")?
    }

    async fn read_answer(&mut self) -> Result<Answer> {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at + 4;
            }
            ensure!(self.unread.len() < LONGEST_HEAD, "the head does not end");
            self.more().await?;
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let (status, headers) = parse(&String::from_utf8_lossy(&head))?;
        let mut answer = Answer {
            status,
            headers,
            body: String::new(),
        };
        let length: usize = match answer.header("content-length") {
            Some(length) => length.parse()?,
            None if status == 204 || status == 304 => 0,
            None => bail!("an answer of unknown length: {answer:?}"),
        };
        while self.unread.len() < length {
            self.more().await?;
        }
        let body: Vec<u8> = self.unread.drain(..length).collect();
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }

    async fn more(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.unread).await?;
        ensure!(read > 0, "the connection was closed before the answer");
        Ok(())
    }

    /// Waits until the server closes the connection, without another octet; gives how long it took.
    ///
    /// # Errors
    /// If it does not within `limit`, or sends something.
    pub async fn closed(&mut self, limit: Duration) -> Result<Duration> {
        ensure!(self.unread.is_empty(), "there is something unread");
        closed(&mut self.stream, limit).await
    }
}

/// Waits until the other side closes, without another octet; gives how long it took.
///
/// # Errors
/// If it does not within `limit`, or sends something.
pub async fn closed(stream: &mut (impl AsyncRead + Unpin), limit: Duration) -> Result<Duration> {
    let start = Instant::now();
    let mut octets = [0; 256];
    let read = timeout(limit, stream.read(&mut octets))
        .await
        .with_context(|| format!("still open after {limit:?}"))?;
    match read {
        Ok(0) => Ok(start.elapsed()),
        Ok(read) => {
            let octets = octets.get(..read).unwrap_or_default();
            bail!("not closed, but: {}", String::from_utf8_lossy(octets))
        }
        Err(error) => match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                Ok(start.elapsed())
            }
            _ => Err(error.into()),
        },
    }
}

fn find(octets: &[u8], wanted: &[u8]) -> Option<usize> {
    octets
        .windows(wanted.len())
        .position(|window| window == wanted)
}

fn parse(head: &str) -> Result<(u16, Vec<(String, String)>)> {
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.context("no status line")?.parse()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Ok((status, headers.collect()))
}
