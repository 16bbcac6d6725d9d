// SPDX-License-Identifier: Apache-2.0
//! The order of a session's answers. What the layers refuse is known at once, what the engine answers only later: a
//! refusal is held until everything that was asked before it has its answer. Knows nothing of what was asked.
//!
//! While nothing is refused this costs one number per verb that wants an answer, in memory that is used again.

use sabir_model::{Reply, Request};
use sabir_stack::Admissions;
use std::collections::VecDeque;

/// Places that a session keeps memory for while it waits for no answer.
const KEPT_PLACES: usize = 64;

/// What was asked, and what is known of its answer.
#[derive(Debug)]
pub enum Place {
    /// Nothing yet.
    Asked {
        /// The verb's token.
        token: u64,
        /// It wants an answer.
        confirm: bool,
    },
    /// The layers have refused it.
    Refused(Reply),
}

/// The order of one session's answers.
#[derive(Debug, Default)]
pub struct Order {
    /// The batch that is with the layers. Keeps what was refused of it while a log-in at its front is being checked.
    batch: Vec<Place>,
    /// What the engine has yet to answer, and refusals between.
    line: VecDeque<Place>,
    /// Refusals among the line.
    held: usize,
}

impl Order {
    /// These come to the layers; the first `seen` of them have come before.
    pub fn ask(&mut self, requests: &[Request], seen: usize) {
        let new = requests.get(seen..).unwrap_or_default();
        self.batch.extend(
            new.iter().map(|request| Place::Asked { token: request.token, confirm: request.confirm }),
        );
    }

    /// The batch is back from the layers: what they have let pass the engine has, unless it comes back with a log-in.
    /// What may be answered at once is put behind `ready`.
    pub fn admitted(&mut self, admissions: &mut Admissions, ready: &mut Vec<Reply>) {
        if !admissions.replies.is_empty() {
            self.refuse(admissions);
        }
        let is_asked = |place: &Place| matches!(place, Place::Asked { .. });
        let known = match admissions.remaining.is_empty() {
            true => self.batch.len(),
            false => self.batch.iter().position(is_asked).unwrap_or(self.batch.len()),
        };
        for place in self.batch.drain(..known) {
            match place {
                Place::Asked { confirm: false, .. } => {}
                Place::Refused(reply) if self.line.is_empty() => ready.push(reply),
                place => {
                    self.held += usize::from(matches!(place, Place::Refused(_)));
                    self.line.push_back(place);
                }
            }
        }
    }

    /// Refusals take the places of what they refuse.
    fn refuse(&mut self, admissions: &mut Admissions) {
        let asked = |(at, place): (usize, &Place)| match place {
            Place::Asked { token, .. } => Some((at, *token)),
            Place::Refused(_) => None,
        };
        let asked: Vec<(usize, u64)> = self.batch.iter().enumerate().filter_map(asked).collect();
        let mut replies = std::mem::take(&mut admissions.replies);
        for (index, reply) in replies.drain(..).enumerate() {
            let known = admissions.place_of(index).and_then(|place| asked.get(place));
            match known.filter(|(_, token)| *token == reply.token).and_then(|(at, _)| self.batch.get_mut(*at))
            {
                Some(place) => *place = Place::Refused(reply),
                // A layer has worked past `Batch::check`: this is told behind everything else.
                None => self.batch.push(Place::Refused(reply)),
            }
        }
        admissions.replies = replies;
    }

    /// The engine has given these answers: puts what was held for them between and behind them.
    pub fn answered(&mut self, replies: &mut Vec<Reply>) {
        if self.held == 0 {
            replies.iter().for_each(|reply| self.settle(reply));
            return;
        }
        let mut ordered = Vec::with_capacity(replies.len() + self.held);
        for reply in replies.drain(..) {
            self.settle(&reply);
            ordered.push(reply);
            while let Some(Place::Refused(_)) = self.line.front() {
                if let Some(Place::Refused(held)) = self.line.pop_front() {
                    self.held -= 1;
                    ordered.push(held);
                }
            }
        }
        *replies = ordered;
    }

    /// This was answered. The engine answers in order; what wanted no answer and got one has no place.
    fn settle(&mut self, reply: &Reply) {
        let is_it = |place: &Place| matches!(place, Place::Asked { token, .. } if *token == reply.token);
        if self.line.front().is_some_and(is_it) {
            self.line.pop_front();
        } else if let Some(at) = self.line.iter().position(is_it) {
            self.line.remove(at);
        }
    }

    /// Gives memory back that a burst has left behind.
    pub fn trim(&mut self) {
        if self.batch.is_empty() && self.batch.capacity() > 0 {
            self.batch = Vec::new();
        }
        if self.line.is_empty() && self.line.capacity() > KEPT_PLACES {
            self.line = VecDeque::new();
        }
    }

    /// Lends the batch's memory, which all links of a thread share, or gives it back when it is no longer needed.
    pub fn swap_memory(&mut self, memory: &mut Vec<Place>) {
        if self.batch.is_empty() {
            std::mem::swap(&mut self.batch, memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sabir_model::verb::{Answer, Reason, Refusal};
    use sabir_model::{Now, Verb};
    use sabir_stack::Batch;

    fn done(token: u64) -> Reply {
        Reply { token, answer: Answer::Done }
    }

    fn tokens(replies: &[Reply]) -> Vec<u64> {
        replies.iter().map(|reply| reply.token).collect()
    }

    /// A session whose layers refuse by rounds: each refuses the requests with these ids.
    struct Asking {
        order: Order,
        ready: Vec<Reply>,
        last: Option<Admissions>,
    }

    impl Asking {
        fn new() -> Self {
            let session = sabir_stack::Session::new(sabir_model::SessionId(1), "test");
            let last = Some(Batch::first(Now::default(), session).admit());
            Asking { order: Order::default(), ready: Vec::new(), last }
        }

        /// With `remain` what is not refused comes back, as from a log-in.
        fn ask(&mut self, new: &[Request], layers: &[&[u64]], remain: bool) {
            let mut batch = Batch::next(Now::default(), self.last.take().unwrap());
            batch.requests.extend_from_slice(new);
            self.order.ask(&batch.requests, batch.seen);
            for refused in layers {
                batch.check(|_, request| match refused.contains(&request.id) {
                    true => Err(Refusal::new(Reason::Invalid, "no")),
                    false => Ok(()),
                });
            }
            if !remain {
                batch.requests.clear();
            }
            let mut admissions = batch.admit();
            self.order.admitted(&mut admissions, &mut self.ready);
            self.last = Some(admissions);
        }

        fn answer(&mut self, tokens: &[u64]) -> Vec<Reply> {
            let mut replies = tokens.iter().map(|token| done(*token)).collect();
            self.order.answered(&mut replies);
            replies
        }
    }

    /// Its token is its id if it wants an answer, otherwise 0.
    fn request(id: u64, confirm: bool) -> Request {
        let token = if confirm { id } else { 0 };
        Request { token, confirm, id, transaction: 0, verb: Verb::Disconnect }
    }

    #[test]
    fn a_refusal_waits_for_what_was_asked_before_it_and_for_nothing_else() {
        let mut asking = Asking::new();
        let asked = [(1, false), (2, true), (3, false), (4, false), (5, true), (6, true)]
            .map(|(id, confirm)| request(id, confirm));
        // The outer layer refuses the last one, the inner one a message that nobody wanted confirmed.
        asking.ask(&asked, &[&[6], &[4]], false);
        assert!(asking.ready.is_empty());
        assert_eq!(tokens(&asking.answer(&[2])), [2, 0]);
        assert_eq!(tokens(&asking.answer(&[5])), [5, 6]);
        asking.ask(&[request(7, true)], &[&[7]], false);
        assert_eq!(tokens(&asking.ready), [7]);
    }

    #[test]
    fn answers_that_come_together_have_refusals_between_them() {
        let mut asking = Asking::new();
        asking.ask(&[1, 2, 3, 4].map(|id| request(id, true)), &[&[], &[2, 4]], false);
        assert_eq!(tokens(&asking.answer(&[1, 3])), [1, 2, 3, 4]);
    }

    #[test]
    fn what_is_refused_behind_a_log_in_waits_for_the_log_in() {
        let mut asking = Asking::new();
        asking.ask(&[1, 2, 3].map(|id| request(id, true)), &[&[2]], true);
        assert!(asking.ready.is_empty());
        asking.ask(&[request(4, true)], &[&[3]], false);
        assert!(asking.ready.is_empty());
        assert_eq!(tokens(&asking.answer(&[1])), [1, 2, 3]);
        assert_eq!(tokens(&asking.answer(&[4])), [4]);
    }

    #[test]
    fn a_refused_log_in_is_told_at_once() {
        let mut asking = Asking::new();
        asking.ask(&[1, 2].map(|id| request(id, true)), &[&[1]], true);
        assert_eq!(tokens(&asking.ready), [1]);
    }

    #[test]
    fn an_answer_that_nobody_wanted_changes_no_order() {
        let mut asking = Asking::new();
        asking.ask(&[request(1, false), request(2, true), request(3, true)], &[&[3]], false);
        assert_eq!(tokens(&asking.answer(&[0])), [0]);
        assert_eq!(tokens(&asking.answer(&[2])), [2, 3]);
    }
}
