// SPDX-License-Identifier: Apache-2.0
//! Credit that is used or lost: a consumer asks for what is there, and is told when there is no more.
//!
//! What can be delivered within the credit is delivered first, and what must be read from the store for that is waited
//! for. Then the credit that is left is dropped, and only then the request is answered, behind those deliveries. What
//! is not committed yet, or comes later, is not waited for.

use crate::engine::{Engine, State};
use crate::output::Outputs;
use crate::queue::Queue;
use crate::session::{Kind, Session};
use crate::slab::Key;
use crate::subscription::Subscription;
use sabir_model::verb::{Answer, Reply};

/// A consumer that waits for the end of what is there.
#[derive(Debug)]
pub(crate) struct Drain {
    session: Key<Session>,
    subscription: Key<Subscription>,
    token: u64,
    confirm: bool,
}

/// What a request to allow deliveries says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CreditMeta {
    pub token: u64,
    pub confirm: bool,
    /// The session's number of the subscription.
    pub subscription: u64,
    pub amount: u64,
    pub set: bool,
}

impl Engine {
    /// Allows deliveries, of which those that cannot be made now are not allowed any longer.
    pub(crate) fn drain(&mut self, key: Key<Session>, meta: CreditMeta, out: &mut Outputs) {
        let CreditMeta { token, confirm, subscription: id, amount, set } = meta;
        let failed = matches!(self.state, State::Failed(_));
        let result = if failed { Err(self.state_refusal()) } else { self.credit(key, id, amount, set) };
        if let Err(refusal) = result {
            let answer = Answer::Refused(Box::new(refusal));
            return self.answer(key, token, None, answer, Kind::Other, out);
        }
        let found = self.sessions.get(key).and_then(|session| session.subscriptions.get(&id)).copied();
        if let Some(subscription) = found {
            self.drains.push(Drain { session: key, subscription, token, confirm });
        }
    }

    /// Answers those for whom there is no more. Everything that could be delivered has been.
    pub(crate) fn finish_drains(&mut self, out: &mut Outputs) {
        if self.drains.is_empty() {
            return;
        }
        let failed = matches!(self.state, State::Failed(_));
        for drain in std::mem::take(&mut self.drains) {
            if !failed && !self.is_dry(drain.subscription) {
                self.drains.push(drain);
                continue;
            }
            if let Some(subscription) = self.subscriptions.get_mut(drain.subscription) {
                subscription.credit = 0;
            }
            let answer = if failed { Answer::Refused(Box::new(self.state_refusal())) } else { Answer::Done };
            let wanted = drain.confirm || failed;
            if let Some(session) = self.sessions.get(drain.session).filter(|_| wanted) {
                out.drained.push((session.id, Reply { token: drain.token, answer }));
            }
        }
    }

    /// Whether nothing more can be delivered to this consumer of what is there now.
    fn is_dry(&self, key: Key<Subscription>) -> bool {
        let Some(subscription) = self.subscriptions.get(key) else { return true };
        let max = self.config.limits.max_unsettled_per_session;
        let session_is_full =
            self.sessions.get(subscription.session).is_none_or(|session| session.unsettled >= max);
        if !subscription.has_credit() || session_is_full {
            return true;
        }
        if let Some(browse) = &subscription.browse {
            return !browse.is_reading();
        }
        subscription.seats.iter().all(|seat| {
            self.queues.get(seat.queue).is_none_or(|queue| {
                let serves_another = queue.alone(&self.subscriptions).is_some_and(|alone| alone != key);
                serves_another || queue.is_dry(seat.view, subscription.priority)
            })
        })
    }
}

impl Queue {
    /// Whether nothing is being read that a consumer of this view with this priority may be given.
    fn is_dry(&self, view: u32, priority: i8) -> bool {
        let Some(at) = self.find_view(view) else { return true };
        let view = &self.views[at];
        // Whatever comes goes to those of higher priority, as long as they have credit.
        if view.turn().is_some_and(|(_, other)| other > priority) {
            return true;
        }
        self.fetching.is_empty() && view.feeds.iter().all(|feed| feed.reading.is_none())
    }
}
