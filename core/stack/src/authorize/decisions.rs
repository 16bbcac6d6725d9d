// SPDX-License-Identifier: Apache-2.0
//! What one session may do, decided once and kept while the policy stands.

use crate::awaited::Awaited;
use crate::batch::fatal;
use crate::policy::{Authentication, Operation, Policy, Principal};
use sabir_model::message::{Field, Head};
use sabir_model::verb::{Attach, Bind, Declare, Delete, Query, Reason, Refusal, Reply, Request, Subscribe};
use sabir_model::{Destination, DestinationKind};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Most decisions that a session keeps. Beyond, it forgets all and decides anew.
const MAX_KEPT: usize = 1024;

/// Events that everybody who was let in may hear of: clients of ActiveMQ send no reply to a temporary destination of which
/// they have not heard.
const TOLD_TO_ALL: [&str; 2] = ["$sabir.event.temp-queue", "$sabir.event.temp-topic"];

/// Who may read this topic, on which nothing is told, may send messages that say that others have sent them.
const SPEAKS_FOR_OTHERS: &str = "$sabir.bridge";

/// What may still be refused further in.
#[derive(Debug)]
enum Made {
    Producer(u64),
    Subscription(u64),
    Temporary(Destination),
}

/// What one session may do.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    /// Of the policy under which all this was decided; 0: nothing was.
    generation: u64,
    principal: Arc<Principal>,
    /// As the log-in names it; `None`: the default one.
    virtual_host: Option<String>,
    /// Names are believed because passwords were checked.
    authenticated: bool,
    policy: Arc<Policy>,
    kept: HashMap<(Operation, Destination), bool>,
    producers: HashMap<u64, Vec<Destination>>,
    /// The producer that was last found allowed: most sessions have one.
    last_producer: Option<u64>,
    subscriptions: HashMap<u64, Vec<Destination>>,
    /// Temporary destinations that this session made.
    own: HashSet<Destination>,
    awaited: Awaited<Made>,
    /// The session lost what it stands on.
    revoked: Option<Refusal>,
}

fn forbidden(principal: &Principal, operation: Operation, destination: &Destination) -> Refusal {
    let text = format!("{} may not {} {destination}", principal.name(), operation.name());
    Refusal::new(Reason::Forbidden, text)
}

impl Decisions {
    /// A session begins under this policy.
    pub(super) fn begin(
        &mut self,
        principal: Arc<Principal>,
        virtual_host: Option<String>,
        policy: &Arc<Policy>,
    ) -> Option<Arc<Principal>> {
        *self = Decisions { principal, virtual_host, ..Decisions::default() };
        self.renew(policy)
    }

    /// Judges everything anew if the policy is another one. Answers the principal if it is another one now.
    pub(super) fn renew(&mut self, policy: &Arc<Policy>) -> Option<Arc<Principal>> {
        if policy.generation() == self.generation {
            return None;
        }
        self.generation = policy.generation();
        self.policy = policy.clone();
        self.authenticated = matches!(policy.authentication, Authentication::Users { .. });
        self.kept.clear();
        self.last_producer = None;
        let Some(principal) = policy.renew(&self.principal) else {
            let text = format!("{} is not let in any more", self.principal.name());
            self.revoked = Some(fatal(Reason::Unauthenticated, text));
            return None;
        };
        self.principal = principal;
        let subscriptions = std::mem::take(&mut self.subscriptions);
        let lost = subscriptions.values().find_map(|destinations| self.read_all(destinations).err());
        self.subscriptions = subscriptions;
        if let Some(lost) = lost {
            self.revoked = Some(Refusal { fatal: true, ..lost });
        }
        Some(self.principal.clone())
    }

    pub(super) fn is_begun(&self) -> bool {
        self.generation != 0
    }

    /// Whether the session lost what it stands on.
    pub(super) fn standing(&self) -> Result<(), Refusal> {
        match &self.revoked {
            None => Ok(()),
            Some(refusal) => Err(refusal.clone()),
        }
    }

    fn allow(&mut self, operation: Operation, destination: &Destination) -> bool {
        if self.policy.rules.is_empty() {
            return true;
        }
        let key = (operation, destination.clone());
        if let Some(decided) = self.kept.get(&key) {
            return *decided;
        }
        if self.kept.len() >= MAX_KEPT {
            self.kept.clear();
        }
        let virtual_host = self.virtual_host.as_deref().unwrap_or(&self.policy.default_virtual_host);
        let decided = self.policy.rules.allow(&self.principal, virtual_host, operation, destination);
        self.kept.insert(key, decided);
        decided
    }

    fn need(&mut self, operation: Operation, destination: &Destination) -> Result<(), Refusal> {
        if self.allow(operation, destination) {
            return Ok(());
        }
        Err(forbidden(&self.principal, operation, destination))
    }

    fn write(&mut self, destination: &Destination) -> Result<(), Refusal> {
        // Whoever was told the name in a reply-to may answer.
        if destination.kind.is_temporary() { Ok(()) } else { self.need(Operation::Write, destination) }
    }

    fn read(&mut self, destination: &Destination) -> Result<(), Refusal> {
        if destination.kind.is_temporary() {
            return self.need_own(Operation::Read, destination);
        }
        if destination.kind == DestinationKind::Topic && TOLD_TO_ALL.contains(&&*destination.name) {
            return Ok(());
        }
        self.need(Operation::Read, destination)
    }

    fn read_all(&mut self, destinations: &[Destination]) -> Result<(), Refusal> {
        destinations.iter().try_for_each(|destination| self.read(destination))
    }

    fn need_own(&self, operation: Operation, destination: &Destination) -> Result<(), Refusal> {
        if self.own.contains(destination) {
            return Ok(());
        }
        Err(forbidden(&self.principal, operation, destination))
    }

    pub(super) fn attach(&mut self, request: &Request, asked: &Attach) -> Result<(), Refusal> {
        asked.destinations.iter().try_for_each(|destination| self.write(destination))?;
        let max = self.policy.limits.max_producers;
        let known = self.producers.contains_key(&request.id);
        room(self.producers.len(), known, max, "max_producers_per_session")?;
        self.last_producer = None;
        self.producers.insert(request.id, asked.destinations.clone());
        if !known {
            self.awaited.expect(request, Made::Producer(request.id));
        }
        Ok(())
    }

    pub(super) fn detach(&mut self, id: u64) {
        self.last_producer = None;
        self.producers.remove(&id);
    }

    pub(super) fn publish(&mut self, producer: u64, head: &Head<'_>) -> Result<(), Refusal> {
        if self.authenticated && self.is_forged(head) && !self.speaks_for_others() {
            let text = format!("{} may not send a message in another's name", self.principal.name());
            return Err(Refusal::new(Reason::Forbidden, text));
        }
        if self.last_producer == Some(producer) {
            return Ok(());
        }
        let Some(destinations) = self.producers.remove(&producer) else {
            return Err(Refusal::new(Reason::NotFound, format!("there is no producer {producer}")));
        };
        let allowed = destinations.iter().try_for_each(|destination| self.write(destination));
        self.producers.insert(producer, destinations);
        if allowed.is_ok() {
            self.last_producer = Some(producer);
        }
        allowed
    }

    /// Whether the message says that somebody else has sent it.
    fn is_forged(&self, head: &Head<'_>) -> bool {
        let user = self.principal.user.as_deref().map(str::as_bytes);
        head.fields().any(|(tag, value)| tag == Field::User as u8 && Some(value) != user)
    }

    /// Whether it may send in the names of others: only a rule for just that gives the right.
    fn speaks_for_others(&self) -> bool {
        let right = Destination { kind: DestinationKind::Topic, name: SPEAKS_FOR_OTHERS.into() };
        let virtual_host = self.virtual_host.as_deref().unwrap_or(&self.policy.default_virtual_host);
        self.policy.rules.allow_by_name(&self.principal, virtual_host, Operation::Read, &right)
    }

    pub(super) fn subscribe(
        &mut self,
        request: &Request,
        asked: &Subscribe,
        client_id: Option<&str>,
    ) -> Result<(), Refusal> {
        // A shared one is found by its name alone: who may read the destinations may share it.
        if asked.durable && !asked.shared && client_id.is_none() {
            return Err(Refusal::new(
                Reason::Invalid,
                "a durable subscription needs a client id, given at log-in",
            ));
        }
        self.read_all(&asked.destinations)?;
        let max = self.policy.limits.max_subscriptions;
        let known = self.subscriptions.contains_key(&request.id);
        room(self.subscriptions.len(), known, max, "max_subscriptions_per_session")?;
        self.subscriptions.insert(request.id, asked.destinations.clone());
        if !known {
            self.awaited.expect(request, Made::Subscription(request.id));
        }
        Ok(())
    }

    pub(super) fn unsubscribe(&mut self, id: u64) {
        self.subscriptions.remove(&id);
    }

    pub(super) fn declare(&mut self, request: &Request, asked: &Declare) -> Result<(), Refusal> {
        let destination = &asked.destination;
        if destination.kind.is_temporary() {
            if asked.passive || self.own.contains(destination) {
                return Ok(());
            }
            let max = self.policy.limits.max_temporary_destinations;
            room(self.own.len(), false, max, "max_temporary_per_session")?;
            self.own.insert(destination.clone());
            self.awaited.expect(request, Made::Temporary(destination.clone()));
            return Ok(());
        }
        if asked.passive {
            return self.know(destination);
        }
        self.need(Operation::Admin, destination)
    }

    /// To be told that it exists, one has to have something to do with it.
    fn know(&mut self, destination: &Destination) -> Result<(), Refusal> {
        if self.allow(Operation::Write, destination) || self.allow(Operation::Admin, destination) {
            return Ok(());
        }
        self.need(Operation::Read, destination)
    }

    pub(super) fn delete(&mut self, asked: &Delete, client_id: Option<&str>) -> Result<(), Refusal> {
        match &asked.destination {
            Some(destination) if destination.kind.is_temporary() => {
                self.need_own(Operation::Admin, destination)?;
                self.own.remove(destination);
                Ok(())
            }
            Some(destination) => self.need(Operation::Admin, destination),
            // The engine looks for it among those of this client id only.
            None if client_id.is_some() => Ok(()),
            None => Err(Refusal::new(
                Reason::Forbidden,
                "only the client id of a durable subscription may remove it",
            )),
        }
    }

    pub(super) fn bind(&mut self, asked: &Bind) -> Result<(), Refusal> {
        self.need(Operation::Read, &asked.source)?;
        if asked.target.kind.is_temporary() {
            return self.need_own(Operation::Write, &asked.target);
        }
        self.need(Operation::Write, &asked.target)
    }

    pub(super) fn query(&mut self, asked: &Query) -> Result<(), Refusal> {
        let (Query::List(destination) | Query::Explain(destination)) = asked else {
            // Everybody sees what is their own.
            return Ok(());
        };
        if let Query::List(Destination {
            kind: DestinationKind::TempQueue | DestinationKind::TempTopic,
            ..
        }) = asked
        {
            // See `TOLD_TO_ALL`.
            return Ok(());
        }
        if destination.kind.is_temporary() {
            return self.need_own(Operation::Read, destination);
        }
        if *destination.name == *SPEAKS_FOR_OTHERS && self.authenticated && !self.speaks_for_others() {
            return Err(forbidden(&self.principal, Operation::Read, destination));
        }
        if self.allow(Operation::Admin, destination) {
            Ok(())
        } else {
            self.need(Operation::Read, destination)
        }
    }

    /// Whether the user administers everything: then also what others have prepared.
    pub(super) fn is_operator(&mut self) -> bool {
        let everything = Destination { kind: DestinationKind::Queue, name: "#".into() };
        self.is_begun() && self.allow(Operation::Admin, &everything)
    }

    /// What was refused further in was not made.
    pub(super) fn answered(&mut self, replies: &[Reply]) {
        let Decisions { producers, subscriptions, own, awaited, last_producer, .. } = self;
        awaited.answered(replies, |made| match made {
            Made::Producer(id) => {
                *last_producer = None;
                producers.remove(&id);
            }
            Made::Subscription(id) => {
                subscriptions.remove(&id);
            }
            Made::Temporary(destination) => {
                own.remove(&destination);
            }
        });
    }
}

/// What is remembered of a session is bounded here too: the layer of limits comes behind this one.
fn room(len: usize, known: bool, max: u32, setting: &str) -> Result<(), Refusal> {
    if known || (len as u64) < u64::from(max) {
        return Ok(());
    }
    Err(Refusal::new(Reason::Limit, format!("limits.{setting} ({max}) is reached")))
}
