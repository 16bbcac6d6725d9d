// SPDX-License-Identifier: Apache-2.0
//! Inwards: bytes of the link become verbs of its session.
//!
//! Reads go into memory that all links of the thread share. What a session does not consume is kept by the link:
//! short leftovers are copied in front of the next read, long ones are read on where they lie, so that neither many small
//! frames nor a long one that comes in crumbs cost more than they should.

use super::scratch::{COPIED_LEFTOVER_BYTES, READ_BYTES};
use super::speaker::{Ended, Speaker, Turn, broken};
use sabir_host::{ChunkInfo, Flow, Framing};
use sabir_stack::flow::Usage;
use std::task::Poll;
use tower::Service;

/// Requests that one round hands on at the most; what else was read is looked at in the next round.
const ROUND_REQUESTS: usize = 8 * 1024;
/// Leftovers below this length keep their memory, for the next one.
const KEPT_LEFTOVER_BYTES: usize = 2 * 1024;
/// The most that a long leftover grows by in one read.
const MAX_GROWTH_BYTES: usize = 1024 * 1024;

impl Speaker {
    /// Reads once, if there is room for what it brings. `true`: another round may get further.
    pub(super) fn read(&mut self, turn: &mut Turn<'_, '_>) -> Result<bool, Ended> {
        if self.requests.login.is_some() || !self.is_open() {
            return Ok(false);
        }
        if let Some(reason) = &self.draining {
            if self.budget.usage() != Usage::default() || !self.taken.is_done() {
                return Ok(false);
            }
            let reason = reason.clone();
            self.end(turn, &reason)?;
            return Ok(true);
        }
        let has_budget = self.requests.stack.poll_ready(turn.cx).is_ready();
        // What is on its way, and what is held for the next piece, are together what a body may have.
        let crowded = self.handed_on_bytes >= self.context.limits.max_held_body_bytes as u64 / 2;
        let paused = !has_budget || crowded || self.engine_pauses || !self.has_room();
        if paused != self.flow.read_paused {
            let reason = if paused { "the session has too much that is not answered yet" } else { "" };
            self.set_flow(turn, Flow { read_paused: paused, ..self.flow }, reason)?;
        }
        if paused || !self.is_open() {
            return Ok(false);
        }
        if self.more {
            let leftover = std::mem::take(&mut self.leftover);
            let consumed = self.feed(turn, &leftover, ChunkInfo::default())?;
            self.keep(leftover.get(consumed..).unwrap_or_default());
            return Ok(true);
        }
        if self.read_closed {
            // What was asked for before the peer stopped sending is still answered.
            if self.budget.usage() == Usage::default() && self.taken.is_done() {
                self.close_when_written(Ended::Peer);
                return Ok(true);
            }
            return Ok(false);
        }
        if turn.read_pending {
            return Ok(false);
        }
        if self.leftover.len() <= COPIED_LEFTOVER_BYTES {
            self.read_behind_copy(turn)
        } else {
            self.read_in_place(turn)
        }
    }

    /// Reads into the shared memory, behind a copy of what was left over.
    fn read_behind_copy(&mut self, turn: &mut Turn<'_, '_>) -> Result<bool, Ended> {
        let mut memory = std::mem::take(&mut turn.scratch.read);
        let kept = self.leftover.len();
        let result = self.read_into(turn, &mut memory[kept..]).and_then(|read| {
            let Some((count, info)) = read else { return Ok(false) };
            memory[..kept].copy_from_slice(&self.leftover);
            let bytes = &memory[..kept + count];
            let consumed = self.feed(turn, bytes, info)?;
            self.keep(bytes.get(consumed..).unwrap_or_default());
            Ok(true)
        });
        turn.scratch.read = memory;
        result
    }

    /// Reads behind a long leftover, where it lies.
    fn read_in_place(&mut self, turn: &mut Turn<'_, '_>) -> Result<bool, Ended> {
        let mut bytes = std::mem::take(&mut self.leftover);
        let kept = bytes.len();
        let growth = self.needed.saturating_sub(kept).clamp(READ_BYTES / 2, MAX_GROWTH_BYTES);
        bytes.resize(kept + growth, 0);
        let read = self.read_into(turn, &mut bytes[kept..])?;
        bytes.truncate(kept + read.map_or(0, |(count, _)| count));
        let Some((_, info)) = read else {
            self.leftover = bytes;
            return Ok(false);
        };
        let consumed = self.feed(turn, &bytes, info)?;
        if consumed == 0 {
            self.leftover = bytes;
        } else {
            self.keep(bytes.get(consumed..).unwrap_or_default());
        }
        Ok(true)
    }

    /// One read. `None`: nothing came; the link will wake the task, or is at its end.
    fn read_into(
        &mut self,
        turn: &mut Turn<'_, '_>,
        memory: &mut [u8],
    ) -> Result<Option<(usize, ChunkInfo)>, Ended> {
        let mut info = ChunkInfo::default();
        match turn.link.poll_read(turn.cx, memory, &mut info) {
            Poll::Pending => {
                turn.read_pending = true;
                Ok(None)
            }
            Poll::Ready(Ok(0)) if self.framing == Framing::Stream || !info.end => {
                self.read_closed = true;
                turn.cx.waker().wake_by_ref();
                Ok(None)
            }
            Poll::Ready(Ok(count)) => Ok(Some((count, info))),
            Poll::Ready(Err(error)) => Err(Ended::Failed(error.to_string())),
        }
    }

    /// Keeps what the session did not consume.
    fn keep(&mut self, rest: &[u8]) {
        self.leftover.clear();
        if self.leftover.capacity() > rest.len().max(KEPT_LEFTOVER_BYTES) {
            self.leftover = Vec::new();
        }
        self.leftover.extend_from_slice(rest);
    }

    /// Feeds the session. Answers how much of it is done with.
    fn feed(&mut self, turn: &mut Turn<'_, '_>, bytes: &[u8], info: ChunkInfo) -> Result<usize, Ended> {
        self.more = false;
        if self.framing == Framing::Stream && bytes.len() < self.needed && bytes.len() < self.max_leftover() {
            return Ok(0);
        }
        let (mut at, now) = (0, turn.now);
        while let Some(input) = bytes.get(at..) {
            let requests_before = turn.scratch.requests.len();
            self.call(turn, |session, out| session.on_bytes(now, input, info, out))?;
            let out = &turn.scratch.out;
            let (consumed, full) = (out.consumed(), out.full());
            let has_output = out.segments().next().is_some();
            self.needed = out.needed();
            self.take_verbs(turn, input)?;
            self.take_output(turn, &[])?;
            at += consumed;
            if !self.is_open() {
                return Ok(bytes.len());
            }
            if !full {
                break;
            }
            if consumed == 0 && !has_output && turn.scratch.requests.len() == requests_before {
                return Err(broken(&"it has no room for a step although its buffers are empty"));
            }
            if turn.scratch.requests.len() >= ROUND_REQUESTS || !self.has_room() {
                self.more = true;
                return Ok(at);
            }
        }
        let rest = bytes.len().saturating_sub(at);
        if rest >= self.max_leftover() {
            self.end(turn, "a frame's head is longer than what is allowed (limits.max_head, before the log-in limits.max_unauthenticated)")?;
        }
        Ok(at)
    }

    /// What a session may leave unconsumed.
    fn max_leftover(&self) -> usize {
        let limits = &self.context.limits;
        let bytes = if self.handshake_until_ms.is_some() {
            limits.max_unauthenticated_bytes
        } else {
            // A session is told of the longest head; what it may add to that is its frame's own.
            limits.max_head_bytes.saturating_add(READ_BYTES as u64)
        };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}
