// SPDX-License-Identifier: Apache-2.0
//! Advisories: what happens in the broker, as ActiveMQ's clients are told of it.
//!
//! ```text
//!   ActiveMQ.Advisory.Connection                 $sabir.event.connection
//!   ActiveMQ.Advisory.Queue | Topic              $sabir.event.queue | topic
//!   ActiveMQ.Advisory.TempQueue | TempTopic      $sabir.event.temp-queue | temp-topic
//!   ActiveMQ.Advisory.Consumer.Queue.A           $sabir.event.consumer.queue.A
//!   ActiveMQ.Advisory.Producer.Topic.A           $sabir.event.producer.topic.A
//!   ActiveMQ.Advisory.Expired.Queue.A            $sabir.event.expired.queue.A
//!   ActiveMQ.Advisory.MessageDLQd.Queue.A        $sabir.event.dead-lettered.queue.A
//! ```
//! Every Java client listens to those of temporary destinations, and refuses to send to one that it was not told of:
//! whoever begins to listen is told first of what there is.

use super::asked::Kept;
use super::consume::Consumer;
use super::convert;
use super::destination::{split_kind, wire_kind_of};
use super::problem::{Exception, Problem, class};
use super::{Core, hash_of};
use crate::codec::map::{self, Value as WireValue};
use crate::codec::{
    BrokerId, Command, ConnectionId, ConnectionInfo, ConsumerId, ConsumerInfo, DataStructure, Destination,
    DestinationInfo, DestinationKind as WireKind, Message, MessageDispatch, MessageId, ObjectId, ProducerId,
    ProducerInfo, RemoveInfo,
};
use bytes::Bytes;
use sabir_model::destination::{Destination as ModelDestination, DestinationKind};
use sabir_model::fields::{self, number as field};
use sabir_model::message::{Field, Head};
use sabir_model::property::Value;
use sabir_model::verb::{Query, Subscribe};
use sabir_sdk::protocol::{DeliveryRef, Out, VerbMeta};
use std::collections::VecDeque;
use std::sync::Arc;

const ADVISORY: &str = "ActiveMQ.Advisory.";
const EVENT: &str = "$sabir.event.";
/// What `JMSType` is of all advisories.
const TYPE: &str = "Advisory";

/// The words of both languages.
const WORDS: [(&str, &str); 9] = [
    ("Connection", "connection"),
    ("Queue", "queue"),
    ("Topic", "topic"),
    ("TempQueue", "temp-queue"),
    ("TempTopic", "temp-topic"),
    ("Consumer", "consumer"),
    ("Producer", "producer"),
    ("Expired", "expired"),
    ("MessageDLQd", "dead-lettered"),
];

/// Whether a topic's name is one of advisories.
pub fn is_advisory(name: &str) -> bool {
    name.starts_with(ADVISORY)
}

/// Whether a destination is one of the broker's events.
pub fn is_event(destination: &ModelDestination) -> bool {
    destination.name.starts_with(EVENT)
}

/// The events behind advisories; none where the broker has nothing to tell.
pub fn sources(name: &str) -> Result<Option<ModelDestination>, Problem> {
    let Some(rest) = name.strip_prefix(ADVISORY) else { return Ok(None) };
    let (first, behind) = rest.split_once('.').map_or((rest, None), |(first, rest)| (first, Some(rest)));
    let Some(first) = event_word(first) else { return Ok(None) };
    let topic = match behind {
        None => format!("{EVENT}{first}"),
        Some(behind) => {
            let (kind, name) =
                behind.split_once('.').map_or((behind, None), |(kind, name)| (kind, Some(name)));
            let Some(kind) = event_word(kind) else { return Ok(None) };
            let name = name.map(|name| name.split('.').map(wildcard).collect::<Vec<_>>().join("."));
            name.map_or_else(
                || format!("{EVENT}{first}.{kind}"),
                |name| format!("{EVENT}{first}.{kind}.{name}"),
            )
        }
    };
    let bad = |error: sabir_model::destination::DestinationError| {
        Exception::new(class::DESTINATION, error.to_string()).refused()
    };
    ModelDestination::topic(&topic).map(Some).map_err(bad)
}

fn wildcard(word: &str) -> &str {
    if word == ">" { "#" } else { word }
}

fn event_word(word: &str) -> Option<&'static str> {
    match word {
        "*" => Some("*"),
        ">" => Some("#"),
        _ => WORDS.iter().find(|(advisory, _)| *advisory == word).map(|(_, event)| *event),
    }
}

/// The topic of an event, as its listeners know it.
fn advisory_topic(event: &str) -> Option<String> {
    let rest = event.strip_prefix(EVENT)?;
    let mut topic = ADVISORY.trim_end_matches('.').to_owned();
    for (at, word) in rest.splitn(3, '.').enumerate() {
        let word = match at {
            0 | 1 => WORDS.iter().find(|(_, event)| *event == word).map_or(word, |(advisory, _)| *advisory),
            _ => word,
        };
        topic.push('.');
        topic.push_str(word);
    }
    Some(topic)
}

/// What an event tells.
#[derive(Debug, Default)]
struct Event<'e> {
    removed: bool,
    destination: Option<Arc<Destination>>,
    connection: &'e str,
    /// The broker for which this connection, a bridge, consumes.
    bridged: Option<Arc<BrokerId>>,
    client: Option<&'e str>,
    user: Option<&'e str>,
    id: i64,
    /// The message that it is about, without its body, and the id of that.
    message: Option<Box<Message>>,
    message_id: Option<&'e str>,
    /// How many there are now, and what that is called.
    count: Option<(&'static str, i32)>,
    selector: Option<&'e str>,
    subscription: Option<&'e str>,
    credit: i64,
    priority: i8,
    browser: bool,
    exclusive: bool,
    no_local: bool,
}

impl<'e> Event<'e> {
    fn read(head: &Head<'e>) -> Event<'e> {
        let mut event = Event::default();
        for (name, value) in head.properties() {
            match (name, value) {
                ("event", Value::Text(text)) => event.removed = text == "removed",
                ("destination", Value::Text(text)) => event.destination = destination(text),
                ("connection", Value::Text(text)) => event.connection = text,
                ("client", Value::Text(text)) => event.client = Some(text),
                ("user", Value::Text(text)) => event.user = Some(text),
                ("id", Value::Long(id)) => event.id = id,
                ("message_id", Value::Text(id)) => event.message_id = Some(id),
                ("consumers", Value::Int(count)) => event.count = Some(("consumerCount", count)),
                ("producers", Value::Int(count)) => event.count = Some(("producerCount", count)),
                ("selector", Value::Text(text)) => event.selector = Some(text),
                ("subscription", Value::Text(text)) => event.subscription = Some(text),
                ("credit", Value::Long(credit)) => event.credit = credit,
                ("priority", Value::Byte(priority)) => event.priority = priority,
                ("browse", Value::Bool(set)) => event.browser = set,
                ("exclusive", Value::Bool(set)) => event.exclusive = set,
                ("no_local", Value::Bool(set)) => event.no_local = set,
                _ => {}
            }
        }
        event
    }

    fn connection_id(&self) -> Arc<ConnectionId> {
        Arc::new(ConnectionId { value: self.connection.into() })
    }

    /// The command that an advisory on this topic carries.
    fn command(&self, topic: &str) -> Option<Command> {
        let what = topic.strip_prefix(ADVISORY)?;
        let removed = |id| Command::RemoveInfo(RemoveInfo { object_id: Some(id), ..RemoveInfo::default() });
        let what = what.split_once('.').map_or(what, |(what, _)| what);
        Some(match what {
            "Connection" if self.removed => removed(ObjectId::Connection(self.connection_id())),
            "Connection" => Command::ConnectionInfo(Box::new(ConnectionInfo {
                connection_id: Some(self.connection_id()),
                client_id: self.client.map(Into::into),
                user_name: self.user.map(Into::into),
                client_master: true,
                ..ConnectionInfo::default()
            })),
            "Consumer" => {
                let id = Arc::new(ConsumerId {
                    connection_id: self.connection.into(),
                    session_id: 0,
                    value: self.id,
                });
                match self.removed {
                    true => removed(ObjectId::Consumer(id)),
                    false => Command::ConsumerInfo(Box::new(self.consumer_info(id))),
                }
            }
            "Expired" | "MessageDLQd" => Command::Message(self.message.clone()?),
            "Producer" => {
                let id = Arc::new(ProducerId {
                    connection_id: self.connection.into(),
                    value: self.id,
                    session_id: 0,
                });
                match self.removed {
                    true => removed(ObjectId::Producer(id)),
                    false => Command::ProducerInfo(ProducerInfo {
                        producer_id: Some(id),
                        destination: self.destination.clone(),
                        ..ProducerInfo::default()
                    }),
                }
            }
            _ => Command::DestinationInfo(DestinationInfo {
                connection_id: Some(self.connection_id()),
                destination: self.destination.clone(),
                operation_type: if self.removed { DestinationInfo::REMOVE } else { DestinationInfo::ADD },
                ..DestinationInfo::default()
            }),
        })
    }

    fn consumer_info(&self, id: Arc<ConsumerId>) -> ConsumerInfo {
        ConsumerInfo {
            consumer_id: Some(id),
            browser: self.browser,
            destination: self.destination.clone(),
            prefetch_size: i32::try_from(self.credit).unwrap_or(i32::MAX),
            selector: self.selector.map(Into::into),
            client_id: self.client.map(Into::into),
            subscription_name: self.subscription.map(Into::into),
            no_local: self.no_local,
            exclusive: self.exclusive,
            priority: self.priority,
            // By it bridges know what is demand of others, or their own.
            broker_path: self.bridged.clone().map(|broker| vec![broker]),
            ..ConsumerInfo::default()
        }
    }
}

/// Most questions of a connection for what there is, and answers that it has not been told, at the same time. Each may
/// name thousands of destinations, and clients can ask as often as they have consumers.
const LISTS_AT_ONCE: usize = 2;

/// What new listeners to advisories have yet to be told: what there is.
#[derive(Debug, Default)]
pub struct Lists {
    /// The listeners for whom nobody has asked, and the lists that they want to know.
    wanted: Vec<(u64, ModelDestination)>,
    /// How many questions are open.
    asked: usize,
    /// What was answered.
    telling: VecDeque<Telling>,
}

/// What one listener is told.
#[derive(Debug)]
struct Telling {
    number: u64,
    what: std::vec::IntoIter<There>,
}

/// Something that is there.
#[derive(Debug)]
enum There {
    /// A destination, by its name.
    Destination(Box<str>),
    /// The head of the event that would tell of it.
    Event(Box<[u8]>),
}

impl There {
    fn read(number: u16, value: &[u8]) -> Option<There> {
        match number {
            field::DESTINATION => std::str::from_utf8(value).ok().map(|name| There::Destination(name.into())),
            field::MESSAGE => Some(There::Event(value.into())),
            _ => None,
        }
    }
}

impl Lists {
    /// A new listener wants to know these lists.
    pub fn want(&mut self, number: u64, lists: Vec<ModelDestination>) {
        self.wanted.extend(lists.into_iter().map(|list| (number, list)));
    }

    /// A listener is none.
    pub fn forget(&mut self, number: u64) {
        self.wanted.retain(|(listener, _)| *listener != number);
    }

    /// Nobody is told anything any more.
    pub fn clear(&mut self) {
        self.wanted = Vec::new();
        self.telling = VecDeque::new();
    }

    /// A question was answered.
    pub fn answered(&mut self) {
        self.asked = self.asked.saturating_sub(1);
    }

    /// Whether something is to be done that waits for nothing but room.
    pub fn go_on(&self) -> bool {
        !self.telling.is_empty() || self.may_ask()
    }

    fn may_ask(&self) -> bool {
        !self.wanted.is_empty() && self.asked + self.telling.len() < LISTS_AT_ONCE
    }
}

/// A destination of the broker's as clients have it.
fn destination(text: &str) -> Option<Arc<Destination>> {
    let found = ModelDestination::parse(text).ok()?;
    Some(Arc::new(Destination::new(wire_kind_of(found.kind), &found.name)))
}

impl Core {
    /// The lists that a new listener must be told first. As in ActiveMQ, who listens to everything is told of nothing that
    /// was there before.
    pub fn lists_for(&self, subscribe: &Subscribe) -> Vec<ModelDestination> {
        const LISTED: [DestinationKind; 4] = [
            DestinationKind::Queue,
            DestinationKind::Topic,
            DestinationKind::TempQueue,
            DestinationKind::TempTopic,
        ];
        let list = |source: &ModelDestination| {
            let what = source.name.strip_prefix(EVENT)?;
            if let Some(kind) = LISTED.into_iter().find(|kind| kind.scheme() == what) {
                return ModelDestination::new(kind, "#").ok();
            }
            let first = what.split_once('.').map_or(what, |(first, _)| first);
            matches!(first, "connection" | "consumer" | "producer").then(|| source.clone())
        };
        subscribe.destinations.iter().filter(|one| is_event(one)).filter_map(list).collect()
    }

    /// Asks what there is, for new listeners. `false`: there was no room for all questions.
    pub fn ask_lists(&mut self, out: &mut Out<'_>) -> bool {
        while self.lists.may_ask() {
            let Some((number, list)) = self.lists.wanted.last().cloned() else { break };
            let mark = out.mark();
            let meta = VerbMeta { token: self.asked.next_token(), confirm: true, ..VerbMeta::default() };
            out.query(meta, &Query::List(list));
            if out.overflowed() {
                out.rollback(mark);
                return false;
            }
            self.lists.wanted.pop();
            self.lists.asked += 1;
            self.asked.keep(Kept::List { number });
        }
        true
    }

    /// What there is was answered: a new listener is to be told of it.
    pub fn listed(&mut self, number: u64, answer: &[u8]) {
        self.lists.answered();
        let mut there: Vec<There> = fields::iter(answer)
            .map_while(Result::ok)
            .filter_map(|(number, value)| There::read(number, value))
            .collect();
        let max = self.shared.settings.max_told_destinations;
        let room = max.saturating_sub(self.consumers.unsettled_events());
        if there.len() > room {
            there.truncate(room);
            let what = "a listener to advisories is not told of all that there is";
            let limit = format!("max_told_destinations is {max}");
            crate::log::noted(&self.shared.host, &self.name, what, &limit);
        }
        if !there.is_empty() {
            self.lists.telling.push_back(Telling { number, what: there.into_iter() });
        }
    }

    /// Tells new listeners of what there is, one after another as there is room. `false`: there was
    /// none for all.
    pub fn tell_lists(&mut self, out: &mut Out<'_>) -> bool {
        while !self.lists.telling.is_empty() {
            if !self.output.flush(out) {
                return false;
            }
            let Some(telling) = self.lists.telling.front_mut() else { return true };
            let number = telling.number;
            match telling.what.next() {
                Some(There::Destination(name)) => self.tell_of(number, &name),
                Some(There::Event(head)) => self.tell_again(number, &head),
                None => {
                    self.lists.telling.pop_front();
                }
            }
        }
        true
    }

    fn tell_of(&mut self, number: u64, name: &str) {
        let Some(found) = destination(name) else { return };
        let kind = match found.kind {
            WireKind::Queue => "Queue",
            WireKind::Topic => "Topic",
            WireKind::TempQueue => "TempQueue",
            WireKind::TempTopic => "TempTopic",
        };
        let event = Event { destination: Some(found), ..Event::default() };
        self.make_up(number, &format!("{ADVISORY}{kind}"), &event);
    }

    /// Tells a listener of what an event told before it came.
    fn tell_again(&mut self, number: u64, head: &[u8]) {
        let Some(head) = Head::trusted(head) else { return };
        let topic = head
            .text(Field::Destination)
            .and_then(|name| advisory_topic(split_kind(name, WireKind::Topic).1));
        let Some(topic) = topic else { return };
        let event = self.with_bridge(Event::read(&head));
        self.make_up(number, &topic, &event);
    }

    fn with_bridge<'e>(&self, event: Event<'e>) -> Event<'e> {
        Event { bridged: self.shared.bridges().get(event.connection).cloned(), ..event }
    }

    /// Tells a listener of what the broker has not delivered as an event.
    fn make_up(&mut self, number: u64, topic: &str, event: &Event<'_>) {
        self.advisories += 1;
        let id = format!("ID:{}-advisory:{}", self.name, self.advisories);
        let id = self.names.message_id(&id);
        let Some(consumer) = self.consumers.get_mut(number) else { return };
        consumer.unsettled.made_up(hash_of(&self.shared, &id));
        let dispatch = advisory(&self.shared.broker_id, consumer, topic, id, event);
        self.output.push(Command::MessageDispatch(Box::new(dispatch)));
    }

    /// The message that an event is about, of which it carries the head.
    fn subject(&mut self, head: &[u8]) -> Option<Box<Message>> {
        let head = Head::parse(head).ok()?;
        let alone = DeliveryRef {
            subscription: 0,
            tag: 0,
            redelivered: false,
            end_of_browse: false,
            cancelled: false,
            more: false,
            continued: false,
            group_first: false,
            redelivery_count: 0,
            head,
            label: &[],
            body: &[],
            body_total: 0,
        };
        let (mut message, _) = convert::to_message(&alone, None, &[], &mut self.names).ok()?;
        message.detach(&Bytes::copy_from_slice(alone.head.as_bytes()));
        Some(Box::new(message))
    }

    /// An event as its listener is told of it; `None`: it is none.
    pub fn event_message(&mut self, delivery: &DeliveryRef<'_>) -> Option<MessageDispatch> {
        let consumer = self.consumers.get_mut(delivery.subscription)?;
        let (_, name) = split_kind(delivery.head.text(Field::Destination)?, WireKind::Topic);
        let topic = advisory_topic(name)?;
        let mut id = self.names.message_id(delivery.head.text(Field::Id).unwrap_or_default());
        id.broker_sequence_id = delivery.tag as i64;
        consumer.unsettled.sent(delivery.tag, hash_of(&self.shared, &id));
        let message = self.subject(delivery.body);
        let event = self.with_bridge(Event { message, ..Event::read(&delivery.head) });
        let consumer = self.consumers.get_mut(delivery.subscription)?;
        let mut dispatch = advisory(&self.shared.broker_id, consumer, &topic, id, &event);
        if let Some(message) = dispatch.message.as_deref_mut() {
            message.timestamp = delivery.head.timestamp_ms();
        }
        Some(dispatch)
    }
}

fn advisory(
    broker_id: &str,
    consumer: &Consumer,
    topic: &str,
    id: MessageId,
    event: &Event<'_>,
) -> MessageDispatch {
    let topic_of = Arc::new(Destination::new(WireKind::Topic, topic));
    let mut properties: map::Map = vec![
        ("originBrokerId".into(), WireValue::Text(broker_id.into())),
        ("originBrokerName".into(), WireValue::Text("sabir".into())),
        ("originBrokerURL".into(), WireValue::Text("".into())),
    ];
    if let Some(id) = event.message_id {
        // ActiveMQ's own spelling.
        properties.push(("orignalMessageId".into(), WireValue::Text(id.into())));
    }
    if let Some((name, count)) = event.count {
        properties.push((name.into(), WireValue::Int(count)));
    }
    let mut bytes = Vec::new();
    let written = map::write(Some(&properties), &mut bytes).is_ok();
    let message = Message {
        producer_id: id.producer_id.clone(),
        destination: Some(topic_of.clone()),
        message_id: Some(id),
        message_type: Some(TYPE.into()),
        marshalled_properties: written.then(|| bytes.into()),
        data_structure: event.command(topic).map(Box::new).map(DataStructure::Command),
        ..Message::default()
    };
    MessageDispatch {
        consumer_id: Some(consumer.id.clone()),
        destination: Some(topic_of),
        message: Some(Box::new(message)),
        ..MessageDispatch::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advisories_are_the_events_of_the_broker_and_back() {
        for (advisory, event) in [
            ("ActiveMQ.Advisory.TempQueue", "$sabir.event.temp-queue"),
            ("ActiveMQ.Advisory.Connection", "$sabir.event.connection"),
            ("ActiveMQ.Advisory.Consumer.Queue.A.Queue", "$sabir.event.consumer.queue.A.Queue"),
            ("ActiveMQ.Advisory.Producer.Topic.A", "$sabir.event.producer.topic.A"),
            ("ActiveMQ.Advisory.Expired.Topic.A", "$sabir.event.expired.topic.A"),
            ("ActiveMQ.Advisory.MessageDLQd.Queue.A.B", "$sabir.event.dead-lettered.queue.A.B"),
        ] {
            assert_eq!(&*sources(advisory).unwrap().unwrap().name, event);
            assert_eq!(advisory_topic(event).as_deref(), Some(advisory));
        }
        for (advisory, event) in [
            ("ActiveMQ.Advisory.Consumer.>", "$sabir.event.consumer.#"),
            ("ActiveMQ.Advisory.>", "$sabir.event.#"),
            ("ActiveMQ.Advisory.Consumer.Topic.A.*.>", "$sabir.event.consumer.topic.A.*.#"),
        ] {
            assert_eq!(&*sources(advisory).unwrap().unwrap().name, event);
        }
        for none in ["ActiveMQ.Advisory.SlowConsumer.Queue.A", "ActiveMQ.Advisory.MasterBroker"] {
            assert_eq!(sources(none).unwrap(), None);
        }
    }
}
