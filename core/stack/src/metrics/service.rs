// SPDX-License-Identifier: Apache-2.0
//! Counts what a session asks and is answered.

use super::ProtocolMetrics;
use super::counters::add;
use crate::batch::{Admission, Admissions, Batch, Outbound, Outgoing, Stack};
use crate::verb_kind::VerbKind;
use sabir_model::delivery::DeliveryKind;
use sabir_model::verb::{Answer, Refusal, Reply, Verb};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// Counts for one session.
#[derive(Debug)]
pub struct Count<S> {
    inner: S,
    protocol: Arc<ProtocolMetrics>,
}

impl<S> Count<S> {
    pub(super) fn new(inner: S, protocol: Arc<ProtocolMetrics>) -> Self {
        Count { inner, protocol }
    }
}

impl<S: Stack> Service<Batch> for Count<S> {
    type Response = Admissions;
    type Error = Infallible;
    type Future = Admission;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, batch: Batch) -> Admission {
        // Counted here first and added once per kind: an atomic addition per message would cost more than the rest.
        let mut counts = [0u64; VerbKind::ALL.len()];
        let mut bytes = 0;
        for request in batch.requests.iter().skip(batch.seen) {
            counts[VerbKind::of(&request.verb) as usize] += 1;
            if let Verb::Publish(message) = &request.verb {
                bytes += message.size_bytes() as u64;
            }
        }
        for (counter, count) in self.protocol.requests.iter().zip(counts) {
            add(counter, count);
        }
        add(&self.protocol.published_bytes, bytes);
        let protocol = self.protocol.clone();
        self.inner.call(batch).inspect(move |admissions| count_replies(&protocol, &admissions.replies))
    }
}

impl<S: Stack> Outbound for Count<S> {
    fn outbound(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Refusal> {
        count_replies(&self.protocol, outgoing.replies);
        let (mut messages, mut bytes) = (0, 0);
        for delivery in outgoing.deliveries {
            if let DeliveryKind::Message { message, .. } = &delivery.kind {
                messages += 1;
                bytes += message.size_bytes() as u64;
            }
        }
        add(&self.protocol.deliveries, messages);
        add(&self.protocol.delivered_bytes, bytes);
        self.inner.outbound(outgoing)
    }
}

fn count_replies(protocol: &ProtocolMetrics, replies: &[Reply]) {
    let mut done = 0;
    for reply in replies {
        match &reply.answer {
            Answer::Done | Answer::Told(_) => done += 1,
            Answer::Refused(refusal) => {
                if let Some(counter) = protocol.refusals.get((refusal.reason as usize).wrapping_sub(1)) {
                    add(counter, 1);
                }
            }
        }
    }
    add(&protocol.confirmations, done);
}
