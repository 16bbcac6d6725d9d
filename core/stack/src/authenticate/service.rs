// SPDX-License-Identifier: Apache-2.0
//! Lets the user of a session in.

use super::Blocking;
use super::verdict::verdict;
use crate::batch::{Admission, Admissions, Batch, Login, Outbound, Outgoing, Stack, fatal};
use crate::policy::{Authentication, MAX_USER_NAME_BYTES, Policy, PolicyView, Principal, SharedPolicy};
use sabir_model::verb::{Connect, Reason, Refusal, Verb};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;
use tracing::warn;

/// Lets one session's user in.
pub struct Authenticate<S> {
    inner: S,
    shared: Arc<SharedPolicy>,
    policy: PolicyView,
    blocking: Arc<dyn Blocking>,
}

impl<S> Authenticate<S> {
    pub(super) fn new(inner: S, shared: Arc<SharedPolicy>, blocking: Arc<dyn Blocking>) -> Self {
        Authenticate { inner, policy: shared.view(), shared, blocking }
    }
}

impl<S: Stack> Service<Batch> for Authenticate<S> {
    type Response = Admissions;
    type Error = Infallible;
    type Future = Admission;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut batch: Batch) -> Admission {
        if let Login::Done(_) = batch.session.login {
            // The layer before lets no second log-in through; whoever leaves it out still gets no second identity.
            batch.check(|_, request| match request.verb {
                Verb::Connect(_) => Err(fatal(Reason::Invalid, "the session has logged in already")),
                _ => Ok(()),
            });
            return self.inner.call(batch);
        }
        match batch.requests.first_mut().map(|first| &mut first.verb) {
            None => self.inner.call(batch),
            Some(Verb::Connect(connect)) => {
                let connect = Connect { password: connect.password.take(), ..(**connect).clone() };
                self.log_in(batch, connect)
            }
            Some(_) => {
                batch.check(|_, _| Err(fatal(Reason::Unauthenticated, "the session has not logged in")));
                Admission::ready(batch.admit())
            }
        }
    }
}

impl<S: Stack> Authenticate<S> {
    /// The batch begins with the log-in, which has lost its password to `connect`.
    fn log_in(&mut self, mut batch: Batch, connect: Connect) -> Admission {
        if let Login::Verified(principal) = &batch.session.login {
            let principal = principal.clone();
            return self.enter(batch, principal, connect.client_id);
        }
        let policy = self.policy.load().clone();
        let Policy { authentication, limits, .. } = &*policy;
        let Authentication::Users { users, anonymous } = authentication else {
            return self.enter(batch, Arc::default(), connect.client_id);
        };
        let name = connect.user.filter(|name| !name.is_empty());
        let password = connect.password.filter(|password| !password.is_empty());
        let (name, password) = match (name, password) {
            (Some(name), Some(password)) => (name, password),
            (None, None) if *anonymous => return self.enter(batch, Arc::default(), connect.client_id),
            (name, _) => {
                // There is nothing to be checked, so nothing is given away by answering at once.
                let refusal = failed(&mut batch, name.as_deref(), limits.max_login_attempts);
                return Admission::ready(refuse(batch, refusal));
            }
        };
        let principal = users.get(&name).map(|user| Arc::new(Principal::of(&name, user)));
        let (max_failures, max_sessions) = (limits.max_login_attempts, limits.max_sessions_per_user);
        let now_ms = batch.now.monotonic_ms;
        let attempt = self.shared.attempt(&policy, &name, password);
        if let (true, Some(principal)) = (attempt.is_known(now_ms), &principal) {
            return match take_place(&self.shared, &mut batch, &name, max_sessions) {
                Ok(()) => self.enter(batch, principal.clone(), connect.client_id),
                Err(refusal) => Admission::ready(refuse(batch, refusal)),
            };
        }
        let shared = self.shared.clone();
        let (judge, verdict) = verdict();
        self.blocking.run(Box::new(move || judge.answer(attempt.check(now_ms))));
        Admission::pending(async move {
            let refusal = match (verdict.await, principal) {
                (Some(true), Some(principal)) => match take_place(&shared, &mut batch, &name, max_sessions) {
                    Ok(()) => {
                        batch.session.login = Login::Verified(principal);
                        return batch.admit();
                    }
                    Err(refusal) => refusal,
                },
                (Some(_), _) => failed(&mut batch, Some(&name), max_failures),
                (None, _) => fatal(Reason::Unauthenticated, "the password could not be checked; try again"),
            };
            refuse(batch, refusal)
        })
    }

    /// The log-in and what follows it pass.
    fn enter(&mut self, mut batch: Batch, principal: Arc<Principal>, client_id: Option<String>) -> Admission {
        batch.session.login = Login::Done(principal);
        batch.session.client_id = client_id;
        self.inner.call(batch)
    }
}

/// Takes one of the places that the user has for sessions.
fn take_place(shared: &SharedPolicy, batch: &mut Batch, name: &str, max: u32) -> Result<(), Refusal> {
    batch.session.slot = shared.take_slot(name, max);
    match batch.session.slot {
        Some(_) => Ok(()),
        None => Err(fatal(Reason::Limit, format!("limits.max_sessions_per_user ({max}) is reached"))),
    }
}

/// The same words whatever was wrong. The log says who it was, for those who look for guessers.
fn failed(batch: &mut Batch, name: Option<&str>, max_failures: u32) -> Refusal {
    let session = &mut batch.session;
    let user: String = name.unwrap_or_default().chars().take(MAX_USER_NAME_BYTES).collect();
    warn!(?user, peer = %session.peer.escape_debug(), connection = %session.connection_id, "a log-in was refused");
    session.failed_logins += 1;
    Refusal {
        reason: Reason::Unauthenticated,
        text: "wrong user name or password".to_owned(),
        fatal: session.failed_logins >= max_failures,
    }
}

/// The log-in is refused; what follows it comes back, unless the session is over.
fn refuse(mut batch: Batch, refusal: Refusal) -> Admissions {
    batch.refuse_first(refusal);
    batch.admit()
}

impl<S: Stack> Outbound for Authenticate<S> {
    fn outbound(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Refusal> {
        self.inner.outbound(outgoing)
    }
}
