// SPDX-License-Identifier: Apache-2.0
//! Publishing: from a producer's message to entries in queues, and to the answer.

use crate::commit::CommitId;
use crate::config::WhenFull;
use crate::delayed::SentBy;
use crate::duplicates::Sequenced;
use crate::engine::{Engine, State};
use crate::events::{Change, check_reserved};
use crate::flow::{Coming, Obstacle, Parked};
use crate::output::Outputs;
use crate::queue::{Origin, Queue, Traits};
use crate::routing::{Publisher, Targets, VirtualHost, exchange_and_key};
use crate::session::{Kind, Session};
use crate::slab::Key;
use sabir_model::verb::{Answer, Attach, Reason, Refusal};
use sabir_model::{Destination, DestinationKind, Message};

/// What a publish request says beside its message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishMeta {
    pub token: u64,
    pub confirm: bool,
    pub producer: u64,
}

impl Engine {
    /// Makes a producer.
    pub(crate) fn attach(&mut self, key: Key<Session>, id: u64, attach: Attach) -> Result<(), Refusal> {
        let limits = &self.config.limits;
        check_composite(&attach.destinations, limits.max_composite)?;
        for destination in &attach.destinations {
            check_literal(destination)?;
            check_reserved(destination)?;
        }
        let max = limits.max_producers_per_session;
        let Some(session) = self.sessions.get_mut(key) else { return Ok(()) };
        if session.producers.len() >= max && !session.producers.contains_key(&id) {
            return Err(limit("producers", "limits.max_producers_per_session", max));
        }
        let targets = Targets::new(attach.destinations.clone());
        let destinations = targets.destinations.clone();
        let before = session.producers.insert(id, targets);
        self.name_producer(key, id, &attach);
        if let Some(before) = before {
            self.tell_producer(key, id, &before.destinations, Change::Removed);
        }
        self.tell_producer(key, id, &destinations, Change::Added);
        Ok(())
    }

    /// A message through a producer.
    pub(crate) fn publish(
        &mut self,
        key: Key<Session>,
        meta: PublishMeta,
        message: Message,
        out: &mut Outputs,
    ) {
        let message = match self.assemble(key, message) {
            Ok(message) => message,
            Err(refusal) => {
                let answer = Answer::Refused(Box::new(refusal));
                return self.answer(key, meta.token, None, answer, Kind::Publish, out);
            }
        };
        let sequenced = self.sequenced(key, meta.producer, &message);
        let failed = matches!(self.state, State::Failed(_));
        if let Some(one) = sequenced.as_ref().filter(|_| !failed)
            && let Some(need) = self.repeated(one)
        {
            return self.confirm_repeated(key, meta, need, out);
        }
        let result = if self.state == State::Running {
            let mut routes = std::mem::take(&mut self.scratch);
            routes.clear();
            let result = self.publish_routed(key, meta, message, sequenced.as_ref(), &mut routes, out);
            self.scratch = routes;
            result
        } else {
            Err(self.state_refusal())
        };
        if let Some(one) = &sequenced {
            match &result {
                Ok(Published::Done(need)) => self.remember(one, *need),
                Ok(Published::Parked) | Err(_) => self.leave_open(one),
            }
        }
        match result {
            Ok(Published::Parked) => {}
            Ok(Published::Done(need)) => {
                self.counters.published += 1;
                if meta.confirm {
                    self.answer(key, meta.token, need, Answer::Done, Kind::Publish, out);
                }
            }
            Err(refusal) => {
                self.answer(key, meta.token, None, Answer::Refused(Box::new(refusal)), Kind::Publish, out);
            }
        }
    }

    fn publish_routed(
        &mut self,
        key: Key<Session>,
        meta: PublishMeta,
        message: Message,
        sequenced: Option<&Sequenced>,
        routes: &mut Vec<Key<Queue>>,
        out: &mut Outputs,
    ) -> Result<Published, Refusal> {
        let Some(session) = self.sessions.get(key) else { return Ok(Published::Parked) };
        let host = session.virtual_host;
        let Some(targets) = session.producers.get(&meta.producer) else {
            return Err(Refusal::new(Reason::NotFound, format!("there is no producer {}", meta.producer)));
        };
        let behind = self.flow.is_behind(key, &targets.destinations, sequenced, u64::MAX);
        match (targets.direct, &targets.cached) {
            (Some(queue), _) if self.queues.get(queue).is_some() => routes.push(queue),
            (_, Some((generation, cached))) if *generation == self.routing.generation => {
                routes.extend_from_slice(cached);
            }
            _ => self.resolve_targets(key, host, meta.producer, &message, routes)?,
        }
        let is_delayed = message.head().deliver_at_ms() > self.now.unix_ms;
        if let Err(refusal) = self.check_store_bytes(message.size_bytes())
            && (is_delayed || self.needs_store(routes, &message))
        {
            return Err(refusal);
        }
        // What follows an earlier one of its producer may be that very message once more: whether there is room for it
        // is asked when that is known.
        let waits_anyway = behind && sequenced.is_some();
        let obstacle = if waits_anyway { None } else { self.obstacle(routes, &message, Coming::New) };
        if let Some(obstacle) = obstacle.or(behind.then_some(Ok(Obstacle::Behind))) {
            let obstacle = obstacle?;
            self.check_patience(key)?;
            self.park_publish(key, meta, message, sequenced, obstacle, out);
            return Ok(Published::Parked);
        }
        if is_delayed {
            let Some(targets) = self.sessions.get(key).and_then(|one| one.producers.get(&meta.producer))
            else {
                return Ok(Published::Done(None));
            };
            let destinations = targets.destinations.clone();
            let sent_by = SentBy { session: Some(key), client_id: None };
            return self.delay(host, &destinations, &message, sent_by).map(Published::Done);
        }
        let need = self.admit_all(&message, &Origin::default(), routes);
        if need.is_none()
            && let [queue] = **routes
        {
            self.brake(key, queue, out);
        }
        Ok(Published::Done(need))
    }

    /// Finds the queues of a producer, and remembers them where they do not depend on the message.
    fn resolve_targets(
        &mut self,
        key: Key<Session>,
        host: Key<VirtualHost>,
        producer: u64,
        message: &Message,
        routes: &mut Vec<Key<Queue>>,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get(key) else { return Ok(()) };
        let Some(targets) = session.producers.get(&producer) else { return Ok(()) };
        let destinations = targets.destinations.clone();
        let client_id = session.client.client_id.clone();
        let publisher =
            Publisher { head: message.head(), session: Some(key), client_id: client_id.as_deref() };
        let depends = self.find_routes(host, &destinations, &publisher, routes)?;
        let generation = self.routing.generation;
        let Some(targets) = self.sessions.get_mut(key).and_then(|one| one.producers.get_mut(&producer))
        else {
            return Ok(());
        };
        let single = destinations.len() == 1 && destinations[0].kind == DestinationKind::Queue;
        if single {
            targets.direct = routes.first().copied();
        } else if !depends {
            targets.cached = Some((generation, routes.clone()));
        }
        Ok(())
    }

    /// Finds the queues of a publish that was parked.
    pub(crate) fn resolve(
        &mut self,
        host: Key<VirtualHost>,
        destinations: &[Destination],
        parked: &Parked,
        routes: &mut Vec<Key<Queue>>,
    ) -> Result<(), Refusal> {
        let publisher = Publisher {
            head: parked.message.head(),
            session: Some(parked.session),
            client_id: parked.client_id.as_deref(),
        };
        self.find_routes(host, destinations, &publisher, routes).map(|_| ())
    }

    /// Adds the queues that these destinations stand for, each once, making queues where policy says so. True: which
    /// ones depends on the message.
    pub(crate) fn find_routes(
        &mut self,
        host: Key<VirtualHost>,
        destinations: &[Destination],
        publisher: &Publisher<'_>,
        routes: &mut Vec<Key<Queue>>,
    ) -> Result<bool, Refusal> {
        let mut depends = false;
        for destination in destinations {
            let name = &*destination.name;
            match destination.kind {
                DestinationKind::Queue => routes.push(self.queue_in_use(host, name)?),
                DestinationKind::TempQueue => {
                    let found = self.routing.hosts.get(host).and_then(|host| host.temporary_queues.get(name));
                    routes.push(*found.ok_or_else(|| missing(destination))?);
                }
                DestinationKind::Topic => {
                    self.see_topic(host, name)?;
                    if let Some(topics) = self.routing.hosts.get(host).map(|host| host.topics) {
                        depends |= self.routing.route(topics, name, publisher, routes);
                    }
                }
                DestinationKind::TempTopic => {
                    let Some(found) = self.routing.hosts.get(host) else { continue };
                    if !found.topic_owners.contains_key(name) {
                        return Err(missing(destination));
                    }
                    depends |= self.routing.route(found.temporary_topics, name, publisher, routes);
                }
                DestinationKind::Exchange => {
                    depends |= self.route_exchange(host, destination, publisher, routes)?;
                }
            }
        }
        if routes.len() > 1 {
            routes.sort_unstable();
            routes.dedup();
        }
        Ok(depends)
    }

    fn route_exchange(
        &mut self,
        host: Key<VirtualHost>,
        destination: &Destination,
        publisher: &Publisher<'_>,
        routes: &mut Vec<Key<Queue>>,
    ) -> Result<bool, Refusal> {
        let (name, key) = exchange_and_key(&destination.name);
        if name == DEFAULT_EXCHANGE {
            routes.push(self.queue_in_use(host, key)?);
            return Ok(false);
        }
        let found = self.routing.hosts.get(host).and_then(|host| host.exchanges.get(name)).copied();
        let exchange = found.ok_or_else(|| missing(destination))?;
        let before = routes.len();
        let depends = self.routing.route(exchange, key, publisher, routes);
        if routes.len() == before {
            let text = format!("nothing is bound to {destination} for this message");
            return Err(Refusal::new(Reason::NotFound, text));
        }
        Ok(depends)
    }

    /// The queue with this name, made if policy allows.
    pub(crate) fn queue_in_use(&mut self, host: Key<VirtualHost>, name: &str) -> Result<Key<Queue>, Refusal> {
        let Some(found) = self.routing.hosts.get(host) else {
            return Err(Refusal::new(Reason::NotFound, "the virtual host is gone"));
        };
        if let Some(queue) = found.queues.get(name) {
            return Ok(*queue);
        }
        let destination = Destination { kind: DestinationKind::Queue, name: name.into() };
        check_reserved(&destination)?;
        if name.is_empty() || !self.config.policy(&found.name, DestinationKind::Queue, name).auto_create {
            return Err(missing(&destination));
        }
        let traits = Traits { durable: true, auto_created: true, ..Traits::default() };
        self.make_queue(host, destination, traits, None)
    }

    /// What stands in the way of a publish: no room, or publishes that came before it and wait for some.
    pub(crate) fn obstacle(
        &mut self,
        routes: &[Key<Queue>],
        message: &Message,
        coming: Coming,
    ) -> Option<Result<Obstacle, Refusal>> {
        if coming == Coming::New && !self.flow.at_store.is_empty() {
            // Whoever waits for the store may have to wait at one of these queues next.
            return Some(Ok(Obstacle::Store));
        }
        let bytes = message.size_bytes() as u64;
        for key in routes {
            let Some(queue) = self.queues.get_mut(*key) else { continue };
            let waits = coming.yields_to(&queue.parked);
            if !waits && !queue.is_full(bytes) {
                continue;
            }
            match queue.policy.when_full {
                WhenFull::Park => return Some(Ok(Obstacle::Queue(*key))),
                WhenFull::Refuse => {
                    let text = format!("{} is full (max_messages, max_bytes)", queue.destination());
                    return Some(Err(Refusal::new(Reason::Full, text)));
                }
                WhenFull::DropOldest => {
                    let dropped = queue.drop_oldest(*key, bytes, &mut self.pending, &mut self.memory);
                    self.counters.dropped += dropped;
                }
            }
        }
        (self.store_is_busy() && self.needs_store(routes, message)).then_some(Ok(Obstacle::Store))
    }

    /// Whether a message goes to the store, durably or because there is no room in memory.
    fn needs_store(&self, routes: &[Key<Queue>], message: &Message) -> bool {
        routes
            .iter()
            .filter_map(|key| self.queues.get(*key))
            .any(|queue| queue.keeps(message) || queue.would_spill(message, &self.memory))
    }

    fn park_publish(
        &mut self,
        key: Key<Session>,
        meta: PublishMeta,
        message: Message,
        sequenced: Option<&Sequenced>,
        obstacle: Obstacle,
        out: &mut Outputs,
    ) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(targets) = session.producers.get(&meta.producer) else { return };
        self.flow.last_order += 1;
        let parked = Parked {
            order: self.flow.last_order,
            session: key,
            client_id: session.client.client_id.clone(),
            host: session.virtual_host,
            ticket: meta.confirm.then(|| session.line.park(meta.token)),
            token: meta.token,
            destinations: targets.destinations.clone(),
            sequenced: sequenced.cloned(),
            message,
        };
        self.park(parked, obstacle, out);
    }

    /// Puts a routed message where it belongs; one of a transaction (`together`) is not seen before the rest of it.
    /// Answers the batch that must be committed before it is confirmed.
    pub(crate) fn apply(
        &mut self,
        host: Key<VirtualHost>,
        destinations: &[Destination],
        message: &Message,
        routes: &[Key<Queue>],
        together: bool,
        sent_by: SentBy<'_>,
    ) -> Option<CommitId> {
        self.counters.published += 1;
        if message.head().deliver_at_ms() > self.now.unix_ms
            && let Ok(need) = self.delay(host, destinations, message, sent_by)
        {
            return need;
        }
        self.admit_all(message, &Origin { together, ..Origin::default() }, routes)
    }

    /// Puts a message into queues: one record, linked to all that keep it.
    pub(crate) fn admit_all(
        &mut self,
        message: &Message,
        origin: &Origin,
        routes: &[Key<Queue>],
    ) -> Option<CommitId> {
        let mut body_at = None;
        self.admit_linked(message, origin, routes, &mut body_at);
        body_at.map(|_| self.pending.id)
    }

    /// As `admit_all`; `body_at` may name a record that is there already.
    pub(crate) fn admit_linked(
        &mut self,
        message: &Message,
        origin: &Origin,
        routes: &[Key<Queue>],
        body_at: &mut Option<(u64, u64)>,
    ) {
        self.expiring |= message.head().expiration_ms() != 0;
        for key in routes {
            if let Some(queue) = self.queues.get_mut(*key) {
                queue.admit(*key, message, origin, body_at, &mut self.pending, &mut self.memory);
                self.schedule(*key);
            }
        }
    }
}

/// The exchange whose routing keys are names of queues.
pub(crate) const DEFAULT_EXCHANGE: &str = "default";

enum Published {
    /// It waits, or its session is gone.
    Parked,
    /// Done; the batch that must be committed first, if any.
    Done(Option<CommitId>),
}

/// Refuses empty and too long composites.
pub(crate) fn check_composite(destinations: &[Destination], max: usize) -> Result<(), Refusal> {
    if destinations.is_empty() {
        return Err(Refusal::new(Reason::Invalid, "no destination was given"));
    }
    if destinations.len() > max {
        return Err(limit("destinations in one composite", "limits.max_composite", max));
    }
    Ok(())
}

/// Refuses wildcards where a message goes.
pub(crate) fn check_literal(destination: &Destination) -> Result<(), Refusal> {
    let literal = sabir_model::pattern::Pattern::parse(&destination.name).is_ok_and(|name| name.is_literal());
    let routed_by_name = matches!(destination.kind, DestinationKind::Queue | DestinationKind::Topic);
    if routed_by_name && !literal {
        let text = format!("{destination} has wildcards: they are for subscriptions");
        return Err(Refusal::new(Reason::Invalid, text));
    }
    Ok(())
}

/// A refusal because of a limit.
pub(crate) fn limit(what: &str, setting: &str, max: usize) -> Refusal {
    Refusal::new(Reason::Limit, format!("there are {max} {what} already ({setting})"))
}

/// A refusal because there is no such destination.
pub(crate) fn missing(destination: &Destination) -> Refusal {
    Refusal::new(Reason::NotFound, format!("there is no {destination}"))
}
