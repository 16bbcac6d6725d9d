// SPDX-License-Identifier: Apache-2.0
//! Transports: listeners that yield links, and links that move bytes. They know no protocol.

pub use crate::socket::HostSocket;
use crate::{Host, Result};
pub use sabir_boundary::{ChunkInfo, Framing};
use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};

/// A kind of transport: one instance per configuration, shared by all threads.
///
/// `listen` and `connect` must not block: name look-up goes through [`Host::run_blocking`], and
/// [`Link::poll_ready`] waits for it.
pub trait Transport: Send + Sync + Sized + 'static {
    /// The URI scheme: `[a-z][a-z0-9-]*`, at most 32 bytes.
    const NAME: &'static str;
    /// `sabir_abi::SABIR_CAP_TRANSPORT_*`.
    const CAPABILITIES: u64;
    /// `sabir_abi::SABIR_CAP_HOST_*` that it cannot do without.
    const REQUIRED_HOST_CAPABILITIES: u64 = 0;
    /// JSON Schema of the configuration; empty: it has none.
    const CONFIG_SCHEMA: &'static str = "";

    /// Makes an instance. `config` is a JSON object.
    fn open(host: Host, config: &str) -> Result<Self>;

    /// Opens a listener on `uri`.
    fn listen(&self, uri: &str) -> Result<Box<dyn Listener>> {
        Err(crate::Error::unsupported(&format!("listening on {uri}")))
    }

    /// Opens a link to `uri`.
    fn connect(&self, uri: &str) -> Result<Box<dyn Link>> {
        Err(crate::Error::unsupported(&format!("connecting to {uri}")))
    }

    /// Takes a listener and gives one that yields links standing on its links.
    fn wrap_listener(&self, inner: Box<dyn Listener>, uri: &str) -> Result<Box<dyn Listener>> {
        drop(inner);
        Err(crate::Error::unsupported(&format!("wrapping a listener for {uri}")))
    }

    /// Takes a link to a server and gives one that stands on it.
    fn wrap_link(&self, inner: Box<dyn Link>, uri: &str) -> Result<Box<dyn Link>> {
        drop(inner);
        Err(crate::Error::unsupported(&format!("wrapping a link to {uri}")))
    }
}

/// Yields links. Calls on one listener never overlap; none may block.
pub trait Listener: Send {
    /// The address that others connect to, with the port that the system chose where 0 was asked for.
    fn local_address(&self) -> &str;

    /// The next link. An error with [`ErrorCode::Limit`](crate::ErrorCode::Limit) leaves the listener usable; after
    /// any other it is dropped.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Link>>>;
}

/// Moves bytes. The host calls one link's functions one at a time; none may block. After an error a link is only
/// dropped, and dropping closes the medium at once.
pub trait Link: Send {
    /// What boundaries it has.
    fn framing(&self) -> Framing {
        Framing::Stream
    }

    /// What is known of it: `scheme`, `local`, `peer`, `path` ... It may grow once `poll_ready` has answered.
    fn attributes(&self) -> &[(String, String)] {
        &[]
    }

    /// Ready when the link can carry bytes: connected, and with its handshakes done. Called until then, before
    /// anything else.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Reads into `buf`, which is never empty. 0 is the end of the stream, or with `info.end` an empty message.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        info: &mut ChunkInfo,
    ) -> Poll<Result<usize>>;

    /// Writes as much as goes now; at least 1 byte when there were any.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        info: ChunkInfo,
    ) -> Poll<Result<usize>>;

    /// Hands what the link has buffered to its medium.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Whether it has [`Link::poll_send_file`]. Asked once, when the link is handed over. The transport says
    /// `SABIR_CAP_TRANSPORT_SEND_FILE` when some of its links do. Where none does, the host reads the file and writes.
    fn sends_files(&self) -> bool {
        false
    }

    /// Sends `len` bytes (at least 1) of `file` from `offset`, as much as goes now, after what was written before and
    /// without touching the file's own position. 0: the file has nothing there. For links with [`Framing::Stream`].
    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        len: usize,
    ) -> Poll<Result<usize>> {
        let _ = (cx, file, offset, len);
        Poll::Ready(Err(crate::Error::unsupported("sending files over this link")))
    }

    /// Ends the writing half after what was written; reading goes on where the medium can.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;
}
