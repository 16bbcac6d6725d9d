// SPDX-License-Identifier: Apache-2.0
//! Says in the log what a session asks and what is refused.

use crate::batch::{Admission, Admissions, Batch, Outbound, Outgoing, Stack};
use crate::verb_kind::VerbKind;
use sabir_model::verb::{Answer, Refusal, Reply, Verb};
use std::convert::Infallible;
use std::task::{Context, Poll};
use tower::Service;
use tracing::{Level, debug, enabled, trace};

/// Says in the log what one session asks.
#[derive(Debug)]
pub struct Trace<S> {
    inner: S,
    /// As of the last batch, for what goes out.
    session: u64,
}

impl<S> Trace<S> {
    pub(super) fn new(inner: S) -> Self {
        Trace { inner, session: 0 }
    }
}

impl<S: Stack> Service<Batch> for Trace<S> {
    type Response = Admissions;
    type Error = Infallible;
    type Future = Admission;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, batch: Batch) -> Admission {
        if !enabled!(Level::DEBUG) {
            return self.inner.call(batch);
        }
        self.session = batch.session.id.0;
        trace!(session = self.session, requests = batch.requests.len(), "batch");
        for request in &batch.requests {
            let kind = VerbKind::of(&request.verb);
            if !kind.is_hot() {
                debug!(session = self.session, connection = %batch.session.connection_id, token = request.token,
                    id = request.id, verb = kind.name(), detail = %Detail(&request.verb), "request");
            }
        }
        let session = self.session;
        self.inner.call(batch).inspect(move |admissions| log_refusals(session, &admissions.replies))
    }
}

impl<S: Stack> Outbound for Trace<S> {
    fn outbound(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Refusal> {
        if enabled!(Level::DEBUG) {
            log_refusals(self.session, outgoing.replies);
        }
        self.inner.outbound(outgoing)
    }
}

fn log_refusals(session: u64, replies: &[Reply]) {
    for reply in replies {
        if let Answer::Refused(refusal) = &reply.answer {
            debug!(session, token = reply.token, reason = ?refusal.reason, fatal = refusal.fatal,
                text = ?refusal.text, "refused");
        }
    }
}

/// What a rare verb is about, with control characters escaped.
struct Detail<'v>(&'v Verb);

impl std::fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut list = |destinations: &[sabir_model::Destination]| {
            let names = destinations.iter().map(ToString::to_string).collect::<Vec<_>>();
            write!(f, "{}", names.join(",").escape_debug())
        };
        match self.0 {
            Verb::Connect(connect) => {
                write!(f, "{:?} by {:?} as {:?}", connect.protocol, connect.user, connect.client_id)
            }
            Verb::Attach(attach) => list(&attach.destinations),
            Verb::Subscribe(subscribe) => list(&subscribe.destinations),
            Verb::Declare(declare) => list(std::slice::from_ref(&declare.destination)),
            Verb::Delete(delete) => match (&delete.destination, &delete.subscription_name) {
                (Some(destination), _) => list(std::slice::from_ref(destination)),
                (None, name) => write!(f, "subscription {name:?}"),
            },
            Verb::Bind(bind) | Verb::Unbind(bind) => list(&[bind.source.clone(), bind.target.clone()]),
            Verb::Query(query) => write!(f, "{query:?}"),
            _ => Ok(()),
        }
    }
}
