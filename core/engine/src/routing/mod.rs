// SPDX-License-Identifier: Apache-2.0
//! From destinations to queues: virtual hosts, exchanges, bindings.
//!
//! Topics are the keys of one topic exchange in each virtual host, and a subscription's queue is bound to it with
//! the subscription's name or pattern. Nothing here knows what becomes of a message in its queue.

mod exchange;

pub(crate) use exchange::{BindTarget, Binding, Exchange, NoLocal, Publisher};

use crate::events::{Users, is_reserved};
use crate::queue::Queue;
use crate::session::Session;
use crate::slab::{Key, Slab};
use crate::subscription::Subscription;
use sabir_model::Destination;
use sabir_model::pattern::Pattern;
use sabir_model::verb::ExchangeKind;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What names a subscription that several may use, or one again. A durable one and one that is not are two, whatever
/// else they have in common (JMS 2.0, 8.3.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SubscriptionName {
    pub client_id: Option<Box<str>>,
    /// As the client gave it.
    pub name: Box<str>,
    pub durable: bool,
}

/// A name space of its own.
#[derive(Debug)]
pub(crate) struct VirtualHost {
    pub name: Box<str>,
    pub queues: BTreeMap<Box<str>, Key<Queue>>,
    pub temporary_queues: BTreeMap<Box<str>, Key<Queue>>,
    /// Where topics are keys.
    pub topics: Key<Exchange>,
    /// Where the broker's own topics are keys: those whose names begin with `$`.
    pub events: Key<Exchange>,
    /// Who uses what, of everything that anybody uses.
    pub users: BTreeMap<Destination, Users>,
    /// Where temporary topics are keys.
    pub temporary_topics: Key<Exchange>,
    /// Whose the temporary topics are.
    pub topic_owners: BTreeMap<Box<str>, Key<Session>>,
    pub exchanges: BTreeMap<Box<str>, Key<Exchange>>,
    /// Durable and shared subscriptions.
    pub named: BTreeMap<SubscriptionName, Key<Queue>>,
    /// Subscriptions to queues by pattern: they join queues made later.
    pub queue_patterns: Vec<(Pattern, Key<Subscription>)>,
}

impl VirtualHost {
    /// The exchange in which this topic, or pattern of topics, is a key.
    pub fn exchange_of_topic(&self, name: &str) -> Key<Exchange> {
        if is_reserved(name) { self.events } else { self.topics }
    }
}

/// Where the messages of one producer go.
#[derive(Clone, Debug)]
pub(crate) struct Targets {
    pub destinations: Arc<[Destination]>,
    /// The only queue, when there is only one destination and it is a queue.
    pub direct: Option<Key<Queue>>,
    /// The queues that the last message went to, if they do not depend on the message, and the state of the
    /// bindings at that time.
    pub cached: Option<(u64, Vec<Key<Queue>>)>,
}

impl Targets {
    pub fn new(destinations: Vec<Destination>) -> Self {
        Targets { destinations: destinations.into(), direct: None, cached: None }
    }
}

/// All virtual hosts, exchanges and bindings.
#[derive(Debug, Default)]
pub(crate) struct Routing {
    pub hosts: Slab<VirtualHost>,
    pub by_name: BTreeMap<Box<str>, Key<VirtualHost>>,
    pub exchanges: Slab<Exchange>,
    /// How many bindings there are.
    pub bindings: usize,
    /// Changes whenever an answer to "which queues" may change.
    pub generation: u64,
}

impl<T: std::fmt::Debug> std::fmt::Debug for Slab<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Routing {
    /// Makes a virtual host.
    pub fn add_host(&mut self, name: &str) -> Key<VirtualHost> {
        if let Some(host) = self.by_name.get(name) {
            return *host;
        }
        let topics = self.exchanges.insert(Exchange::new(0, "", ExchangeKind::Topic, false));
        let temporary_topics = self.exchanges.insert(Exchange::new(0, "", ExchangeKind::Direct, false));
        let events = self.exchanges.insert(Exchange::new(0, "", ExchangeKind::Topic, false));
        let host = self.hosts.insert(VirtualHost {
            name: name.into(),
            events,
            users: BTreeMap::new(),
            queues: BTreeMap::new(),
            temporary_queues: BTreeMap::new(),
            topics,
            temporary_topics,
            topic_owners: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            named: BTreeMap::new(),
            queue_patterns: Vec::new(),
        });
        self.by_name.insert(name.into(), host);
        host
    }

    /// Adds a binding. False: the exchange is gone.
    pub fn bind(&mut self, exchange: Key<Exchange>, binding: Binding) -> bool {
        let Some(exchange) = self.exchanges.get_mut(exchange) else { return false };
        exchange.add(binding);
        self.bindings += 1;
        self.generation += 1;
        true
    }

    /// Removes bindings of a key that `gone` says. Answers their numbers.
    pub fn unbind(
        &mut self,
        exchange: Key<Exchange>,
        key: &str,
        gone: impl FnMut(&Binding) -> bool,
    ) -> Vec<u64> {
        let Some(exchange) = self.exchanges.get_mut(exchange) else { return Vec::new() };
        let numbers = exchange.remove(key, gone);
        self.bindings -= numbers.len();
        self.generation += 1;
        numbers
    }

    /// Adds the queues that a message with this key reaches. True: which ones depends on the message itself.
    pub fn route(
        &self,
        exchange: Key<Exchange>,
        key: &str,
        publisher: &Publisher<'_>,
        into: &mut Vec<Key<Queue>>,
    ) -> bool {
        let mut filtered = false;
        let mut visited = vec![exchange];
        let mut at = 0;
        while let Some(next) = visited.get(at).copied() {
            at += 1;
            if let Some(exchange) = self.exchanges.get(next) {
                filtered |= exchange.route(key, publisher, into, &mut visited);
            }
        }
        filtered
    }
}

/// Splits the name of an exchange as destination: behind the first `/` stands the routing key.
pub(crate) fn exchange_and_key(name: &str) -> (&str, &str) {
    name.split_once('/').unwrap_or((name, ""))
}
