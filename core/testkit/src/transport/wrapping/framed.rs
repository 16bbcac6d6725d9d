// SPDX-License-Identifier: Apache-2.0
//! `framed`: messages on a stream. A piece of a message goes as a head of 4 bytes (length, little-endian, its two
//! highest bits saying whether the piece begins and ends a message) and the bytes.

use super::streams_only;
use super::xor::renamed;
use sabir_sdk::transport::{ChunkInfo, Framing, Link, Listener};
use sabir_sdk::{Error, ErrorCode, Result};
use std::io::IoSlice;
use std::task::{Context, Poll, ready};

const HEAD_BYTES: usize = 4;
const BEGIN: u32 = 1 << 31;
const END: u32 = 1 << 30;
/// The most that one write takes: what is buffered is bounded by it.
const MAX_PIECE_BYTES: usize = 16 * 1024;

pub(super) struct FramedListener(pub(super) Box<dyn Listener>);

impl Listener for FramedListener {
    fn local_address(&self) -> &str {
        self.0.local_address()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Link>>> {
        let link = ready!(self.0.poll_accept(cx))?;
        Poll::Ready(Ok(Box::new(Framed::new(link)?)))
    }
}

pub(super) struct Framed {
    inner: Box<dyn Link>,
    attributes: Vec<(String, String)>,
    /// The head that is being read, and how much of it there is.
    head: [u8; HEAD_BYTES],
    head_len: usize,
    /// The piece that is being read, once its head is there.
    piece: Option<Piece>,
    in_message: bool,
    /// Head and bytes on their way out, and how much of them has gone.
    out: Vec<u8>,
    gone: usize,
}

#[derive(Clone, Copy)]
struct Piece {
    left: usize,
    begin: bool,
    end: bool,
}

impl Framed {
    pub(super) fn new(inner: Box<dyn Link>) -> Result<Self> {
        streams_only(inner.framing(), "framed")?;
        let attributes = renamed(&*inner, "framed");
        Ok(Self {
            inner,
            attributes,
            head: [0; HEAD_BYTES],
            head_len: 0,
            piece: None,
            in_message: false,
            out: Vec::new(),
            gone: 0,
        })
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while let Some(rest) = self.out.get(self.gone..).filter(|rest| !rest.is_empty()) {
            self.gone += ready!(self.inner.poll_write(cx, &[IoSlice::new(rest)], ChunkInfo::default()))?;
        }
        self.out.clear();
        self.gone = 0;
        Poll::Ready(Ok(()))
    }

    /// Reads a head; nothing at the end of the inner link.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Piece>>> {
        while let Some(room) = self.head.get_mut(self.head_len..).filter(|room| !room.is_empty()) {
            match ready!(self.inner.poll_read(cx, room, &mut ChunkInfo::default()))? {
                0 if self.head_len == 0 && !self.in_message => return Poll::Ready(Ok(None)),
                0 => return Poll::Ready(Err(cut_off())),
                count => self.head_len += count,
            }
        }
        self.head_len = 0;
        let head = u32::from_le_bytes(self.head);
        let left = (head & !(BEGIN | END)) as usize;
        Poll::Ready(Ok(Some(Piece { left, begin: head & BEGIN != 0, end: head & END != 0 })))
    }
}

fn cut_off() -> Error {
    Error::new(ErrorCode::Closed, "the inner link ended within a message")
}

impl Link for Framed {
    fn framing(&self) -> Framing {
        Framing::Message
    }

    fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.inner.poll_ready(cx))?;
        self.attributes = renamed(&*self.inner, "framed");
        Poll::Ready(Ok(()))
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        info: &mut ChunkInfo,
    ) -> Poll<Result<usize>> {
        *info = ChunkInfo::default();
        loop {
            let mut piece = match self.piece {
                Some(piece) => piece,
                None => match ready!(self.poll_head(cx))? {
                    Some(piece) => *self.piece.insert(piece),
                    None => return Poll::Ready(Ok(0)),
                },
            };
            let room = buf.len().min(piece.left);
            let count = match buf.get_mut(..room) {
                Some(room) if !room.is_empty() => {
                    match ready!(self.inner.poll_read(cx, room, &mut ChunkInfo::default()))? {
                        0 => return Poll::Ready(Err(cut_off())),
                        count => count,
                    }
                }
                _ => 0,
            };
            piece.left -= count;
            let done = piece.left == 0;
            if count == 0 && !piece.end && done {
                // Says at most that a message has begun: that is told with its first bytes.
                self.in_message |= piece.begin;
                self.piece = None;
                continue;
            }
            info.begin = std::mem::take(&mut piece.begin);
            info.end = done && piece.end;
            self.in_message = !info.end;
            self.piece = (!done).then_some(piece);
            return Poll::Ready(Ok(count));
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        info: ChunkInfo,
    ) -> Poll<Result<usize>> {
        ready!(self.poll_drain(cx))?;
        let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
        let taken = offered.min(MAX_PIECE_BYTES);
        let ends = info.end && taken == offered;
        let flags = (if info.begin { BEGIN } else { 0 }) | (if ends { END } else { 0 });
        if taken == 0 && flags == 0 {
            return Poll::Ready(Ok(0));
        }
        self.out.extend((taken as u32 | flags).to_le_bytes());
        self.out.extend(bufs.iter().flat_map(|buf| buf.iter()).take(taken));
        // What does not go now goes with the next write, or with the flush.
        if let Poll::Ready(drained) = self.poll_drain(cx) {
            drained?;
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_drain(cx))?;
        self.inner.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_drain(cx))?;
        self.inner.poll_shutdown(cx)
    }
}
