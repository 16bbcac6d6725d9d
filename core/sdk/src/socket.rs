// SPDX-License-Identifier: Apache-2.0
//! A socket on the host's reactor, with tokio's traits: rustls, tungstenite and hyper work on it as on tokio's own.

use crate::host::{HostIo, Interest};
use crate::{Host, Result};
use std::io::{self, IoSlice};
use std::mem::ManuallyDrop;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A non-blocking socket of any family, registered with the host's reactor. Dropping it closes it.
#[derive(Debug)]
pub struct HostSocket {
    io: HostIo,
}

impl HostSocket {
    /// Registers a socket, which must be non-blocking already.
    pub fn new(host: Host, socket: impl Into<OwnedFd>) -> Result<Self> {
        Ok(HostSocket { io: host.register(socket)? })
    }

    /// Receives into `buf`; 0 is the end of the stream.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.io.poll_recv(cx, buf)
    }

    /// Sends from `bufs`; answers the count of bytes taken.
    pub fn poll_sendv(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.io.poll_sendv(cx, bufs)
    }

    /// Runs `op` when the socket is ready: see [`HostIo::poll_op`].
    pub fn poll_op<T>(
        &mut self,
        cx: &mut Context<'_>,
        interest: Interest,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.io.poll_op(cx, interest, op)
    }

    /// Ends one half of the connection, or both.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        // SAFETY: the descriptor is open, and stays open: the stream is not dropped. `shutdown` asks nothing of the
        // socket's family.
        let stream = ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(self.io.as_fd().as_raw_fd()) });
        match stream.shutdown(how) {
            // The peer has closed already: what was asked for is the case.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            other => other,
        }
    }
}

impl AsFd for HostSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl AsyncRead for HostSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // SAFETY: nothing in the buffer is made uninitialised: the host only writes bytes into it.
        let unfilled = unsafe { buf.unfilled_mut() };
        if unfilled.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let count = ready!(self.io.poll_recv_uninit(cx, unfilled))?;
        // SAFETY: the host has written the first `count` bytes.
        unsafe { buf.assume_init(count) };
        buf.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HostSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.io.poll_sendv(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io.poll_sendv(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown(Shutdown::Write))
    }
}
