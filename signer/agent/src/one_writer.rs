//! A connection on a Unix socket as gRPC is to hear it: of one process alone, and with an `:authority` that HTTP/2 takes.
//!
//! What its credentials prove is proved of the process that connected. Descriptors are inherited and handed over (`SCM_RIGHTS`), so
//! the kernel is asked of all that is sent who wrote it (`SO_PASSCRED`, unix(7)), and a connection that another process writes to, or
//! one that cannot be told, ends. A thread's number is its process's here. Who only listens on a descriptor that it was given is not
//! seen: the process that gave it could as well pass on what it hears.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use credence_attest::peer::Process;
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;

use crate::authority::Rewriter;

/// How many octets are read at once.
const PIECE: usize = 4 << 10;

/// Has the kernel name the writers of all that is sent to a socket. On a listening socket, before it listens: connections have it from
/// their first octet on then.
pub(crate) fn name_writers(socket: impl AsFd) -> rustix::io::Result<()> {
    set_socket_passcred(socket, true)
}

/// Hears of it when another process has written to a connection, which ends.
pub type Overheard = Arc<dyn Fn() + Send + Sync>;

/// A connection that was accepted on a [`BoundSocket`](crate::BoundSocket), and that one process is heard on.
pub struct OneWriter {
    stream: UnixStream,
    pid: i32,
    rewriter: Rewriter,
    /// What was read, and had no room where it was to go. It is empty but for the moment when headers that came in pieces are whole.
    rest: Vec<u8>,
    overheard: Overheard,
}

impl OneWriter {
    /// Hears this process, and no later one with its number as long as it is held.
    #[must_use]
    pub fn new(stream: UnixStream, process: &Process, overheard: Overheard) -> Self {
        Self {
            stream,
            pid: process.id(),
            rewriter: Rewriter::default(),
            rest: Vec::new(),
            overheard,
        }
    }

    /// What can be read without waiting.
    fn receive(&self, into: &mut [u8]) -> io::Result<usize> {
        let heard = self
            .stream
            .try_io(Interest::READABLE, || receive(&self.stream, into));
        let (octets, writer) = heard?;
        if octets == 0 || writer == Some(self.pid) {
            return Ok(octets);
        }
        (self.overheard)();
        tracing::debug!(
            pid = self.pid,
            writer,
            "another process wrote to a connection"
        );
        Err(io::ErrorKind::PermissionDenied.into())
    }

    /// Puts what came into `buf` as it is to be read, and what has no room there aside.
    fn pass(&mut self, came: &[u8], buf: &mut ReadBuf<'_>) {
        let rest = &mut self.rest;
        self.rewriter.feed(came, &mut |octets: &[u8]| {
            let room = if rest.is_empty() { buf.remaining() } else { 0 };
            let (now, later) = octets.split_at(room.min(octets.len()));
            buf.put_slice(now);
            rest.extend_from_slice(later);
        });
    }

    fn take_rest(&mut self, buf: &mut ReadBuf<'_>) {
        let most = self.rest.len().min(buf.remaining());
        buf.put_slice(self.rest.get(..most).unwrap_or_default());
        self.rest.drain(..most);
        if self.rest.is_empty() {
            self.rest = Vec::new();
        }
    }
}

/// What was sent, by one writer: the kernel puts no two writers' octets together. Descriptors that come along are closed by it, since
/// there is no room for them.
fn receive(socket: impl AsFd, into: &mut [u8]) -> io::Result<(usize, Option<i32>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut said = RecvAncillaryBuffer::new(&mut space);
    let into = &mut [IoSliceMut::new(into)];
    let message = recvmsg(socket, into, &mut said, RecvFlags::CMSG_CLOEXEC)?;
    let writer = said.drain().find_map(|said| match said {
        RecvAncillaryMessage::ScmCredentials(writer) => Some(writer.pid.as_raw_nonzero().get()),
        _ => None,
    });
    Ok((message.bytes, writer))
}

impl fmt::Debug for OneWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneWriter")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for OneWriter {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        this.take_rest(buf);
        let mut piece = [0; PIECE];
        while buf.filled().len() == before && buf.remaining() > 0 {
            ready!(this.stream.poll_read_ready(cx))?;
            let (into, _) = piece.split_at_mut(PIECE.min(buf.remaining()));
            match this.receive(into) {
                Ok(0) => break,
                Ok(octets) => this.pass(into.get(..octets).unwrap_or_default(), buf),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for OneWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream as StdStream;
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use credence_attest::peer::PeerCredentials;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// HTTP/2's preface and many frames of data: nothing in it is rewritten.
    fn frames(many: usize) -> Vec<u8> {
        let frame = [&[0, 1, 0, 0, 0, 0, 0, 0, 1][..], &[7; 256]].concat();
        [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame.repeat(many),
        ]
        .concat()
    }

    /// A request's headers with this authority.
    fn headers(authority: &str) -> Vec<u8> {
        let length = u8::try_from(authority.len()).unwrap();
        let block = [&[0x83, 0x41, length], authority.as_bytes()].concat();
        let head = [0, 0, u8::try_from(block.len()).unwrap(), 1, 4, 0, 0, 0, 3];
        [&head[..], &block].concat()
    }

    /// Both ends, and how often another writer was heard.
    fn pair() -> (OneWriter, StdStream, Arc<AtomicUsize>) {
        let (ours, theirs) = StdStream::pair().unwrap();
        name_writers(&ours).unwrap();
        ours.set_nonblocking(true).unwrap();
        let ours = UnixStream::from_std(ours).unwrap();
        let process = PeerCredentials::of(&ours).unwrap().process.unwrap();
        let count = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&count);
        let overheard = Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        (OneWriter::new(ours, &process, overheard), theirs, count)
    }

    /// Reads to the end with a buffer of this size; and that nothing was set aside.
    async fn heard(mut reader: OneWriter, size: usize, aside: bool) -> Vec<u8> {
        let (mut all, mut part) = (Vec::new(), vec![0; size]);
        loop {
            let octets = reader.read(&mut part).await.unwrap();
            assert!(aside || reader.rest.capacity() == 0, "an allocation");
            match octets {
                0 => return all,
                _ => all.extend(&part[..octets]),
            }
        }
    }

    #[tokio::test]
    async fn what_one_process_sends_is_read_whatever_is_read_at_once() {
        for size in [1, 10, 5_000] {
            let (reader, mut theirs, others) = pair();
            let request = headers("%2Ftmp%2Fagent.sock");
            theirs.write_all(&[frames(20), request].concat()).unwrap();
            drop(theirs);
            // the letter a, in Huffman's code
            let letter = vec![0, 0, 4, 1, 4, 0, 0, 0, 3, 0x83, 0x41, 0x81, 0x1f];
            let expected = [frames(20), letter].concat();
            let read = heard(reader, size, true).await;
            assert!(read == expected, "{} octets", read.len());
            assert_eq!(others.load(Ordering::Relaxed), 0);
        }
    }

    /// There are thousands of connections, and most of what they say is read as it is.
    #[tokio::test]
    async fn reading_sets_nothing_aside() {
        let (reader, mut theirs, _) = pair();
        let sent = frames(300);
        theirs.write_all(&sent).unwrap();
        drop(theirs);
        assert_eq!(heard(reader, 8 << 10, false).await, sent);
    }

    #[tokio::test]
    async fn threads_of_the_process_are_heard() {
        let (mut reader, mut theirs, others) = pair();
        let sender = std::thread::spawn(move || theirs.write_all(&frames(1)).map(|()| theirs));
        let mut first = [0; 24];
        reader.read_exact(&mut first).await.unwrap();
        drop(sender.join().unwrap().unwrap());
        assert_eq!(others.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn another_process_ends_it() {
        let (mut reader, mut theirs, others) = pair();
        theirs.write_all(&frames(0)).unwrap();
        let shared = theirs.as_fd().try_clone_to_owned().unwrap();
        let child = Command::new("echo")
            .arg("x")
            .stdout(Stdio::from(shared))
            .status();
        assert!(child.unwrap().success());
        drop(theirs);
        let mut all = [0; 100];
        assert_eq!(
            reader.read(&mut all).await.unwrap(),
            24,
            "its own comes first, and apart"
        );
        let fault = reader.read(&mut all).await.unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(others.load(Ordering::Relaxed), 1);
    }

    /// On a socket that does not name writers, nobody can be told from anybody.
    #[tokio::test]
    async fn who_cannot_be_told_ends_it() {
        let (mut reader, mut theirs, others) = pair();
        set_socket_passcred(&reader.stream, false).unwrap();
        theirs.write_all(&frames(0)).unwrap();
        let fault = reader.read(&mut [0; 100]).await.unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(others.load(Ordering::Relaxed), 1);
    }
}
