// SPDX-License-Identifier: Apache-2.0
//! `mux`: one link carries several, as a WebSocket over HTTP/2 does. A frame is a channel (1 byte), a length (2 bytes,
//! little-endian) and the bytes; the first frame of a channel opens it, an empty one ends it.
//!
//! Whoever polls moves the inner link on for all its channels, so everybody who waits is woken when it moves. A
//! channel that is not read holds the others back once its buffer is full: enough to show the shape.

use super::streams_only;
use super::xor::renamed;
use sabir_sdk::transport::{ChunkInfo, Link, Listener};
use sabir_sdk::{Error, ErrorCode, Result};
use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

const HEAD_BYTES: usize = 3;
const MAX_FRAME_BYTES: usize = 8 * 1024;
/// Bytes of one channel that wait to be read.
const MAX_CHANNEL_BYTES: usize = 64 * 1024;

/// A frame as a client writes and reads it.
pub type MuxFrame = (u8, Vec<u8>);

/// The bytes of one frame; `bytes` beyond 65535 are left out.
pub fn encode_frame(channel: u8, bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let mut frame = vec![channel];
    frame.extend(len.to_le_bytes());
    frame.extend(bytes.iter().take(usize::from(len)));
    frame
}

/// Everybody who waits for the inner link to move.
#[derive(Default)]
struct Waiters(Mutex<Vec<Waker>>);

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        let waiting = std::mem::take(&mut *lock(&self.0));
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Waiters {
    fn join(&self, waker: &Waker) {
        let mut waiting = lock(&self.0);
        if !waiting.iter().any(|other| other.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    fn leave(&self, waker: &Waker) {
        lock(&self.0).retain(|other| !other.will_wake(waker));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Channel {
    bytes: VecDeque<u8>,
    ended: bool,
}

/// An inner link and what came over it.
struct Shared {
    inner: Box<dyn Link>,
    head: Vec<u8>,
    channels: BTreeMap<u8, Channel>,
    /// Opened by the peer, not accepted yet.
    fresh: VecDeque<u8>,
    failed: Option<Error>,
    out: Vec<u8>,
}

struct Mux {
    shared: Mutex<Shared>,
    waiters: Arc<Waiters>,
}

impl Shared {
    /// Changes whenever there is something new for somebody.
    fn progress(&self) -> (usize, usize, usize, bool) {
        let bytes = self.channels.values().map(|channel| channel.bytes.len()).sum();
        let ended = self.channels.values().filter(|channel| channel.ended).count();
        (bytes, ended, self.channels.len(), self.failed.is_some())
    }

    /// Reads as long as there is something to read and room for it.
    fn pump(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.inner.poll_ready(cx))?;
        loop {
            let mut buf = [0; MAX_FRAME_BYTES];
            let (channel, left) = match self.head.as_slice() {
                [channel, low, high] => (*channel, usize::from(u16::from_le_bytes([*low, *high]))),
                short => {
                    let need = HEAD_BYTES - short.len();
                    let count =
                        ready!(self.inner.poll_read(cx, &mut buf[..need], &mut ChunkInfo::default()))?;
                    if count == 0 {
                        return Poll::Ready(Err(Error::new(ErrorCode::Closed, "the inner link has ended")));
                    }
                    self.head.extend(&buf[..count]);
                    continue;
                }
            };
            let into = self.channels.entry(channel).or_insert_with(|| {
                self.fresh.push_back(channel);
                Channel::default()
            });
            if left == 0 {
                into.ended = true;
                self.head.clear();
                continue;
            }
            let room = MAX_CHANNEL_BYTES.saturating_sub(into.bytes.len()).min(left).min(buf.len());
            if room == 0 {
                return Poll::Pending; // Whoever reads the channel pumps again.
            }
            let count = ready!(self.inner.poll_read(cx, &mut buf[..room], &mut ChunkInfo::default()))?;
            if count == 0 {
                return Poll::Ready(Err(Error::new(
                    ErrorCode::Closed,
                    "the inner link ended within a frame",
                )));
            }
            into.bytes.extend(&buf[..count]);
            self.head.clear();
            if let Ok(rest @ 1..) = u16::try_from(left - count) {
                self.head.push(channel);
                self.head.extend(rest.to_le_bytes());
            }
        }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.out.is_empty() {
            let taken = ready!(self.inner.poll_write(cx, &[IoSlice::new(&self.out)], ChunkInfo::default()))?;
            self.out.drain(..taken);
        }
        Poll::Ready(Ok(()))
    }
}

impl Mux {
    /// Runs `act` on the link's state after everything that could be read was read. Everybody shares one waker
    /// towards the inner link, which wakes all who wait.
    fn with<T>(
        &self,
        cx: &mut Context<'_>,
        act: impl FnOnce(&mut Shared, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.waiters.join(cx.waker());
        let waker = Waker::from(Arc::clone(&self.waiters));
        let mut all = Context::from_waker(&waker);
        let mut shared = lock(&self.shared);
        let before = shared.progress();
        if shared.failed.is_none()
            && let Poll::Ready(Err(error)) = shared.pump(&mut all)
        {
            shared.failed = Some(error);
        }
        let moved = shared.progress() != before;
        let answer = act(&mut shared, &mut all);
        drop(shared);
        if answer.is_ready() {
            self.waiters.leave(cx.waker());
        }
        // The pump has moved bytes of others too, and there may be room for more now.
        if moved || answer.is_ready() {
            waker.wake();
        }
        answer
    }
}

pub(super) struct MuxListener {
    inner: Box<dyn Listener>,
    muxes: Vec<Arc<Mux>>,
}

impl MuxListener {
    pub(super) fn new(inner: Box<dyn Listener>) -> Self {
        Self { inner, muxes: Vec::new() }
    }
}

impl Listener for MuxListener {
    fn local_address(&self) -> &str {
        self.inner.local_address()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Link>>> {
        while let Poll::Ready(link) = self.inner.poll_accept(cx) {
            let inner = link?;
            streams_only(inner.framing(), "mux")?;
            let shared = Shared {
                inner,
                head: Vec::new(),
                channels: BTreeMap::new(),
                fresh: VecDeque::new(),
                failed: None,
                out: Vec::new(),
            };
            self.muxes.push(Arc::new(Mux { shared: Mutex::new(shared), waiters: Arc::default() }));
        }
        let mut opened = None;
        self.muxes.retain(|mux| {
            if opened.is_some() {
                return true;
            }
            let polled = mux.with(cx, |shared, _| match (shared.fresh.pop_front(), &shared.failed) {
                (Some(channel), _) => Poll::Ready(Some((channel, renamed(&*shared.inner, "mux")))),
                (None, Some(_)) => Poll::Ready(None),
                (None, None) => Poll::Pending,
            });
            match polled {
                Poll::Ready(Some((channel, attributes))) => {
                    opened = Some(MuxLink { mux: Arc::clone(mux), channel, attributes, ending: false });
                    true
                }
                // A link that has ended opens nothing any more.
                Poll::Ready(None) => false,
                Poll::Pending => true,
            }
        });
        match opened {
            Some(link) => Poll::Ready(Ok(Box::new(link))),
            None => Poll::Pending,
        }
    }
}

struct MuxLink {
    mux: Arc<Mux>,
    channel: u8,
    attributes: Vec<(String, String)>,
    /// The end of the channel is on its way, or has gone.
    ending: bool,
}

impl Link for MuxLink {
    fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        info: &mut ChunkInfo,
    ) -> Poll<Result<usize>> {
        *info = ChunkInfo::default();
        self.mux.with(cx, |shared, _| {
            let Some(channel) = shared.channels.get_mut(&self.channel) else { return Poll::Ready(Ok(0)) };
            if !channel.bytes.is_empty() {
                let count = buf.len().min(channel.bytes.len());
                buf.iter_mut().zip(channel.bytes.drain(..count)).for_each(|(into, byte)| *into = byte);
                return Poll::Ready(Ok(count));
            }
            match (&shared.failed, channel.ended) {
                (_, true) => Poll::Ready(Ok(0)),
                (Some(error), false) => Poll::Ready(Err(error.clone())),
                (None, false) => Poll::Pending,
            }
        })
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        _: ChunkInfo,
    ) -> Poll<Result<usize>> {
        let channel = self.channel;
        self.mux.with(cx, |shared, cx| {
            ready!(shared.poll_drain(cx))?;
            let bytes: Vec<u8> =
                bufs.iter().flat_map(|buf| buf.iter().copied()).take(MAX_FRAME_BYTES).collect();
            if !bytes.is_empty() {
                shared.out = encode_frame(channel, &bytes);
            }
            if let Poll::Ready(drained) = shared.poll_drain(cx) {
                drained?;
            }
            Poll::Ready(Ok(bytes.len()))
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.mux.with(cx, |shared, cx| {
            ready!(shared.poll_drain(cx))?;
            shared.inner.poll_flush(cx)
        })
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let (channel, ending) = (self.channel, &mut self.ending);
        self.mux.with(cx, |shared, cx| {
            ready!(shared.poll_drain(cx))?;
            if !std::mem::replace(ending, true) {
                shared.out = encode_frame(channel, b"");
            }
            shared.poll_drain(cx)
        })
    }
}

impl Drop for MuxLink {
    fn drop(&mut self) {
        lock(&self.mux.shared).channels.remove(&self.channel);
    }
}
