// SPDX-License-Identifier: Apache-2.0
//! `xor`: every byte is turned round on its way, so that a forgotten layer is noticed at once.

use super::streams_only;
use sabir_sdk::Result;
use sabir_sdk::transport::{ChunkInfo, Link, Listener};
use std::io::IoSlice;
use std::task::{Context, Poll, ready};

const KEY: u8 = 0x5a;
/// The most that one write turns round: it is copied, and what the inner link does not take is thrown away.
const MAX_WRITE_BYTES: usize = 16 * 1024;

pub(super) struct XorListener(pub(super) Box<dyn Listener>);

impl Listener for XorListener {
    fn local_address(&self) -> &str {
        self.0.local_address()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Link>>> {
        let link = ready!(self.0.poll_accept(cx))?;
        Poll::Ready(Ok(Box::new(Xor::new(link)?)))
    }
}

pub(super) struct Xor {
    inner: Box<dyn Link>,
    attributes: Vec<(String, String)>,
    turned: Vec<u8>,
}

impl Xor {
    pub(super) fn new(inner: Box<dyn Link>) -> Result<Self> {
        streams_only(inner.framing(), "xor")?;
        let attributes = renamed(&*inner, "xor");
        Ok(Self { inner, attributes, turned: Vec::new() })
    }
}

/// The attributes of the inner link, under another scheme.
pub(super) fn renamed(inner: &dyn Link, scheme: &str) -> Vec<(String, String)> {
    let keep = inner.attributes().iter().filter(|(name, _)| name != "scheme").cloned();
    std::iter::once(("scheme".to_owned(), scheme.to_owned())).chain(keep).collect()
}

impl Link for Xor {
    fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.inner.poll_ready(cx))?;
        // A link on its way knows its own address only now.
        self.attributes = renamed(&*self.inner, "xor");
        Poll::Ready(Ok(()))
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        info: &mut ChunkInfo,
    ) -> Poll<Result<usize>> {
        let count = ready!(self.inner.poll_read(cx, buf, info))?;
        buf.iter_mut().take(count).for_each(|byte| *byte ^= KEY);
        Poll::Ready(Ok(count))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        info: ChunkInfo,
    ) -> Poll<Result<usize>> {
        self.turned.clear();
        let bytes = bufs.iter().flat_map(|buf| buf.iter());
        self.turned.extend(bytes.take(MAX_WRITE_BYTES).map(|byte| byte ^ KEY));
        self.inner.poll_write(cx, &[IoSlice::new(&self.turned)], info)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_shutdown(cx)
    }
}
