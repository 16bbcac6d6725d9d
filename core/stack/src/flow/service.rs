// SPDX-License-Identifier: Apache-2.0
//! Charges what enters the engine, and gives back what was answered.

use super::{Budget, Usage};
use crate::batch::{Admission, Admissions, Batch, Outbound, Outgoing, Stack};
use sabir_model::BranchAct;
use sabir_model::verb::{Refusal, Verb};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// Charges one session's budget.
#[derive(Debug)]
pub struct Flow<S> {
    inner: S,
    budget: Arc<Budget>,
    /// Token and bytes of what will be answered, in the order in which it was asked: mostly the order of the answers.
    unanswered: VecDeque<(u64, u64)>,
}

impl<S> Flow<S> {
    pub(super) fn new(inner: S, budget: Arc<Budget>) -> Self {
        Flow { inner, budget, unanswered: VecDeque::new() }
    }
}

impl<S: Stack> Service<Batch> for Flow<S> {
    type Response = Admissions;
    type Error = Infallible;
    type Future = Admission;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.budget.poll_free(cx).is_pending() {
            return Poll::Pending;
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, batch: Batch) -> Admission {
        let (mut answered_later, mut silent) = (Usage::default(), Usage::default());
        for request in &batch.requests {
            let bytes = match &request.verb {
                Verb::Publish(message) => message.held_bytes() as u64,
                // Answered when others end the branch: the engine bounds how many wait for that.
                Verb::Branch(step) if step.act == BranchAct::Await => continue,
                _ if request.confirm => 0,
                _ => continue,
            };
            if request.confirm {
                answered_later.add(bytes);
                self.unanswered.push_back((request.token, bytes));
            } else {
                silent.add(bytes);
            }
        }
        self.budget.charge(answered_later, silent);
        self.inner.call(batch)
    }
}

impl<S: Stack> Outbound for Flow<S> {
    fn outbound(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Refusal> {
        let mut answered = Usage::default();
        for reply in outgoing.replies {
            // Refusals of verbs that wanted no answer are answers to nothing here.
            let place = self.unanswered.iter().position(|(token, _)| *token == reply.token);
            if let Some((_, bytes)) = place.and_then(|place| self.unanswered.remove(place)) {
                answered.add(bytes);
            }
        }
        if answered.items > 0 {
            self.budget.release(answered);
        }
        self.inner.outbound(outgoing)
    }
}
