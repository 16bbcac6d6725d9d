// SPDX-License-Identifier: Apache-2.0
//! Joins bodies that come in several pieces. One per session; it never holds more than the largest message.

use super::decode::VerbError;
use bytes::{Bytes, BytesMut};
use sabir_model::Message;
use sabir_model::verb::{Request, Verb};

/// Joins the bodies of `PUBLISH` with `MORE` and the `BODY` verbs that follow. One per session.
#[derive(Debug)]
pub struct BodyAssembler {
    max_message_bytes: usize,
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    token: u64,
    confirm: bool,
    id: u64,
    transaction: u64,
    head: Bytes,
    body: BytesMut,
}

impl BodyAssembler {
    /// For a session whose messages may have this length, head and body together.
    pub fn new(max_message_bytes: u64) -> Self {
        let max_message_bytes = usize::try_from(max_message_bytes).unwrap_or(usize::MAX);
        BodyAssembler { max_message_bytes, pending: None }
    }

    /// Whether a body is unfinished.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Bytes that are held.
    pub fn pending_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.head.len() + pending.body.len())
    }

    pub(super) fn max_message_bytes(&self) -> usize {
        self.max_message_bytes
    }

    /// Begins a message; `request` has the meta, and no message yet.
    pub(super) fn begin(&mut self, meta: &super::decode::Meta, head: Bytes, body: &[u8]) {
        self.pending = Some(Pending {
            token: meta.token,
            confirm: meta.confirm,
            id: meta.id,
            transaction: meta.transaction,
            head,
            body: BytesMut::from(body),
        });
    }

    /// Adds a piece; answers the message with the last one.
    pub(super) fn add(&mut self, at: usize, piece: &[u8], more: bool) -> Result<Option<Request>, VerbError> {
        let max = self.max_message_bytes;
        let pending = self.pending.as_mut().ok_or(VerbError::BodyUnexpected { at })?;
        if pending.head.len().saturating_add(pending.body.len()).saturating_add(piece.len()) > max {
            self.pending = None;
            return Err(VerbError::TooLarge { at, max });
        }
        pending.body.extend_from_slice(piece);
        if more {
            return Ok(None);
        }
        let Some(Pending { token, confirm, id, transaction, head, body }) = self.pending.take() else {
            return Err(VerbError::BodyUnexpected { at });
        };
        let message = Message::split(head, body.freeze()).map_err(|source| VerbError::Head { at, source })?;
        Ok(Some(Request { token, confirm, id, transaction, verb: Verb::Publish(message) }))
    }
}
