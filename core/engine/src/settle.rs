// SPDX-License-Identifier: Apache-2.0
//! Settling deliveries: done with, to the dead letters, or again.

use crate::commit::CommitId;
use crate::dead_letter::Cause;
use crate::engine::{Engine, State};
use crate::output::Outputs;
use crate::queue::Queue;
use crate::session::{Kind, Session};
use crate::slab::Key;
use crate::subscription::{Subscription, Unsettled};
use sabir_model::verb::{Answer, Outcome, Reason, Refusal, Reply, Settle, SettleRange};

/// What a settle request says beside its range and outcome.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SettleMeta {
    pub token: u64,
    pub confirm: bool,
    pub subscription: u64,
    pub transaction: u64,
}

impl Engine {
    /// Settles deliveries of a session.
    pub(crate) fn settle(&mut self, key: Key<Session>, meta: SettleMeta, settle: Settle, out: &mut Outputs) {
        if matches!(self.state, State::Failed(_)) {
            let refusal = Answer::Refused(Box::new(self.state_refusal()));
            return self.answer(key, meta.token, None, refusal, Kind::Other, out);
        }
        let mut taken = std::mem::take(&mut self.taken);
        let result = self.take_settled(key, meta, &settle, &mut taken);
        let result = result.and_then(|()| {
            if meta.transaction != 0 {
                let from = match settle.range {
                    SettleRange::SessionUpTo(_) => None,
                    _ => self.subscription_of(key, meta.subscription),
                };
                return self
                    .settle_later(key, meta.transaction, &mut taken, &settle.outcome, from)
                    .map(|()| None);
            }
            let before = self.pending.changes();
            let changed = !taken.is_empty();
            for unsettled in taken.drain(..) {
                self.settle_one(unsettled, &settle.outcome);
            }
            let kept = self.pending.changes() > before || !self.pending.shrunk.is_empty();
            Ok((changed && kept).then_some(self.pending.id))
        });
        taken.clear();
        self.taken = taken;
        match result {
            Ok(need) => {
                if meta.confirm {
                    if need.is_some() {
                        self.pending.want_durable();
                    }
                    let plain = settle.outcome == Outcome::Accept && meta.transaction == 0;
                    let kind = if plain { Kind::Removal } else { Kind::Other };
                    self.answer(key, meta.token, need, Answer::Done, kind, out);
                }
            }
            Err(refusal) => {
                self.refuse_commit(key, meta.transaction, &refusal);
                self.answer(key, meta.token, None, Answer::Refused(Box::new(refusal)), Kind::Other, out);
            }
        }
    }

    fn subscription_of(&self, key: Key<Session>, id: u64) -> Option<Key<Subscription>> {
        self.sessions.get(key)?.subscriptions.get(&id).copied()
    }

    /// Takes the deliveries that are meant out of their subscriptions, whose credit comes back.
    fn take_settled(
        &mut self,
        key: Key<Session>,
        meta: SettleMeta,
        settle: &Settle,
        taken: &mut Vec<Unsettled>,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get(key) else { return Ok(()) };
        if meta.transaction != 0 {
            self.check_transaction(key, meta.transaction)?;
        }
        let (first, last) = match settle.range {
            SettleRange::Tags { first, last } => (first, last),
            SettleRange::UpTo(last) | SettleRange::SessionUpTo(last) => (0, last),
        };
        if let SettleRange::SessionUpTo(_) = settle.range {
            let all: Vec<Key<Subscription>> = session.subscriptions.values().copied().collect();
            for subscription in all {
                self.take_from(key, subscription, first, last, taken);
            }
            taken.sort_unstable_by_key(|unsettled| unsettled.tag);
        } else {
            let Some(subscription) = session.subscriptions.get(&meta.subscription).copied() else {
                let text = format!("there is no subscription {}", meta.subscription);
                return Err(Refusal::new(Reason::NotFound, text));
            };
            self.take_from(key, subscription, first, last, taken);
        }
        if taken.is_empty() {
            let text = format!("no unsettled delivery has a tag from {first} to {last}");
            return Err(Refusal::new(Reason::NotFound, text));
        }
        Ok(())
    }

    fn take_from(
        &mut self,
        session: Key<Session>,
        key: Key<Subscription>,
        first: u64,
        last: u64,
        taken: &mut Vec<Unsettled>,
    ) {
        let Some(subscription) = self.subscriptions.get_mut(key) else { return };
        let before = taken.len();
        subscription.take(first, last, taken);
        let count = taken.len() - before;
        if count == 0 {
            return;
        }
        let mut was_at_limit = false;
        if let Some(session) = self.sessions.get_mut(session) {
            was_at_limit = session.unsettled >= self.config.limits.max_unsettled_per_session;
            session.unsettled -= count;
        }
        if was_at_limit {
            self.regain_all(session);
        } else {
            self.regain(key);
        }
    }

    /// All subscriptions of a session may have become able to take more.
    pub(crate) fn regain_all(&mut self, session: Key<Session>) {
        let Some(session) = self.sessions.get(session) else { return };
        let all: Vec<Key<Subscription>> = session.subscriptions.values().copied().collect();
        for subscription in all {
            self.regain(subscription);
        }
    }

    /// The subscription may have become able to take more: it stands in line again where it does not.
    pub(crate) fn regain(&mut self, key: Key<Subscription>) {
        let Some(subscription) = self.subscriptions.get_mut(key) else { return };
        if !subscription.has_credit() {
            return;
        }
        if subscription.browse.is_some() {
            self.wake_browser(key);
            return;
        }
        if subscription.out_of_ring == 0 {
            return;
        }
        subscription.out_of_ring = 0;
        let priority = subscription.priority;
        for seat in &mut subscription.seats {
            if seat.in_ring {
                continue;
            }
            seat.in_ring = true;
            let Some(queue) = self.queues.get_mut(seat.queue) else { continue };
            if let Some(view) = queue.find_view(seat.view) {
                queue.views[view].enter(key, priority);
            }
            if queue.waiting() > 0 && !queue.scheduled {
                queue.scheduled = true;
                self.scheduled.push_back(seat.queue);
            }
        }
    }

    /// Settles one delivery. Its queue may be gone, and then there is nothing to do.
    pub(crate) fn settle_one(&mut self, unsettled: Unsettled, outcome: &Outcome) {
        let Unsettled { queue: key, priority, entry, .. } = unsettled;
        let Some(mut entry) = entry else { return };
        let Some(queue) = self.queues.get_mut(key) else { return };
        match outcome {
            Outcome::Accept => {
                self.counters.accepted += 1;
                queue.finish(key, priority, &entry, &mut self.pending, &mut self.memory);
                if queue.messages == 0 {
                    self.collect_queue(key);
                } else if queue.must_look_again() {
                    self.schedule(key);
                }
            }
            Outcome::Reject { reason } => {
                self.counters.rejected += 1;
                self.dead_letter(key, priority, entry, &Cause::Rejected(reason));
            }
            Outcome::Release { delay_ms } => {
                entry.attempts = entry.attempts.saturating_add(1);
                entry.redelivered = true;
                let delay = delay_ms.map_or_else(|| queue.policy.redelivery_delay(entry.attempts), u64::from);
                self.again(key, priority, entry, delay);
            }
            Outcome::Return => {
                queue.restore(priority, entry, &mut self.pending, &mut self.memory);
                self.schedule(key);
            }
        }
    }

    /// An attempt was in vain: the entry comes back, later comes back, or has come back too often.
    pub(crate) fn again(
        &mut self,
        key: Key<Queue>,
        priority: u8,
        entry: crate::queue::entry::Entry,
        delay_ms: u64,
    ) {
        self.counters.released += 1;
        let Some(queue) = self.queues.get_mut(key) else { return };
        let max = queue.policy.max_redeliveries;
        if entry.attempts > max && max != u32::MAX {
            self.dead_letter(key, priority, entry, &Cause::TooManyAttempts);
        } else if delay_ms > 0 && queue.pause_group(&entry, self.now.monotonic_ms.saturating_add(delay_ms)) {
            self.paused.insert((self.now.monotonic_ms.saturating_add(delay_ms), key));
            queue.restore(priority, entry, &mut self.pending, &mut self.memory);
            self.schedule(key);
        } else if delay_ms > 0 && self.delayed.count < self.config.limits.max_delayed {
            self.delay_entry(key, priority, entry, delay_ms);
        } else {
            queue.restore(priority, entry, &mut self.pending, &mut self.memory);
            self.schedule(key);
        }
    }

    /// The link of a consumer has gone, or it goes without settling: what it had comes back. Only the oldest counts
    /// as tried: that is the one which it had in hands.
    pub(crate) fn abandon(&mut self, mut unsettled: Vec<Unsettled>, crashed: bool) {
        unsettled.sort_unstable_by_key(|one| one.tag);
        let mut first = crashed;
        for mut one in unsettled {
            let Some(entry) = &mut one.entry else { continue };
            entry.redelivered = true;
            if std::mem::take(&mut first) {
                let outcome = Outcome::Release { delay_ms: Some(0) };
                self.settle_one(one, &outcome);
            } else {
                self.settle_one(one, &Outcome::Return);
            }
        }
    }

    /// More deliveries are allowed.
    pub(crate) fn credit(
        &mut self,
        key: Key<Session>,
        id: u64,
        amount: u64,
        set: bool,
    ) -> Result<(), Refusal> {
        let found = self.sessions.get(key).and_then(|session| session.subscriptions.get(&id)).copied();
        let Some(subscription) = found.and_then(|key| self.subscriptions.get_mut(key)) else {
            return Err(Refusal::new(Reason::NotFound, format!("there is no subscription {id}")));
        };
        subscription.credit = if set { amount } else { subscription.credit.saturating_add(amount) };
        if let Some(subscription) = found {
            self.regain(subscription);
        }
        Ok(())
    }

    /// Answers a request, once the batch `need` is committed and the answers before it have left.
    pub(crate) fn answer(
        &mut self,
        key: Key<Session>,
        token: u64,
        need: Option<CommitId>,
        answer: Answer,
        kind: Kind,
        out: &mut Outputs,
    ) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if matches!(self.state, State::Failed(_)) {
            // What was in line was refused when the store failed: there is nothing to wait for any more.
            out.replies.push((session.id, Reply { token, answer }));
            return;
        }
        session.line.push(token, need.unwrap_or(CommitId(0)), answer, kind, self.commits.is_full());
        if need.is_some() && session.noted != self.pending.id {
            session.noted = self.pending.id;
            self.pending.sessions.push(key);
        }
        session.line.flush(session.id, &self.commits, out);
    }
}
