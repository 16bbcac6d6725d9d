// SPDX-License-Identifier: Apache-2.0
//! Bounds what one session may make and hold.

use super::Limits;
use crate::awaited::Awaited;
use crate::batch::{Admission, Admissions, Batch, Outbound, Outgoing, Stack};
use crate::policy::{PolicyView, SharedPolicy};
use sabir_model::Destination;
use sabir_model::verb::{Reason, Refusal, Reply, Request, Transact, Verb};
use std::collections::HashSet;
use std::convert::Infallible;
use std::task::{Context, Poll};
use tower::Service;

/// Bounds what one session may make.
pub struct Limited<S> {
    inner: S,
    policy: PolicyView,
    held: Held,
}

/// What a session holds. A thing made twice under one number counts once: the engine refuses or replaces it.
#[derive(Default)]
struct Held {
    subscriptions: HashSet<u64>,
    producers: HashSet<u64>,
    transactions: HashSet<u64>,
    temporary: HashSet<Destination>,
    awaited: Awaited<Made>,
}

enum Made {
    Subscription(u64),
    Producer(u64),
    Transaction(u64),
    Temporary(Destination),
}

impl<S> Limited<S> {
    pub(super) fn new(inner: S, policy: &SharedPolicy) -> Self {
        Limited { inner, policy: policy.view(), held: Held::default() }
    }
}

impl<S: Stack> Service<Batch> for Limited<S> {
    type Response = Admissions;
    type Error = Infallible;
    type Future = Admission;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut batch: Batch) -> Admission {
        let limits = &self.policy.load().limits;
        let held = &mut self.held;
        batch.check(|_, request| held.check(limits, request));
        let before = batch.replies.len();
        let admission = self.inner.call(batch);
        self.held.answered(admission.refused_behind(before));
        admission
    }
}

impl<S: Stack> Outbound for Limited<S> {
    fn outbound(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Refusal> {
        self.held.answered(outgoing.replies);
        self.inner.outbound(outgoing)
    }
}

fn at_most(value: usize, max: impl Into<u64>, setting: &str, unit: &str) -> Result<(), Refusal> {
    let max = max.into();
    if value as u64 <= max {
        return Ok(());
    }
    Err(Refusal::new(Reason::Limit, format!("{value} {unit} are more than limits.{setting} ({max}) allows")))
}

/// One more in a set that may have no more than `max`.
fn insert<T: Eq + std::hash::Hash>(
    set: &mut HashSet<T>,
    new: T,
    max: u32,
    setting: &str,
) -> Result<bool, Refusal> {
    if set.contains(&new) {
        return Ok(false);
    }
    if set.len() as u64 >= u64::from(max) {
        return Err(Refusal::new(Reason::Limit, format!("limits.{setting} ({max}) is reached")));
    }
    Ok(set.insert(new))
}

impl Held {
    fn check(&mut self, limits: &Limits, request: &Request) -> Result<(), Refusal> {
        let id = request.id;
        match &request.verb {
            Verb::Publish(message) => message_size(limits, message.size_bytes()),
            Verb::Piece { .. } | Verb::Settle(_) | Verb::Disconnect => Ok(()),
            Verb::Credit { amount, .. } => credit(limits, *amount),
            Verb::Connect(connect) => name(limits, connect.client_id.as_deref()),
            Verb::Attach(asked) => {
                destinations(limits, &asked.destinations)?;
                name(limits, asked.producer_name.as_deref())?;
                let new = insert(&mut self.producers, id, limits.max_producers, "max_producers_per_session")?;
                self.await_answer(request, new.then_some(Made::Producer(id)));
                Ok(())
            }
            Verb::Detach => {
                self.producers.remove(&id);
                Ok(())
            }
            Verb::Subscribe(asked) => {
                destinations(limits, &asked.destinations)?;
                name(limits, asked.name.as_deref())?;
                selector(limits, asked.selector.as_deref())?;
                credit(limits, asked.credit)?;
                let new = insert(
                    &mut self.subscriptions,
                    id,
                    limits.max_subscriptions,
                    "max_subscriptions_per_session",
                )?;
                self.await_answer(request, new.then_some(Made::Subscription(id)));
                Ok(())
            }
            Verb::Unsubscribe { .. } => {
                self.subscriptions.remove(&id);
                Ok(())
            }
            Verb::Declare(asked) => {
                destination(limits, &asked.destination)?;
                let made = asked.destination.clone();
                if !made.kind.is_temporary() || asked.passive {
                    return Ok(());
                }
                let max = limits.max_temporary_destinations;
                let new = insert(&mut self.temporary, made.clone(), max, "max_temporary_per_session")?;
                self.await_answer(request, new.then_some(Made::Temporary(made)));
                Ok(())
            }
            Verb::Delete(asked) => {
                if let Some(gone) = &asked.destination {
                    self.temporary.remove(gone);
                }
                name(limits, asked.subscription_name.as_deref())
            }
            Verb::Bind(asked) | Verb::Unbind(asked) => {
                destination(limits, &asked.source)?;
                destination(limits, &asked.target)?;
                at_most(
                    asked.key.len(),
                    limits.max_destination_name_bytes,
                    "max_destination_name_bytes",
                    "bytes",
                )?;
                selector(limits, asked.selector.as_deref())
            }
            Verb::Query(_) => Ok(()),
            Verb::Transact(asked) => self.transact(limits, request, *asked),
            // The engine bounds them: they end by the hands of other sessions too, of which this one hears nothing.
            Verb::Branch(_) => Ok(()),
        }
    }

    fn transact(&mut self, limits: &Limits, request: &Request, asked: Transact) -> Result<(), Refusal> {
        let id = request.transaction;
        if asked != Transact::Begin {
            self.transactions.remove(&id);
            return Ok(());
        }
        let new =
            insert(&mut self.transactions, id, limits.max_transactions, "max_transactions_per_session")?;
        self.await_answer(request, new.then_some(Made::Transaction(id)));
        Ok(())
    }

    fn await_answer(&mut self, request: &Request, made: Option<Made>) {
        if let Some(made) = made {
            self.awaited.expect(request, made);
        }
    }

    /// What was refused further in is not held.
    fn answered(&mut self, replies: &[Reply]) {
        let Held { subscriptions, producers, transactions, temporary, awaited } = self;
        awaited.answered(replies, |made| {
            match made {
                Made::Subscription(id) => subscriptions.remove(&id),
                Made::Producer(id) => producers.remove(&id),
                Made::Transaction(id) => transactions.remove(&id),
                Made::Temporary(destination) => temporary.remove(&destination),
            };
        });
    }
}

fn message_size(limits: &Limits, size: usize) -> Result<(), Refusal> {
    if size as u64 <= limits.max_message_bytes {
        return Ok(());
    }
    let max = limits.max_message_bytes;
    let text = format!("a message of {size} bytes is larger than limits.max_message ({max}) allows");
    Err(Refusal::new(Reason::BadMessage, text))
}

fn destinations(limits: &Limits, all: &[Destination]) -> Result<(), Refusal> {
    let max = limits.max_composite_destinations;
    at_most(all.len(), max, "max_composite", "destinations at once")?;
    all.iter().try_for_each(|one| destination(limits, one))
}

fn destination(limits: &Limits, destination: &Destination) -> Result<(), Refusal> {
    let max = limits.max_destination_name_bytes;
    at_most(destination.name.len(), max, "max_destination_name_bytes", "bytes of a destination's name")
}

fn name(limits: &Limits, name: Option<&str>) -> Result<(), Refusal> {
    at_most(name.map_or(0, str::len), limits.max_name_bytes, "max_name_bytes", "bytes of a name")
}

fn selector(limits: &Limits, selector: Option<&str>) -> Result<(), Refusal> {
    let len = selector.map_or(0, str::len);
    at_most(len, limits.max_selector_bytes, "max_selector_bytes", "bytes of a selector")
}

fn credit(limits: &Limits, amount: u64) -> Result<(), Refusal> {
    let amount = usize::try_from(amount).unwrap_or(usize::MAX);
    at_most(amount, limits.max_credit, "max_credit", "unsettled deliveries")
}
