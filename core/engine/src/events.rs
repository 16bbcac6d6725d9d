// SPDX-License-Identifier: Apache-2.0
//! What happens in the broker, told to whoever subscribes to it: messages on topics that begin with `$sabir.event.`.
//!
//! ```text
//!   $sabir.event.connection                        a session has logged in, or ended
//!   $sabir.event.queue | topic                     a queue was made, a topic is used for the first time; or it is gone
//!   $sabir.event.temp-queue | temp-topic           the same of temporary ones
//!   $sabir.event.consumer.<queue|topic>.<name>     a subscription begins, or ends
//!   $sabir.event.producer.<queue|topic>.<name>     a producer begins, or ends
//! ```
//!
//! All facts are properties: `event` (`added` or `removed`), `destination`, `connection`, `client`, `user`; of
//! consumers and producers also their number in the session (`id`), how many there are at the destination now
//! (`consumers`, `producers`), and of a consumer what it asked for.
//!
//! Where nobody subscribes there is no work beyond a look. An event is put into the subscriptions' queues in the same
//! step as what it tells of; a subscriber that is slow loses the oldest ones (`limits.max_waiting_events`), and holds
//! nobody. Names that begin with `$` are the broker's own: clients subscribe there and do not publish, and wildcards
//! reach them only where the pattern begins with `$` too, which is why they have an exchange of their own.

use crate::engine::Engine;
use crate::queue::Origin;
use crate::routing::{Exchange, Publisher, VirtualHost};
use crate::session::Session;
use crate::slab::Key;
use bytes::Bytes;
use sabir_model::message::{Field, Fixed, HeadWriter};
use sabir_model::property::Value;
use sabir_model::verb::{Reason, Refusal, Subscribe};
use sabir_model::{Destination, DestinationKind, Message};
use std::sync::Arc;

const PREFIX: &str = "$sabir.event.";

/// Whether a name is the broker's own.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.starts_with('$')
}

/// Refuses names that are the broker's own, for what clients make and where they publish.
pub(crate) fn check_reserved(destination: &Destination) -> Result<(), Refusal> {
    if is_reserved(&destination.name) {
        let text =
            format!("{destination} is the broker's own: names that begin with $ can only be subscribed to");
        return Err(Refusal::new(Reason::Forbidden, text));
    }
    Ok(())
}

/// Whether something has come or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Removed,
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Change::Added => "added",
            Change::Removed => "removed",
        }
    }

    fn count(self, count: &mut usize) {
        match self {
            Change::Added => *count += 1,
            Change::Removed => *count = count.saturating_sub(1),
        }
    }
}

/// How many use a destination now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Users {
    pub producers: usize,
    pub consumers: usize,
}

/// What a subscription has asked for, as far as its end still has to tell.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub destinations: Arc<[Destination]>,
    selector: Option<Box<str>>,
    name: Option<Box<str>>,
    durable: bool,
    shared: bool,
    browse: bool,
    exclusive: bool,
    no_local: bool,
    credit: u64,
}

impl Wanted {
    pub fn of(wanted: &Subscribe) -> Wanted {
        Wanted {
            destinations: wanted.destinations.clone().into(),
            selector: wanted.selector.as_deref().map(Into::into),
            name: wanted.name.as_deref().map(Into::into),
            durable: wanted.durable,
            shared: wanted.shared,
            browse: wanted.browse,
            exclusive: wanted.exclusive,
            no_local: wanted.no_local,
            credit: wanted.credit,
        }
    }

    fn properties<'w>(&'w self, into: &mut Vec<(&'static str, Value<'w>)>) {
        if let Some(selector) = &self.selector {
            into.push(("selector", Value::Text(selector)));
        }
        if let Some(name) = &self.name {
            into.push(("subscription", Value::Text(name)));
        }
        let flags = [
            ("durable", self.durable),
            ("shared", self.shared),
            ("browse", self.browse),
            ("exclusive", self.exclusive),
            ("no_local", self.no_local),
        ];
        into.extend(flags.into_iter().filter(|(_, set)| *set).map(|(name, set)| (name, Value::Bool(set))));
        into.push(("credit", long(self.credit)));
    }
}

fn long<'v>(value: u64) -> Value<'v> {
    Value::Long(i64::try_from(value).unwrap_or(i64::MAX))
}

fn int<'v>(value: usize) -> Value<'v> {
    Value::Int(i32::try_from(value).unwrap_or(i32::MAX))
}

impl Engine {
    /// Whether anybody subscribes to events of this virtual host.
    fn is_listened_to(&self, host: Key<VirtualHost>) -> bool {
        let events = self.routing.hosts.get(host).and_then(|host| self.routing.exchanges.get(host.events));
        !events.is_none_or(Exchange::is_empty)
    }

    /// A session has logged in, or ends.
    pub(crate) fn tell_connection(&mut self, key: Key<Session>, change: Change) {
        let Some(host) = self.sessions.get(key).map(|session| session.virtual_host) else { return };
        if self.is_listened_to(host) {
            self.tell(host, &format!("{PREFIX}connection"), change, None, Some(key), &[]);
        }
    }

    /// A queue or temporary destination was made, or is gone.
    pub(crate) fn tell_destination(
        &mut self,
        host: Key<VirtualHost>,
        destination: &Destination,
        owner: Option<Key<Session>>,
        change: Change,
    ) {
        if self.is_listened_to(host) {
            let topic = format!("{PREFIX}{}", destination.kind.scheme());
            self.tell(host, &topic, change, Some(destination), owner, &[]);
        }
    }

    /// A producer begins or ends.
    pub(crate) fn tell_producer(
        &mut self,
        key: Key<Session>,
        id: u64,
        destinations: &[Destination],
        change: Change,
    ) {
        let Some(host) = self.sessions.get(key).map(|session| session.virtual_host) else { return };
        for destination in destinations {
            let users = self.count_user(host, destination, change, |users| &mut users.producers);
            let Some(topic) = self.user_topic(host, "producer", destination) else { continue };
            let facts = [("id", long(id)), ("producers", int(users.producers))];
            self.tell(host, &topic, change, Some(destination), Some(key), &facts);
        }
    }

    /// A subscription begins or ends.
    pub(crate) fn tell_consumer(
        &mut self,
        key: Key<Session>,
        id: u64,
        priority: i8,
        wanted: &Wanted,
        change: Change,
    ) {
        let Some(host) = self.sessions.get(key).map(|session| session.virtual_host) else { return };
        for destination in wanted.destinations.iter() {
            let users = self.count_user(host, destination, change, |users| &mut users.consumers);
            let Some(topic) = self.user_topic(host, "consumer", destination) else { continue };
            let mut facts = vec![
                ("id", long(id)),
                ("consumers", int(users.consumers)),
                ("priority", Value::Byte(priority)),
            ];
            wanted.properties(&mut facts);
            self.tell(host, &topic, change, Some(destination), Some(key), &facts);
        }
    }

    /// Counts who uses a destination; the first and the last user of a topic are its beginning and its end.
    fn count_user(
        &mut self,
        host: Key<VirtualHost>,
        destination: &Destination,
        change: Change,
        role: impl FnOnce(&mut Users) -> &mut usize,
    ) -> Users {
        if is_reserved(&destination.name) {
            return Users::default();
        }
        let Some(found) = self.routing.hosts.get_mut(host) else { return Users::default() };
        let users = found.users.entry(destination.clone()).or_default();
        let before = *users;
        change.count(role(users));
        let after = *users;
        if after == Users::default() {
            found.users.remove(destination);
        }
        if destination.kind == DestinationKind::Topic && crate::publish::check_literal(destination).is_ok() {
            if before == Users::default() && after != before {
                self.tell_destination(host, destination, None, Change::Added);
            } else if after == Users::default() && before != after {
                self.tell_destination(host, destination, None, Change::Removed);
            }
        }
        after
    }

    /// The topic for events of this kind about a destination, if there is one and anybody may be listening.
    fn user_topic(&self, host: Key<VirtualHost>, what: &str, destination: &Destination) -> Option<String> {
        if is_reserved(&destination.name)
            || destination.kind == DestinationKind::Exchange
            || !self.is_listened_to(host)
        {
            return None;
        }
        let kind = if destination.kind.is_topic() { "topic" } else { "queue" };
        Some(format!("{PREFIX}{what}.{kind}.{}", destination.name))
    }

    /// Makes the message of an event and gives it to those who subscribe to its topic.
    fn tell(
        &mut self,
        host: Key<VirtualHost>,
        topic: &str,
        change: Change,
        destination: Option<&Destination>,
        about: Option<Key<Session>>,
        facts: &[(&'static str, Value<'_>)],
    ) {
        let Some(events) = self.routing.hosts.get(host).map(|host| host.events) else { return };
        self.events_told += 1;
        let Some(message) = self.event_message(topic, change, destination, about, facts) else { return };
        let publisher = Publisher { head: message.head(), session: None, client_id: None };
        let mut routes = Vec::new();
        self.routing.route(events, topic, &publisher, &mut routes);
        routes.sort_unstable();
        routes.dedup();
        let max = self.config.limits.max_waiting_events;
        for key in routes {
            let Some(queue) = self.queues.get_mut(key) else { continue };
            let (dropped, room) =
                queue.make_room_for_event(key, &message, max, &mut self.pending, &mut self.memory);
            self.counters.dropped += dropped;
            if room {
                let mut nowhere = None;
                let (pending, memory) = (&mut self.pending, &mut self.memory);
                queue.admit(key, &message, &Origin::default(), &mut nowhere, pending, memory);
            }
            self.schedule(key);
        }
    }

    fn event_message(
        &self,
        topic: &str,
        change: Change,
        destination: Option<&Destination>,
        about: Option<Key<Session>>,
        facts: &[(&'static str, Value<'_>)],
    ) -> Option<Message> {
        let mut bytes = Vec::with_capacity(256);
        let fixed = Fixed { timestamp_ms: self.now.unix_ms, ..Fixed::default() };
        let mut writer = HeadWriter::new(&mut bytes, &fixed);
        let id = format!("ID:sabir-event-{}-{}", self.started_unix_ms, self.events_told);
        let mut whole = writer.field(Field::Id, id.as_bytes());
        whole &= writer.field(Field::Destination, format!("topic://{topic}").as_bytes());
        whole &= writer.property("event", &Value::Text(change.name()));
        let destination = destination.map(Destination::to_string);
        if let Some(destination) = &destination {
            whole &= writer.property("destination", &Value::Text(destination));
        }
        if let Some(client) = about.and_then(|key| self.sessions.get(key)).map(|session| &session.client) {
            whole &= writer.property("connection", &Value::Text(&client.connection_id));
            if let Some(id) = &client.client_id {
                whole &= writer.property("client", &Value::Text(id));
            }
            if let Some(user) = &client.user {
                whole &= writer.property("user", &Value::Text(user));
            }
        }
        for (name, value) in facts {
            whole &= writer.property(name, value);
        }
        writer.finish();
        if whole { Message::joined(Bytes::from(bytes)).ok() } else { None }
    }
}
