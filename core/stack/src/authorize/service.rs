// SPDX-License-Identifier: Apache-2.0
//! Lets one session do only what the rules allow.

use super::decisions::Decisions;
use crate::batch::{Admission, Admissions, Batch, Login, Outbound, Outgoing, Session, Stack};
use crate::policy::{Policy, PolicyView, SharedPolicy};
use sabir_model::verb::{Query, Refusal, Request, Verb};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// Lets one session do only what the rules allow.
pub struct Authorize<S> {
    inner: S,
    policy: PolicyView,
    decisions: Decisions,
}

impl<S> Authorize<S> {
    pub(super) fn new(inner: S, policy: &SharedPolicy) -> Self {
        Authorize { inner, policy: policy.view(), decisions: Decisions::default() }
    }
}

impl<S: Stack> Service<Batch> for Authorize<S> {
    type Response = Admissions;
    type Error = Infallible;
    type Future = Admission;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut batch: Batch) -> Admission {
        let policy = self.policy.load();
        let decisions = &mut self.decisions;
        if decisions.is_begun()
            && let Some(principal) = decisions.renew(policy)
        {
            batch.session.login = Login::Done(principal);
        }
        batch.check(|session, request| {
            decisions.standing()?;
            check(decisions, policy, session, request)
        });
        for request in &mut batch.requests {
            match &mut request.verb {
                Verb::Branch(step) => step.operator = decisions.is_operator(),
                Verb::Query(query) => {
                    if let Query::Prepared { all } = query.as_mut() {
                        *all = decisions.is_operator();
                    }
                }
                _ => {}
            }
        }
        let before = batch.replies.len();
        let admission = self.inner.call(batch);
        self.decisions.answered(admission.refused_behind(before));
        admission
    }
}

fn check(
    decisions: &mut Decisions,
    policy: &Arc<Policy>,
    session: &mut Session,
    request: &Request,
) -> Result<(), Refusal> {
    match &request.verb {
        Verb::Publish(message) => decisions.publish(request.id, &message.head()),
        // A piece counts for nothing before its message, which is looked at.
        Verb::Piece { .. } | Verb::Settle(_) | Verb::Credit { .. } | Verb::Transact(_) | Verb::Branch(_) => {
            Ok(())
        }
        Verb::Disconnect => {
            session.is_over = true;
            Ok(())
        }
        Verb::Connect(connect) => {
            // An empty name is the default one for the engine too.
            let virtual_host = connect.virtual_host.clone().filter(|name| !name.is_empty());
            // Whoever was let in under an older policy is looked at again.
            if let Login::Done(principal) = &session.login
                && let Some(principal) = decisions.begin(principal.clone(), virtual_host, policy)
            {
                session.login = Login::Done(principal);
            }
            decisions.standing()
        }
        Verb::Attach(asked) => decisions.attach(request, asked),
        Verb::Detach => {
            decisions.detach(request.id);
            Ok(())
        }
        Verb::Subscribe(asked) => decisions.subscribe(request, asked, session.client_id.as_deref()),
        Verb::Unsubscribe { .. } => {
            decisions.unsubscribe(request.id);
            Ok(())
        }
        Verb::Declare(asked) => decisions.declare(request, asked),
        Verb::Delete(asked) => decisions.delete(asked, session.client_id.as_deref()),
        Verb::Bind(asked) | Verb::Unbind(asked) => decisions.bind(asked),
        Verb::Query(asked) => decisions.query(asked),
    }
}

impl<S: Stack> Outbound for Authorize<S> {
    fn outbound(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Refusal> {
        self.decisions.answered(outgoing.replies);
        if self.decisions.is_begun() {
            self.decisions.renew(self.policy.load());
        }
        self.decisions.standing()?;
        self.inner.outbound(outgoing)
    }
}
