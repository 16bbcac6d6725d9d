// SPDX-License-Identifier: Apache-2.0
//! Queues: what waits, what is in flight, and who is served next.
//!
//! A message that is delivered leaves the queue's structures and belongs to its subscription until it is settled:
//! then it is gone, or comes back. So the hot path looks nothing up.
//!
//! ```text
//!   entry     one message in one queue
//!   ranges    sets of sequence numbers, as runs
//!   lane      the messages of one priority
//!   view      what the consumers with one selector see
//!   paging    what is in memory and what is fetched
//!   dispatch  from the queue to its consumers
//!   groups    messages that belong together, to one consumer
//!   brake     producers that are held for a moment
//! ```
//!
//! Nothing here knows how a message found the queue, or who asked for it.

pub(crate) mod brake;
pub(crate) mod dispatch;
pub(crate) mod entry;
pub(crate) mod groups;
pub(crate) mod lane;
pub(crate) mod paging;
pub(crate) mod ranges;
pub(crate) mod view;

use crate::commit::Pending;
use crate::config::Policy;
use crate::flow::Parked;
use crate::keys::{self, KeyKind};
use crate::output::CommitNeed;
use crate::routing::{Exchange, VirtualHost};
use crate::session::Session;
use crate::slab::Key;
use crate::subscription::{DurableSubscription, Subscription};
use bytes::Bytes;
use entry::{Entry, Place, boxed, cost_of};
use groups::{Groups, group_of};
use lane::Lane;
use sabir_model::message::Message;
use sabir_model::selector::Selector;
use sabir_model::store::{LogId, TEMPORARY};
use sabir_model::stored::StoredBody;
use sabir_model::{Destination, DestinationKind};
use std::collections::VecDeque;
use std::sync::Arc;
use view::{Feed, PLAIN, View};

/// Memory that messages take, over all queues.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Bytes charged.
    pub resident: usize,
    /// Bytes allowed.
    pub limit: usize,
}

/// Memory that the messages of one queue take.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// Bytes charged.
    pub resident: usize,
    /// Of these, bytes of messages in flight.
    pub in_flight: usize,
    /// Bytes allowed.
    pub limit: usize,
}

impl Budget {
    fn charge(&mut self, memory: &mut Memory, bytes: usize) {
        self.resident += bytes;
        memory.resident += bytes;
    }

    pub fn discharge(&mut self, memory: &mut Memory, bytes: usize) {
        self.resident -= bytes;
        memory.resident -= bytes;
    }

    fn has_room(&self, memory: &Memory, bytes: usize) -> bool {
        self.resident + bytes <= self.limit && memory.resident + bytes <= memory.limit
    }

    /// The same for a message that will lie nowhere else. What is in flight of such messages stays in memory in any case,
    /// so it does not count here. While producers are held (`braked`), there is room for what was read from them
    /// before they knew.
    fn has_room_for_homeless(&self, memory: &Memory, bytes: usize, braked: bool) -> bool {
        let limit = if braked { self.limit.saturating_mul(2) } else { self.limit };
        self.resident - self.in_flight + bytes <= limit && memory.resident + bytes <= memory.limit
    }
}

/// How a queue came to be, and when it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traits {
    /// Its persistent messages are durable, and so is the queue.
    pub durable: bool,
    /// It goes when its last consumer goes.
    pub auto_delete: bool,
    /// It was made by use, and may go when it is empty and unused, by policy.
    pub auto_created: bool,
    /// Only its owner may consume.
    pub exclusive: bool,
}

/// A queue, which may be that of a subscription to topics.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Never used for another queue.
    pub number: u64,
    pub name: Box<str>,
    /// `Queue` or `TempQueue`; `Topic` for subscriptions.
    pub kind: DestinationKind,
    pub host: Key<VirtualHost>,
    pub policy: Arc<Policy>,
    pub traits: Traits,
    pub owner: Option<Key<Session>>,
    /// Of a durable subscription: what it subscribes to.
    pub durable_subscription: Option<Box<DurableSubscription>>,
    /// Highest priority first.
    pub lanes: Vec<Lane>,
    /// The plain one first.
    pub views: Vec<View>,
    next_view: u32,
    /// Messages, those in flight included.
    pub messages: u64,
    pub bytes: u64,
    pub in_flight: u64,
    pub budget: Budget,
    /// Publishes that wait for room here.
    pub parked: VecDeque<Parked>,
    /// Consumers, in the order of their coming.
    pub consumers: Vec<Key<Subscription>>,
    /// Those that want to be the only one served.
    pub exclusive: Vec<Key<Subscription>>,
    /// Those that look without consuming and have not come to the end.
    pub browsers: Vec<Key<Subscription>>,
    /// Whether dispatch is already due.
    pub scheduled: bool,
    /// The exchanges and keys by which it is bound.
    pub bound: Vec<(Key<Exchange>, Box<str>)>,
    /// Lanes, by priority, whose released entries are being fetched.
    pub fetching: Vec<u8>,
    pub pace: brake::Pace,
    /// Some of its bindings follow from its name, and mind what its consumers want.
    pub selector_aware: bool,
    /// Once a message of a group was seen.
    pub groups: Option<Box<Groups>>,
}

/// Of a new entry: what is known beside its message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub label: Bytes,
    pub attempts: u32,
    /// It is seen together with what else is in the pending batch, not before.
    pub together: bool,
}

impl Queue {
    pub fn new(
        number: u64,
        name: &str,
        kind: DestinationKind,
        host: Key<VirtualHost>,
        policy: Arc<Policy>,
        traits: Traits,
    ) -> Self {
        let limit = policy.resident_bytes;
        Queue {
            number,
            name: name.into(),
            kind,
            host,
            policy,
            traits,
            owner: None,
            durable_subscription: None,
            lanes: Vec::new(),
            views: vec![View::new(0, None, String::new(), 0)],
            next_view: 1,
            messages: 0,
            bytes: 0,
            in_flight: 0,
            budget: Budget { resident: 0, in_flight: 0, limit },
            parked: VecDeque::new(),
            consumers: Vec::new(),
            exclusive: Vec::new(),
            browsers: Vec::new(),
            scheduled: false,
            bound: Vec::new(),
            fetching: Vec::new(),
            pace: brake::Pace::default(),
            selector_aware: false,
            groups: None,
        }
    }

    /// Its destination, as clients see it.
    pub fn destination(&self) -> Destination {
        Destination { kind: self.kind, name: self.name.clone() }
    }

    /// The index of the lane for this priority, which is made if need be.
    pub fn lane(&mut self, priority: u8) -> usize {
        let priority = if self.policy.prioritized { priority } else { 4 };
        self.lane_exactly(priority)
    }

    /// As `lane`, whatever the policy says: for what the store has.
    pub fn lane_exactly(&mut self, priority: u8) -> usize {
        let at = self.lanes.partition_point(|lane| lane.priority > priority);
        if self.lanes.get(at).is_none_or(|lane| lane.priority != priority) {
            self.lanes.insert(at, Lane::new(self.number, priority));
            for view in &mut self.views {
                view.feeds.insert(at, Feed::default());
            }
        }
        at
    }

    /// The index of the lane with this priority, if it exists.
    pub fn find_lane(&self, priority: u8) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.priority == priority)
    }

    pub fn find_view(&self, id: u32) -> Option<usize> {
        self.views.iter().position(|view| view.id == id)
    }

    /// Whether a message of `bytes` more would be too much.
    pub fn is_full(&self, bytes: u64) -> bool {
        let policy = &self.policy;
        (policy.max_messages != 0 && self.messages >= policy.max_messages)
            || (policy.max_bytes != 0 && self.messages > 0 && self.bytes + bytes > policy.max_bytes)
    }

    /// Messages that wait.
    pub fn waiting(&self) -> u64 {
        self.messages - self.in_flight
    }

    /// Whether a message of this kind is written down durably here.
    pub fn keeps(&self, message: &Message) -> bool {
        self.traits.durable && message.head().persistent()
    }

    /// Whether a message that is not kept durably here would find no room in memory, and go to the store.
    pub fn would_spill(&self, message: &Message, memory: &Memory) -> bool {
        let cost = cost_of(message);
        let priority = if self.policy.prioritized { message.head().priority() } else { 4 };
        let has_gap = self
            .find_lane(priority)
            .is_some_and(|at| self.views[PLAIN].feeds[at].next != self.lanes[at].next_seq);
        has_gap || !self.budget.has_room_for_homeless(memory, cost, self.pace.braked)
    }

    /// Takes a message in. `body_at` is an entry that has the same record already; the first durable queue sets it,
    /// the others link to it. Answers where the message lies.
    pub fn admit(
        &mut self,
        own: Key<Queue>,
        message: &Message,
        origin: &Origin,
        body_at: &mut Option<(LogId, u64)>,
        pending: &mut Pending,
        memory: &mut Memory,
    ) -> Place {
        let (priority, durable, expiration_ms) = {
            let head = message.head();
            (head.priority(), self.traits.durable && head.persistent(), head.expiration_ms())
        };
        let at = self.lane(priority);
        let lane = &mut self.lanes[at];
        let seq = lane.allocate();
        if expiration_ms != 0 {
            lane.earliest_expiry_ms = lane.earliest_expiry_ms.min(expiration_ms);
        }
        let size = u32::try_from(message.size_bytes()).unwrap_or(u32::MAX);
        self.messages += 1;
        self.bytes += u64::from(size);
        let mut entry = Entry {
            seq,
            message: Some(message.clone()),
            label: boxed(origin.label.clone()),
            size,
            attempts: origin.attempts,
            place: Place::Memory,
            redelivered: origin.attempts > 0,
            counted: false,
            // A body in pieces can be read once they have arrived.
            together: (origin.together || message.stored_body().is_some()) && !durable,
            group: if self.can_group() { group_of(message) } else { 0 },
        };
        if entry.group != 0 {
            self.begin_groups();
        }
        let lane = &mut self.lanes[at];
        if entry.together {
            lane.note_grown(own, pending);
            pending.want(CommitNeed::Now);
        }
        if durable {
            entry.place = Place::Durable;
            match *body_at {
                Some(from) => pending.link(lane.log, seq, from, origin.label.clone()),
                None => {
                    *body_at = Some((lane.log, seq));
                    pending.append(lane.log, seq, origin.label.clone(), message);
                }
            }
            lane.note_grown(own, pending);
            pending.want_durable();
            if origin.attempts > 0 {
                entry.counted = true;
                count_attempts(lane.log, &entry, pending);
            }
        }
        if let Some(body) = message.stored_body() {
            lane.hold_body(seq, entry.place, body, pending);
        }
        self.keep(own, at, entry, pending, memory)
    }

    /// Finds a place in memory for a new entry, or none.
    fn keep(
        &mut self,
        own: Key<Queue>,
        at: usize,
        mut entry: Entry,
        pending: &mut Pending,
        memory: &mut Memory,
    ) -> Place {
        let seq = entry.seq;
        let cost = entry.cost();
        for view in &mut self.views[1..] {
            let feed = &mut view.feeds[at];
            if feed.next != seq {
                continue;
            }
            if view.selector.as_ref().is_some_and(|selector| !entry.satisfies(selector)) {
                feed.next = seq + 1;
            } else if self.budget.has_room(memory, cost) {
                self.budget.charge(memory, cost);
                feed.push(entry.clone());
            }
        }
        let lane = &mut self.lanes[at];
        let feed = &mut self.views[PLAIN].feeds[at];
        let has_room = match entry.place {
            Place::Memory => self.budget.has_room_for_homeless(memory, cost, self.pace.braked),
            _ => self.budget.has_room(memory, cost),
        };
        if feed.next == seq && has_room {
            let place = entry.place;
            self.budget.charge(memory, cost);
            feed.push(entry);
            return place;
        }
        if entry.place == Place::Memory {
            entry.place = Place::Temporary;
            if let Some(message) = &entry.message {
                pending.append(lane.log | TEMPORARY, seq, entry.label(), message);
            }
            lane.note_grown(own, pending);
            lane.temporary_count += 1;
            lane.temporary_last = seq;
            pending.want(CommitNeed::Now);
            // Clones in other views were made before the entry had its place in the store.
            for view in &mut self.views[1..] {
                if let Some(last) = view.feeds[at].ready.back_mut()
                    && last.seq == seq
                {
                    last.place = Place::Temporary;
                }
            }
        }
        let place = entry.place;
        self.budget.charge(memory, cost);
        lane.recent_bytes += cost;
        lane.recent.push_back(entry);
        self.trim_recent(at, memory);
        place
    }

    /// Takes in an entry that the pending batch has linked into the lane already.
    pub fn admit_stored(
        &mut self,
        own: Key<Queue>,
        at: usize,
        size: u32,
        place: Place,
        body: Option<&Arc<StoredBody>>,
        pending: &mut Pending,
    ) -> u64 {
        let lane = &mut self.lanes[at];
        let seq = lane.allocate();
        if place == Place::Temporary {
            lane.temporary_count += 1;
            lane.temporary_last = seq;
        }
        if let Some(body) = body {
            lane.hold_body(seq, place, body, pending);
        }
        lane.note_grown(own, pending);
        self.messages += 1;
        self.bytes += u64::from(size);
        seq
    }

    /// A settled entry goes for good, together with what the batch holds already: it has been linked elsewhere.
    pub fn finish_now(&mut self, priority: u8, entry: &Entry, pending: &mut Pending, memory: &mut Memory) {
        self.uncharge_in_flight(entry, memory);
        self.in_flight -= 1;
        self.group_settled(entry);
        self.messages -= 1;
        self.bytes -= u64::from(entry.size);
        if let Some(at) = self.find_lane(priority) {
            self.lanes[at].retire_now(entry, pending);
        }
    }

    /// A settled entry goes for good.
    pub fn finish(
        &mut self,
        own: Key<Queue>,
        priority: u8,
        entry: &Entry,
        pending: &mut Pending,
        memory: &mut Memory,
    ) {
        self.uncharge_in_flight(entry, memory);
        self.in_flight -= 1;
        self.group_settled(entry);
        self.pace.freed += entry.cost() as u64;
        self.forget(own, priority, entry, pending);
    }

    /// An entry that is in none of the structures any more goes for good.
    pub fn forget(&mut self, own: Key<Queue>, priority: u8, entry: &Entry, pending: &mut Pending) {
        self.messages -= 1;
        self.bytes -= u64::from(entry.size);
        if let Some(at) = self.find_lane(priority) {
            self.lanes[at].retire(own, entry, pending);
        }
    }

    /// A settled entry comes back, to be delivered again.
    pub fn restore(&mut self, priority: u8, entry: Entry, pending: &mut Pending, memory: &mut Memory) {
        self.uncharge_in_flight(&entry, memory);
        self.in_flight -= 1;
        self.group_settled(&entry);
        let at = self.lane_exactly(priority);
        let mut entry = entry;
        if entry.attempts > 0 && entry.place == Place::Durable {
            entry.counted = true;
            count_attempts(self.lanes[at].log, &entry, pending);
        }
        if entry.message.is_some() {
            self.budget.charge(memory, entry.cost());
        }
        self.offer(at, entry);
    }

    /// Shows a released entry to the views that want it.
    fn offer(&mut self, at: usize, entry: Entry) {
        for view in &mut self.views {
            if view.keeps_returned() && (entry.message.is_some() && view.wants(&entry)) {
                view.feeds[at].returned.insert(entry.seq);
            }
        }
        self.lanes[at].released.insert(entry.seq, entry);
    }

    /// The message of an entry in flight is not needed in memory for long, if it is in the store.
    pub fn let_go(&mut self, entry: &mut Entry, memory: &mut Memory) {
        if entry.place == Place::Durable {
            self.uncharge_in_flight(entry, memory);
            entry.message = None;
        }
    }

    fn uncharge_in_flight(&mut self, entry: &Entry, memory: &mut Memory) {
        if entry.message.is_some() {
            let cost = entry.cost();
            self.budget.in_flight -= cost;
            self.budget.discharge(memory, cost);
        }
    }

    /// A view for consumers with this selector, made if need be.
    pub fn view_for(&mut self, selector: Option<&Arc<Selector>>, text: &str) -> u32 {
        let Some(selector) = selector else { return self.views[PLAIN].id };
        if let Some(view) = self.views[1..].iter().find(|view| view.text == text) {
            return view.id;
        }
        let id = self.next_view;
        self.next_view += 1;
        let mut view = View::new(id, Some(selector.clone()), text.to_owned(), self.lanes.len());
        for (lane, feed) in self.lanes.iter().zip(&mut view.feeds) {
            feed.next = lane.ready.first().unwrap_or(lane.next_seq);
            for (seq, entry) in &lane.released {
                if entry.satisfies(selector) {
                    feed.returned.insert(*seq);
                }
            }
        }
        view.grouped = self.groups.is_some();
        self.views.push(view);
        id
    }

    /// The view has lost a consumer; a view with a selector goes with its last one.
    pub fn leave_view(&mut self, id: u32, consumer: Key<Subscription>, memory: &mut Memory) {
        let Some(at) = self.find_view(id) else { return };
        let view = &mut self.views[at];
        view.members -= 1;
        view.leave(consumer);
        view.woken.remove(&consumer);
        if let Some(groups) = &mut self.groups {
            groups.leave(consumer);
        }
        if at != PLAIN && view.members == 0 {
            let view = self.views.remove(at);
            let bytes: usize = view.feeds.iter().map(|feed| feed.bytes).sum();
            self.budget.discharge(memory, bytes);
        }
    }

    /// Removes everything that waits and is not in flight. Answers how many messages went.
    pub fn clear(&mut self, pending: &mut Pending, memory: &mut Memory) {
        for lane in &mut self.lanes {
            lane.let_go_of_bodies(pending);
            for entry in lane.released.values().filter(|entry| entry.counted) {
                pending.delete(keys::key(KeyKind::Attempts(lane.log, entry.seq)));
            }
            for seq in lane.attempts.keys() {
                pending.delete(keys::key(KeyKind::Attempts(lane.log, *seq)));
            }
            if self.traits.durable {
                pending.forget(lane.log);
                if lane.delivered_to > 0 {
                    pending.delete(keys::key(KeyKind::Mark(lane.log)));
                }
            }
            if lane.temporary_last > 0 || lane.temporary_count > 0 {
                pending.forget(lane.log | TEMPORARY);
            }
        }
        pending.want(CommitNeed::Lazy);
        memory.resident -= self.budget.resident;
        self.budget.resident = 0;
        self.budget.in_flight = 0;
    }

    /// Removes the oldest waiting messages until one of `bytes` has room. Answers how many went.
    pub fn drop_oldest(
        &mut self,
        own: Key<Queue>,
        bytes: u64,
        pending: &mut Pending,
        memory: &mut Memory,
    ) -> u64 {
        let mut dropped = 0;
        while self.is_full(bytes) && self.drop_first(own, pending, memory) {
            dropped += 1;
        }
        dropped
    }

    /// Removes the oldest waiting message of the lowest priority that is in memory.
    fn drop_first(&mut self, own: Key<Queue>, pending: &mut Pending, memory: &mut Memory) -> bool {
        let found = (0..self.lanes.len()).rev().find_map(|at| match self.peek(PLAIN, at, memory) {
            Peek::Entry { seq, released } => Some((at, released.then_some(seq))),
            _ => None,
        });
        let Some((at, released)) = found else { return false };
        let Some(entry) = self.take(PLAIN, at, released, memory) else { return false };
        self.budget.discharge(memory, entry.cost());
        let priority = self.lanes[at].priority;
        self.forget(own, priority, &entry, pending);
        true
    }

    /// Makes room for an event, which waits neither in line nor in the store: in a subscription's queue the oldest go,
    /// in one that holds other messages too the event itself does. Answers how many were dropped, and whether there is
    /// room.
    pub fn make_room_for_event(
        &mut self,
        own: Key<Queue>,
        event: &Message,
        max: u64,
        pending: &mut Pending,
        memory: &mut Memory,
    ) -> (u64, bool) {
        let mut dropped = 0;
        let bytes = event.size_bytes() as u64;
        while self.waiting() >= max || self.is_full(bytes) || self.would_spill(event, memory) {
            let holds_others = self.kind != DestinationKind::Topic;
            if holds_others || !self.drop_first(own, pending, memory) {
                return (dropped + 1, false);
            }
            dropped += 1;
        }
        (dropped, true)
    }
}

/// Writes down how often an entry was delivered in vain.
fn count_attempts(log: LogId, entry: &Entry, pending: &mut Pending) {
    let value = Bytes::copy_from_slice(&entry.attempts.to_le_bytes());
    pending.put(keys::key(KeyKind::Attempts(log, entry.seq)), value);
    pending.want(CommitNeed::Lazy);
}

/// What a view finds at the front of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peek {
    /// An entry that can be taken.
    Entry {
        /// Its number.
        seq: u64,
        /// Whether it has come back.
        released: bool,
    },
    /// There is something that is not committed or not in memory yet.
    Wait,
    /// Nothing.
    Empty,
}

impl Queue {
    /// What this view finds at the front of this lane.
    pub fn peek(&mut self, view: usize, at: usize, memory: &mut Memory) -> Peek {
        let lane = &self.lanes[at];
        let feed = &mut self.views[view].feeds[at];
        let returned = if view == PLAIN {
            lane.released.first_key_value().map(|(seq, _)| *seq)
        } else {
            while let Some(seq) = feed.returned.first()
                && !lane.released.contains_key(seq)
            {
                feed.returned.pop_first();
            }
            // Others may have taken what this view had found.
            while let Some(seq) = feed.front().map(|entry| entry.seq)
                && !lane.ready.contains(seq)
            {
                if let Some(stale) = feed.pop() {
                    self.budget.discharge(memory, stale.cost());
                }
            }
            feed.returned.first().copied()
        };
        let front = feed.front().map(|entry| (entry.seq, entry.visible(lane.committed)));
        match (returned, front) {
            (Some(seq), front) if front.is_none_or(|(other, _)| seq < other) => {
                let loaded = lane.released.get(&seq).is_some_and(|entry| entry.message.is_some());
                if loaded { Peek::Entry { seq, released: true } } else { Peek::Wait }
            }
            (_, Some((seq, true))) => Peek::Entry { seq, released: false },
            (_, Some((_, false))) => Peek::Wait,
            (_, None) if feed.next < lane.next_seq => Peek::Wait,
            _ => Peek::Empty,
        }
    }

    /// Takes the entry that `peek` has shown. It stays charged.
    pub fn take(
        &mut self,
        view: usize,
        at: usize,
        released: Option<u64>,
        memory: &mut Memory,
    ) -> Option<Entry> {
        if let Some(seq) = released {
            return self.lanes[at].released.remove(&seq);
        }
        let entry = self.views[view].feeds[at].pop()?;
        self.lanes[at].ready.remove(entry.seq);
        if view != PLAIN
            && let Some(twin) = self.views[PLAIN].feeds[at].take(entry.seq)
        {
            self.budget.discharge(memory, twin.cost());
        }
        Some(entry)
    }

    /// The entry is on its way to a consumer: decides whether its message stays in memory meanwhile.
    pub fn depart(
        &mut self,
        own: Key<Queue>,
        at: usize,
        entry: &mut Entry,
        pending: &mut Pending,
        memory: &mut Memory,
    ) {
        let cost = entry.cost();
        self.in_flight += 1;
        self.lanes[at].note_delivered(own, entry, pending);
        // What is in the temporary log alone is kept: a dead letter may have to be made of it.
        if entry.place == Place::Durable && self.budget.in_flight + cost > self.budget.limit / 4 {
            entry.message = None;
            self.budget.discharge(memory, cost);
        } else {
            self.budget.in_flight += cost;
        }
    }
}
