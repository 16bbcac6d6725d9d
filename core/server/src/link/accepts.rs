// SPDX-License-Identifier: Apache-2.0
//! Deliveries that the server itself accepts, once their bytes were handed to the link.

use sabir_model::delivery::{Delivery, DeliveryKind};
use sabir_model::verb::{Outcome, Settle, SettleRange};
use sabir_model::{Request, Verb};
use std::collections::VecDeque;

/// Deliveries that wait for their bytes to be written.
#[derive(Debug, Default)]
pub struct Accepts {
    waiting: VecDeque<Accept>,
}

/// A run of deliveries of one subscription, in order; those of other subscriptions may lie between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Accept {
    /// Where their output ends.
    position: u64,
    subscription: u64,
    first: u64,
    last: u64,
}

impl Accepts {
    /// The session has taken these, and their output ends at `position`.
    pub fn add(&mut self, deliveries: &[Delivery], position: u64) {
        for delivery in deliveries {
            let DeliveryKind::Message { auto_accept: true, .. } = delivery.kind else { continue };
            let (subscription, tag) = (delivery.subscription, delivery.tag);
            match self.waiting.back_mut() {
                Some(run) if run.subscription == subscription && run.position == position => run.last = tag,
                _ => self.waiting.push_back(Accept { position, subscription, first: tag, last: tag }),
            }
        }
    }

    /// The link has taken the output up to `written`: asks for what is accepted by that.
    pub fn release(&mut self, written: u64, requests: &mut Vec<Request>) {
        while let Some(run) = self.waiting.front().filter(|run| run.position <= written) {
            let range = SettleRange::Tags { first: run.first, last: run.last };
            requests.push(Request {
                token: 0,
                confirm: false,
                id: run.subscription,
                transaction: 0,
                verb: Verb::Settle(Settle { range, outcome: Outcome::Accept }),
            });
            self.waiting.pop_front();
        }
        if self.waiting.is_empty() && self.waiting.capacity() > 64 {
            self.waiting = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sabir_model::message::{Fixed, HeadWriter, Message};

    fn delivery(subscription: u64, tag: u64, auto_accept: bool) -> Delivery {
        let mut head = Vec::new();
        HeadWriter::new(&mut head, &Fixed::default()).finish();
        let message = Message::joined(Bytes::from(head)).unwrap();
        let kind = DeliveryKind::Message {
            message,
            label: Bytes::new(),
            redelivery_count: 0,
            redelivered: false,
            group_first: false,
            auto_accept,
        };
        Delivery { subscription, tag, kind }
    }

    fn released(accepts: &mut Accepts, written: u64) -> Vec<(u64, SettleRange)> {
        let mut requests = Vec::new();
        accepts.release(written, &mut requests);
        let range = |request: Request| match request.verb {
            Verb::Settle(Settle { range, outcome: Outcome::Accept }) => (request.id, range),
            other => panic!("{other:?}"),
        };
        requests.into_iter().map(range).collect()
    }

    #[test]
    fn only_what_was_written_is_accepted_and_runs_are_joined() {
        let mut accepts = Accepts::default();
        accepts.add(&[delivery(1, 1, true), delivery(1, 2, true), delivery(2, 3, true)], 100);
        accepts.add(&[delivery(1, 4, false), delivery(1, 5, true)], 150);
        assert_eq!(released(&mut accepts, 99), []);
        let tags = |first, last| SettleRange::Tags { first, last };
        assert_eq!(released(&mut accepts, 120), [(1, tags(1, 2)), (2, tags(3, 3))]);
        assert_eq!(released(&mut accepts, 150), [(1, tags(5, 5))]);
    }
}
