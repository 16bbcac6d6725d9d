// SPDX-License-Identifier: Apache-2.0
//! The broker's events, as clients know them; and temporary destinations.

use crate::peer::{CONNECTION, Peer, ack, consumer_info, delivery, sample};
use bytes::Bytes;
use sabir_model::destination::{Destination as ModelDestination, DestinationKind as ModelKind};
use sabir_model::fields::{self, number};
use sabir_model::message::{BodyKind, Field, Fixed, HeadWriter, Message as ModelMessage};
use sabir_model::property::Value;
use sabir_model::verb::{Query, Reason, SettleRange, Verb};
use sabir_protocol_openwire::codec::{
    Command, ConnectionId, DataStructure, Destination, DestinationInfo, DestinationKind, MessageAck,
    MessageKind, ObjectId, RemoveInfo,
};
use sabir_sdk::protocol::Capacities;
use std::sync::Arc;

const LISTENED: &str = "ActiveMQ.Advisory.TempQueue,ActiveMQ.Advisory.TempTopic";

fn event(tag: u64, added: bool, destination: &str) -> sabir_model::Delivery {
    let mut head = Vec::new();
    let mut writer = HeadWriter::new(&mut head, &Fixed::default());
    assert!(writer.field(Field::Id, format!("ID:sabir-event-1-{tag}").as_bytes()));
    assert!(writer.field(Field::Destination, b"topic://$sabir.event.temp-queue"));
    assert!(writer.property("event", &Value::Text(if added { "added" } else { "removed" })));
    assert!(writer.property("destination", &Value::Text(destination)));
    assert!(writer.property("connection", &Value::Text("c7")));
    writer.finish();
    delivery(1, tag, ModelMessage::joined(Bytes::from(head)).unwrap())
}

/// A client that listens as every Java client does, and the questions that the broker was asked for it.
fn listening() -> (Peer, Vec<sabir_model::Request>) {
    let mut peer = Peer::connected();
    let info = consumer_info(1, DestinationKind::Topic, LISTENED, 10);
    let id = peer.ask(Command::ConsumerInfo(Box::new(info)));
    let request = peer.take();
    let Verb::Subscribe(subscribe) = &request.verb else { panic!("no subscription") };
    let names: Vec<&str> = subscribe.destinations.iter().map(|one| &*one.name).collect();
    assert_eq!(names, ["$sabir.event.temp-queue", "$sabir.event.temp-topic"]);
    peer.done(&request);
    assert_eq!(peer.take_response(), id);
    let questions = std::mem::take(&mut peer.requests);
    (peer, questions)
}

fn told(peer: &mut Peer) -> (Destination, u8) {
    let message = peer.take_dispatch().message.unwrap();
    assert_eq!(message.message_type.as_deref(), Some("Advisory"));
    let Some(DataStructure::Command(command)) = message.data_structure else { panic!("no command in it") };
    let Command::DestinationInfo(info) = *command else { panic!("no DestinationInfo in it") };
    (info.destination.unwrap().as_ref().clone(), info.operation_type)
}

#[test]
fn a_new_listener_is_told_of_the_temporary_destinations_that_there_are() {
    let (mut peer, questions) = listening();
    let kinds: Vec<ModelKind> = questions
        .iter()
        .map(|request| match &request.verb {
            Verb::Query(query) => match &**query {
                Query::List(all) => all.kind,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds.len(), 2);
    let mut answer = Vec::new();
    for name in ["temp-queue://ID:a-1:1:1", "temp-queue://ID:b-1:1:1"] {
        fields::put(&mut answer, number::DESTINATION, name.as_bytes());
        fields::put(&mut answer, number::COUNT, &0u64.to_le_bytes());
    }
    peer.told(&questions[0], answer);
    for name in ["ID:a-1:1:1", "ID:b-1:1:1"] {
        let expected = Destination::new(DestinationKind::TempQueue, name);
        assert_eq!(told(&mut peer), (expected, DestinationInfo::ADD));
    }
    peer.refuse(&questions[1], Reason::Forbidden, "no");
    assert_eq!(peer.next_command(), None);
}

#[test]
fn a_new_listener_is_told_of_the_consumers_that_there_are() {
    let mut peer = Peer::connected();
    let info =
        consumer_info(1, DestinationKind::Topic, "ActiveMQ.Advisory.Consumer.>,ActiveMQ.Advisory.>", 10);
    let id = peer.ask(Command::ConsumerInfo(Box::new(info)));
    let request = peer.take();
    peer.done(&request);
    assert_eq!(peer.take_response(), id);
    let questions = std::mem::take(&mut peer.requests);
    // Who listens to everything is told of nothing that was there before.
    let [question] = &questions[..] else { panic!("{questions:?}") };
    let Verb::Query(query) = &question.verb else { panic!("{question:?}") };
    assert_eq!(**query, Query::List(ModelDestination::parse("topic://$sabir.event.consumer.#").unwrap()));
    let mut head = Vec::new();
    let mut writer = HeadWriter::new(&mut head, &Fixed::default());
    assert!(writer.field(Field::Id, b"ID:sabir-listed-1-1"));
    assert!(writer.field(Field::Destination, b"topic://$sabir.event.consumer.queue.A"));
    assert!(writer.property("event", &Value::Text("added")));
    assert!(writer.property("destination", &Value::Text("queue://A")));
    assert!(writer.property("connection", &Value::Text("c7")));
    assert!(writer.property("id", &Value::Long(3)));
    assert!(writer.property("consumers", &Value::Int(1)));
    writer.finish();
    let mut answer = Vec::new();
    fields::put(&mut answer, number::MESSAGE, &head);
    peer.told(question, answer);
    let dispatch = peer.take_dispatch();
    assert_eq!(&*dispatch.destination.unwrap().physical_name, "ActiveMQ.Advisory.Consumer.Queue.A");
    let Some(DataStructure::Command(command)) = dispatch.message.unwrap().data_structure else { panic!() };
    let Command::ConsumerInfo(info) = *command else { panic!("{command:?}") };
    assert_eq!(info.destination.unwrap().as_ref(), &Destination::new(DestinationKind::Queue, "A"));
    let id = info.consumer_id.unwrap();
    assert_eq!((&*id.connection_id, id.value), ("c7", 3));
}

#[test]
fn what_becomes_of_messages_is_told_with_the_message_but_its_body() {
    let mut peer = Peer::connected();
    let info = consumer_info(1, DestinationKind::Topic, "ActiveMQ.Advisory.Expired.>", 10);
    peer.ask(Command::ConsumerInfo(Box::new(info)));
    peer.done_all();
    peer.take_response();
    let subject = sample(7, BodyKind::Text, b"not told");
    let mut head = Vec::new();
    let fixed = Fixed { body_kind: BodyKind::Bytes, ..Fixed::default() };
    let mut writer = HeadWriter::new(&mut head, &fixed);
    assert!(writer.field(Field::Id, b"ID:sabir-event-1-1"));
    assert!(writer.field(Field::Destination, b"topic://$sabir.event.expired.queue.Q"));
    assert!(writer.property("event", &Value::Text("expired")));
    assert!(writer.property("message_id", &Value::Text("ID:other-1:1:1:1:7")));
    writer.finish();
    let body = Bytes::copy_from_slice(subject.head().as_bytes());
    peer.deliver(&[delivery(1, 3, ModelMessage::split(Bytes::from(head), body).unwrap())]);
    let dispatch = peer.take_dispatch();
    assert_eq!(&*dispatch.destination.unwrap().physical_name, "ActiveMQ.Advisory.Expired.Queue.Q");
    let Some(DataStructure::Command(command)) = dispatch.message.unwrap().data_structure else { panic!() };
    let Command::Message(message) = *command else { panic!("{command:?}") };
    assert_eq!((message.kind, message.content.is_none()), (MessageKind::Text, true));
    assert_eq!(message.message_id.unwrap().producer_sequence_id, 7);
    assert_eq!(message.destination.unwrap().as_ref(), &Destination::new(DestinationKind::Queue, "Q"));
    assert!(message.marshalled_properties.is_some());
}

#[test]
fn what_comes_and_goes_is_told_and_acknowledged_as_any_message() {
    let (mut peer, _) = listening();
    peer.deliver(&[event(4, true, "temp-queue://ID:a-1:1:1"), event(5, false, "temp-queue://ID:a-1:1:1")]);
    let first = peer.take_dispatch();
    assert_eq!(&*first.destination.clone().unwrap().physical_name, "ActiveMQ.Advisory.TempQueue");
    let (destination, operation) = told(&mut peer);
    assert_eq!((&*destination.physical_name, operation), ("ID:a-1:1:1", DestinationInfo::REMOVE));
    peer.send(Command::MessageAck(Box::new(ack(MessageAck::STANDARD, &[&first]))));
    let Verb::Settle(settle) = peer.take().verb else { panic!("nothing was settled") };
    assert_eq!(settle.range, SettleRange::Tags { first: 4, last: 4 });
}

#[test]
fn what_was_told_first_can_be_acknowledged_with_what_came_later() {
    let (mut peer, questions) = listening();
    peer.deliver(&[event(4, true, "temp-queue://ID:a-1:1:1")]);
    let mut answer = Vec::new();
    fields::put(&mut answer, number::DESTINATION, b"temp-queue://ID:b-1:1:1");
    peer.told(&questions[0], answer);
    peer.take_dispatch();
    let made_up = peer.take_dispatch();
    peer.send(Command::MessageAck(Box::new(ack(MessageAck::STANDARD, &[&made_up]))));
    let Verb::Settle(settle) = peer.take().verb else { panic!("nothing was settled") };
    assert_eq!(settle.range, SettleRange::Tags { first: 4, last: 4 });
    assert!(matches!(peer.take().verb, Verb::Credit { amount: 1, .. }));
}

#[test]
fn whoever_listens_to_what_is_never_told_is_left_to_wait() {
    let info = consumer_info(1, DestinationKind::Topic, "ActiveMQ.Advisory.MasterBroker", 10);
    let mut peer = Peer::connected();
    let consumer = info.consumer_id.clone().unwrap();
    let id = peer.ask(Command::ConsumerInfo(Box::new(info)));
    assert_eq!(peer.take_response(), id);
    let remove = RemoveInfo { object_id: Some(ObjectId::Consumer(consumer)), ..RemoveInfo::default() };
    let id = peer.ask(Command::RemoveInfo(remove));
    assert_eq!(peer.take_response(), id);
    assert!(peer.requests.is_empty());
    let mut quiet = Peer::logged_in(r#"{"advisories": false}"#, 12, Capacities::default());
    let id =
        quiet.ask(Command::ConsumerInfo(Box::new(consumer_info(1, DestinationKind::Topic, LISTENED, 10))));
    assert_eq!(quiet.take_response(), id);
    assert!(quiet.requests.is_empty());
}

#[test]
fn temporary_destinations_are_made_and_removed_under_their_clients_names() {
    let mut peer = Peer::connected();
    let info = |operation_type| {
        Command::DestinationInfo(DestinationInfo {
            connection_id: Some(Arc::new(ConnectionId { value: CONNECTION.into() })),
            destination: Some(Arc::new(Destination::new(DestinationKind::TempQueue, "ID:test-1:1:1"))),
            operation_type,
            ..DestinationInfo::default()
        })
    };
    let id = peer.ask(info(DestinationInfo::ADD));
    let request = peer.take();
    let Verb::Declare(declare) = &request.verb else { panic!("nothing was made") };
    assert_eq!(declare.destination.to_string(), "temp-queue://ID:test-1:1:1");
    assert!(declare.exclusive && !declare.durable);
    peer.done(&request);
    assert_eq!(peer.take_response(), id);
    peer.ask(info(DestinationInfo::REMOVE));
    let request = peer.take();
    assert!(matches!(&request.verb, Verb::Delete(delete) if !delete.if_unused));
    peer.refuse(&request, Reason::Forbidden, "it belongs to another connection");
    assert_eq!(peer.take_exception().1, "java.lang.SecurityException");
    peer.ask(info(7));
    assert!(peer.take_exception().2.contains("7"));
}

fn answer(names: impl Iterator<Item = String>) -> Vec<u8> {
    let mut answer = Vec::new();
    names.for_each(|name| fields::put(&mut answer, number::DESTINATION, name.as_bytes()));
    answer
}

#[test]
fn what_there_is_is_asked_for_few_listeners_at_a_time_however_many_there_are() {
    let mut peer = Peer::connected();
    for value in 1..=10 {
        let info = consumer_info(value, DestinationKind::Topic, "ActiveMQ.Advisory.TempQueue", 10);
        peer.send(Command::ConsumerInfo(Box::new(info)));
    }
    let mut told = 0;
    let mut most = 0;
    while !peer.requests.is_empty() {
        let requests = std::mem::take(&mut peer.requests);
        let questions: Vec<_> =
            requests.into_iter().filter(|request| matches!(request.verb, Verb::Query(_))).collect();
        most = most.max(questions.len());
        for question in questions {
            peer.told(&question, answer((0..3).map(|at| format!("temp-queue://ID:a-1:1:{at}"))));
        }
        told += peer.take_commands().len();
    }
    assert_eq!((told, most), (30, 2));
}

#[test]
fn a_list_that_nobody_acknowledges_is_told_up_to_a_limit() {
    let mut peer = Peer::logged_in(r#"{"max_told_destinations": 5}"#, 12, Capacities::default());
    let mut told = Vec::new();
    for value in 1..=3 {
        let info = consumer_info(value, DestinationKind::Topic, "ActiveMQ.Advisory.TempQueue", 10);
        peer.send(Command::ConsumerInfo(Box::new(info)));
        let question = peer.requests.remove(1);
        peer.requests.clear();
        peer.told(&question, answer((0..4).map(|at| format!("temp-queue://ID:a-1:1:{at}"))));
        told.push(peer.take_commands().len());
    }
    assert_eq!(told, [4, 1, 0]);
}
