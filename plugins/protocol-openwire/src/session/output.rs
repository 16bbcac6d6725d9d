// SPDX-License-Identifier: Apache-2.0
//! What waits to be written.
//!
//! A frame depends on those before it through the cache, so that once it was encoded it is written, in its turn, and never
//! encoded again. What finds no room is kept as bytes.

use crate::codec::{Command, Encoder, Options};
use bytes::Bytes;
use sabir_sdk::protocol::Out;
use std::collections::VecDeque;

/// Kept frames of this length are handed over instead of copied.
const HANDED_OVER_BYTES: usize = 32 * 1024;
/// Bodies from this length on are written from where they lie.
const REFERENCED_BODY_BYTES: usize = 4096;
/// Memory that is kept while nothing waits.
const KEPT_BYTES: usize = 256;

/// The body of a message that is written.
#[derive(Clone, Copy, Debug)]
pub enum BodyOf<'b> {
    /// That of the delivery at this index of the call, from this byte on.
    Delivery(usize, usize, &'b [u8]),
    /// These bytes.
    Bytes(&'b [u8]),
}

impl<'b> BodyOf<'b> {
    fn bytes(self) -> &'b [u8] {
        match self {
            BodyOf::Delivery(_, _, bytes) | BodyOf::Bytes(bytes) => bytes,
        }
    }
}

/// Commands on their way out.
#[derive(Debug)]
pub struct Output {
    encoder: Encoder,
    waiting: VecDeque<Command>,
    /// Encoded, and found no room.
    kept: Bytes,
    front: Vec<u8>,
    back: Vec<u8>,
    /// Something was written since this was last looked at.
    wrote: bool,
    /// A frame found no room although there was all the room that there can be.
    stuck: bool,
    /// A message is being written in pieces: what follows its content. Nothing else may come before that.
    tail: Option<Vec<u8>>,
}

impl Output {
    /// Before anything was agreed.
    pub fn new() -> Self {
        Output {
            encoder: Encoder::new(Options::initial()),
            waiting: VecDeque::new(),
            kept: Bytes::new(),
            front: Vec::new(),
            back: Vec::new(),
            wrote: false,
            stuck: false,
            tail: None,
        }
    }

    /// What follows is written as was agreed. Everything before must have been encoded.
    pub fn agreed(&mut self, options: Options) {
        self.encoder.renegotiate(options);
    }

    /// What was agreed.
    pub fn options(&self) -> &Options {
        self.encoder.options()
    }

    /// Adds a command.
    pub fn push(&mut self, command: impl Into<Command>) {
        self.waiting.push_back(command.into());
    }

    /// The command that was added last, if it was not encoded yet.
    pub fn last_mut(&mut self) -> Option<&mut Command> {
        self.waiting.back_mut()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.kept.is_empty()
    }

    /// Whether something waits that could be written if there were room.
    pub fn is_behind(&self) -> bool {
        !self.kept.is_empty() || (!self.waiting.is_empty() && self.tail.is_none())
    }

    /// Whether a message is being written in pieces.
    pub fn is_in_pieces(&self) -> bool {
        self.tail.is_some()
    }

    /// Whether something was written since the last call.
    pub fn take_wrote(&mut self) -> bool {
        std::mem::take(&mut self.wrote)
    }

    /// Whether the host has less room than it promised.
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        self.waiting = VecDeque::new();
        self.kept = Bytes::new();
        self.tail = None;
    }

    /// Writes what waits. `false`: not all of it found room.
    pub fn flush(&mut self, out: &mut Out<'_>) -> bool {
        loop {
            if !self.kept.is_empty() && !self.write_kept(out) {
                return false;
            }
            if self.tail.is_some() {
                return true;
            }
            let Some(command) = self.waiting.pop_front() else { return true };
            self.front.clear();
            if self.encoder.encode(&command, &mut self.front).is_err() {
                // Only a text that is too long or a command that the version lacks can be the reason, and all that is
                // sent is made so that neither is.
                continue;
            }
            let mark = out.mark();
            out.write(&self.front);
            self.wrote = true;
            if out.overflowed() {
                out.rollback(mark);
                self.kept = Bytes::copy_from_slice(&self.front);
            }
        }
    }

    fn write_kept(&mut self, out: &mut Out<'_>) -> bool {
        let mark = out.mark();
        let had_all_room = out.is_empty();
        let is_small = self.kept.len() < HANDED_OVER_BYTES;
        if is_small {
            out.write(&self.kept);
        }
        if !is_small || out.overflowed() {
            out.rollback(mark);
            out.write_owned(self.kept.clone());
        }
        if out.overflowed() {
            out.rollback(mark);
            self.stuck |= had_all_room;
            return false;
        }
        self.kept = Bytes::new();
        self.wrote = true;
        true
    }

    /// Writes a message, whose content is a prefix and a body; its properties may lie in `head`. Nothing may wait. Without room it is kept: it counts as
    /// written.
    ///
    /// # Errors
    ///
    /// It cannot be written to this peer. Nothing of it is.
    pub fn write_message(
        &mut self,
        command: &Command,
        head: &[u8],
        content: Option<(&[u8], BodyOf<'_>)>,
        out: &mut Out<'_>,
    ) -> Result<(), crate::codec::Error> {
        self.front.clear();
        self.back.clear();
        let Some((prefix, body)) = content else {
            self.encoder.encode_from(command, head, &mut self.front)?;
            self.write_parts(&[], BodyOf::Bytes(&[]), out);
            return Ok(());
        };
        let content_len = prefix.len() + body.bytes().len();
        self.encoder.encode_split_from(command, head, content_len, &mut self.front, &mut self.back)?;
        self.write_parts(prefix, body, out);
        Ok(())
    }

    /// Writes the front of a message whose content, of this length, comes in pieces, and the first of them. Nothing may wait.
    ///
    /// # Errors
    ///
    /// As of `write_message`.
    pub fn begin_message(
        &mut self,
        command: &Command,
        head: &[u8],
        content_len: usize,
        prefix: &[u8],
        piece: BodyOf<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), crate::codec::Error> {
        self.front.clear();
        self.back.clear();
        self.encoder.encode_split_from(command, head, content_len, &mut self.front, &mut self.back)?;
        let tail = std::mem::take(&mut self.back);
        self.write_parts(prefix, piece, out);
        self.tail = Some(tail);
        Ok(())
    }

    /// Writes one more piece; behind the last one what follows the content.
    pub fn write_piece(&mut self, piece: BodyOf<'_>, more: bool, out: &mut Out<'_>) {
        self.front.clear();
        self.back.clear();
        if !more {
            self.back = self.tail.take().unwrap_or_default();
        }
        self.write_parts(&[], piece, out);
    }

    fn write_parts(&mut self, prefix: &[u8], body: BodyOf<'_>, out: &mut Out<'_>) {
        let mark = out.mark();
        out.write(&self.front);
        out.write(prefix);
        match body {
            BodyOf::Delivery(index, offset, bytes) if bytes.len() >= REFERENCED_BODY_BYTES => {
                out.write_body(index, offset, bytes.len());
            }
            BodyOf::Delivery(_, _, bytes) | BodyOf::Bytes(bytes) => out.write(bytes),
        }
        out.write(&self.back);
        self.wrote = true;
        if out.overflowed() {
            out.rollback(mark);
            self.kept = [self.front.as_slice(), prefix, body.bytes(), self.back.as_slice()].concat().into();
            self.write_kept(out);
        }
    }

    /// Gives back memory that is not needed while nothing happens.
    pub fn trim(&mut self) {
        for buffer in [&mut self.front, &mut self.back] {
            buffer.clear();
            buffer.shrink_to(KEPT_BYTES);
        }
        if self.waiting.is_empty() && self.waiting.capacity() > 4 {
            self.waiting = VecDeque::new();
        }
    }
}
