// SPDX-License-Identifier: Apache-2.0
//! Subscribing and leaving: which queues a consumer takes messages from.
//!
//! A subscription to topics has a queue of its own, bound to them: a passing one that goes with it, or that of a
//! durable subscription, which stays. Patterns of queues join those that exist and those that come.

use crate::browse::Browse;
use crate::engine::Engine;
use crate::events::Change;
use crate::publish::{check_composite, limit, missing};
use crate::queue::{Queue, Traits};
use crate::routing::{BindTarget, Binding, NoLocal, exchange_and_key};
use crate::session::Session;
use crate::slab::Key;
use crate::subscription::{DurableSubscription, Subscription};
use sabir_model::pattern::Pattern;
use sabir_model::selector::Selector;
use sabir_model::verb::{Reason, Refusal, Subscribe};
use sabir_model::{Destination, DestinationKind};
use std::sync::Arc;

/// What is subscribed to, sorted.
struct Sources {
    /// Topics and exchanges: through a queue of the subscription's own.
    routed: Vec<Destination>,
    /// Queues that exist.
    queues: Vec<Key<Queue>>,
    /// Patterns of queues.
    patterns: Vec<Pattern>,
}

impl Engine {
    /// Makes a subscription.
    pub(crate) fn subscribe(&mut self, key: Key<Session>, id: u64, wanted: Subscribe) -> Result<(), Refusal> {
        let limits = &self.config.limits;
        check_composite(&wanted.destinations, limits.max_composite)?;
        let max = limits.max_subscriptions_per_session;
        let Some(session) = self.sessions.get(key) else { return Ok(()) };
        if session.subscriptions.contains_key(&id) {
            return Err(Refusal::new(Reason::Conflict, format!("there is a subscription {id} already")));
        }
        if session.subscriptions.len() >= max {
            return Err(limit("subscriptions", "limits.max_subscriptions_per_session", max));
        }
        let selector = match &wanted.selector {
            Some(text) => Some(Arc::new(
                Selector::parse(text)
                    .map_err(|error| Refusal::new(Reason::BadSelector, error.to_string()))?,
            )),
            None => None,
        };
        let mut sources = self.sources(key, &wanted)?;
        let mut subscription = Subscription::new(key, id, &wanted);
        if !sources.routed.is_empty() {
            if wanted.browse {
                return Err(Refusal::new(Reason::Unsupported, "only queues can be browsed"));
            }
            self.own_queue(key, &wanted, selector.as_ref(), &mut sources, &mut subscription)?;
            if !wanted.destinations.iter().all(|one| is_routed(one.kind)) {
                subscription.selector = selector;
            }
        } else {
            subscription.selector = selector;
        }
        subscription.selector_text =
            subscription.selector.as_ref().map_or_else(String::new, |selector| selector.to_string());
        self.seat_all(key, subscription, sources, wanted.browse)
    }

    /// Checks and sorts what is subscribed to.
    fn sources(&mut self, key: Key<Session>, wanted: &Subscribe) -> Result<Sources, Refusal> {
        let Some(host) = self.sessions.get(key).map(|session| session.virtual_host) else {
            return Err(self.state_refusal());
        };
        let mut sources = Sources { routed: Vec::new(), queues: Vec::new(), patterns: Vec::new() };
        for destination in &wanted.destinations {
            let name = &*destination.name;
            match destination.kind {
                DestinationKind::Topic => sources.routed.push(destination.clone()),
                DestinationKind::Exchange => {
                    let (exchange, _) = exchange_and_key(name);
                    let known = self
                        .routing
                        .hosts
                        .get(host)
                        .is_some_and(|host| host.exchanges.contains_key(exchange));
                    if !known {
                        return Err(missing(destination));
                    }
                    sources.routed.push(destination.clone());
                }
                DestinationKind::TempTopic => {
                    let owner = self.routing.hosts.get(host).and_then(|host| host.topic_owners.get(name));
                    if *owner.ok_or_else(|| missing(destination))? != key {
                        return Err(foreign(destination));
                    }
                    sources.routed.push(destination.clone());
                }
                DestinationKind::TempQueue => {
                    let found = self.routing.hosts.get(host).and_then(|host| host.temporary_queues.get(name));
                    sources.queues.push(*found.ok_or_else(|| missing(destination))?);
                }
                DestinationKind::Queue => {
                    let pattern = Pattern::parse(name)
                        .map_err(|error| Refusal::new(Reason::Invalid, error.to_string()))?;
                    if pattern.is_literal() {
                        sources.queues.push(self.queue_in_use(host, name)?);
                    } else {
                        self.see_topics(key, &pattern)?;
                        sources.queues.extend(self.queues_matching(host, key, &pattern));
                        sources.patterns.push(pattern);
                    }
                }
            }
        }
        for queue in &sources.queues {
            let Some(queue) = self.queues.get(*queue) else { continue };
            if queue.owner.is_some_and(|owner| owner != key) {
                return Err(foreign(&queue.destination()));
            }
        }
        Ok(sources)
    }

    /// The queues that match and that this session may consume from.
    fn queues_matching(
        &self,
        host: Key<crate::routing::VirtualHost>,
        key: Key<Session>,
        pattern: &Pattern,
    ) -> Vec<Key<Queue>> {
        let Some(host) = self.routing.hosts.get(host) else { return Vec::new() };
        host.queues
            .iter()
            .filter(|(name, _)| pattern.matches(name))
            .map(|(_, queue)| *queue)
            .filter(|queue| {
                self.queues.get(*queue).is_some_and(|queue| queue.owner.is_none_or(|owner| owner == key))
            })
            .collect()
    }

    /// Finds or makes the queue of a subscription to topics.
    fn own_queue(
        &mut self,
        key: Key<Session>,
        wanted: &Subscribe,
        selector: Option<&Arc<Selector>>,
        sources: &mut Sources,
        subscription: &mut Subscription,
    ) -> Result<(), Refusal> {
        let named = wanted.durable || wanted.shared;
        let (Some(name), true) = (&wanted.name, named) else {
            if named {
                return Err(Refusal::new(Reason::Invalid, "a durable or shared subscription needs a name"));
            }
            let queue = self.passing_queue(key, wanted, selector, &sources.routed)?;
            subscription.own_queue = Some(queue);
            sources.queues.push(queue);
            return Ok(());
        };
        let Some(session) = self.sessions.get(key) else { return Ok(()) };
        let (host, client_id) =
            (session.virtual_host, session.client.client_id.clone().map(String::into_boxed_str));
        let definition = DurableSubscription {
            client_id,
            name: name.as_str().into(),
            topics: sources.routed.clone(),
            selector: selector.map(|selector| selector.to_string()),
            no_local: wanted.no_local,
            shared: wanted.shared,
        };
        let slot = definition.slot(wanted.durable);
        let found = self.routing.hosts.get(host).and_then(|host| host.named.get(&slot)).copied();
        if let Some(found) = found
            && let Some(queue) = self.queues.get(found)
        {
            let in_use = !queue.consumers.is_empty();
            let same = queue.durable_subscription.as_deref() == Some(&definition);
            if in_use && !(same && wanted.shared) {
                let text = format!("the subscription {name:?} is in use");
                return Err(Refusal::new(Reason::Conflict, text));
            }
            if same {
                subscription.durable_queue = Some(found);
                sources.queues.push(found);
                return Ok(());
            }
            let known_as_shared = queue.durable_subscription.as_deref().is_some_and(|found| found.shared);
            if slot.client_id.is_none() || known_as_shared != wanted.shared {
                // Without a client id the name belongs to nobody: what it has collected is not the next one's to drop.
                let text = format!(
                    "there is a subscription {name:?} with other topics, selector or sharing: delete it first, or take another name"
                );
                return Err(Refusal::new(Reason::Conflict, text));
            }
            // As JMS has it: another topic or selector is another subscription, and the old one goes.
            self.remove_queue(found);
        }
        let traits = Traits { durable: wanted.durable, auto_delete: !wanted.durable, ..Traits::default() };
        let queue = self.make_subscription_queue(host, definition, traits)?;
        subscription.durable_queue = Some(queue);
        sources.queues.push(queue);
        Ok(())
    }

    /// A queue for a subscription that goes with its connection.
    fn passing_queue(
        &mut self,
        key: Key<Session>,
        wanted: &Subscribe,
        selector: Option<&Arc<Selector>>,
        sources: &[Destination],
    ) -> Result<Key<Queue>, Refusal> {
        let Some(session) = self.sessions.get(key) else { return Err(self.state_refusal()) };
        let host = session.virtual_host;
        let name = match sources {
            [single] => single.name.clone(),
            several => several.iter().map(|one| &*one.name).collect::<Vec<_>>().join(",").into(),
        };
        let destination = Destination { kind: DestinationKind::Topic, name };
        let queue = self.make_queue(host, destination, Traits::default(), Some(key))?;
        let no_local = wanted.no_local.then_some(NoLocal::Session(key));
        self.bind_sources(queue, sources, selector.cloned(), no_local);
        Ok(queue)
    }

    /// Binds a subscription's queue to its topics.
    pub(crate) fn bind_sources(
        &mut self,
        queue: Key<Queue>,
        sources: &[Destination],
        selector: Option<Arc<Selector>>,
        no_local: Option<NoLocal>,
    ) {
        let Some(host) = self.queues.get(queue).and_then(|queue| self.routing.hosts.get(queue.host)) else {
            return;
        };
        let mut bindings = Vec::new();
        for source in sources {
            let (exchange, key) = match source.kind {
                DestinationKind::TempTopic => (Some(host.temporary_topics), &*source.name),
                DestinationKind::Exchange => {
                    let (name, key) = exchange_and_key(&source.name);
                    (host.exchanges.get(name).copied(), key)
                }
                _ => (Some(host.exchange_of_topic(&source.name)), &*source.name),
            };
            if let Some(exchange) = exchange {
                bindings.push((exchange, key));
            }
        }
        for (exchange, name) in bindings {
            let binding = Binding {
                selector: selector.clone(),
                no_local: no_local.clone(),
                ..Binding::new(name.into(), BindTarget::Queue(queue))
            };
            self.routing.bind(exchange, binding);
            if let Some(queue) = self.queues.get_mut(queue) {
                queue.bound.push((exchange, name.into()));
            }
        }
    }

    /// Gives a new subscription its seats.
    fn seat_all(
        &mut self,
        key: Key<Session>,
        mut subscription: Subscription,
        mut sources: Sources,
        browse: bool,
    ) -> Result<(), Refusal> {
        sources.queues.sort_unstable();
        sources.queues.dedup();
        let (id, priority) = (subscription.id, subscription.priority);
        let wanted = subscription.wanted.clone();
        let follow = sources
            .queues
            .iter()
            .any(|key| self.queues.get(*key).is_some_and(|queue| queue.policy.non_destructive));
        if browse || follow {
            subscription.browse = Some(Box::new(Browse::new(&self.queues, &sources.queues, !browse)));
        }
        subscription.by_pattern = !sources.patterns.is_empty() && !browse;
        let by_pattern = subscription.by_pattern;
        let host = self.sessions.get(key).map(|session| session.virtual_host);
        let consumer = self.subscriptions.insert(subscription);
        if let Some(session) = self.sessions.get_mut(key) {
            session.subscriptions.insert(id, consumer);
        }
        self.tell_consumer(key, id, priority, &wanted, Change::Added);
        if browse || follow {
            for queue in sources.queues {
                if let Some(found) = self.queues.get_mut(queue) {
                    found.browsers.push(consumer);
                }
                self.schedule(queue);
            }
            return Ok(());
        }
        if by_pattern && let Some(host) = host.and_then(|host| self.routing.hosts.get_mut(host)) {
            host.queue_patterns.extend(sources.patterns.into_iter().map(|pattern| (pattern, consumer)));
            // What goes to a topic may have to make a queue for it now.
            self.routing.generation += 1;
        }
        for queue in sources.queues {
            self.sit(consumer, queue);
        }
        self.regain(consumer);
        Ok(())
    }

    /// Gives a subscription a seat at a queue.
    pub(crate) fn sit(&mut self, consumer: Key<Subscription>, at: Key<Queue>) {
        let Some(subscription) = self.subscriptions.get_mut(consumer) else { return };
        let Some(queue) = self.queues.get_mut(at) else { return };
        // What a subscription to topics wants was decided when its queue was bound.
        let selector =
            if queue.kind == DestinationKind::Topic { None } else { subscription.selector.as_ref() };
        let view = queue.view_for(selector, &subscription.selector_text);
        if let Some(index) = queue.find_view(view) {
            queue.views[index].members += 1;
        }
        queue.consumers.push(consumer);
        if subscription.exclusive {
            queue.exclusive.push(consumer);
        }
        subscription.sit(at, view);
        if queue.policy.group_rebalance {
            let consumers = queue.consumers.len();
            if let Some(groups) = &mut queue.groups {
                groups.spread(consumers);
            }
        }
        self.consumers_changed(at);
    }

    /// Ends a subscription at the wish of its session.
    pub(crate) fn unsubscribe(&mut self, key: Key<Session>, id: u64, forget: bool) -> Result<(), Refusal> {
        let found = self.sessions.get_mut(key).and_then(|session| session.subscriptions.remove(&id));
        let Some(consumer) = found else {
            return Err(Refusal::new(Reason::NotFound, format!("there is no subscription {id}")));
        };
        self.end_subscription(consumer, false, forget);
        Ok(())
    }

    /// Ends a subscription: what it had comes back, and what was made for it goes.
    pub(crate) fn end_subscription(&mut self, consumer: Key<Subscription>, crashed: bool, forget: bool) {
        let Some(mut subscription) = self.subscriptions.remove(consumer) else { return };
        let unsettled = subscription.take_all();
        if let Some(session) = self.sessions.get_mut(subscription.session) {
            session.unsettled -= unsettled.len();
            // Others of the session may have waited for it to settle something.
            self.regain_all(subscription.session);
        }
        self.abandon(unsettled, crashed);
        if subscription.by_pattern {
            let host = self.sessions.get(subscription.session).map(|session| session.virtual_host);
            if let Some(host) = host.and_then(|host| self.routing.hosts.get_mut(host)) {
                host.queue_patterns.retain(|(_, other)| *other != consumer);
            }
        }
        if let Some(browse) = &subscription.browse {
            for queue in browse.queues() {
                if let Some(queue) = self.queues.get_mut(queue) {
                    queue.browsers.retain(|other| *other != consumer);
                }
            }
        }
        for seat in std::mem::take(&mut subscription.seats) {
            self.stand_up(consumer, seat.queue, seat.view);
        }
        let (session, id, priority) = (subscription.session, subscription.id, subscription.priority);
        self.tell_consumer(session, id, priority, &subscription.wanted, Change::Removed);
        if let Some(queue) = subscription.own_queue {
            self.remove_queue(queue);
        }
        if let Some(key) = subscription.durable_queue
            && let Some(queue) = self.queues.get(key)
        {
            let last = queue.consumers.is_empty();
            if forget || (last && (subscription.auto_delete || queue.traits.auto_delete)) {
                self.remove_queue(key);
            }
        }
    }

    fn stand_up(&mut self, consumer: Key<Subscription>, at: Key<Queue>, view: u32) {
        let Some(queue) = self.queues.get_mut(at) else { return };
        queue.consumers.retain(|other| *other != consumer);
        queue.exclusive.retain(|other| *other != consumer);
        queue.leave_view(view, consumer, &mut self.memory);
        let goes =
            queue.consumers.is_empty() && queue.traits.auto_delete && queue.durable_subscription.is_none();
        let selector_aware = queue.selector_aware;
        // Somebody else may be the only one to be served now.
        let others = if queue.exclusive.is_empty() { Vec::new() } else { queue.exclusive.clone() };
        self.schedule(at);
        if selector_aware {
            self.consumers_changed(at);
        }
        for other in others {
            self.regain(other);
        }
        if goes {
            self.remove_queue(at);
        } else {
            self.collect_queue(at);
        }
    }
}

fn is_routed(kind: DestinationKind) -> bool {
    matches!(kind, DestinationKind::Topic | DestinationKind::TempTopic | DestinationKind::Exchange)
}

fn foreign(destination: &Destination) -> Refusal {
    Refusal::new(Reason::Forbidden, format!("{destination} belongs to another connection"))
}
