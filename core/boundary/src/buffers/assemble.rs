// SPDX-License-Identifier: Apache-2.0
//! Joins bodies that come in several pieces, and hands long ones on in pieces. One per session; it never holds more than
//! the largest message, or than what bodies may have at once in memory.

use super::decode::{Meta, VerbError};
use bytes::{Bytes, BytesMut};
use sabir_model::Message;
use sabir_model::message::Apart;
use sabir_model::verb::{Request, Verb};

/// A body that is too long to be held is handed on in so many pieces for each time that it could have been held.
const PIECES: usize = 4;

/// Joins the bodies of `PUBLISH` with `MORE` and the `BODY` verbs that follow, or of `BODY` verbs and the `PUBLISH` that
/// follows them. One per session.
#[derive(Debug)]
pub struct BodyAssembler {
    max_message_bytes: usize,
    /// Bodies that are longer are handed on in pieces.
    max_held_bytes: usize,
    /// Bytes handed on in pieces since [`BodyAssembler::take_handed_on`].
    handed_on: u64,
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    /// With the head; `None`: it comes behind the body.
    begun: Option<(Meta, Bytes)>,
    body: BytesMut,
    /// Bytes of it that were handed on.
    handed_on: u64,
}

impl BodyAssembler {
    /// For a session whose messages may have this length, head and body together.
    pub fn new(max_message_bytes: u64) -> Self {
        let max_message_bytes = usize::try_from(max_message_bytes).unwrap_or(usize::MAX);
        BodyAssembler { max_message_bytes, max_held_bytes: usize::MAX, handed_on: 0, pending: None }
    }

    /// Bodies longer than this are handed on as [`Verb::Piece`]s of a quarter of it each.
    #[must_use]
    pub fn in_pieces(self, max_held_bytes: usize) -> Self {
        BodyAssembler { max_held_bytes: max_held_bytes.max(PIECES), ..self }
    }

    /// Whether a body is unfinished.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Bytes that are held.
    pub fn pending_bytes(&self) -> usize {
        let head = |pending: &Pending| pending.begun.as_ref().map_or(0, |(_, head)| head.len());
        self.pending.as_ref().map_or(0, |pending| head(pending) + pending.body.len())
    }

    /// Bytes handed on in pieces since this was asked last.
    pub fn take_handed_on(&mut self) -> u64 {
        std::mem::take(&mut self.handed_on)
    }

    /// Whether the head of the body that is unfinished is to come.
    pub(super) fn awaits_head(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.begun.is_none())
    }

    /// The body whose message has not come is given up.
    pub(super) fn give_up(&mut self) {
        self.pending = None;
    }

    pub(super) fn max_message_bytes(&self) -> usize {
        self.max_message_bytes
    }

    /// Begins a body; `begun` is missing if its head comes behind it.
    pub(super) fn begin(&mut self, begun: Option<(Meta, Bytes)>) {
        self.pending = Some(Pending { begun, body: BytesMut::new(), handed_on: 0 });
    }

    /// Adds a piece that is not the last.
    pub(super) fn add(&mut self, at: usize, piece: &[u8], into: &mut Vec<Request>) -> Result<(), VerbError> {
        let max = self.max_message_bytes;
        let pending = self.pending.as_mut().ok_or(VerbError::BodyUnexpected { at })?;
        let head = pending.begun.as_ref().map_or(0, |(_, head)| head.len());
        let before = usize::try_from(pending.handed_on).unwrap_or(usize::MAX).saturating_add(head);
        if before.saturating_add(pending.body.len()).saturating_add(piece.len()) > max {
            self.pending = None;
            return Err(VerbError::TooLarge { at, max });
        }
        let piece_bytes = self.max_held_bytes / PIECES;
        let bound = if pending.handed_on > 0 { piece_bytes } else { self.max_held_bytes };
        append(&mut pending.body, piece, bound);
        let held = pending.body.len();
        if held > self.max_held_bytes || (pending.handed_on > 0 && held >= piece_bytes) {
            self.hand_on(piece_bytes, into);
        }
        Ok(())
    }

    /// Hands on what is there as pieces of this length; what is left over stays.
    fn hand_on(&mut self, piece_bytes: usize, into: &mut Vec<Request>) {
        let Some(pending) = &mut self.pending else { return };
        while pending.body.len() >= piece_bytes {
            let bytes = pending.body.split_to(piece_bytes).freeze();
            into.push(piece(bytes, pending.handed_on == 0));
            pending.handed_on += piece_bytes as u64;
            self.handed_on += piece_bytes as u64;
        }
        // What is left must not keep the memory of what has gone.
        let mut rest = BytesMut::with_capacity(piece_bytes);
        rest.extend_from_slice(&pending.body);
        pending.body = rest;
    }

    /// The body is there: answers the message. `begun` is what came behind it.
    pub(super) fn finish(
        &mut self,
        at: usize,
        begun: Option<(Meta, Bytes)>,
        into: &mut Vec<Request>,
    ) -> Result<(), VerbError> {
        let pending = self.pending.take().ok_or(VerbError::BodyUnexpected { at })?;
        let Pending { begun: before, body, handed_on } = pending;
        let (meta, head) = before.or(begun).ok_or(VerbError::BodyUnexpected { at })?;
        let message = if handed_on == 0 {
            Message::split(head, body.freeze())
        } else {
            let total = handed_on + body.len() as u64;
            if !body.is_empty() {
                self.handed_on += body.len() as u64;
                into.push(piece(body.freeze(), false));
            }
            Message::apart(head, Apart::Arrived(total))
        };
        let message = message.map_err(|source| VerbError::Head { at, source })?;
        into.push(meta.with(Verb::Publish(message)));
        Ok(())
    }
}

/// Appends to a body that is handed on beyond `bound`: its memory grows by doubling, as is usual, but never to the double
/// of that.
fn append(body: &mut BytesMut, piece: &[u8], bound: usize) {
    let wanted = body.len() + piece.len();
    if wanted > body.capacity() {
        let most = bound.saturating_add(piece.len());
        let mut grown = BytesMut::with_capacity(body.capacity().saturating_mul(2).min(most).max(wanted));
        grown.extend_from_slice(body);
        *body = grown;
    }
    body.extend_from_slice(piece);
}

fn piece(bytes: Bytes, first: bool) -> Request {
    Request { token: 0, confirm: false, id: 0, transaction: 0, verb: Verb::Piece { bytes, first } }
}
