// SPDX-License-Identifier: Apache-2.0
//! What is on its way to the peer: written at once where the link takes it, kept where it does not.
//!
//! Bodies are kept by reference count; only what a session wrote itself is copied. How much may be kept is the
//! session's business: it makes no more output while [`Output::backlog_bytes`] is above its limit.

use bytes::{Buf, Bytes};
use sabir_host::{ChunkInfo, Error, Framing, Link, OutBuffers, SegmentBytes, VerbError};
use sabir_model::Delivery;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::task::{Context, Poll};

/// The most slices that one write offers (IOV_MAX on Linux).
const MAX_SLICES: usize = 1024;

/// What is on its way to the peer.
#[derive(Debug)]
pub struct Output {
    framing: Framing,
    backlog: VecDeque<(Bytes, ChunkInfo)>,
    backlog_bytes: usize,
    /// Bytes that sessions have put out, since the link began.
    queued: u64,
    /// Bytes that the link has taken.
    written: u64,
    /// The link has buffered what it was given, and must be flushed.
    unflushed: bool,
}

/// Why nothing more can be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The link has failed.
    #[error("{0}")]
    Link(Error),
    /// The link took nothing although it said that it did.
    #[error("the transport broke the contract: it took no byte of a write, and was not pending")]
    Stuck,
    /// The protocol's output is damaged.
    #[error("the protocol broke the contract: {0}")]
    Protocol(VerbError),
}

impl Output {
    /// What a session said when it was opened, for a link with these boundaries.
    pub fn new(framing: Framing, greeting: Vec<Bytes>) -> Self {
        let bytes = greeting.iter().map(Bytes::len).sum();
        let whole = ChunkInfo {
            begin: framing != Framing::Stream,
            end: framing != Framing::Stream,
            ..Default::default()
        };
        Output {
            framing,
            backlog: greeting.into_iter().map(|bytes| (bytes, whole)).collect(),
            backlog_bytes: bytes,
            queued: bytes as u64,
            written: 0,
            unflushed: false,
        }
    }

    /// Bytes that wait for the link.
    pub fn backlog_bytes(&self) -> usize {
        self.backlog_bytes
    }

    /// Whether the link has taken everything, and has handed on what it had buffered.
    pub fn is_written(&self) -> bool {
        self.backlog.is_empty() && !self.unflushed
    }

    /// Where the output ends so far.
    pub fn queued(&self) -> u64 {
        self.queued
    }

    /// How much of it the link has taken.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Takes a session's output out of the buffers, which are empty afterwards. `deliveries` are those of the call.
    pub fn take(
        &mut self,
        link: &mut Link,
        cx: &mut Context<'_>,
        out: &mut OutBuffers,
        deliveries: &[Delivery],
    ) -> Result<(), OutputError> {
        let result = match self.framing {
            Framing::Stream => self.take_stream(link, cx, out, deliveries),
            Framing::Message | Framing::Exchange => self.take_chunks(out, deliveries),
        };
        out.reset();
        result
    }

    fn take_stream(
        &mut self,
        link: &mut Link,
        cx: &mut Context<'_>,
        out: &OutBuffers,
        deliveries: &[Delivery],
    ) -> Result<(), OutputError> {
        let mut slices = Vec::new();
        out.io_slices(deliveries, &mut slices).map_err(OutputError::Protocol)?;
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if total == 0 {
            return Ok(());
        }
        self.queued += total as u64;
        let mut done = 0;
        if self.backlog.is_empty() {
            let mut rest = slices.as_mut_slice();
            while !rest.is_empty() {
                let offered = rest.len().min(MAX_SLICES);
                match link.poll_write(cx, &rest[..offered], ChunkInfo::default()) {
                    Poll::Ready(Ok(0)) => return Err(OutputError::Stuck),
                    Poll::Ready(Ok(count)) => {
                        let count = count.min(total - done);
                        done += count;
                        self.unflushed = true;
                        IoSlice::advance_slices(&mut rest, count);
                    }
                    Poll::Ready(Err(error)) => return Err(OutputError::Link(error)),
                    Poll::Pending => break,
                }
            }
            self.written += done as u64;
        }
        if done < total {
            let kept = out.detach(deliveries, done).map_err(OutputError::Protocol)?;
            self.backlog.extend(kept.into_iter().map(|bytes| (bytes, ChunkInfo::default())));
            self.backlog_bytes += total - done;
        }
        Ok(())
    }

    /// On links with boundaries every segment keeps what it belongs to; they are few and go through the backlog.
    fn take_chunks(&mut self, out: &OutBuffers, deliveries: &[Delivery]) -> Result<(), OutputError> {
        for (at, segment) in out.segments().enumerate() {
            let segment = segment.map_err(OutputError::Protocol)?;
            let bytes = match segment.bytes {
                SegmentBytes::Here(bytes) | SegmentBytes::Owned { bytes, .. } => {
                    Bytes::copy_from_slice(bytes)
                }
                SegmentBytes::Body { delivery, offset, len } => deliveries
                    .get(delivery)
                    .and_then(|delivery| body_part(delivery, offset, len))
                    .ok_or(OutputError::Protocol(VerbError::Segment { at }))?,
            };
            self.queued += bytes.len() as u64;
            self.backlog_bytes += bytes.len();
            self.backlog.push_back((bytes, segment.info));
        }
        Ok(())
    }

    /// Writes what waits. `true`: the link took something.
    pub fn write(&mut self, link: &mut Link, cx: &mut Context<'_>) -> Result<bool, OutputError> {
        let mut progress = false;
        while let Some((_, info)) = self.backlog.front() {
            let info = *info;
            let mut slices: Vec<IoSlice<'_>> = Vec::new();
            for (bytes, _) in self.backlog.iter().take(MAX_SLICES) {
                if self.framing != Framing::Stream && !slices.is_empty() {
                    break;
                }
                slices.push(IoSlice::new(bytes));
            }
            match link.poll_write(cx, &slices, info) {
                Poll::Ready(Ok(0)) if slices.iter().any(|slice| !slice.is_empty()) => {
                    return Err(OutputError::Stuck);
                }
                Poll::Ready(Ok(count)) => {
                    self.unflushed = true;
                    progress = true;
                    self.advance(count);
                }
                Poll::Ready(Err(error)) => return Err(OutputError::Link(error)),
                Poll::Pending => return Ok(progress),
            }
        }
        Ok(progress)
    }

    /// The link took so many bytes of the backlog. An empty end of a message is taken with 0.
    fn advance(&mut self, mut count: usize) {
        count = count.min(self.backlog_bytes);
        self.backlog_bytes -= count;
        self.written += count as u64;
        while let Some((bytes, _)) = self.backlog.front_mut() {
            if bytes.len() > count {
                bytes.advance(count);
                return;
            }
            count -= bytes.len();
            self.backlog.pop_front();
            if count == 0 && self.framing != Framing::Stream {
                break;
            }
        }
        if self.backlog.is_empty() && self.backlog.capacity() > 64 {
            self.backlog = VecDeque::new();
        }
    }

    /// Hands what the link has buffered to its medium, once nothing waits for the link.
    pub fn flush(&mut self, link: &mut Link, cx: &mut Context<'_>) -> Result<(), OutputError> {
        if self.unflushed && self.backlog.is_empty() {
            match link.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Err(OutputError::Link(error)),
                Poll::Pending => {}
            }
        }
        Ok(())
    }
}

fn body_part(delivery: &Delivery, offset: usize, len: usize) -> Option<Bytes> {
    let sabir_model::delivery::DeliveryKind::Message { message, .. } = &delivery.kind else { return None };
    let body = message.body_bytes();
    (offset.checked_add(len)? <= body.len()).then(|| body.slice(offset..offset + len))
}
