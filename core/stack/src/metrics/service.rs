// SPDX-License-Identifier: Apache-2.0
//! Counts what a session asks and is answered.

use super::counters::add;
use super::{ProtocolMetrics, Tally};
use crate::batch::{Admission, Admissions, Batch, Outbound, Outgoing, Stack};
use crate::verb_kind::VerbKind;
use sabir_model::delivery::DeliveryKind;
use sabir_model::verb::{Answer, Refusal, Reply, Verb};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// Most batches of one session whose answers are awaited; the times of what comes beyond are not measured.
const MAX_ASKED: usize = 256;

/// Counts for one session.
#[derive(Debug)]
pub struct Count<S> {
    inner: S,
    protocol: Arc<ProtocolMetrics>,
    /// Batches with publishes that want an answer, the oldest first: they are answered in this order.
    asked: VecDeque<Asked>,
}

/// The publishes of one batch that want an answer. All of them count as answered with the last.
#[derive(Clone, Copy, Debug)]
struct Asked {
    token: u64,
    at_ms: u64,
    count: u64,
}

impl<S> Count<S> {
    pub(super) fn new(inner: S, protocol: Arc<ProtocolMetrics>) -> Self {
        Count { inner, protocol, asked: VecDeque::new() }
    }
}

impl<S> Count<S> {
    /// Notes when the publishes of a batch were asked.
    fn ask(&mut self, asked: Asked) {
        if asked.count > 0 && self.asked.len() < MAX_ASKED {
            self.asked.push_back(asked);
        }
    }

    /// What was refused on the way in never reached what is measured.
    fn refuse(&mut self, refused: &[Reply]) {
        for reply in refused {
            if self.asked.back().is_some_and(|asked| asked.token == reply.token) {
                self.asked.pop_back();
            }
        }
    }

    /// Measures what these replies answer.
    fn answer(&mut self, replies: &[Reply], now_ms: u64) {
        if self.asked.is_empty() {
            return;
        }
        let mut tally = Tally::default();
        for reply in replies {
            let Some(asked) = self.asked.front().filter(|asked| asked.token == reply.token) else { continue };
            tally.note(now_ms.saturating_sub(asked.at_ms).saturating_mul(1000), asked.count);
            self.asked.pop_front();
        }
        self.protocol.publish_latency.add(&tally);
        if self.asked.is_empty() {
            // Most sessions are idle most of the time.
            self.asked = VecDeque::new();
        }
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
        let mut asked = Asked { token: 0, at_ms: batch.now.monotonic_ms, count: 0 };
        for request in batch.requests.iter().skip(batch.seen) {
            counts[VerbKind::of(&request.verb) as usize] += 1;
            if let Verb::Publish(message) = &request.verb {
                bytes += message.size_bytes() as u64;
                if request.confirm {
                    asked = Asked { token: request.token, count: asked.count + 1, ..asked };
                }
            }
        }
        self.ask(asked);
        for (counter, count) in self.protocol.requests.iter().zip(counts) {
            add(counter, count);
        }
        add(&self.protocol.published_bytes, bytes);
        let (protocol, before) = (self.protocol.clone(), batch.replies.len());
        let admission = self.inner.call(batch);
        self.refuse(admission.refused_behind(before));
        admission.inspect(move |admissions| count_replies(&protocol, &admissions.replies))
    }
}

impl<S: Stack> Outbound for Count<S> {
    fn outbound(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Refusal> {
        count_replies(&self.protocol, outgoing.replies);
        self.answer(outgoing.replies, outgoing.now.monotonic_ms);
        let (mut messages, mut bytes, mut ages) = (0, 0, Tally::default());
        for delivery in outgoing.deliveries {
            if let DeliveryKind::Message { message, .. } = &delivery.kind {
                messages += 1;
                bytes += message.size_bytes() as u64;
                let timestamp_ms = message.head().timestamp_ms();
                if timestamp_ms > 0 {
                    // Clocks differ: what comes from the future is new.
                    let age_ms = outgoing.now.unix_ms.saturating_sub(timestamp_ms).max(0) as u64;
                    ages.note(age_ms.saturating_mul(1000), 1);
                }
            }
        }
        if messages > 0 {
            add(&self.protocol.deliveries, messages);
            add(&self.protocol.delivered_bytes, bytes);
            self.protocol.end_to_end_latency.add(&ages);
        }
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
