// SPDX-License-Identifier: Apache-2.0
//! Refuses verbs out of order and verbs that make no sense.

use super::verbs;
use crate::batch::{Admission, Admissions, Batch, Login, Outbound, Outgoing, Session, Stack, fatal};
use sabir_model::verb::{Reason, Refusal, Request, Verb};
use std::convert::Infallible;
use std::task::{Context, Poll};
use tower::Service;

/// Refuses what can make no sense.
#[derive(Debug)]
pub struct Validate<S> {
    inner: S,
}

impl<S> Validate<S> {
    pub(super) fn new(inner: S) -> Self {
        Validate { inner }
    }
}

impl<S: Stack> Service<Batch> for Validate<S> {
    type Response = Admissions;
    type Error = Infallible;
    type Future = Admission;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut batch: Batch) -> Admission {
        if batch.session.is_over {
            // Settling after the end means nothing, and is nobody's fault: the two have crossed.
            batch.requests.retain(|request| !is_silent_settle(request));
        }
        let (mut connecting, mut ended) = (false, false);
        batch.check(|session, request| {
            if session.is_over || ended {
                let crossed = ended && is_silent_settle(request);
                return if crossed { Ok(()) } else { Err(fatal(Reason::Invalid, "the session is over")) };
            }
            in_order(session, &request.verb, &mut connecting)?;
            verbs::check(request)?;
            ended = matches!(request.verb, Verb::Disconnect);
            Ok(())
        });
        if ended {
            end_last(&mut batch.requests);
        }
        self.inner.call(batch)
    }
}

/// Whether nobody waits for an answer to it: as of the settles that the server sends for what it has written.
fn is_silent_settle(request: &Request) -> bool {
    !request.confirm && matches!(request.verb, Verb::Settle(_) | Verb::Credit { .. })
}

/// What was settled before the session's end became known still counts.
fn end_last(requests: &mut [Request]) {
    let end = requests.iter().position(|request| matches!(request.verb, Verb::Disconnect));
    if let Some(behind) = end.and_then(|end| requests.get_mut(end..)) {
        behind.rotate_left(1);
    }
}

/// A log-in comes first, and once.
fn in_order(session: &Session, verb: &Verb, connecting: &mut bool) -> Result<(), Refusal> {
    let logged_in = *connecting || matches!(session.login, Login::Done(_));
    let is_connect = matches!(verb, Verb::Connect(_));
    *connecting |= is_connect;
    match (is_connect, logged_in) {
        (true, true) => Err(fatal(Reason::Invalid, "the session has logged in already")),
        (false, false) => Err(fatal(Reason::Unauthenticated, "the session has not logged in")),
        _ => Ok(()),
    }
}

impl<S: Stack> Outbound for Validate<S> {
    fn outbound(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Refusal> {
        self.inner.outbound(outgoing)
    }
}
