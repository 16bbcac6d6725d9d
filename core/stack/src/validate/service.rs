// SPDX-License-Identifier: Apache-2.0
//! Refuses verbs out of order and verbs that make no sense.

use super::verbs;
use crate::batch::{Admission, Admissions, Batch, Login, Outbound, Outgoing, Session, Stack, fatal};
use sabir_model::verb::{Reason, Refusal, Verb};
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
        let (mut connecting, mut ended) = (false, false);
        batch.check(|session, request| {
            if session.is_over || ended {
                return Err(fatal(Reason::Invalid, "the session is over"));
            }
            in_order(session, &request.verb, &mut connecting)?;
            verbs::check(request)?;
            ended = matches!(request.verb, Verb::Disconnect);
            Ok(())
        });
        self.inner.call(batch)
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
