//! A Unix socket on which only the process that connected is heard.

use crate::metrics::{Cut, Metrics};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg, sockopt::set_socket_passcred,
};
use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::AsFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::UnixStream,
};

/// Has the kernel say of all that is sent to a socket who wrote it (`SO_PASSCRED`, unix(7)). On a listening socket, before it
/// listens: connections have it from their first octet on then.
///
/// # Errors
/// What the system says.
pub(super) fn name_writers(socket: impl AsFd) -> io::Result<()> {
    Ok(set_socket_passcred(socket, true)?)
}

/// A connection of one process. What its credentials prove is proved of that process alone: where another one writes to the
/// connection, by descent or because it was handed over, the connection ends.
#[derive(Debug)]
pub(super) struct OneWriter {
    stream: UnixStream,
    pid: i32,
    metrics: Arc<Metrics>,
}

impl OneWriter {
    /// Hears the process with this number, which is held on to elsewhere.
    pub(super) fn new(stream: UnixStream, pid: i32, metrics: Arc<Metrics>) -> Self {
        Self {
            stream,
            pid,
            metrics,
        }
    }

    fn receive(&self, into: &mut [u8]) -> io::Result<usize> {
        let (octets, writer) = receive(&self.stream, into)?;
        if octets == 0 || writer == Some(self.pid) {
            return Ok(octets);
        }
        self.metrics.cut(Cut::Process);
        tracing::debug!(
            pid = self.pid,
            writer,
            "another process wrote to a connection"
        );
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// What was sent, by one writer. Descriptors that come along are closed by the kernel: there is no room for them.
fn receive(socket: impl AsFd, into: &mut [u8]) -> io::Result<(usize, Option<i32>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut said = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(
        socket,
        &mut [IoSliceMut::new(into)],
        &mut said,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let writer = said.drain().find_map(|said| match said {
        RecvAncillaryMessage::ScmCredentials(writer) => Some(writer.pid.as_raw_nonzero().get()),
        _ => None,
    });
    Ok((message.bytes, writer))
}

impl AsyncRead for OneWriter {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            let into = buf.initialize_unfilled();
            let received = self
                .stream
                .try_io(Interest::READABLE, || self.receive(into));
            match received {
                Ok(octets) => {
                    buf.advance(octets);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
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
        bufs: &[io::IoSlice<'_>],
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
