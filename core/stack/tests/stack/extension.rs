// SPDX-License-Identifier: Apache-2.0
//! Layers of whoever embeds the broker.

use crate::support::*;
use sabir_model::Refusal;
use sabir_model::verb::{Reason, Verb};
use sabir_stack::{Admission, Admissions, Batch, Outbound, Outgoing, Stack};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// Refuses messages that are larger than its owner likes.
struct Small(Box<dyn Stack>);

impl Service<Batch> for Small {
    type Response = Admissions;
    type Error = Infallible;
    type Future = Admission;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut batch: Batch) -> Admission {
        batch.check(|session, request| match &request.verb {
            Verb::Publish(message) if message.body().len() > 50 => {
                assert!(session.principal().is_some(), "what was not admitted must not come here");
                Err(Refusal::new(Reason::Limit, "too large for me"))
            }
            _ => Ok(()),
        });
        self.0.call(batch)
    }
}

impl Outbound for Small {
    fn outbound(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Refusal> {
        self.0.outbound(outgoing)
    }
}

#[test]
fn a_layer_of_ones_own_sees_what_was_admitted_and_can_refuse_it() {
    let broker = Broker::open().extended(Arc::new(|inner| Box::new(Small(inner))));
    let mut client = broker.connected();
    assert_eq!(client.ask(publish()), [(1, Reason::NotFound, false)]);
    assert_eq!(client.ask(attach("queue://Q")), []);
    assert_eq!(client.ask(publish()), [(1, Reason::Limit, false)]);
    assert_eq!(client.answered(&[done(1)]), Ok(()));
}
