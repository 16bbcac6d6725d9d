// SPDX-License-Identifier: Apache-2.0
//! Looking without consuming: browsers, which come to an end, and consumers of non-destructive queues, which do not.
//!
//! A browser walks over the lanes that it found when it began, and shows what waits there. What is in flight is
//! somebody else's and is not shown.

use crate::engine::Engine;
use crate::output::{Outputs, ReadId};
use crate::queue::Queue;
use crate::queue::entry::Entry;
use crate::queue::paging::{Page, merge, revive};
use crate::queue::view::PLAIN;
use crate::reads::{Answered, Purpose};
use crate::slab::{Key, Slab};
use crate::subscription::{Subscription, Unsettled};
use sabir_model::Delivery;
use sabir_model::delivery::DeliveryKind;
use std::collections::VecDeque;

/// One lane to be walked over.
#[derive(Clone, Copy, Debug)]
struct Walk {
    queue: Key<Queue>,
    priority: u8,
    next: u64,
    /// Entries from here on came later.
    end: u64,
}

/// How far a browser has come.
#[derive(Debug)]
pub(crate) struct Browse {
    walks: Vec<Walk>,
    at: usize,
    /// It goes on with what comes.
    follow: bool,
    reading: Option<ReadId>,
    /// Read and not shown, in order, of the walk `at`.
    page: VecDeque<Entry>,
    ended: bool,
}

impl Browse {
    pub fn new(queues: &Slab<Queue>, keys: &[Key<Queue>], follow: bool) -> Self {
        let mut walks = Vec::new();
        for key in keys {
            let Some(queue) = queues.get(*key) else { continue };
            for priority in (0..=9).rev() {
                let lane = queue.find_lane(priority).map(|at| &queue.lanes[at]);
                let end = if follow { u64::MAX } else { lane.map_or(0, |lane| lane.next_seq) };
                if end > 0 {
                    walks.push(Walk { queue: *key, priority, next: 0, end });
                }
            }
        }
        Browse { walks, at: 0, follow, reading: None, page: VecDeque::new(), ended: false }
    }

    /// Whether something is being read for it.
    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    pub fn queues(&self) -> Vec<Key<Queue>> {
        let mut queues: Vec<_> = self.walks.iter().map(|walk| walk.queue).collect();
        queues.dedup();
        queues
    }
}

/// What a walk finds next.
enum Found {
    Entry(Entry),
    /// It lies in the store.
    Read(Page),
    /// It is not committed yet.
    Wait,
    /// Nothing.
    End,
}

impl Queue {
    /// What waits at or behind `from`, and below `end`.
    fn look(&self, priority: u8, from: u64, end: u64) -> Found {
        let Some(at) = self.find_lane(priority) else { return Found::End };
        let lane = &self.lanes[at];
        let ready = lane.ready.next_from(from);
        let released = lane.released.range(from..).next().map(|(seq, _)| *seq);
        let Some(seq) = ready.into_iter().chain(released).min().filter(|seq| *seq < end) else {
            return Found::End;
        };
        let feed = &self.views[PLAIN].feeds[at];
        let in_memory = |list: &VecDeque<Entry>, index: usize| {
            list.get(index).filter(|entry| entry.seq == seq && entry.message.is_some()).cloned()
        };
        let entry = in_memory(&feed.ready, feed.index_from(seq))
            .or_else(|| in_memory(&lane.recent, lane.recent.partition_point(|entry| entry.seq < seq)))
            .or_else(|| lane.released.get(&seq).filter(|entry| entry.message.is_some()).cloned());
        match entry {
            Some(entry) if entry.visible(lane.committed) => Found::Entry(entry),
            _ if seq >= lane.committed => Found::Wait,
            _ => Found::Read(Page {
                log: lane.log,
                from: seq,
                last: lane.committed.min(end) - 1,
                durable: self.traits.durable,
                temporary: lane.temporary_count > 0 && seq <= lane.temporary_last,
            }),
        }
    }

    /// Whether an entry still waits.
    fn still_waits(&self, priority: u8, seq: u64) -> bool {
        self.find_lane(priority).is_some_and(|at| {
            self.lanes[at].ready.contains(seq) || self.lanes[at].released.contains_key(&seq)
        })
    }
}

impl Engine {
    /// Shows a browser what it has credit for.
    pub(crate) fn browse(&mut self, consumer: Key<Subscription>, out: &mut Outputs) {
        loop {
            let Some(subscription) = self.subscriptions.get_mut(consumer) else { return };
            if !subscription.has_credit() {
                return;
            }
            let Some(browse) = subscription.browse.as_deref_mut() else { return };
            if browse.ended || browse.reading.is_some() {
                return;
            }
            let Some(walk) = browse.walks.get(browse.at).copied() else {
                return self.end_browse(consumer, out);
            };
            let buffered = loop {
                match browse.page.pop_front() {
                    Some(entry) if entry.seq < walk.next => {}
                    other => break other,
                }
            };
            let found = match (buffered, self.queues.get(walk.queue)) {
                (_, None) => Found::End,
                (Some(entry), Some(queue)) if queue.still_waits(walk.priority, entry.seq) => {
                    Found::Entry(entry)
                }
                (Some(_), Some(_)) => continue,
                (None, Some(queue)) => queue.look(walk.priority, walk.next, walk.end),
            };
            match found {
                Found::Entry(entry) => self.show(consumer, walk, entry, out),
                Found::Read(page) => {
                    let purpose = Purpose::Browse { subscription: consumer };
                    let id = self.reads.page(page, purpose, &self.config.limits, out);
                    browse.reading = Some(id);
                    return;
                }
                Found::Wait if browse.follow => {
                    if !self.next_walk(consumer) {
                        return;
                    }
                }
                Found::End if browse.follow => {
                    if !self.next_walk(consumer) {
                        return;
                    }
                }
                Found::Wait | Found::End => {
                    browse.at += 1;
                    browse.page.clear();
                }
            }
        }
    }

    /// A follower goes to its next lane. False: it has seen them all, and waits for more.
    fn next_walk(&mut self, consumer: Key<Subscription>) -> bool {
        let Some(browse) = self.subscriptions.get_mut(consumer).and_then(|one| one.browse.as_deref_mut())
        else {
            return false;
        };
        browse.page.clear();
        browse.at += 1;
        if browse.at < browse.walks.len() {
            return true;
        }
        browse.at = 0;
        false
    }

    fn show(&mut self, consumer: Key<Subscription>, walk: Walk, entry: Entry, out: &mut Outputs) {
        let Some(subscription) = self.subscriptions.get_mut(consumer) else { return };
        if let Some(walk) =
            subscription.browse.as_deref_mut().and_then(|browse| browse.walks.get_mut(browse.at))
        {
            walk.next = entry.seq + 1;
        }
        let unwanted = subscription.selector.as_ref().is_some_and(|selector| !entry.satisfies(selector));
        if unwanted || entry.expired(self.now) {
            return;
        }
        let several = subscription.takes_from_several();
        let label = match self.queues.get(walk.queue).filter(|_| several) {
            Some(queue) => entry.label_from(&queue.destination()),
            None => entry.label(),
        };
        let (Some(message), Some(session)) = (entry.message, self.sessions.get_mut(subscription.session))
        else {
            return;
        };
        session.last_tag += 1;
        session.unsettled += 1;
        let tag = session.last_tag;
        let kind = DeliveryKind::Message {
            message,
            label,
            redelivery_count: entry.attempts,
            redelivered: entry.redelivered,
            group_first: false,
            auto_accept: subscription.auto_accept,
        };
        out.deliveries.push((session.id, Delivery { subscription: subscription.id, tag, kind }));
        subscription.give(Unsettled {
            tag,
            queue: walk.queue,
            priority: walk.priority,
            entry: None,
            open: true,
        });
    }

    fn end_browse(&mut self, consumer: Key<Subscription>, out: &mut Outputs) {
        let Some(subscription) = self.subscriptions.get_mut(consumer) else { return };
        let Some(browse) = subscription.browse.as_deref_mut() else { return };
        browse.ended = true;
        for queue in browse.queues() {
            if let Some(queue) = self.queues.get_mut(queue) {
                queue.browsers.retain(|other| *other != consumer);
            }
        }
        if let Some(session) = self.sessions.get(subscription.session) {
            let kind = DeliveryKind::EndOfBrowse;
            out.deliveries.push((session.id, Delivery { subscription: subscription.id, tag: 0, kind }));
        }
    }

    /// A browser has credit again: it goes on with the next dispatch.
    pub(crate) fn wake_browser(&mut self, consumer: Key<Subscription>) {
        let browse = self.subscriptions.get(consumer).and_then(|one| one.browse.as_deref());
        let Some(browse) = browse.filter(|browse| !browse.ended) else { return };
        // Any queue that still exists will do; without one the browser is at its end.
        let queue =
            browse.walks.iter().map(|walk| walk.queue).find(|queue| self.queues.get(*queue).is_some());
        match queue {
            Some(queue) => self.schedule(queue),
            None => self.idle_browsers.push(consumer),
        }
    }

    /// A page for a browser has come.
    pub(crate) fn browse_loaded(
        &mut self,
        consumer: Key<Subscription>,
        answered: Answered,
        out: &mut Outputs,
    ) {
        let Some(subscription) = self.subscriptions.get_mut(consumer) else { return };
        let Some(browse) = subscription.browse.as_deref_mut() else { return };
        browse.reading = None;
        let Some(walk) = browse.walks.get_mut(browse.at) else { return };
        let merged = merge(&answered.page, answered.parts);
        if merged.records.is_empty() {
            // Nothing is there any more, or the first entry is damaged: it cannot be shown.
            walk.next = merged.complete_below;
        } else if let Some(queue) = self.queues.get(walk.queue)
            && let Some(at) = queue.find_lane(walk.priority)
        {
            let lane = &queue.lanes[at];
            browse.page = merged
                .records
                .into_iter()
                .filter_map(|(place, record)| revive(lane, place, record))
                .collect();
        }
        self.browse(consumer, out);
    }
}
