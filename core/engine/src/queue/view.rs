// SPDX-License-Identifier: Apache-2.0
//! What the consumers with one selector see of a queue: how far they have looked, and what they found.
//!
//! Every queue has the view without a selector, first in its list. That one is also the home of messages that lie in
//! memory alone. A view never looks twice at an entry: what it passed over did not match, and what comes back later
//! is offered to it directly.

use super::entry::Entry;
use crate::output::ReadId;
use crate::slab::Key;
use crate::subscription::Subscription;
use sabir_model::selector::Selector;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// The view that every queue has.
pub(crate) const PLAIN: usize = 0;

/// A view's part of one lane.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// Entries in memory that match, in order. Those without a message were taken through another view.
    pub ready: VecDeque<Entry>,
    /// Entries in `ready` without a message.
    holes: usize,
    /// All entries below were looked at.
    pub next: u64,
    /// Bytes charged for `ready`.
    pub bytes: usize,
    /// The page that is being read.
    pub reading: Option<ReadId>,
    /// Released entries that match; kept only by views with a selector. Where messages have groups: what is to be
    /// looked at again, by all views.
    pub returned: BTreeSet<u64>,
    /// Where messages have groups: entries of `ready` below were looked at.
    pub seen_to: u64,
}

impl Feed {
    pub fn push(&mut self, entry: Entry) {
        self.bytes += entry.cost();
        self.next = entry.seq + 1;
        self.ready.push_back(entry);
    }

    /// The first entry, holes left out.
    pub fn front(&mut self) -> Option<&Entry> {
        while self.ready.front().is_some_and(|entry| entry.message.is_none()) {
            self.ready.pop_front();
            self.holes -= 1;
        }
        self.ready.front()
    }

    /// Takes the first entry, which `front` has shown.
    pub fn pop(&mut self) -> Option<Entry> {
        let entry = self.ready.pop_front()?;
        self.bytes -= entry.cost();
        if self.ready.is_empty() && self.ready.capacity() > 1024 {
            self.ready.shrink_to(64);
        }
        Some(entry)
    }

    /// The index of the first entry at or behind `seq`.
    pub fn index_from(&self, seq: u64) -> usize {
        self.ready.partition_point(|entry| entry.seq < seq)
    }

    /// The entry with this number, if it is there.
    pub fn find(&self, seq: u64) -> Option<&Entry> {
        self.ready.get(self.index_from(seq)).filter(|entry| entry.seq == seq && entry.message.is_some())
    }

    /// The first entry that was not looked at.
    pub fn next_unseen(&self) -> Option<u64> {
        let from = self.index_from(self.seen_to);
        self.ready.range(from..).find(|entry| entry.message.is_some()).map(|entry| entry.seq)
    }

    /// An entry was looked at.
    pub fn saw(&mut self, seq: u64) {
        if self.next_unseen() == Some(seq) {
            self.seen_to = seq + 1;
        }
        self.returned.remove(&seq);
    }

    /// Takes an entry out of the middle.
    pub fn take(&mut self, seq: u64) -> Option<Entry> {
        let at = self.index_from(seq);
        let entry = self.ready.get_mut(at).filter(|entry| entry.seq == seq)?;
        let message = entry.message.take()?;
        let mut taken = entry.clone();
        taken.message = Some(message);
        self.bytes -= taken.cost();
        self.holes += 1;
        if self.holes > 64 && self.holes * 2 > self.ready.len() {
            self.ready.retain(|entry| entry.message.is_some());
            self.holes = 0;
        }
        Some(taken)
    }
}

/// Consumers with the same priority; those with credit stand in a ring.
#[derive(Debug)]
struct Ring {
    priority: i8,
    consumers: VecDeque<Key<Subscription>>,
}

/// What the consumers with one selector see.
#[derive(Debug)]
pub(crate) struct View {
    /// Unique within the queue.
    pub id: u32,
    pub selector: Option<Arc<Selector>>,
    /// The selector's canonical text.
    pub text: String,
    /// One for each lane, in the order of the lanes.
    pub feeds: Vec<Feed>,
    /// Consumers, with and without credit.
    pub members: usize,
    rings: Vec<Ring>,
    /// Messages have groups.
    pub grouped: bool,
    /// Consumers that have come back to a ring since it was looked at what waits for them alone.
    pub woken: BTreeSet<Key<Subscription>>,
}

impl View {
    pub fn new(id: u32, selector: Option<Arc<Selector>>, text: String, lanes: usize) -> Self {
        let feeds = (0..lanes).map(|_| Feed::default()).collect();
        View {
            id,
            selector,
            text,
            feeds,
            members: 0,
            rings: Vec::new(),
            grouped: false,
            woken: BTreeSet::new(),
        }
    }

    /// Whether an entry, whose message must be there, is for this view.
    pub fn wants(&self, entry: &Entry) -> bool {
        self.selector.as_ref().is_none_or(|selector| entry.satisfies(selector))
    }

    /// Whether it keeps a list of its own of what has come back.
    pub fn keeps_returned(&self) -> bool {
        self.selector.is_some() || self.grouped
    }

    /// A consumer has credit: it stands at the end of the ring of its priority.
    pub fn enter(&mut self, consumer: Key<Subscription>, priority: i8) {
        let at = self.rings.partition_point(|ring| ring.priority > priority);
        if self.rings.get(at).is_none_or(|ring| ring.priority != priority) {
            self.rings.insert(at, Ring { priority, consumers: VecDeque::new() });
        }
        self.rings[at].consumers.push_back(consumer);
        if self.grouped {
            self.woken.insert(consumer);
        }
    }

    /// Of the highest priority that has any for which there is a measure, the consumer with the least; of several
    /// the one whose turn comes first.
    pub fn least(&self, measure: impl Fn(Key<Subscription>) -> Option<usize>) -> Option<Key<Subscription>> {
        self.rings.iter().find_map(|ring| {
            let measured =
                ring.consumers.iter().filter_map(|one| measure(*one).map(|measure| (measure, *one)));
            measured.min_by_key(|(measure, _)| *measure).map(|(_, one)| one)
        })
    }

    /// A consumer was served, whose turn it need not have been; it leaves the ring unless it `stays`.
    pub fn served(&mut self, consumer: Key<Subscription>, stays: bool) {
        if self.turn().is_some_and(|(turn, _)| turn == consumer) {
            self.pass_turn(stays);
        } else if !stays {
            self.leave(consumer);
        }
    }

    /// The consumer whose turn it is, with its priority.
    pub fn turn(&self) -> Option<(Key<Subscription>, i8)> {
        let ring = self.rings.iter().find(|ring| !ring.consumers.is_empty())?;
        ring.consumers.front().map(|consumer| (*consumer, ring.priority))
    }

    /// The turn goes on; the consumer leaves the ring unless it `stays`.
    pub fn pass_turn(&mut self, stays: bool) {
        let ring = self.rings.iter_mut().find(|ring| !ring.consumers.is_empty());
        if let Some(ring) = ring
            && let Some(consumer) = ring.consumers.pop_front()
            && stays
        {
            ring.consumers.push_back(consumer);
        }
    }

    /// The consumer is gone.
    pub fn leave(&mut self, consumer: Key<Subscription>) {
        for ring in &mut self.rings {
            ring.consumers.retain(|other| *other != consumer);
        }
        self.rings.retain(|ring| !ring.consumers.is_empty());
    }
}
