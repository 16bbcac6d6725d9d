// SPDX-License-Identifier: Apache-2.0
//! From the queue to its consumers: the next message, and whose turn it is.
//!
//! Lanes in order of priority; within a lane the lowest number that anybody with credit wants; among those who want
//! it the highest consumer priority, in turn. Consumers that asked to be alone are served alone, one at a time.

use super::entry::Entry;
use super::view::PLAIN;
use super::{Memory, Peek, Queue};
use crate::dead_letter::Cause;
use crate::engine::{Engine, State};
use crate::output::Outputs;
use crate::reads::Purpose;
use crate::slab::{Key, Slab};
use crate::subscription::{Subscription, Unsettled};
use sabir_model::delivery::DeliveryKind;
use sabir_model::{Delivery, DestinationKind, Now};

/// What goes to whom.
#[derive(Clone, Copy)]
pub(super) struct Choice {
    pub view: usize,
    pub lane: usize,
    pub seq: u64,
    pub released: bool,
    pub consumer: Key<Subscription>,
}

/// Who may be served, and the room that its session has left.
pub(super) struct Consumers<'e> {
    subscriptions: &'e mut Slab<Subscription>,
    sessions: &'e Slab<crate::session::Session>,
    max_unsettled: usize,
}

impl Consumers<'_> {
    #[inline]
    pub fn ready(&self, consumer: Key<Subscription>) -> bool {
        self.subscriptions.get(consumer).is_some_and(|subscription| {
            subscription.has_credit()
                && self
                    .sessions
                    .get(subscription.session)
                    .is_some_and(|session| session.unsettled < self.max_unsettled)
        })
    }

    /// The view through which this consumer sees the queue.
    pub fn view_of(&self, consumer: Key<Subscription>, own: Key<Queue>) -> Option<u32> {
        self.subscriptions.get(consumer)?.seat(own).map(|seat| seat.view)
    }

    /// The consumer has no credit, and stands in line no longer.
    pub fn leave_ring(
        &mut self,
        own: Key<Queue>,
        queue: &mut Queue,
        view: usize,
        consumer: Key<Subscription>,
    ) {
        let Some(subscription) = self.subscriptions.get_mut(consumer) else { return };
        if subscription.seat(own).is_some_and(|seat| seat.in_ring) {
            subscription.left_ring(own);
            queue.views[view].leave(consumer);
        }
    }

    /// The consumer of this view whose turn it is, with its priority. Those without credit leave the ring.
    #[inline]
    pub fn turn(
        &mut self,
        own: Key<Queue>,
        queue: &mut Queue,
        view: usize,
    ) -> Option<(Key<Subscription>, i8)> {
        if let Some(alone) = queue.alone(self.subscriptions) {
            let subscription = self.subscriptions.get_mut(alone)?;
            let view_id = queue.views[view].id;
            let priority = subscription.priority;
            let here = subscription.seat_mut(own).is_some_and(|seat| seat.view == view_id);
            if !here {
                return None;
            }
            if self.ready(alone) {
                return Some((alone, priority));
            }
            if let Some(subscription) = self.subscriptions.get_mut(alone) {
                subscription.left_ring(own);
            }
            queue.views[view].leave(alone);
            return None;
        }
        let view = &mut queue.views[view];
        loop {
            let (consumer, priority) = view.turn()?;
            if self.ready(consumer) {
                return Some((consumer, priority));
            }
            view.pass_turn(false);
            if let Some(subscription) = self.subscriptions.get_mut(consumer) {
                subscription.left_ring(own);
            }
        }
    }
}

impl Queue {
    /// The consumer that is served alone, if any asked for that.
    pub(crate) fn alone(&self, subscriptions: &Slab<Subscription>) -> Option<Key<Subscription>> {
        if self.exclusive.is_empty() {
            return None;
        }
        let priority = |key: &Key<Subscription>| subscriptions.get(*key).map(|one| one.priority);
        let highest = self.exclusive.iter().filter_map(priority).max()?;
        self.exclusive.iter().copied().find(|key| priority(key) == Some(highest))
    }

    fn choose(
        &mut self,
        own: Key<Queue>,
        consumers: &mut Consumers<'_>,
        memory: &mut Memory,
        now: Now,
    ) -> Option<Choice> {
        if self.groups.is_some() && self.exclusive.is_empty() {
            return self.choose_grouped(own, consumers, memory, now);
        }
        if self.views.len() == 1 {
            let (consumer, _) = consumers.turn(own, self, PLAIN)?;
            return (0..self.lanes.len()).find_map(|lane| match self.peek(PLAIN, lane, memory) {
                Peek::Entry { seq, released } => Some(Choice { view: PLAIN, lane, seq, released, consumer }),
                Peek::Wait | Peek::Empty => None,
            });
        }
        let turns: Vec<_> = (0..self.views.len()).map(|view| consumers.turn(own, self, view)).collect();
        for lane in 0..self.lanes.len() {
            let mut best: Option<(Choice, i8)> = None;
            for (view, turn) in turns.iter().enumerate() {
                let Some((consumer, priority)) = *turn else { continue };
                let Peek::Entry { seq, released } = self.peek(view, lane, memory) else { continue };
                let better = best.is_none_or(|(other, other_priority)| {
                    seq < other.seq || (seq == other.seq && priority > other_priority)
                });
                if better {
                    best = Some((Choice { view, lane, seq, released, consumer }, priority));
                }
            }
            if let Some((choice, _)) = best {
                return Some(choice);
            }
        }
        None
    }
}

impl Engine {
    /// Dispatch is due for this queue.
    pub(crate) fn schedule(&mut self, key: Key<Queue>) {
        if let Some(queue) = self.queues.get_mut(key)
            && !queue.scheduled
        {
            queue.scheduled = true;
            self.scheduled.push_back(key);
        }
    }

    /// Delivers what can be delivered, and has fetched what will be needed next.
    pub(crate) fn dispatch(&mut self, own: Key<Queue>, out: &mut Outputs) {
        let Some(queue) = self.queues.get_mut(own) else { return };
        queue.scheduled = false;
        if matches!(self.state, State::Stopped | State::Failed(_)) {
            return;
        }
        let mut expired: Vec<(u8, Entry, Option<bytes::Bytes>)> = Vec::new();
        loop {
            let Some(queue) = self.queues.get_mut(own) else { return };
            let mut consumers = Consumers {
                subscriptions: &mut self.subscriptions,
                sessions: &self.sessions,
                max_unsettled: self.config.limits.max_unsettled_per_session,
            };
            let Some(choice) = queue.choose(own, &mut consumers, &mut self.memory, self.now) else {
                if !self.refill_queue(own, out) {
                    break;
                }
                continue;
            };
            let Choice { view, lane, seq, released, .. } = choice;
            let taken = match queue.groups {
                None => queue.take(view, lane, released.then_some(seq), &mut self.memory),
                Some(_) => queue.take_chosen(&choice, &mut self.memory),
            };
            let Some(mut entry) = taken else { break };
            let dead = entry.expired(self.now);
            let message = entry.message.clone();
            queue.depart(own, lane, &mut entry, &mut self.pending, &mut self.memory);
            match message {
                Some(message) if !dead => self.deliver(own, choice, entry, message, out),
                message => {
                    entry.group = 0;
                    let record = message.map(|message| message.pieces()[0].clone());
                    expired.push((queue.lanes[lane].priority, entry, record));
                }
            }
        }
        for (priority, entry, record) in expired {
            self.dead_letter_read(own, priority, entry, &Cause::Expired, record.as_ref());
        }
        self.after_dispatch(own, out);
    }

    fn deliver(
        &mut self,
        own: Key<Queue>,
        choice: Choice,
        entry: Entry,
        message: sabir_model::Message,
        out: &mut Outputs,
    ) {
        let Some(queue) = self.queues.get_mut(own) else { return };
        let Some(subscription) = self.subscriptions.get_mut(choice.consumer) else { return };
        let Some(session) = self.sessions.get_mut(subscription.session) else { return };
        session.last_tag += 1;
        session.unsettled += 1;
        let tag = session.last_tag;
        let label = match subscription.takes_from_several() && queue.kind != DestinationKind::Topic {
            true => entry.label_from(&queue.destination()),
            false => entry.label(),
        };
        let group_first = entry.group != 0 && queue.claim_group(&choice, entry.group, &message);
        let kind = DeliveryKind::Message {
            message,
            label,
            redelivery_count: entry.attempts,
            redelivered: entry.redelivered,
            group_first,
            auto_accept: subscription.auto_accept,
        };
        out.deliveries.push((session.id, Delivery { subscription: subscription.id, tag, kind }));
        let priority = queue.lanes[choice.lane].priority;
        subscription.give(Unsettled { tag, queue: own, priority, entry: Some(entry), open: true });
        self.counters.delivered += 1;
        if queue.exclusive.is_empty() {
            let stays = subscription.has_credit();
            match queue.groups {
                None => queue.views[choice.view].pass_turn(stays),
                Some(_) => queue.views[choice.view].served(choice.consumer, stays),
            }
            if !stays {
                subscription.left_ring(own);
            }
        }
    }

    /// Fills the feeds of views that have consumers. True: something came from memory, and can be delivered.
    fn refill_queue(&mut self, own: Key<Queue>, out: &mut Outputs) -> bool {
        let Some(queue) = self.queues.get_mut(own) else { return false };
        let mut found = false;
        for view in 0..queue.views.len() {
            if queue.views[view].members == 0 {
                continue;
            }
            for lane in 0..queue.lanes.len() {
                let before = queue.views[view].feeds[lane].ready.len();
                if let Some(page) = queue.refill(view, lane, &mut self.memory) {
                    let purpose = Purpose::Feed {
                        queue: own,
                        view: queue.views[view].id,
                        priority: queue.lanes[lane].priority,
                    };
                    let id = self.reads.page(page, purpose, &self.config.limits, out);
                    queue.views[view].feeds[lane].reading = Some(id);
                }
                // Only what can be delivered at once is worth another round.
                let feed = &queue.views[view].feeds[lane];
                if queue.groups.is_some() {
                    found |= feed.ready.len() > before && queue.views[view].turn().is_some();
                    continue;
                }
                found |= before == 0
                    && feed.ready.front().is_some_and(|entry| entry.visible(queue.lanes[lane].committed))
                    && queue.views[view].turn().is_some();
            }
        }
        found
    }

    /// Fetches released messages that are not in memory, and feeds those who only look.
    fn after_dispatch(&mut self, own: Key<Queue>, out: &mut Outputs) {
        let Some(queue) = self.queues.get_mut(own) else { return };
        if !queue.consumers.is_empty() {
            for at in 0..queue.lanes.len() {
                let priority = queue.lanes[at].priority;
                if queue.lanes[at].released.is_empty() || queue.fetching.contains(&priority) {
                    continue;
                }
                if let Some(page) = queue.released_page(at) {
                    queue.fetching.push(priority);
                    self.reads.page(
                        page,
                        Purpose::Released { queue: own, priority },
                        &self.config.limits,
                        out,
                    );
                }
            }
        }
        if !queue.browsers.is_empty() {
            for browser in queue.browsers.clone() {
                self.browse(browser, out);
            }
        }
    }
}
