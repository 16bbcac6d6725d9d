// SPDX-License-Identifier: Apache-2.0
//! A layer that refuses orders without a correlation id. It knows messages; it knows no protocol and no queue's content.

use sabir_model::message::{Field, Head};
use sabir_model::pattern::{Pattern, PatternError};
use sabir_model::verb::{Reason, Refusal, Verb};
use sabir_stack::{Admission, Admissions, Batch, Extension, Outbound, Outgoing, Stack};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// The layer, for queues whose names match `pattern`. It is made once; the service below once per session.
pub fn require_correlation_id(pattern: &str) -> Result<Extension, PatternError> {
    let orders = Arc::new(Pattern::parse(pattern)?);
    Ok(Arc::new(move |inner| Box::new(RequireCorrelationId { orders: orders.clone(), inner })))
}

/// The service of one session: looks at what goes in, and hands it on to the rest of the stack.
struct RequireCorrelationId {
    orders: Arc<Pattern>,
    inner: Box<dyn Stack>,
}

impl RequireCorrelationId {
    fn is_order(&self, head: &Head<'_>) -> bool {
        let destination = head.text(Field::Destination).unwrap_or_default();
        // A composite is a list with commas.
        destination
            .split(',')
            .filter_map(|one| one.strip_prefix("queue://"))
            .any(|name| self.orders.matches(name))
    }
}

impl Service<Batch> for RequireCorrelationId {
    type Response = Admissions;
    type Error = Infallible;
    type Future = Admission;

    /// The layer has no reason of its own to make a session wait.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut batch: Batch) -> Admission {
        // What is refused is taken out of the batch and answered; the others keep their order.
        batch.check(|_session, request| {
            let Verb::Publish(message) = &request.verb else { return Ok(()) };
            let head = message.head();
            if head.field(Field::CorrelationId).is_some() || !self.is_order(&head) {
                return Ok(());
            }
            Err(Refusal::new(Reason::Invalid, "an order needs a correlation id"))
        });
        self.inner.call(batch)
    }
}

impl Outbound for RequireCorrelationId {
    /// Nothing that goes out concerns it.
    fn outbound(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Refusal> {
        self.inner.outbound(outgoing)
    }
}
