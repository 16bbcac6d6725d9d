// SPDX-License-Identifier: Apache-2.0
//! Making and removing queues, exchanges, bindings, temporary destinations and durable subscriptions.

use crate::definition::{BindingDefinition, ExchangeDefinition, QueueDefinition};
use crate::engine::Engine;
use crate::events::{Change, check_reserved};
use crate::flow::Obstacle;
use crate::keys::{self, KeyKind};
use crate::output::{CommitNeed, Outputs};
use crate::publish::{DEFAULT_EXCHANGE, check_literal, limit, missing};
use crate::queue::{Queue, Traits};
use crate::routing::{
    BindTarget, Binding, Exchange, NoLocal, SubscriptionName, VirtualHost, exchange_and_key,
};
use crate::session::Session;
use crate::slab::Key;
use crate::subscription::DurableSubscription;
use bytes::Bytes;
use sabir_model::delivery::DeliveryKind;
use sabir_model::pattern::Pattern;
use sabir_model::selector::Selector;
use sabir_model::verb::{Bind, Declare, Delete, Reason, Refusal, Told};
use sabir_model::{Delivery, Destination, DestinationKind};
use std::sync::Arc;

/// Numbers that are reserved at once: so a new queue does not cost a key of its own each time.
const NUMBERS_RESERVED: u64 = 1_024;

impl Engine {
    /// A number never used before, for what has keys or logs.
    pub(crate) fn next_number(&mut self) -> u64 {
        if self.number_next == self.number_reserved {
            self.number_reserved += NUMBERS_RESERVED;
            let mut value = vec![keys::VERSION];
            value.extend_from_slice(&self.number_reserved.to_le_bytes());
            self.pending.put(keys::key(KeyKind::Meta), value.into());
            self.pending.want(CommitNeed::Lazy);
        }
        self.number_next += 1;
        self.number_next - 1
    }

    /// Makes a queue.
    pub(crate) fn make_queue(
        &mut self,
        host: Key<VirtualHost>,
        destination: Destination,
        traits: Traits,
        owner: Option<Key<Session>>,
    ) -> Result<Key<Queue>, Refusal> {
        let max = self.config.limits.max_queues;
        if self.queues.len() >= max {
            return Err(limit("queues and subscriptions", "limits.max_queues", max));
        }
        self.make_queue_beyond_limits(host, destination, traits, owner)
    }

    /// As `make_queue`, for what the broker itself needs.
    pub(crate) fn make_queue_beyond_limits(
        &mut self,
        host: Key<VirtualHost>,
        destination: Destination,
        traits: Traits,
        owner: Option<Key<Session>>,
    ) -> Result<Key<Queue>, Refusal> {
        let number = self.next_number();
        let key = self.place_queue(host, number, &destination, traits)?;
        if let Some(queue) = self.queues.get_mut(key) {
            queue.owner = owner;
        }
        if traits.durable {
            self.write_queue(key);
        }
        self.bind_virtual(key);
        self.join_patterns(host, key);
        if destination.kind != DestinationKind::Topic {
            self.tell_destination(host, &destination, owner, Change::Added);
        }
        Ok(key)
    }

    /// Puts a queue where it is found: new ones and those of recovery.
    pub(crate) fn place_queue(
        &mut self,
        host_key: Key<VirtualHost>,
        number: u64,
        destination: &Destination,
        traits: Traits,
    ) -> Result<Key<Queue>, Refusal> {
        let host = self.routing.hosts.get_mut(host_key).ok_or_else(|| missing(destination))?;
        let Destination { kind, name } = destination;
        let policy = Arc::new(self.config.policy(&host.name, *kind, name).clone());
        let key = self.queues.insert(Queue::new(number, name, *kind, host_key, policy, traits));
        self.numbers.insert(number, key);
        match kind {
            DestinationKind::Queue => {
                host.queues.insert(name.clone(), key);
            }
            DestinationKind::TempQueue => {
                host.temporary_queues.insert(name.clone(), key);
            }
            _ => {}
        }
        Ok(key)
    }

    fn write_queue(&mut self, key: Key<Queue>) {
        let Some(queue) = self.queues.get(key) else { return };
        let Some(host) = self.routing.hosts.get(queue.host) else { return };
        let definition = QueueDefinition {
            host: host.name.clone(),
            destination: queue.destination(),
            traits: queue.traits,
            subscription: queue.durable_subscription.as_deref().cloned(),
        };
        self.pending.put(keys::key(KeyKind::Queue(queue.number)), definition.encode());
        self.pending.want(CommitNeed::Lazy);
    }

    /// Subscriptions by pattern join a new queue.
    fn join_patterns(&mut self, host: Key<VirtualHost>, key: Key<Queue>) {
        let Some(queue) = self.queues.get(key) else { return };
        if queue.kind != DestinationKind::Queue {
            return;
        }
        let Some(host) = self.routing.hosts.get(host) else { return };
        let mut joining: Vec<_> = host
            .queue_patterns
            .iter()
            .filter(|(pattern, _)| pattern.matches(&queue.name))
            .map(|(_, consumer)| *consumer)
            .collect();
        joining.sort_unstable();
        joining.dedup();
        for consumer in joining {
            self.sit(consumer, key);
            self.regain(consumer);
        }
    }

    /// Makes the queue of a durable or shared subscription.
    pub(crate) fn make_subscription_queue(
        &mut self,
        host: Key<VirtualHost>,
        definition: DurableSubscription,
        traits: Traits,
    ) -> Result<Key<Queue>, Refusal> {
        let max = self.config.limits.max_queues;
        if self.queues.len() >= max {
            return Err(limit("queues and subscriptions", "limits.max_queues", max));
        }
        let number = self.next_number();
        let key = self.place_subscription(host, number, definition, traits)?;
        if traits.durable {
            self.write_queue(key);
            self.pending.want_durable();
        }
        Ok(key)
    }

    /// Puts the queue of a durable subscription where it is found, and binds it.
    pub(crate) fn place_subscription(
        &mut self,
        host: Key<VirtualHost>,
        number: u64,
        definition: DurableSubscription,
        traits: Traits,
    ) -> Result<Key<Queue>, Refusal> {
        let selector = match &definition.selector {
            Some(text) => Some(Arc::new(
                Selector::parse(text)
                    .map_err(|error| Refusal::new(Reason::BadSelector, error.to_string()))?,
            )),
            None => None,
        };
        let name: Vec<&str> = definition.topics.iter().map(|topic| &*topic.name).collect();
        let destination = Destination { kind: DestinationKind::Topic, name: name.join(",").into() };
        let key = self.place_queue(host, number, &destination, traits)?;
        let no_local = match (&definition.client_id, definition.no_local) {
            (Some(id), true) => Some(NoLocal::ClientId(id.clone())),
            _ => None,
        };
        let name = definition.slot(traits.durable);
        if let Some(host) = self.routing.hosts.get_mut(host) {
            host.named.insert(name, key);
        }
        let topics = definition.topics.clone();
        if let Some(queue) = self.queues.get_mut(key) {
            queue.durable_subscription = Some(Box::new(definition));
        }
        self.bind_sources(key, &topics, selector, no_local);
        Ok(key)
    }

    /// Removes a queue that is empty and unused, if that is what it is for.
    pub(crate) fn collect_queue(&mut self, key: Key<Queue>) {
        let Some(queue) = self.queues.get(key) else { return };
        let idle = queue.messages == 0
            && queue.consumers.is_empty()
            && queue.parked.is_empty()
            && queue.browsers.is_empty()
            && !self.promised.contains_key(&key)
            && !self.delayed.may_come_to(queue.number);
        if idle && queue.traits.auto_created && queue.policy.auto_delete {
            self.remove_queue(key);
        }
    }

    /// Removes a queue with all that is in it. Its consumers are told.
    pub(crate) fn remove_queue(&mut self, key: Key<Queue>) {
        let Some(mut queue) = self.queues.remove(key) else { return };
        queue.clear(&mut self.pending, &mut self.memory);
        if queue.traits.durable {
            self.pending.delete(keys::key(KeyKind::Queue(queue.number)));
        }
        self.numbers.remove(&queue.number);
        self.routing.generation += 1;
        for (exchange, name) in &queue.bound {
            let numbers = self.routing.unbind(*exchange, name, |one| one.target == BindTarget::Queue(key));
            self.delete_bindings(&numbers);
        }
        if let Some(host) = self.routing.hosts.get_mut(queue.host) {
            match queue.kind {
                DestinationKind::Queue => host.queues.remove(&queue.name),
                DestinationKind::TempQueue => host.temporary_queues.remove(&queue.name),
                _ => None,
            };
            if let Some(durable) = &queue.durable_subscription {
                host.named.remove(&durable.slot(queue.traits.durable));
            }
        }
        if let Some(owner) = queue.owner.and_then(|owner| self.sessions.get_mut(owner)) {
            owner.owned_queues.retain(|other| *other != key);
        }
        if queue.kind != DestinationKind::Topic {
            self.tell_destination(queue.host, &queue.destination(), queue.owner, Change::Removed);
        }
        self.flow.at_queues.remove(&key);
        self.orphans.extend(queue.parked.drain(..));
        let reason = format!("{} was removed", queue.destination());
        for consumer in queue.consumers.iter().chain(&queue.browsers) {
            let Some(subscription) = self.subscriptions.get_mut(*consumer) else { continue };
            subscription.stand_up(key);
            if subscription.seats.is_empty() && !subscription.by_pattern {
                self.cancelled.push((*consumer, reason.clone()));
            }
        }
    }

    fn delete_bindings(&mut self, numbers: &[u64]) {
        for number in numbers.iter().filter(|number| **number != 0) {
            self.pending.delete(keys::key(KeyKind::Binding(*number)));
            self.pending.want(CommitNeed::Lazy);
        }
    }

    /// Tells consumers whose last queue has gone, and ends them.
    pub(crate) fn tell_cancelled(&mut self, out: &mut Outputs) {
        for (consumer, reason) in std::mem::take(&mut self.cancelled) {
            let Some(subscription) = self.subscriptions.get(consumer) else { continue };
            let id = subscription.id;
            if let Some(session) = self.sessions.get_mut(subscription.session) {
                session.subscriptions.remove(&id);
                let kind = DeliveryKind::Cancelled { reason };
                out.deliveries.push((session.id, Delivery { subscription: id, tag: 0, kind }));
            }
            self.end_subscription(consumer, false, false);
        }
        for parked in std::mem::take(&mut self.orphans) {
            // Its queue has gone: perhaps it is made again, perhaps there is none any more.
            self.wait_at(parked, Obstacle::Store);
        }
    }

    /// Makes a destination or exchange.
    pub(crate) fn declare(&mut self, key: Key<Session>, declare: Declare) -> Result<Option<Told>, Refusal> {
        let destination = &declare.destination;
        check_literal(destination)?;
        check_reserved(destination)?;
        let Some(host) = self.sessions.get(key).map(|session| session.virtual_host) else { return Ok(None) };
        match destination.kind {
            DestinationKind::Queue => self.declare_queue(key, host, &declare)?,
            DestinationKind::Topic => {}
            DestinationKind::TempQueue | DestinationKind::TempTopic => {
                self.declare_temporary(key, host, &declare)?;
                return Ok(Some(Told { text: destination.name.to_string(), fields: Vec::new() }));
            }
            DestinationKind::Exchange => self.declare_exchange(host, &declare)?,
        }
        Ok(None)
    }

    fn declare_queue(
        &mut self,
        key: Key<Session>,
        host: Key<VirtualHost>,
        declare: &Declare,
    ) -> Result<(), Refusal> {
        let destination = &declare.destination;
        let found = self.routing.hosts.get(host).and_then(|host| host.queues.get(&destination.name)).copied();
        if let Some(queue) = found.and_then(|found| self.queues.get(found)) {
            if queue.owner.is_some_and(|owner| owner != key) {
                let text = format!("{destination} belongs to another connection");
                return Err(Refusal::new(Reason::Forbidden, text));
            }
            let same = queue.traits.auto_created
                || (queue.traits.durable == declare.durable
                    && queue.traits.auto_delete == declare.auto_delete
                    && queue.traits.exclusive == declare.exclusive);
            if !same && !declare.passive {
                let text = format!("{destination} exists with other properties");
                return Err(Refusal::new(Reason::Conflict, text));
            }
            return Ok(());
        }
        if declare.passive {
            return Err(missing(destination));
        }
        let traits = Traits {
            durable: declare.durable && !declare.exclusive,
            auto_delete: declare.auto_delete,
            auto_created: false,
            exclusive: declare.exclusive,
        };
        let owner = declare.exclusive.then_some(key);
        let queue = self.make_queue(host, destination.clone(), traits, owner)?;
        if declare.exclusive
            && let Some(session) = self.sessions.get_mut(key)
        {
            session.owned_queues.push(queue);
        }
        Ok(())
    }

    fn declare_temporary(
        &mut self,
        key: Key<Session>,
        host: Key<VirtualHost>,
        declare: &Declare,
    ) -> Result<(), Refusal> {
        let destination = &declare.destination;
        let max = self.config.limits.max_temporary_per_session;
        let Some(session) = self.sessions.get(key) else { return Ok(()) };
        let count = session.owned_queues.len() + session.owned_topics.len();
        let Some(found) = self.routing.hosts.get(host) else { return Ok(()) };
        let owner = match destination.kind {
            DestinationKind::TempQueue => found
                .temporary_queues
                .get(&destination.name)
                .and_then(|queue| self.queues.get(*queue))
                .and_then(|queue| queue.owner),
            _ => found.topic_owners.get(&destination.name).copied(),
        };
        match owner {
            Some(owner) if owner == key => return Ok(()),
            Some(_) => {
                let text = format!("{destination} belongs to another connection");
                return Err(Refusal::new(Reason::Conflict, text));
            }
            None if declare.passive => return Err(missing(destination)),
            None => {}
        }
        if count >= max {
            return Err(limit("temporary destinations", "limits.max_temporary_per_session", max));
        }
        if destination.kind == DestinationKind::TempQueue {
            let queue = self.make_queue(host, destination.clone(), Traits::default(), Some(key))?;
            if let Some(session) = self.sessions.get_mut(key) {
                session.owned_queues.push(queue);
            }
        } else if let Some(found) = self.routing.hosts.get_mut(host) {
            found.topic_owners.insert(destination.name.clone(), key);
            if let Some(session) = self.sessions.get_mut(key) {
                session.owned_topics.push(destination.name.clone());
            }
            self.tell_destination(host, destination, Some(key), Change::Added);
        }
        Ok(())
    }

    fn declare_exchange(&mut self, host: Key<VirtualHost>, declare: &Declare) -> Result<(), Refusal> {
        let destination = &declare.destination;
        let Some(found) = self.routing.hosts.get(host) else { return Ok(()) };
        if let Some(exchange) =
            found.exchanges.get(&destination.name).and_then(|key| self.routing.exchanges.get(*key))
        {
            let same = declare.exchange_kind.is_none_or(|kind| kind == exchange.kind)
                && (exchange.number != 0) == declare.durable
                && exchange.auto_delete == declare.auto_delete;
            if !same && !declare.passive {
                let text = format!("{destination} exists with other properties");
                return Err(Refusal::new(Reason::Conflict, text));
            }
            return Ok(());
        }
        if declare.passive {
            return Err(missing(destination));
        }
        let Some(kind) = declare.exchange_kind else {
            return Err(Refusal::new(Reason::Invalid, "the exchange's kind is missing"));
        };
        if *destination.name == *DEFAULT_EXCHANGE || destination.name.contains('/') {
            let text = format!("{destination} cannot be the name of an exchange");
            return Err(Refusal::new(Reason::Invalid, text));
        }
        let max = self.config.limits.max_exchanges;
        if self.routing.exchanges.len() >= max {
            return Err(limit("exchanges", "limits.max_exchanges", max));
        }
        let number = if declare.durable { self.next_number() } else { 0 };
        let exchange = Exchange::new(number, &destination.name, kind, declare.auto_delete);
        self.place_exchange(host, exchange);
        if declare.durable
            && let Some(host) = self.routing.hosts.get(host)
        {
            let definition = ExchangeDefinition {
                host: host.name.clone(),
                name: destination.name.clone(),
                kind,
                auto_delete: declare.auto_delete,
            };
            self.pending.put(keys::key(KeyKind::Exchange(number)), definition.encode());
            self.pending.want(CommitNeed::Lazy);
        }
        Ok(())
    }

    /// Puts an exchange where it is found.
    pub(crate) fn place_exchange(&mut self, host: Key<VirtualHost>, exchange: Exchange) {
        let name = exchange.name.clone();
        let key = self.routing.exchanges.insert(exchange);
        if let Some(host) = self.routing.hosts.get_mut(host) {
            host.exchanges.insert(name, key);
        }
    }

    /// Removes a destination, an exchange or a durable subscription.
    pub(crate) fn delete(&mut self, key: Key<Session>, delete: Delete) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get(key) else { return Ok(()) };
        let host = session.virtual_host;
        if let Some(name) = &delete.subscription_name {
            let client_id = session.client.client_id.clone().map(String::into_boxed_str);
            let slot = SubscriptionName { client_id, name: name.as_str().into(), durable: true };
            let found = self.routing.hosts.get(host).and_then(|host| host.named.get(&slot)).copied();
            let Some(queue) = found else {
                return Err(Refusal::new(Reason::NotFound, format!("there is no subscription {name:?}")));
            };
            return self.delete_queue(key, queue, &Delete { if_unused: true, ..delete });
        }
        let Some(destination) = &delete.destination else {
            return Err(Refusal::new(Reason::Invalid, "neither a destination nor a subscription was named"));
        };
        let Some(found) = self.routing.hosts.get(host) else { return Ok(()) };
        let name = &*destination.name;
        match destination.kind {
            DestinationKind::Queue => {
                let queue = *found.queues.get(name).ok_or_else(|| missing(destination))?;
                self.delete_queue(key, queue, &delete)
            }
            DestinationKind::TempQueue => {
                let queue = *found.temporary_queues.get(name).ok_or_else(|| missing(destination))?;
                self.delete_queue(key, queue, &delete)
            }
            DestinationKind::Topic => Ok(()),
            DestinationKind::TempTopic => {
                if *found.topic_owners.get(name).ok_or_else(|| missing(destination))? != key {
                    let text = format!("{destination} belongs to another connection");
                    return Err(Refusal::new(Reason::Forbidden, text));
                }
                self.remove_temporary_topic(host, key, name);
                Ok(())
            }
            DestinationKind::Exchange => {
                let exchange = *found.exchanges.get(name).ok_or_else(|| missing(destination))?;
                let used =
                    self.routing.exchanges.get(exchange).is_some_and(|one| one.bindings().next().is_some());
                if delete.if_unused && used {
                    return Err(Refusal::new(Reason::Conflict, format!("{destination} has bindings")));
                }
                self.remove_exchange(host, exchange);
                Ok(())
            }
        }
    }

    fn delete_queue(&mut self, key: Key<Session>, at: Key<Queue>, delete: &Delete) -> Result<(), Refusal> {
        let Some(queue) = self.queues.get(at) else { return Ok(()) };
        let destination = queue.destination();
        if queue.owner.is_some_and(|owner| owner != key) {
            let text = format!("{destination} belongs to another connection");
            return Err(Refusal::new(Reason::Forbidden, text));
        }
        if delete.if_empty && queue.messages > 0 {
            let text = format!("{destination} holds {} messages", queue.messages);
            return Err(Refusal::new(Reason::Conflict, text));
        }
        if delete.if_empty && self.delayed.may_come_to(queue.number) {
            let text = format!("{destination} may have delayed messages on their way to it");
            return Err(Refusal::new(Reason::Conflict, text));
        }
        if delete.if_unused && !queue.consumers.is_empty() {
            let text = format!("{destination} has {} consumers", queue.consumers.len());
            return Err(Refusal::new(Reason::Conflict, text));
        }
        self.remove_queue(at);
        Ok(())
    }

    /// Removes a temporary topic; its subscriptions stay, and hear nothing more.
    pub(crate) fn remove_temporary_topic(&mut self, host: Key<VirtualHost>, key: Key<Session>, name: &str) {
        if let Some(host) = self.routing.hosts.get_mut(host) {
            host.topic_owners.remove(name);
        }
        if let Some(session) = self.sessions.get_mut(key) {
            session.owned_topics.retain(|other| **other != *name);
        }
        self.routing.generation += 1;
        let destination = Destination { kind: DestinationKind::TempTopic, name: name.into() };
        self.tell_destination(host, &destination, Some(key), Change::Removed);
    }

    fn remove_exchange(&mut self, host: Key<VirtualHost>, key: Key<Exchange>) {
        let Some(exchange) = self.routing.exchanges.remove(key) else { return };
        let numbers: Vec<u64> = exchange.bindings().map(|binding| binding.number).collect();
        self.routing.bindings -= numbers.len();
        self.delete_bindings(&numbers);
        for (source, name) in &exchange.bound {
            let numbers = self.routing.unbind(*source, name, |one| one.target == BindTarget::Exchange(key));
            self.delete_bindings(&numbers);
        }
        if exchange.number != 0 {
            self.pending.delete(keys::key(KeyKind::Exchange(exchange.number)));
            self.pending.want(CommitNeed::Lazy);
        }
        if let Some(host) = self.routing.hosts.get_mut(host) {
            host.exchanges.remove(&exchange.name);
        }
        self.routing.generation += 1;
    }

    /// Ties an exchange or topic to a queue or exchange.
    pub(crate) fn bind(&mut self, key: Key<Session>, bind: Bind) -> Result<(), Refusal> {
        let Some(host) = self.sessions.get(key).map(|session| session.virtual_host) else { return Ok(()) };
        let max = self.config.limits.max_bindings;
        if self.routing.bindings >= max {
            return Err(limit("bindings", "limits.max_bindings", max));
        }
        let (source, target, routing_key) = self.bind_ends(host, &bind)?;
        let selector = match &bind.selector {
            Some(text) => Some(
                Selector::parse(text)
                    .map_err(|error| Refusal::new(Reason::BadSelector, error.to_string()))?,
            ),
            None => None,
        };
        let text = selector.as_ref().map(|selector| selector.to_string());
        let exists = self.routing.exchanges.get(source).is_some_and(|exchange| {
            exchange.bindings().any(|one| {
                one.key == routing_key
                    && one.target == target
                    && !one.implied
                    && one.selector.as_ref().map(|selector| selector.to_string()) == text
            })
        });
        if exists {
            return Ok(());
        }
        let durable = self.is_durable_end(source, target);
        let number = if durable { self.next_number() } else { 0 };
        let definition = BindingDefinition {
            host: self.routing.hosts.get(host).map_or_else(Box::default, |host| host.name.clone()),
            source: bind.source.clone(),
            target: bind.target.clone(),
            key: bind.key.as_str().into(),
            selector: text,
        };
        self.place_binding(source, target, routing_key, number, selector.map(Arc::new));
        if durable {
            self.pending.put(keys::key(KeyKind::Binding(number)), definition.encode());
            self.pending.want(CommitNeed::Lazy);
        }
        Ok(())
    }

    /// Adds a binding to its exchange, and notes it at its target.
    pub(crate) fn place_binding(
        &mut self,
        source: Key<Exchange>,
        target: BindTarget,
        key: Box<str>,
        number: u64,
        selector: Option<Arc<Selector>>,
    ) {
        match target {
            BindTarget::Queue(queue) => {
                if let Some(queue) = self.queues.get_mut(queue) {
                    queue.bound.push((source, key.clone()));
                }
            }
            BindTarget::Exchange(exchange) => {
                if let Some(exchange) = self.routing.exchanges.get_mut(exchange) {
                    exchange.bound.push((source, key.clone()));
                }
            }
        }
        self.routing.bind(source, Binding { number, selector, ..Binding::new(key, target) });
    }

    /// A binding is kept when both its ends are.
    fn is_durable_end(&self, source: Key<Exchange>, target: BindTarget) -> bool {
        // The exchange of the topics has no number and always exists.
        let kept =
            |key| self.routing.exchanges.get(key).is_some_and(|one| one.number != 0 || one.name.is_empty());
        let target_kept = match target {
            BindTarget::Queue(queue) => self.queues.get(queue).is_some_and(|queue| queue.traits.durable),
            BindTarget::Exchange(exchange) => kept(exchange),
        };
        kept(source) && target_kept
    }

    /// The two ends of a binding, and its key.
    pub(crate) fn bind_ends(
        &mut self,
        host: Key<VirtualHost>,
        bind: &Bind,
    ) -> Result<(Key<Exchange>, BindTarget, Box<str>), Refusal> {
        let found = self.routing.hosts.get(host).ok_or_else(|| missing(&bind.source))?;
        let (source, key) = match bind.source.kind {
            DestinationKind::Exchange => {
                let (name, _) = exchange_and_key(&bind.source.name);
                let exchange = *found.exchanges.get(name).ok_or_else(|| missing(&bind.source))?;
                (exchange, bind.key.as_str().into())
            }
            DestinationKind::Topic => (found.exchange_of_topic(&bind.source.name), bind.source.name.clone()),
            _ => {
                let text = format!("{} cannot be bound to anything", bind.source);
                return Err(Refusal::new(Reason::Unsupported, text));
            }
        };
        let topic_kind = self
            .routing
            .exchanges
            .get(source)
            .is_some_and(|exchange| exchange.kind == sabir_model::verb::ExchangeKind::Topic);
        if topic_kind && !bind.key.is_empty() {
            Pattern::parse(&bind.key).map_err(|error| Refusal::new(Reason::Invalid, error.to_string()))?;
        }
        let target = match bind.target.kind {
            DestinationKind::Queue => BindTarget::Queue(self.queue_in_use(host, &bind.target.name)?),
            DestinationKind::TempQueue => {
                let queue = found.temporary_queues.get(&bind.target.name);
                BindTarget::Queue(*queue.ok_or_else(|| missing(&bind.target))?)
            }
            DestinationKind::Exchange => {
                let exchange = found.exchanges.get(&bind.target.name);
                BindTarget::Exchange(*exchange.ok_or_else(|| missing(&bind.target))?)
            }
            _ => {
                let text = format!("{} cannot be bound", bind.target);
                return Err(Refusal::new(Reason::Unsupported, text));
            }
        };
        Ok((source, target, key))
    }

    /// Unties.
    pub(crate) fn unbind(&mut self, key: Key<Session>, bind: Bind) -> Result<(), Refusal> {
        let Some(host) = self.sessions.get(key).map(|session| session.virtual_host) else { return Ok(()) };
        let (source, target, routing_key) = self.bind_ends(host, &bind)?;
        let text = match &bind.selector {
            Some(text) => Some(
                Selector::parse(text)
                    .map_err(|error| Refusal::new(Reason::BadSelector, error.to_string()))?
                    .to_string(),
            ),
            None => None,
        };
        let numbers = self.routing.unbind(source, &routing_key, |one| {
            one.target == target
                && !one.implied
                && one.selector.as_ref().map(|selector| selector.to_string()) == text
        });
        if numbers.is_empty() {
            let text = format!("{} is not bound to {}", bind.target, bind.source);
            return Err(Refusal::new(Reason::NotFound, text));
        }
        self.delete_bindings(&numbers);
        if let BindTarget::Queue(queue) = target
            && let Some(queue) = self.queues.get_mut(queue)
            && let Some(at) = queue.bound.iter().position(|(one, key)| *one == source && *key == routing_key)
        {
            queue.bound.remove(at);
        }
        let empty = self.routing.exchanges.get(source).is_some_and(|one| one.bindings().next().is_none());
        if empty && self.routing.exchanges.get(source).is_some_and(|one| one.auto_delete) {
            self.remove_exchange(host, source);
        }
        Ok(())
    }

    /// Bytes of a key that was found at recovery and says nothing: it is removed.
    pub(crate) fn drop_key(&mut self, key: Bytes) {
        self.pending.delete(key);
        self.pending.want(CommitNeed::Lazy);
    }
}
