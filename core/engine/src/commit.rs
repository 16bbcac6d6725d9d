// SPDX-License-Identifier: Apache-2.0
//! From verbs to batches, and from committed batches to what may be told.
//!
//! The engine fills one pending batch. `Engine::take_batch` closes it and gives it a number; what waits for it is
//! written down, and counts when the store has committed it. Numbers grow by one. Knows nothing of what a queue is.

use crate::output::CommitNeed;
use crate::queue::Queue;
use crate::seeded::seeded;
use crate::session::Session;
use crate::slab::Key;
use bytes::Bytes;
use sabir_model::message::Message;
use sabir_model::store::{
    Batch, FORGET, FORMAT_BODY_APART, FORMAT_BODY_PIECE, FORMAT_MESSAGE, Level, LogId, Op,
};
use std::collections::{BTreeSet, VecDeque};

/// Number of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(pub u64);

impl CommitId {
    fn next(self) -> CommitId {
        CommitId(self.0 + 1)
    }
}

/// The batch that is being filled.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// The number that it will have.
    pub id: CommitId,
    ops: Vec<Op>,
    /// Removals on which nothing in the batch depends, taken over from a refused one.
    plain: Vec<Op>,
    level: Level,
    need: CommitNeed,
    bytes: usize,
    /// How often something was put in, this batch or an earlier one.
    changes: u64,
    /// Lanes that got entries: their committed watermark moves with the commit.
    pub grown: Vec<(Key<Queue>, u8)>,
    /// Lanes that have collected plain removals.
    pub shrunk: Vec<(Key<Queue>, u8)>,
    /// Lanes whose delivery mark is to be saved.
    pub marked: Vec<(Key<Queue>, u8)>,
    /// Sessions with answers that wait for the commit.
    pub sessions: Vec<Key<Session>>,
    /// Sessions with pieces of bodies in it, and their bytes.
    pieces: Vec<(Key<Session>, u64)>,
}

impl Pending {
    /// The first batch.
    pub fn first() -> Pending {
        Pending { id: CommitId(1), ..Pending::default() }
    }

    /// Something was put in, for which somebody waits if `need` is `Now`.
    pub fn want(&mut self, need: CommitNeed) {
        self.need = self.need.max(need);
    }

    /// Somebody waits until the batch is durable.
    pub fn want_durable(&mut self) {
        self.level = Level::Durable;
        self.need = CommitNeed::Now;
    }

    /// How urgent it is. `full`: only plain removals can go.
    pub fn need(&self, full: bool) -> CommitNeed {
        match full {
            false => self.need,
            true if self.shrunk.is_empty() && self.plain.is_empty() => CommitNeed::None,
            true => CommitNeed::Now,
        }
    }

    /// Makes a record and its entry.
    pub fn append(&mut self, log: LogId, seq: u64, label: Bytes, message: &Message) {
        self.bytes += message.held_bytes();
        self.changes += 1;
        let format = if message.stored_body().is_some() { FORMAT_BODY_APART } else { FORMAT_MESSAGE };
        self.ops.push(Op::Append { log, seq, span: 1, format, label, record: message.pieces() });
    }

    /// Makes a record of a piece of a body.
    pub fn append_piece(&mut self, log: LogId, seq: u64, bytes: Bytes) {
        self.bytes += bytes.len();
        self.changes += 1;
        let (format, label, record) = (FORMAT_BODY_PIECE, Bytes::new(), [bytes, Bytes::new()]);
        self.ops.push(Op::Append { log, seq, span: 1, format, label, record });
    }

    /// A session is to be told when so many bytes of its body have gone with this batch.
    pub fn note_piece(&mut self, session: Key<Session>, bytes: u64) {
        self.want(CommitNeed::Now);
        match self.pieces.last_mut() {
            Some((last, sum)) if *last == session => *sum += bytes,
            _ => self.pieces.push((session, bytes)),
        }
    }

    /// Makes another entry for a record.
    pub fn link(&mut self, log: LogId, seq: u64, from: (LogId, u64), label: Bytes) {
        self.changes += 1;
        self.ops.push(Op::Link { log, seq, from_log: from.0, from_seq: from.1, label });
    }

    /// Removes entries together with what was put in before.
    pub fn remove(&mut self, log: LogId, first: u64, last: u64) {
        self.changes += 1;
        if let Some(Op::Remove { log: of, last: end, .. }) = self.ops.last_mut()
            && *of == log
            && *end + 1 == first
        {
            *end = last;
            return;
        }
        self.ops.push(Op::Remove { log, first, last });
    }

    /// Removes a log with all that is in it; its numbers begin anew.
    pub fn forget(&mut self, log: LogId) {
        self.changes += 1;
        self.ops.push(Op::Trim { log, before: FORGET });
    }

    pub fn put(&mut self, key: Bytes, value: Bytes) {
        self.changes += 1;
        self.ops.push(Op::Put { key, value });
    }

    pub fn delete(&mut self, key: Bytes) {
        self.changes += 1;
        self.ops.push(Op::Delete { key });
    }

    /// Whether anything but plain removals is in it.
    pub fn has_ordered(&self) -> bool {
        !self.ops.is_empty()
    }

    /// Bytes of records in it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Grows with everything that is put in, also where that becomes part of an operation which is in it already.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.plain.is_empty() && self.need == CommitNeed::None
    }

    /// Whether nothing came of it after all; then nobody wants it any more.
    pub fn is_void(&mut self) -> bool {
        let void = self.ops.is_empty()
            && self.sessions.is_empty()
            && self.grown.is_empty()
            && self.pieces.is_empty();
        if void {
            self.need = CommitNeed::None;
            self.level = Level::Written;
        }
        void
    }

    /// What follows are removals on which nothing before depends. Answers where they begin.
    pub fn begin_plain(&mut self) -> usize {
        let at = self.ops.len();
        self.ops.append(&mut self.plain);
        at
    }

    /// Takes over plain removals from a refused batch.
    pub fn adopt(&mut self, ops: Vec<Op>) {
        self.plain.extend(ops);
    }
}

/// A batch that was taken and is not committed.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub id: CommitId,
    /// Lanes that grew, and up to where.
    pub grown: Vec<(Key<Queue>, u8, u64)>,
    pub sessions: Vec<Key<Session>>,
    /// Sessions with pieces of bodies in it, and their bytes.
    pub pieces: Vec<(Key<Session>, u64)>,
    bytes: usize,
    /// From this operation on, the batch holds removals on which nothing in it depends.
    plain_from: usize,
}

/// What is on its way to the store, and what has arrived.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    in_flight: VecDeque<InFlight>,
    committed: CommitId,
    /// Batches that the store had no room for.
    held: BTreeSet<CommitId>,
    bytes: usize,
}

impl Commits {
    /// Whether this batch has arrived.
    pub fn has(&self, id: CommitId) -> bool {
        (id <= self.committed && !self.held.contains(&id)) || seeded("confirmed before the commit")
    }

    /// Bytes on their way, the pending batch not included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the store has refused batches for want of space.
    pub fn is_full(&self) -> bool {
        !self.held.is_empty()
    }

    /// Closes the pending batch: `into` gets its operations. `plain_from` and `upto` come from the engine.
    pub fn close(
        &mut self,
        pending: &mut Pending,
        plain_from: usize,
        grown: Vec<(Key<Queue>, u8, u64)>,
        into: &mut Batch,
    ) -> CommitId {
        into.clear();
        std::mem::swap(&mut into.ops, &mut pending.ops);
        into.level = std::mem::take(&mut pending.level);
        pending.need = CommitNeed::None;
        let bytes = std::mem::take(&mut pending.bytes);
        self.bytes += bytes;
        let id = pending.id;
        pending.id = id.next();
        let sessions = std::mem::take(&mut pending.sessions);
        let pieces = std::mem::take(&mut pending.pieces);
        self.in_flight.push_back(InFlight { id, grown, sessions, pieces, bytes, plain_from });
        id
    }

    /// Closes a batch of nothing but the pending batch's plain removals, while the store has no room for more. The
    /// rest stays pending, under the next number. Nothing: there are none.
    pub fn close_plain(
        &mut self,
        pending: &mut Pending,
        write: impl FnOnce(&mut Pending),
        into: &mut Batch,
    ) -> Option<CommitId> {
        let ordered = std::mem::take(&mut pending.ops);
        write(pending);
        pending.begin_plain();
        let plain = std::mem::replace(&mut pending.ops, ordered);
        if plain.is_empty() {
            return None;
        }
        into.clear();
        into.ops = plain;
        into.level = Level::Durable;
        let id = pending.id;
        pending.id = id.next();
        let sessions = std::mem::take(&mut pending.sessions);
        let grown = Vec::new();
        let pieces = Vec::new();
        self.in_flight.push_back(InFlight { id, grown, sessions, pieces, bytes: 0, plain_from: 0 });
        Some(id)
    }

    /// The sessions whose answers wait for the batch closed last.
    pub fn last_sessions(&self) -> Vec<Key<Session>> {
        self.in_flight.back().map_or_else(Vec::new, |batch| batch.sessions.clone())
    }

    /// This session too has an answer that waits for a batch on its way.
    pub fn watch(&mut self, id: CommitId, session: Key<Session>) {
        let batch = self.in_flight.iter_mut().find(|batch| batch.id == id);
        if let Some(batch) = batch.filter(|batch| !batch.sessions.contains(&session)) {
            batch.sessions.push(session);
        }
    }

    /// Notes how far the store has come.
    pub fn advance(&mut self, commit: CommitId) {
        self.committed = self.committed.max(commit);
    }

    /// The next batch that has arrived, and all before it.
    pub fn pop(&mut self) -> Option<InFlight> {
        let front = self.in_flight.front()?;
        if !self.has(front.id) {
            return None;
        }
        let done = self.in_flight.pop_front()?;
        self.bytes -= done.bytes;
        Some(done)
    }

    /// Sessions whose answers wait for batches that have arrived behind a refused one.
    pub fn overtaking(&self) -> Vec<Key<Session>> {
        self.in_flight
            .iter()
            .filter(|batch| self.has(batch.id))
            .flat_map(|batch| batch.sessions.iter().copied())
            .collect()
    }

    /// The store has refused this batch. Answers where its plain removals begin, and whose answers wait for it.
    pub fn hold(&mut self, id: CommitId) -> Option<(usize, Vec<Key<Session>>)> {
        let batch = self.in_flight.iter_mut().find(|batch| batch.id == id)?;
        self.held.insert(id);
        Some((std::mem::replace(&mut batch.plain_from, usize::MAX), batch.sessions.clone()))
    }

    /// The store has taken the batches that it had refused; they count with the next `advance`.
    pub fn release(&mut self) {
        if let Some(first) = self.held.pop_first() {
            self.held.clear();
            self.committed = self.committed.min(CommitId(first.0.saturating_sub(1)));
        }
    }
}
