// SPDX-License-Identifier: Apache-2.0
//! Consumers: their credit, and what they were given and have not settled.
//!
//! A consumer has a *seat* at each queue that it takes messages from. Knows nothing of how a queue chooses.

use crate::browse::Browse;
use crate::events::Wanted;
use crate::queue::Queue;
use crate::queue::entry::Entry;
use crate::routing::SubscriptionName;
use crate::session::Session;
use crate::slab::Key;
use sabir_model::Destination;
use sabir_model::selector::Selector;
use std::collections::VecDeque;
use std::sync::Arc;

/// What a durable subscription is, as it is kept with its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DurableSubscription {
    pub client_id: Option<Box<str>>,
    pub name: Box<str>,
    pub topics: Vec<Destination>,
    /// Canonical text.
    pub selector: Option<String>,
    pub no_local: bool,
    pub shared: bool,
}

impl DurableSubscription {
    /// The name under which it is found.
    pub fn slot(&self, durable: bool) -> SubscriptionName {
        SubscriptionName { client_id: self.client_id.clone(), name: self.name.clone(), durable }
    }
}

/// A delivery that is not settled.
#[derive(Debug)]
pub(crate) struct Unsettled {
    pub tag: u64,
    pub queue: Key<Queue>,
    pub priority: u8,
    /// `None`: it was settled, or it was only looked at.
    pub entry: Option<Entry>,
    /// It counts against the window.
    pub open: bool,
}

// Beyond this size every move is a call, of which a message on its way makes several.
const _: () = assert!(size_of::<Unsettled>() <= 128);

/// A consumer at a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    pub queue: Key<Queue>,
    /// The view's id.
    pub view: u32,
    /// Whether it stands among those that can be served.
    pub in_ring: bool,
}

/// A consumer.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub session: Key<Session>,
    /// The session's number for it.
    pub id: u64,
    pub priority: i8,
    /// Deliveries allowed: unsettled ones, or with `link_credit` still to come.
    pub credit: u64,
    pub link_credit: bool,
    pub auto_accept: bool,
    pub exclusive: bool,
    pub selector: Option<Arc<Selector>>,
    /// Canonical text of the selector.
    pub selector_text: String,
    /// Deliveries not settled, by tag, with those settled out of order between them.
    unsettled: VecDeque<Unsettled>,
    /// Of `unsettled`: settled ones.
    settled: usize,
    /// Sorted by queue.
    pub seats: Vec<Seat>,
    /// Seats not in a ring.
    pub out_of_ring: usize,
    /// The queue that was made for it and goes with it.
    pub own_queue: Option<Key<Queue>>,
    /// The queue of its durable subscription.
    pub durable_queue: Option<Key<Queue>>,
    /// It goes with its last consumer.
    pub auto_delete: bool,
    /// It joins queues made later.
    pub by_pattern: bool,
    pub browse: Option<Box<Browse>>,
    /// What it has asked for, to be told when it ends.
    pub wanted: Arc<Wanted>,
}

impl Subscription {
    /// Whether its messages may come from several queues that have names.
    pub fn takes_from_several(&self) -> bool {
        self.by_pattern || self.wanted.destinations.len() > 1
    }

    pub fn new(session: Key<Session>, id: u64, wanted: &sabir_model::verb::Subscribe) -> Self {
        Subscription {
            session,
            id,
            priority: wanted.priority,
            credit: wanted.credit,
            link_credit: wanted.link_credit,
            auto_accept: wanted.auto_accept,
            exclusive: wanted.exclusive,
            selector: None,
            selector_text: String::new(),
            unsettled: VecDeque::new(),
            settled: 0,
            seats: Vec::new(),
            out_of_ring: 0,
            own_queue: None,
            durable_queue: None,
            auto_delete: wanted.auto_delete,
            by_pattern: false,
            browse: None,
            wanted: Arc::new(Wanted::of(wanted)),
        }
    }

    /// Deliveries not settled.
    pub fn outstanding(&self) -> usize {
        self.unsettled.len() - self.settled
    }

    /// Whether this delivery is not settled.
    pub fn awaits(&self, tag: u64) -> bool {
        let found = self.unsettled.binary_search_by_key(&tag, |one| one.tag);
        found.is_ok_and(|at| self.unsettled.get(at).is_some_and(|one| one.open))
    }

    /// Whether it may be given one more.
    pub fn has_credit(&self) -> bool {
        if self.link_credit { self.credit > 0 } else { (self.outstanding() as u64) < self.credit }
    }

    /// It was given one more.
    pub fn give(&mut self, unsettled: Unsettled) {
        if self.link_credit {
            self.credit -= 1;
        }
        self.unsettled.push_back(unsettled);
    }

    pub fn seat(&self, queue: Key<Queue>) -> Option<&Seat> {
        let at = self.seats.binary_search_by_key(&queue, |seat| seat.queue).ok()?;
        self.seats.get(at)
    }

    pub fn seat_mut(&mut self, queue: Key<Queue>) -> Option<&mut Seat> {
        let at = self.seats.binary_search_by_key(&queue, |seat| seat.queue).ok()?;
        self.seats.get_mut(at)
    }

    /// Takes a seat, outside the ring.
    pub fn sit(&mut self, queue: Key<Queue>, view: u32) {
        if let Err(at) = self.seats.binary_search_by_key(&queue, |seat| seat.queue) {
            self.seats.insert(at, Seat { queue, view, in_ring: false });
            self.out_of_ring += 1;
        }
    }

    /// Gives up a seat.
    pub fn stand_up(&mut self, queue: Key<Queue>) {
        if let Ok(at) = self.seats.binary_search_by_key(&queue, |seat| seat.queue) {
            let seat = self.seats.remove(at);
            if !seat.in_ring {
                self.out_of_ring -= 1;
            }
        }
    }

    /// It has left the ring of a queue: it had no credit.
    pub fn left_ring(&mut self, queue: Key<Queue>) {
        if let Some(seat) = self.seat_mut(queue)
            && seat.in_ring
        {
            seat.in_ring = false;
            self.out_of_ring += 1;
        }
    }

    /// Takes the unsettled deliveries with tags `first` to `last` out. They are in order.
    pub fn take(&mut self, first: u64, last: u64, into: &mut Vec<Unsettled>) {
        // Mostly the oldest is settled first.
        while let Some(front) = self.unsettled.front() {
            if !front.open {
                self.unsettled.pop_front();
                self.settled -= 1;
            } else if (first..=last).contains(&front.tag) {
                into.extend(self.unsettled.pop_front());
            } else {
                break;
            }
        }
        let start = self.unsettled.partition_point(|one| one.tag < first);
        for one in self.unsettled.range_mut(start..) {
            if one.tag > last {
                break;
            }
            if one.open {
                one.open = false;
                self.settled += 1;
                let entry = one.entry.take();
                into.push(Unsettled {
                    tag: one.tag,
                    queue: one.queue,
                    priority: one.priority,
                    entry,
                    open: true,
                });
            }
        }
        if self.settled > 64 && self.settled * 2 > self.unsettled.len() {
            self.unsettled.retain(|one| one.open);
            self.settled = 0;
        }
        if self.unsettled.is_empty() && self.unsettled.capacity() > 1024 {
            self.unsettled.shrink_to(64);
        }
    }

    /// A delivery that was settled is unsettled again, in its old place.
    pub fn take_back(&mut self, unsettled: Unsettled) {
        let at = self.unsettled.partition_point(|one| one.tag < unsettled.tag);
        match self.unsettled.get_mut(at) {
            Some(place) if place.tag == unsettled.tag => {
                if !place.open {
                    self.settled -= 1;
                }
                *place = unsettled;
            }
            _ => self.unsettled.insert(at, unsettled),
        }
    }

    /// Takes all of them out.
    pub fn take_all(&mut self) -> Vec<Unsettled> {
        self.settled = 0;
        std::mem::take(&mut self.unsettled).into_iter().filter(|one| one.open).collect()
    }
}
