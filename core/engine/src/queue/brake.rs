// SPDX-License-Identifier: Apache-2.0
//! Holding producers back for a moment, where that is better than writing what they send to the store.
//!
//! Messages that are not persistent need the store only when memory is used up. If somebody consumes them fast, there
//! is room again within milliseconds, and a detour through the store would cost both sides more than the wait. So the
//! sessions that fill such a queue are not read from until half of its memory is free. If consumers do not free enough
//! of it within `limits.hold_ms`, they are slow: then the producers go on and the store takes what is too much, and the
//! next attempt is put off. Where consumers go on freeing memory but never catch up, holding and going on take turns.
//!
//! Held are only sessions that do nothing else: no settle is kept waiting, and nothing for another queue.

use super::Queue;
use crate::engine::Engine;
use crate::output::Outputs;
use crate::session::Session;
use crate::slab::Key;

/// Producers are held so many times `limits.hold_ms` on end, and then go on for as long.
const MOST_HOLDS: u64 = 4;
/// After consumers that were slow, holding is not tried for so many times `limits.hold_ms`.
const REST_HOLDS: u64 = 20;

/// Producers of one queue that are held.
#[derive(Debug)]
pub(crate) struct Brake {
    queue: Key<Queue>,
    held: Vec<Key<Session>>,
    since_ms: u64,
    /// When it is looked at how much consumers have freed.
    check_ms: u64,
    /// What they had freed before.
    freed_before: u64,
}

/// Of a queue: what it takes to decide whether its producers are to be held.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Bytes of messages that have left the queue for good.
    pub freed: u64,
    /// Producers are held.
    pub braked: bool,
    /// They are not held again before.
    rest_until_ms: u64,
}

impl Queue {
    /// Bytes of memory that waiting messages take.
    fn waiting_bytes(&self) -> usize {
        self.budget.resident - self.budget.in_flight
    }

    /// Whether memory for messages that lie nowhere else is nearly used up, or some have gone to the store already.
    fn is_crowded(&self) -> bool {
        self.waiting_bytes() > self.budget.limit / 4 * 3 || self.overflows()
    }

    fn overflows(&self) -> bool {
        self.lanes.iter().any(|lane| lane.temporary_count > 0)
    }
}

impl Engine {
    /// A session has published what lies in memory alone, or should: it is held if its queue is crowded.
    pub(crate) fn brake(&mut self, key: Key<Session>, at: Key<Queue>, out: &mut Outputs) {
        let (now_ms, hold_ms) = (self.now.monotonic_ms, self.config.limits.hold_ms);
        let Some(queue) = self.queues.get_mut(at) else { return };
        if !queue.is_crowded() || queue.consumers.is_empty() {
            return;
        }
        let rests = now_ms < queue.pace.rest_until_ms || hold_ms == 0;
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.held || (rests && !queue.pace.braked) || !session.only_produces() {
            return;
        }
        if !queue.pace.braked {
            queue.pace.braked = true;
            let (check_ms, freed_before) = (now_ms.saturating_add(hold_ms), queue.pace.freed);
            self.brakes.push(Brake { queue: at, held: Vec::new(), since_ms: now_ms, check_ms, freed_before });
        }
        if let Some(brake) = self.brakes.iter_mut().find(|brake| brake.queue == at) {
            session.held = true;
            brake.held.push(key);
            let reason =
                || format!("{} has no room in memory for a moment (limits.hold_ms)", queue.destination());
            session.tell_flow(reason, out);
        }
    }

    /// Lets producers go on that need not be held any longer.
    pub(crate) fn ease_brakes(&mut self, out: &mut Outputs) {
        let mut at = 0;
        while at < self.brakes.len() {
            if self.holds(at) {
                at += 1;
                continue;
            }
            let brake = self.brakes.swap_remove(at);
            if let Some(queue) = self.queues.get_mut(brake.queue) {
                queue.pace.braked = false;
            }
            for key in brake.held {
                if let Some(session) = self.sessions.get_mut(key) {
                    session.held = false;
                    session.tell_flow(|| "some publishes still wait".to_owned(), out);
                }
            }
        }
    }

    /// Whether this brake stays on.
    fn holds(&mut self, at: usize) -> bool {
        let (now_ms, hold_ms) = (self.now.monotonic_ms, self.config.limits.hold_ms);
        let Some(brake) = self.brakes.get_mut(at) else { return false };
        let Some(queue) = self.queues.get_mut(brake.queue) else { return false };
        let limit = queue.budget.limit;
        if queue.waiting_bytes() <= limit / 2 && !queue.overflows() {
            return false;
        }
        if queue.consumers.is_empty() {
            return false;
        }
        if now_ms < brake.check_ms {
            return true;
        }
        let fast = queue.pace.freed - brake.freed_before >= limit as u64 / 8;
        let held_ms = now_ms.saturating_sub(brake.since_ms);
        if fast && held_ms < hold_ms.saturating_mul(MOST_HOLDS) {
            brake.check_ms = now_ms.saturating_add(hold_ms);
            brake.freed_before = queue.pace.freed;
            return true;
        }
        let rest_ms = if fast { held_ms } else { hold_ms.saturating_mul(REST_HOLDS) };
        queue.pace.rest_until_ms = now_ms.saturating_add(rest_ms);
        false
    }

    /// When a brake is to be looked at.
    pub(crate) fn next_brake_ms(&self) -> Option<u64> {
        self.brakes.iter().map(|brake| brake.check_ms).min()
    }
}
