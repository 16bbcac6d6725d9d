// SPDX-License-Identifier: Apache-2.0
//! What of a queue is in memory, and what is fetched from the store ahead of its consumers.
//!
//! A view's feed holds the front of what it will deliver; a lane's `recent` holds its very end while there is a gap
//! between the two. What lies in the gap costs nothing but its runs in `ready`. Nothing here knows who consumes.

use super::entry::{Entry, Place, boxed};
use super::groups::group_of;
use super::view::PLAIN;
use super::{Memory, Queue};
use crate::reads::Part;
use sabir_model::store::{LogId, Read, Record, TEMPORARY, Want};

/// Entries of one lane to be fetched: up to two logs, whose records are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub log: LogId,
    pub from: u64,
    pub last: u64,
    pub durable: bool,
    pub temporary: bool,
}

impl Page {
    /// The reads that it takes.
    pub fn reads(&self, max_records: u64, max_bytes: u64, want: Want) -> impl Iterator<Item = Read> + use<> {
        let Page { log, from, last, durable, temporary } = *self;
        let logs = [durable.then_some(log), temporary.then_some(log | TEMPORARY)];
        logs.into_iter().flatten().map(move |log| Read { log, from, last, max_records, max_bytes, want })
    }
}

/// Records of one page, merged. Each read covers what it gave, or all of the page if it gave nothing.
pub(crate) struct Merged {
    /// The records in order, with where they lie.
    pub records: Vec<(Place, Record)>,
    /// Nothing beside `records` exists below this number.
    pub complete_below: u64,
}

/// Merges what the reads of a page gave.
pub(crate) fn merge(page: &Page, parts: Vec<Part>) -> Merged {
    let mut complete_below = page.last + 1;
    for part in &parts {
        match part.records.last() {
            Some(record) => complete_below = complete_below.min(record.seq + 1),
            // A damaged record is passed over, alone: it stays in the store, and in the counts.
            None if part.failed => complete_below = complete_below.min(page.from + 1),
            None => {}
        }
    }
    let mut records: Vec<(Place, Record)> = parts
        .into_iter()
        .flat_map(|part| part.records.into_iter().map(move |record| (part.place, record)))
        .filter(|(_, record)| record.seq < complete_below)
        .collect();
    records.sort_by_key(|(_, record)| record.seq);
    Merged { records, complete_below }
}

impl Queue {
    /// Lets go of the oldest recent entries that are in the store anyway.
    pub fn trim_recent(&mut self, at: usize, memory: &mut Memory) {
        let lane = &mut self.lanes[at];
        while let Some(front) = lane.recent.front() {
            let crowded = lane.recent_bytes > self.budget.limit / 4 || memory.resident > memory.limit;
            if !crowded || front.seq >= lane.committed {
                break;
            }
            if let Some(entry) = lane.recent.pop_front() {
                lane.recent_bytes -= entry.cost();
                self.budget.discharge(memory, entry.cost());
            }
        }
        if lane.recent.is_empty() && lane.recent.capacity() > 4096 {
            lane.recent.shrink_to(64);
        }
    }

    /// Brings a view's feed up to its share of memory with what is in memory already. Answers what is to be
    /// fetched, if anything.
    pub fn refill(&mut self, view: usize, at: usize, memory: &mut Memory) -> Option<Page> {
        loop {
            let lane = &self.lanes[at];
            let feed = &self.views[view].feeds[at];
            if feed.next >= lane.next_seq {
                if view == PLAIN && !lane.recent.is_empty() {
                    self.clear_recent(at, memory);
                }
                return None;
            }
            if feed.reading.is_some() {
                return None;
            }
            // What waits for the consumers of its groups is in the way of none behind it, as far as memory reaches.
            let waits = self.groups.is_some() && feed.next_unseen().is_none();
            let share = if waits { self.budget.limit / 4 * 3 } else { self.budget.limit / 4 };
            if !feed.ready.is_empty() && feed.bytes >= share {
                return None;
            }
            let Some(from) = lane.ready.next_from(feed.next) else {
                self.views[view].feeds[at].next = lane.next_seq;
                if view == PLAIN {
                    self.clear_recent(at, memory);
                }
                return None;
            };
            self.views[view].feeds[at].next = from;
            if view != PLAIN && from < self.views[PLAIN].feeds[at].next {
                if !self.copy_from_plain(view, at, memory) {
                    return None;
                }
                continue;
            }
            let recent = &self.lanes[at].recent;
            let recent_from =
                recent.get(recent.partition_point(|entry| entry.seq < from)).map(|entry| entry.seq);
            if recent_from == Some(from) {
                if !self.take_recent(view, at, from, memory) {
                    return None;
                }
                continue;
            }
            return self.page(at, from, recent_from);
        }
    }

    /// Nothing that the plain view has not looked at is ready: what is left here was taken through other views.
    fn clear_recent(&mut self, at: usize, memory: &mut Memory) {
        let lane = &mut self.lanes[at];
        self.budget.discharge(memory, std::mem::take(&mut lane.recent_bytes));
        lane.recent.clear();
    }

    /// The page that begins at `from`.
    fn page(&self, at: usize, from: u64, recent_from: Option<u64>) -> Option<Page> {
        let lane = &self.lanes[at];
        let end = lane.committed.min(recent_from.unwrap_or(u64::MAX));
        if from >= end {
            return None;
        }
        Some(Page {
            log: lane.log,
            from,
            last: end - 1,
            durable: self.traits.durable,
            temporary: lane.temporary_count > 0 && from <= lane.temporary_last,
        })
    }

    /// Lets a view with a selector look at what the plain one has in memory. False: there is no more room.
    fn copy_from_plain(&mut self, view: usize, at: usize, memory: &mut Memory) -> bool {
        let (plain, others) = self.views.split_at_mut(1);
        let Some(view) = others.get_mut(view - 1) else { return false };
        let source = &plain[PLAIN].feeds[at];
        let start = source.index_from(view.feeds[at].next);
        for entry in source.ready.range(start..).filter(|entry| entry.message.is_some()) {
            if !view.wants(entry) {
                view.feeds[at].next = entry.seq + 1;
                continue;
            }
            if view.feeds[at].bytes > self.budget.limit / 2 {
                return false;
            }
            self.budget.charge(memory, entry.cost());
            view.feeds[at].push(entry.clone());
        }
        view.feeds[at].next = source.next;
        true
    }

    /// Moves the lane's end into a feed that has come up to it. False: there is no more room.
    fn take_recent(&mut self, view: usize, at: usize, from: u64, memory: &mut Memory) -> bool {
        let lane = &mut self.lanes[at];
        if view == PLAIN {
            let feed = &mut self.views[PLAIN].feeds[at];
            while let Some(front) = lane.recent.front() {
                let next = lane.ready.next_from(feed.next.max(from));
                if next.is_some_and(|next| next < front.seq) {
                    // What was linked in between is in the store only.
                    return true;
                }
                let wanted = next == Some(front.seq);
                let Some(entry) = lane.recent.pop_front() else { break };
                lane.recent_bytes -= entry.cost();
                if !wanted {
                    self.budget.discharge(memory, entry.cost());
                    continue;
                }
                feed.push(entry);
                if feed.bytes > self.budget.limit / 2 {
                    return false;
                }
            }
            return true;
        }
        let view = &mut self.views[view];
        let start = lane.recent.partition_point(|entry| entry.seq < from);
        for entry in lane.recent.range(start..) {
            if lane.ready.next_from(view.feeds[at].next).is_some_and(|next| next < entry.seq) {
                return true;
            }
            if !lane.ready.contains(entry.seq) || !view.wants(entry) {
                view.feeds[at].next = entry.seq + 1;
                continue;
            }
            self.budget.charge(memory, entry.cost());
            view.feeds[at].push(entry.clone());
            if view.feeds[at].bytes > self.budget.limit / 2 {
                return false;
            }
        }
        true
    }

    /// A page has come. Puts what the view wants into its feed.
    pub fn page_loaded(&mut self, view: usize, at: usize, merged: Merged, memory: &mut Memory) {
        let (can_group, mut grouped) = (self.can_group(), false);
        let lane = &mut self.lanes[at];
        let view = &mut self.views[view];
        for (place, record) in merged.records {
            let seq = record.seq;
            if seq < view.feeds[at].next || !lane.ready.contains(seq) {
                continue;
            }
            let Some(mut entry) = revive(lane, place, record) else { continue };
            match can_group {
                true => grouped |= entry.group != 0,
                false => entry.group = 0,
            }
            if !view.wants(&entry) {
                view.feeds[at].next = seq + 1;
                continue;
            }
            self.budget.charge(memory, entry.cost());
            view.feeds[at].push(entry);
        }
        let feed = &mut view.feeds[at];
        feed.next = feed.next.max(merged.complete_below);
        if grouped {
            self.begin_groups();
        }
    }

    /// Released entries of this lane whose messages must be fetched before they can be delivered.
    pub fn released_page(&self, at: usize) -> Option<Page> {
        let lane = &self.lanes[at];
        let missing = |entry: &&Entry| entry.message.is_none();
        let first = lane.released.values().find(missing)?.seq;
        let last = lane.released.range(first..).map(|(seq, _)| *seq).take(256).last()?;
        Some(Page {
            log: lane.log,
            from: first,
            last,
            durable: self.traits.durable,
            temporary: lane.temporary_count > 0 && first <= lane.temporary_last,
        })
    }

    /// Messages of released entries have come.
    pub fn released_loaded(&mut self, at: usize, merged: Merged, memory: &mut Memory) {
        let (can_group, mut grouped) = (self.can_group(), false);
        for (_, record) in merged.records {
            let lane = &mut self.lanes[at];
            if lane.released.get(&record.seq).is_none_or(|entry| entry.message.is_some()) {
                continue;
            }
            let Ok(message) = lane.message_of(&record) else { continue };
            let Some(entry) = lane.released.get_mut(&record.seq) else { continue };
            // Of what a prepared branch has given back after a restart, nothing of this was known.
            entry.label = entry.label.take().or_else(|| boxed(record.label));
            if entry.group == 0 && can_group {
                entry.group = group_of(&message);
                grouped |= entry.group != 0;
            }
            entry.message = Some(message);
            self.budget.charge(memory, entry.cost());
            for view in &mut self.views {
                if view.keeps_returned() && view.wants(entry) {
                    view.feeds[at].returned.insert(record.seq);
                }
            }
        }
        if grouped {
            self.begin_groups();
        }
    }

    /// A released entry whose record is damaged: it stays in the store, and in the counts, and stops nobody.
    pub fn set_aside(&mut self, at: usize, seq: u64) {
        self.lanes[at].released.remove(&seq);
    }

    /// Gives back memory: what the plain view has in memory beyond `keep` bytes, as far as it is in the store.
    pub fn evict(&mut self, keep: usize, memory: &mut Memory) {
        for at in 0..self.lanes.len() {
            let lane = &mut self.lanes[at];
            let feed = &mut self.views[PLAIN].feeds[at];
            if feed.reading.is_some() {
                continue;
            }
            while feed.bytes > keep
                && let Some(back) = feed.ready.back()
                && back.message.is_some()
                && back.place != Place::Memory
                && back.seq < lane.committed
            {
                feed.next = back.seq;
                if let Some(entry) = feed.ready.pop_back() {
                    feed.bytes -= entry.cost();
                    self.budget.discharge(memory, entry.cost());
                }
            }
            feed.ready.shrink_to_fit();
            feed.seen_to = feed.seen_to.min(feed.next);
            while lane.recent.front().is_some_and(|entry| entry.seq < lane.committed) {
                if let Some(entry) = lane.recent.pop_front() {
                    lane.recent_bytes -= entry.cost();
                    self.budget.discharge(memory, entry.cost());
                }
            }
        }
    }
}

/// An entry from its record.
pub(crate) fn revive(lane: &super::lane::Lane, place: Place, record: Record) -> Option<Entry> {
    let message = lane.message_of(&record).ok()?;
    let size = u32::try_from(message.size_bytes()).unwrap_or(u32::MAX);
    let group = group_of(&message);
    let attempts = lane.attempts.get(&record.seq).copied();
    let before = place == Place::Durable && record.seq < lane.redelivered_below;
    Some(Entry {
        seq: record.seq,
        message: Some(message),
        label: boxed(record.label),
        size,
        attempts: attempts.unwrap_or(0),
        place,
        redelivered: before || attempts.is_some(),
        counted: attempts.is_some(),
        together: false,
        group,
    })
}
