// SPDX-License-Identifier: Apache-2.0
//! The messages of one queue that have one priority: a dense log, its ready part as ranges, and the exceptions.

use super::Queue;
use super::entry::{Entry, Place};
use super::ranges::RangeSet;
use crate::commit::{CommitId, Pending};
use crate::keys::{self, KeyKind};
use crate::output::CommitNeed;
use crate::slab::Key;
use bytes::Bytes;
use sabir_model::message::{FormatError, Message};
use sabir_model::store::{FORMAT_BODY_APART, LogId, Record, TEMPORARY};
use sabir_model::stored::{STORED_AT_BYTES, StoredBody};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A lane.
#[derive(Debug)]
pub(crate) struct Lane {
    pub priority: u8,
    pub log: LogId,
    pub next_seq: u64,
    /// What the store was given below this number has arrived there.
    pub committed: u64,
    /// Entries that wait and were not tried: nearly all of a deep queue, in a few runs.
    pub ready: RangeSet,
    /// Entries that came back. Served before the ready ones.
    pub released: BTreeMap<u64, Entry>,
    /// The end of the lane, while what lies before it is not in memory: so that a consumer who catches up need
    /// not read what has just been written.
    pub recent: VecDeque<Entry>,
    pub recent_bytes: usize,
    /// Entries in the temporary log.
    pub temporary_count: u64,
    pub temporary_last: u64,
    /// Found at recovery: how often entries were delivered in vain.
    pub attempts: BTreeMap<u64, u32>,
    /// Bodies of entries that lie in the store, in pieces, whatever else of the entry is in memory.
    pub bodies: BTreeMap<u64, Arc<StoredBody>>,
    /// Found at recovery: entries below may have been delivered.
    pub redelivered_below: u64,
    /// Entries below have been delivered.
    pub delivered_to: u64,
    /// What is saved of `delivered_to`.
    mark_saved: u64,
    /// The earliest expiration of what waits, if any; `i64::MAX`: none.
    pub earliest_expiry_ms: i64,
    /// How far the sweep has come that looks for expired entries in the store.
    pub sweep_next: u64,
    pub sweep_reading: bool,
    /// When an entry was sent that the sweep found first of all, for as long as it is the first.
    pub oldest_seen: Option<(u64, i64)>,
    /// The earliest expiration that the sweep under way has seen and left.
    pub sweep_earliest_ms: i64,
    removals: Vec<(u64, u64)>,
    temporary_removals: Vec<(u64, u64)>,
    grown_in: CommitId,
    shrunk_in: CommitId,
    marked_in: CommitId,
}

impl Lane {
    pub fn new(queue: u64, priority: u8) -> Self {
        Lane {
            priority,
            log: keys::lane_log(queue, priority),
            next_seq: 0,
            committed: 0,
            ready: RangeSet::default(),
            released: BTreeMap::new(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            temporary_count: 0,
            temporary_last: 0,
            attempts: BTreeMap::new(),
            bodies: BTreeMap::new(),
            redelivered_below: 0,
            delivered_to: 0,
            mark_saved: 0,
            earliest_expiry_ms: i64::MAX,
            sweep_next: 0,
            sweep_reading: false,
            oldest_seen: None,
            sweep_earliest_ms: i64::MAX,
            removals: Vec::new(),
            temporary_removals: Vec::new(),
            grown_in: CommitId(0),
            shrunk_in: CommitId(0),
            marked_in: CommitId(0),
        }
    }

    /// The number of the next entry, which is ready from now on.
    pub fn allocate(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.ready.push_back(seq, seq);
        seq
    }

    /// The log in which an entry lies.
    pub fn log_of(&self, place: Place) -> LogId {
        if place == Place::Durable { self.log } else { self.log | TEMPORARY }
    }

    /// The pending batch has an entry for this lane: the watermark is to follow.
    pub fn note_grown(&mut self, queue: Key<Queue>, pending: &mut Pending) {
        if self.grown_in != pending.id {
            self.grown_in = pending.id;
            pending.grown.push((queue, self.priority));
        }
    }

    /// An entry has its body in the store.
    pub fn hold_body(&mut self, seq: u64, place: Place, body: &Arc<StoredBody>, pending: &mut Pending) {
        if place == Place::Durable {
            let value = Bytes::copy_from_slice(&body.at().encode());
            pending.put(keys::key(KeyKind::Body(self.log, seq)), value);
        }
        body.touch(pending.id.0);
        self.bodies.insert(seq, body.clone());
    }

    /// An entry needs its body no longer. `now`: it goes with the batch, of which the body must not get ahead.
    fn let_go_of_body(&mut self, entry: &Entry, now: bool, pending: &mut Pending) {
        let Some(body) = self.bodies.remove(&entry.seq) else { return };
        if entry.place == Place::Durable {
            pending.delete(keys::key(KeyKind::Body(self.log, entry.seq)));
            pending.want(CommitNeed::Lazy);
        }
        if now {
            body.touch(pending.id.0);
        }
    }

    /// All entries go, with the batch.
    pub fn let_go_of_bodies(&mut self, pending: &mut Pending) {
        for (seq, body) in std::mem::take(&mut self.bodies) {
            pending.delete(keys::key(KeyKind::Body(self.log, seq)));
            body.touch(pending.id.0);
        }
    }

    /// The message of a record of this lane.
    pub fn message_of(&self, record: &Record) -> Result<Message, FormatError> {
        if record.format != FORMAT_BODY_APART {
            return Message::trusted(record.data.clone());
        }
        let body = self.bodies.get(&record.seq).ok_or(FormatError::Inconsistent)?;
        Message::trusted_apart(&record.data, body.clone())
    }

    /// The size of a record's message, if it has this length.
    pub fn size_of(&self, record: &Record) -> u32 {
        let size = match self.bodies.get(&record.seq) {
            Some(body) => {
                record.total_len.saturating_add(body.at().len).saturating_sub(STORED_AT_BYTES as u64)
            }
            None => record.total_len,
        };
        u32::try_from(size).unwrap_or(u32::MAX)
    }

    /// The entry goes. Its removal is collected: many make one operation.
    pub fn retire(&mut self, queue: Key<Queue>, entry: &Entry, pending: &mut Pending) {
        if entry.counted {
            self.attempts.remove(&entry.seq);
            pending.delete(keys::key(KeyKind::Attempts(self.log, entry.seq)));
            pending.want(CommitNeed::Lazy);
        }
        if !self.bodies.is_empty() {
            self.let_go_of_body(entry, false, pending);
        }
        let list = match entry.place {
            Place::Memory => return,
            Place::Durable => &mut self.removals,
            Place::Temporary => {
                self.temporary_count -= 1;
                &mut self.temporary_removals
            }
        };
        match list.last_mut() {
            Some((_, last)) if *last + 1 == entry.seq => *last = entry.seq,
            _ => list.push((entry.seq, entry.seq)),
        }
        if self.shrunk_in != pending.id {
            self.shrunk_in = pending.id;
            pending.shrunk.push((queue, self.priority));
            pending.want(CommitNeed::Lazy);
        }
    }

    /// The entry goes together with what the batch holds already.
    pub fn retire_now(&mut self, entry: &Entry, pending: &mut Pending) {
        if entry.counted {
            self.attempts.remove(&entry.seq);
            pending.delete(keys::key(KeyKind::Attempts(self.log, entry.seq)));
        }
        if !self.bodies.is_empty() {
            self.let_go_of_body(entry, true, pending);
        }
        if entry.place == Place::Temporary {
            self.temporary_count -= 1;
        }
        if entry.place != Place::Memory {
            pending.remove(self.log_of(entry.place), entry.seq, entry.seq);
        }
    }

    /// Puts the collected removals into the batch, as few operations as possible.
    pub fn write_removals(&mut self, pending: &mut Pending) {
        for (log, list) in
            [(self.log, &mut self.removals), (self.log | TEMPORARY, &mut self.temporary_removals)]
        {
            list.sort_unstable();
            for (first, last) in list.drain(..) {
                pending.remove(log, first, last);
            }
            if list.capacity() > 4096 {
                list.shrink_to(64);
            }
        }
    }

    /// The entry has gone to a consumer.
    pub fn note_delivered(&mut self, queue: Key<Queue>, entry: &Entry, pending: &mut Pending) {
        if entry.place != Place::Durable || entry.seq < self.delivered_to {
            return;
        }
        self.delivered_to = entry.seq + 1;
        if self.marked_in != pending.id {
            self.marked_in = pending.id;
            pending.marked.push((queue, self.priority));
            pending.want(CommitNeed::Lazy);
        }
    }

    /// Puts the delivery mark into the batch.
    pub fn write_mark(&mut self, pending: &mut Pending) {
        if self.delivered_to > self.mark_saved {
            self.mark_saved = self.delivered_to;
            let value = Bytes::copy_from_slice(&self.delivered_to.to_le_bytes());
            pending.put(keys::key(KeyKind::Mark(self.log)), value);
        }
    }

    /// Recovery has found the mark.
    pub fn recover_mark(&mut self, mark: u64) {
        self.redelivered_below = mark;
        self.delivered_to = mark;
        self.mark_saved = mark;
    }
}
