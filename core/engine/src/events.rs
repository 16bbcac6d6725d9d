// SPDX-License-Identifier: Apache-2.0
//! What happens in the broker, told to whoever subscribes to it: messages on topics that begin with `$sabir.event.`.
//!
//! ```text
//!   $sabir.event.connection                        a session has logged in, or ended
//!   $sabir.event.queue | topic                     a queue was made, a topic is used for the first time; or it is gone
//!   $sabir.event.temp-queue | temp-topic           the same of temporary ones
//!   $sabir.event.consumer.<queue|topic>.<name>     a subscription begins, or ends
//!   $sabir.event.producer.<queue|topic>.<name>     a producer begins, or ends
//!   $sabir.event.expired.<queue|topic>.<name>      a message's time is over
//!   $sabir.event.dead-lettered.<queue|topic>.<name>   a message became a dead letter
//! ```
//!
//! All facts are properties: `event` (`added` or `removed`), `destination`, `connection`, `client`, `user`; of
//! consumers and producers also their number in the session (`id`), how many there are at the destination now
//! (`consumers`, `producers`), and of a consumer what it asked for. Of a message `event` says what became of it, and the
//! body is its head, if that is at hand and not too long.
//!
//! Where nobody subscribes there is no work beyond a look. An event is put into the subscriptions' queues in the same
//! step as what it tells of; of what was there before it can ask (`Query::List`); a subscriber that is slow loses the oldest ones (`limits.max_waiting_events`), and holds
//! nobody. Names that begin with `$` are the broker's own: clients subscribe there and do not publish, and wildcards
//! reach them only where the pattern begins with `$` too, which is why they have an exchange of their own.

use crate::engine::Engine;
use crate::queue::entry::Entry;
use crate::queue::{Origin, Queue};
use crate::routing::{Exchange, Publisher, VirtualHost};
use crate::session::Session;
use crate::slab::Key;
use bytes::Bytes;
use sabir_model::fields::{self, number as field};
use sabir_model::message::{BodyKind, Field, Fixed, HeadWriter};
use sabir_model::pattern::Pattern;
use sabir_model::property::Value;
use sabir_model::verb::{Reason, Refusal, Subscribe, Told};
use sabir_model::{Destination, DestinationKind, Message};
use std::sync::Arc;

const PREFIX: &str = "$sabir.event.";

/// Whether a topic is one of those on which the broker tells what happens.
pub(crate) fn is_event(topic: &str) -> bool {
    topic.starts_with(PREFIX)
}

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

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Expired,
    DeadLettered,
}

impl Fate {
    fn name(self) -> &'static str {
        match self {
            Fate::Expired => "expired",
            Fate::DeadLettered => "dead-lettered",
        }
    }
}

/// A message of which somebody may want to hear.
#[derive(Debug)]
pub(crate) struct Subject {
    host: Key<VirtualHost>,
    destination: Destination,
    message: Option<Message>,
}

/// The longest head of a message that an event about it carries.
const MAX_HEAD_TOLD_BYTES: usize = 64 << 10;

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

/// The topic for events of this kind about a destination, if there is one.
fn topic_about(what: &str, destination: &Destination) -> Option<String> {
    if is_reserved(&destination.name) || destination.kind == DestinationKind::Exchange {
        return None;
    }
    let kind = if destination.kind.is_topic() { "topic" } else { "queue" };
    Some(format!("{PREFIX}{what}.{kind}.{}", destination.name))
}

fn consumer_facts(id: u64, priority: i8, users: Users, wanted: &Wanted) -> Vec<(&'static str, Value<'_>)> {
    let mut facts =
        vec![("id", long(id)), ("consumers", int(users.consumers)), ("priority", Value::Byte(priority))];
    wanted.properties(&mut facts);
    facts
}

/// What an event is about.
struct About<'e> {
    /// What happens, in a word.
    what: &'static str,
    destination: Option<&'e Destination>,
    session: Option<Key<Session>>,
}

/// A list of events that becomes an answer.
struct List<'e> {
    engine: &'e Engine,
    pattern: &'e Pattern,
    count: usize,
    told: Told,
}

impl List<'_> {
    /// Notes what there is, if its topic is one of those asked for.
    fn add<'f>(
        &mut self,
        topic: String,
        destination: Option<&Destination>,
        about: Key<Session>,
        facts: impl FnOnce() -> Vec<(&'static str, Value<'f>)>,
    ) {
        if !self.pattern.matches(&topic) {
            return;
        }
        self.count += 1;
        if self.count > self.engine.config.limits.max_listed {
            return;
        }
        let id = format!("ID:sabir-listed-{}-{}", self.engine.started_unix_ms, self.count);
        let about = About { what: Change::Added.name(), destination, session: Some(about) };
        let event = self.engine.event_message(&id, &topic, &about, &facts(), &[]);
        if let Some(event) = event {
            fields::put(&mut self.told.fields, field::MESSAGE, event.head().as_bytes());
        }
    }
}

impl Engine {
    /// Whether anybody subscribes to events of this virtual host.
    pub(crate) fn is_listened_to(&self, host: Key<VirtualHost>) -> bool {
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
            let facts = consumer_facts(id, priority, users, wanted);
            self.tell(host, &topic, change, Some(destination), Some(key), &facts);
        }
    }

    /// What is to be told of a message in a queue, if anybody listens; `read` is its record, if that is not in memory. A
    /// message of a topic's subscription is one of the topic. What becomes of events is no event.
    pub(crate) fn subject(&self, key: Key<Queue>, entry: &Entry, read: Option<&Bytes>) -> Option<Subject> {
        let queue = self.queues.get(key).filter(|queue| self.is_listened_to(queue.host))?;
        let record = || read.and_then(|record| Message::joined(record.clone()).ok());
        let message = entry.message.clone().or_else(record);
        let sent_to = message.as_ref().and_then(|message| message.head().text(Field::Destination));
        let sent_to = sent_to.and_then(|text| Destination::parse(text).ok());
        if sent_to.as_ref().is_some_and(|sent_to| is_reserved(&sent_to.name)) {
            return None;
        }
        let destination = match sent_to {
            Some(topic) if queue.kind == DestinationKind::Topic => topic,
            _ => queue.destination(),
        };
        Some(Subject { host: queue.host, destination, message })
    }

    /// Tells what has become of a message, and why, as far as that is not clear.
    pub(crate) fn tell_fate(&mut self, subject: &Subject, fate: Fate, cause: Option<&str>) {
        let Some(topic) = topic_about(fate.name(), &subject.destination) else { return };
        let head = subject.message.as_ref().map(Message::head);
        let id = head.as_ref().and_then(|head| head.text(Field::Id));
        let facts: Vec<_> = [("message_id", id), ("cause", cause)]
            .into_iter()
            .filter_map(|(name, text)| Some((name, Value::Text(text?))))
            .collect();
        let body = head.as_ref().map(|head| head.as_bytes()).filter(|head| head.len() <= MAX_HEAD_TOLD_BYTES);
        let about = About { what: fate.name(), destination: Some(&subject.destination), session: None };
        self.tell_about(subject.host, &topic, &about, &facts, body.unwrap_or_default());
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
        if self.is_listened_to(host) { topic_about(what, destination) } else { None }
    }

    /// The events that would tell of the sessions, producers and consumers that there are, on topics that match.
    pub(crate) fn list_events(&self, host: Key<VirtualHost>, pattern: &Pattern) -> Told {
        let mut list = List { engine: self, pattern, count: 0, told: Told::default() };
        let Some(found) = self.routing.hosts.get(host) else { return list.told };
        let users = |destination: &Destination| found.users.get(destination).copied().unwrap_or_default();
        for (key, session) in self.sessions.iter().filter(|(_, session)| session.virtual_host == host) {
            list.add(format!("{PREFIX}connection"), None, key, Vec::new);
            for (id, targets) in &session.producers {
                for destination in targets.destinations.iter() {
                    let Some(topic) = topic_about("producer", destination) else { continue };
                    list.add(topic, Some(destination), key, || {
                        vec![("id", long(*id)), ("producers", int(users(destination).producers))]
                    });
                }
            }
            for (id, at) in &session.subscriptions {
                let Some(one) = self.subscriptions.get(*at) else { continue };
                for destination in one.wanted.destinations.iter() {
                    let Some(topic) = topic_about("consumer", destination) else { continue };
                    list.add(topic, Some(destination), key, || {
                        consumer_facts(*id, one.priority, users(destination), &one.wanted)
                    });
                }
            }
        }
        list.told.text = list.count.to_string();
        list.told
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
        let about = About { what: change.name(), destination, session: about };
        self.tell_about(host, topic, &about, facts, &[]);
    }

    fn tell_about(
        &mut self,
        host: Key<VirtualHost>,
        topic: &str,
        about: &About<'_>,
        facts: &[(&'static str, Value<'_>)],
        body: &[u8],
    ) {
        let Some(events) = self.routing.hosts.get(host).map(|host| host.events) else { return };
        self.events_told += 1;
        let id = format!("ID:sabir-event-{}-{}", self.started_unix_ms, self.events_told);
        let Some(message) = self.event_message(&id, topic, about, facts, body) else { return };
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
        id: &str,
        topic: &str,
        about: &About<'_>,
        facts: &[(&'static str, Value<'_>)],
        body: &[u8],
    ) -> Option<Message> {
        let mut bytes = Vec::with_capacity(256 + body.len());
        let body_kind = if body.is_empty() { BodyKind::None } else { BodyKind::Bytes };
        let fixed = Fixed { timestamp_ms: self.now.unix_ms, body_kind, ..Fixed::default() };
        let mut writer = HeadWriter::new(&mut bytes, &fixed);
        let mut whole = writer.field(Field::Id, id.as_bytes());
        whole &= writer.field(Field::Destination, format!("topic://{topic}").as_bytes());
        whole &= writer.property("event", &Value::Text(about.what));
        let destination = about.destination.map(Destination::to_string);
        if let Some(destination) = &destination {
            whole &= writer.property("destination", &Value::Text(destination));
        }
        let session = about.session.and_then(|key| self.sessions.get(key));
        if let Some(client) = session.map(|session| &session.client) {
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
        bytes.extend_from_slice(body);
        if whole { Message::joined(Bytes::from(bytes)).ok() } else { None }
    }
}
