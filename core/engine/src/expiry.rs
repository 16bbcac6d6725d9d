// SPDX-License-Identifier: Apache-2.0
//! Looking for messages whose time is over, where nobody consumes them.
//!
//! Every lane knows the earliest expiration that it may hold. A sweep walks over the store's heads of such a lane in
//! bounded steps, and over what is in memory. What is being delivered is checked by the dispatch.

use crate::dead_letter::Cause;
use crate::engine::Engine;
use crate::output::Outputs;
use crate::queue::Queue;
use crate::queue::entry::{Entry, boxed};
use crate::queue::paging::{Page, merge};
use crate::queue::view::PLAIN;
use crate::reads::{Answered, Purpose};
use crate::slab::Key;
use sabir_model::Head;
use sabir_model::message::FIXED_HEAD_BYTES;

/// How much of each record is read while somebody listens to what expires. A longer head is not told.
const TOLD_HEAD_BYTES: usize = 4_096;

impl Engine {
    /// Begins a sweep, if its time has come.
    pub(crate) fn sweep(&mut self, out: &mut Outputs) {
        if self.now.monotonic_ms < self.next_sweep_ms {
            return;
        }
        self.next_sweep_ms =
            self.now.monotonic_ms.saturating_add(self.config.limits.sweep_interval_ms.max(1));
        if !self.expiring {
            return;
        }
        self.expiring = false;
        for key in self.queues.keys() {
            let Some(queue) = self.queues.get(key) else { continue };
            let due: Vec<(usize, u8)> = queue
                .lanes
                .iter()
                .enumerate()
                .filter(|(_, lane)| lane.earliest_expiry_ms <= self.now.unix_ms)
                .map(|(at, lane)| (at, lane.priority))
                .collect();
            for (at, priority) in due {
                self.sweep_memory(key, at);
                self.sweep_store(key, priority, out);
            }
            self.expiring |= self
                .queues
                .get(key)
                .is_some_and(|queue| queue.lanes.iter().any(|lane| lane.earliest_expiry_ms != i64::MAX));
        }
    }

    /// Looks through what a lane has in memory.
    fn sweep_memory(&mut self, key: Key<Queue>, at: usize) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        let now = self.now;
        let mut expired: Vec<Entry> = Vec::new();
        let ready: Vec<u64> = queue.views[PLAIN].feeds[at]
            .ready
            .iter()
            .filter(|entry| entry.expired(now))
            .map(|entry| entry.seq)
            .collect();
        for seq in ready {
            if let Some(entry) = queue.views[PLAIN].feeds[at].take(seq) {
                queue.lanes[at].ready.remove(seq);
                expired.push(entry);
            }
        }
        let released: Vec<u64> = queue.lanes[at]
            .released
            .values()
            .filter(|entry| entry.expired(now))
            .map(|entry| entry.seq)
            .collect();
        expired.extend(released.iter().filter_map(|seq| queue.lanes[at].released.remove(seq)));
        let priority = queue.lanes[at].priority;
        for mut entry in expired {
            // No consumer has been given it.
            entry.group = 0;
            // It may be let go of in memory before it is told of.
            let read = entry.message.as_ref().map(|message| message.pieces()[0].clone());
            if let Some(queue) = self.queues.get_mut(key) {
                queue.depart(key, at, &mut entry, &mut self.pending, &mut self.memory);
            }
            self.dead_letter_read(key, priority, entry, &Cause::Expired, read.as_ref());
        }
    }

    /// Reads the next heads of a lane.
    fn sweep_store(&mut self, key: Key<Queue>, priority: u8, out: &mut Outputs) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        let Some(at) = queue.find_lane(priority) else { return };
        let in_memory_to = queue.views[PLAIN].feeds[at].next;
        let lane = &mut queue.lanes[at];
        if lane.sweep_reading {
            return;
        }
        let from = lane.sweep_next.max(in_memory_to);
        let Some(from) = lane.ready.next_from(from).filter(|from| *from < lane.committed) else {
            // Round again; what was seen meanwhile is the new earliest.
            lane.sweep_next = 0;
            lane.earliest_expiry_ms = std::mem::replace(&mut lane.sweep_earliest_ms, i64::MAX);
            let memory_earliest = queue.views[PLAIN].feeds[at]
                .ready
                .iter()
                .chain(&queue.lanes[at].recent)
                .chain(queue.lanes[at].released.values())
                .filter_map(|entry| entry.message.as_ref())
                .map(|message| message.head().expiration_ms())
                .filter(|expiration| *expiration != 0)
                .min();
            let lane = &mut queue.lanes[at];
            lane.earliest_expiry_ms = lane.earliest_expiry_ms.min(memory_earliest.unwrap_or(i64::MAX));
            return;
        };
        // A durable queue has its persistent messages in one log, and what of the others found no room in memory in
        // another: the page covers both.
        let page = Page {
            log: lane.log,
            from,
            last: lane.committed - 1,
            durable: queue.traits.durable,
            temporary: lane.temporary_count > 0 && from <= lane.temporary_last,
        };
        if !page.durable && !page.temporary {
            return;
        }
        lane.sweep_reading = true;
        let max_records = self.config.limits.sweep_records;
        // Who listens is told what it was that has expired.
        let host = queue.host;
        let (len, max_records) = match self.is_listened_to(host) {
            true => (TOLD_HEAD_BYTES, max_records.div_ceil(16)),
            false => (FIXED_HEAD_BYTES, max_records),
        };
        self.reads.heads(page, len, Purpose::Sweep { queue: key, priority }, max_records, out);
    }

    /// Heads have come.
    pub(crate) fn swept(&mut self, key: Key<Queue>, priority: u8, answered: Answered) {
        let now_ms = self.now.unix_ms;
        let Some(queue) = self.queues.get_mut(key) else { return };
        let Some(at) = queue.find_lane(priority) else { return };
        let merged = merge(&answered.page, answered.parts);
        let lane = &mut queue.lanes[at];
        lane.sweep_reading = false;
        lane.sweep_next = merged.complete_below;
        let mut expired = Vec::new();
        for (place, record) in merged.records {
            if lane.ready.first() == Some(record.seq) {
                lane.oldest_seen = timestamp_of(&record.data).map(|ms| (record.seq, ms));
            }
            let Some(expiration_ms) = expiration_of(&record.data) else { continue };
            if expiration_ms == 0 || !record.label.is_empty() {
                continue;
            }
            if expiration_ms > now_ms {
                lane.sweep_earliest_ms = lane.sweep_earliest_ms.min(expiration_ms);
            } else if lane.ready.remove(record.seq) {
                // While the head was read, the plain view may have fetched the entry.
                if let Some(fetched) = queue.views[PLAIN].feeds[at].take(record.seq) {
                    queue.budget.discharge(&mut self.memory, fetched.cost());
                }
                let attempts = lane.attempts.get(&record.seq).copied();
                let read = record.data.clone();
                let entry = Entry {
                    seq: record.seq,
                    message: None,
                    size: lane.size_of(&record),
                    label: boxed(record.label),
                    attempts: attempts.unwrap_or(0),
                    place,
                    redelivered: false,
                    counted: attempts.is_some(),
                    together: false,
                    group: 0,
                };
                expired.push((entry, read));
            }
        }
        for (entry, read) in expired {
            if let Some(queue) = self.queues.get_mut(key) {
                queue.in_flight += 1;
            }
            self.dead_letter_read(key, priority, entry, &Cause::Expired, Some(&read));
        }
    }
}

/// When the message was sent, if its head says.
fn timestamp_of(head: &[u8]) -> Option<i64> {
    let bytes = head.get(16..24)?;
    Some(i64::from_le_bytes(bytes.try_into().ok()?)).filter(|ms| *ms > 0)
}

/// The expiration in the fixed part of a head, of which more need not be there.
fn expiration_of(head: &[u8]) -> Option<i64> {
    if let Some(head) = Head::trusted(head) {
        return Some(head.expiration_ms());
    }
    Some(i64::from_le_bytes(head.get(24..32)?.try_into().ok()?))
}
