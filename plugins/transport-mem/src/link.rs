// SPDX-License-Identifier: Apache-2.0
//! The two ends of a link, each a pair of pipes.

use crate::options::Options;
use crate::pipe::Pipe;
use sabir_sdk::Result;
use sabir_sdk::transport::{ChunkInfo, Framing, Link};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One end of a link. Dropping it closes it: the peer reads what was written, then the end.
#[derive(Debug)]
pub struct MemLink {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
    attributes: Vec<(String, String)>,
}

impl MemLink {
    /// Both ends of a new link: the accepting one, then the connecting one.
    pub(crate) fn pair(listener: &str, client: &str, options: &Options) -> (Self, Self) {
        let to_listener = Arc::new(Pipe::new(options.framing, options.limits));
        let to_client = Arc::new(Pipe::new(options.framing, options.limits));
        let accepting = Self {
            incoming: Arc::clone(&to_listener),
            outgoing: Arc::clone(&to_client),
            attributes: attributes(listener, client),
        };
        let connecting =
            Self { incoming: to_client, outgoing: to_listener, attributes: attributes(client, listener) };
        (accepting, connecting)
    }
}

fn attributes(local: &str, peer: &str) -> Vec<(String, String)> {
    vec![
        ("scheme".to_owned(), crate::SCHEME.to_owned()),
        ("local".to_owned(), local.to_owned()),
        ("peer".to_owned(), peer.to_owned()),
    ]
}

impl Drop for MemLink {
    fn drop(&mut self) {
        self.outgoing.end();
        self.incoming.abandon();
    }
}

impl Link for MemLink {
    fn framing(&self) -> Framing {
        self.incoming.framing()
    }

    fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        info: &mut ChunkInfo,
    ) -> Poll<Result<usize>> {
        self.incoming.poll_read(cx, buf, info)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        info: ChunkInfo,
    ) -> Poll<Result<usize>> {
        self.outgoing.poll_write(cx, bufs, info)
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        self.outgoing.end();
        Poll::Ready(Ok(()))
    }
}

// Streams only: with framing `message` a caller that knows no boundaries writes outside of messages, and is told so.
impl AsyncRead for MemLink {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let unfilled = buf.initialize_unfilled();
        let read = ready!(self.incoming.poll_read(cx, unfilled, &mut ChunkInfo::default()));
        buf.advance(read.map_err(io::Error::from)?);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MemLink {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.outgoing.poll_write(cx, &[IoSlice::new(buf)], ChunkInfo::default()).map_err(io::Error::from)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.outgoing.poll_write(cx, bufs, ChunkInfo::default()).map_err(io::Error::from)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.end();
        Poll::Ready(Ok(()))
    }
}
