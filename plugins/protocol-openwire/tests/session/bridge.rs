// SPDX-License-Identifier: Apache-2.0
//! The other half of a duplex bridge, as the broker that has opened it sees it.

use super::peer::{Peer, connection_info, consumer_info, delivery, sample, session_info, text_delivery};
use bytes::Bytes;
use sabir_model::Delivery;
use sabir_model::message::{BodyKind, Field, Fixed, HeadWriter, Message as ModelMessage};
use sabir_model::property::Value;
use sabir_model::verb::{Outcome, Reason, Request, SettleRange, Subscribe, Verb};
use sabir_protocol_openwire::codec::{
    BrokerId, BrokerInfo, Command, ConsumerId, ConsumerInfo, DataStructure, Destination, DestinationInfo,
    DestinationKind, ExceptionResponse, Message, MessageId, ObjectId, RemoveInfo, RemoveSubscriptionInfo,
    Response, Throwable,
};
use sabir_sdk::protocol::Capacities;
use std::sync::Arc;

/// The broker that has opened the bridge.
const THEM: &str = "ID:them-1";

fn broker(name: &str) -> Arc<BrokerId> {
    Arc::new(BrokerId { value: name.into() })
}

/// A bridge that has logged in; what we have said to that is yet to be looked at.
fn bridge(properties: &str) -> Peer {
    bridge_with("{}", properties)
}

fn bridge_with(config: &str, properties: &str) -> Peer {
    let mut peer = Peer::negotiated(config, 12, Capacities::default());
    peer.send(Command::BrokerInfo(Box::new(BrokerInfo {
        broker_id: Some(broker(THEM)),
        broker_name: Some("them".into()),
        network_connection: true,
        duplex_connection: true,
        network_properties: Some(properties.into()),
        ..BrokerInfo::default()
    })));
    peer.send(Command::ConnectionInfo(Box::new(connection_info())));
    let request = peer.take();
    assert!(matches!(request.verb, Verb::Connect(_)));
    peer.done(&request);
    peer.send(session_info(1));
    peer
}

/// A bridge after its first words.
fn begun(properties: &str) -> Peer {
    let mut peer = bridge(properties);
    peer.take_commands();
    peer.requests.clear();
    peer
}

/// The other broker tells of something.
fn tell(peer: &mut Peer, told: Command) {
    let message = Message {
        producer_id: Some(super::peer::producer_id(1)),
        destination: Some(Arc::new(Destination::new(
            DestinationKind::Topic,
            "ActiveMQ.Advisory.Consumer.Queue.Q",
        ))),
        message_id: Some(MessageId {
            producer_id: Some(super::peer::producer_id(9)),
            ..MessageId::default()
        }),
        message_type: Some("Advisory".into()),
        data_structure: Some(DataStructure::Command(Box::new(told))),
        ..Message::default()
    };
    peer.send(Command::Message(Box::new(message)));
}

fn far(value: i64) -> Arc<ConsumerId> {
    Arc::new(ConsumerId { connection_id: "ID:far-1:1".into(), session_id: 1, value })
}

fn demand(value: i64, kind: DestinationKind, name: &str) -> ConsumerInfo {
    ConsumerInfo { consumer_id: Some(far(value)), ..consumer_info(value, kind, name, 10) }
}

fn told_demand(peer: &mut Peer, info: ConsumerInfo) {
    tell(peer, Command::ConsumerInfo(Box::new(info)));
}

fn told_gone(peer: &mut Peer, value: i64) {
    let gone = RemoveInfo { object_id: Some(ObjectId::Consumer(far(value))), ..RemoveInfo::default() };
    tell(peer, Command::RemoveInfo(gone));
}

/// The subscription that was just made.
#[track_caller]
fn subscribed(peer: &mut Peer) -> (u64, Subscribe) {
    let request = peer.take();
    peer.done(&request);
    match request.verb {
        Verb::Subscribe(subscribe) => (request.id, *subscribe),
        other => panic!("nothing was subscribed to: {other:?}"),
    }
}

#[track_caller]
fn forwarded(peer: &mut Peer) -> Message {
    match peer.take_command() {
        Command::Message(message) => *message,
        other => panic!("nothing was forwarded: {other:?}"),
    }
}

fn answer(peer: &mut Peer, message: &Message) {
    let answer = Response { correlation_id: message.command_id, ..Response::default() };
    peer.send(Command::Response(answer));
}

fn refuse(peer: &mut Peer, message: &Message, class: &str) {
    peer.send(Command::ExceptionResponse(ExceptionResponse {
        correlation_id: message.command_id,
        exception: Some(Box::new(Throwable::new(class, "no"))),
        ..ExceptionResponse::default()
    }));
}

#[track_caller]
fn settled(request: &Request) -> (SettleRange, Outcome) {
    match &request.verb {
        Verb::Settle(settle) => (settle.range, settle.outcome.clone()),
        other => panic!("nothing was settled: {other:?}"),
    }
}

fn one(tag: u64) -> SettleRange {
    SettleRange::Tags { first: tag, last: tag }
}

/// A queue's consumer there, and the number of our subscription for it.
fn with_queue(peer: &mut Peer) -> u64 {
    told_demand(peer, demand(1, DestinationKind::Queue, "Q"));
    subscribed(peer).0
}

#[test]
fn the_other_half_logs_in_where_it_is_opened_from_and_listens_to_demand() {
    let mut peer = bridge("name=north\nuserName=ann\npassword=secret\nprefetchSize=7\n");
    let commands = peer.take_commands();
    let [Command::ConnectionInfo(login), Command::SessionInfo(session), Command::ConsumerInfo(listener)] =
        &commands[..]
    else {
        panic!("{commands:?}");
    };
    assert_eq!((login.user_name.as_deref(), login.password.as_deref()), (Some("ann"), Some("secret")));
    assert!(login.client_id.as_deref().unwrap().starts_with("north_ID:sabir-"));
    let connection = &login.connection_id.as_ref().unwrap().value;
    assert_eq!(session.session_id.as_ref().unwrap().connection_id, *connection);
    assert_eq!(listener.consumer_id.as_ref().unwrap().connection_id, *connection);
    assert_eq!(listener.prefetch_size, 7);
    let told = &listener.destination.as_ref().unwrap().physical_name;
    let all = "ActiveMQ.Advisory.Consumer.>,ActiveMQ.Advisory.TempQueue,ActiveMQ.Advisory.TempTopic";
    assert_eq!(&**told, all);
}

#[test]
fn all_who_want_the_same_there_are_one_consumer_here() {
    let mut peer = begun("");
    told_demand(&mut peer, demand(1, DestinationKind::Topic, "T.>"));
    let (_, subscribe) = subscribed(&mut peer);
    assert_eq!(subscribe.destinations[0].to_string(), "topic://T.#");
    assert_eq!((subscribe.credit, subscribe.priority, subscribe.no_local), (1000, -5, true));
    told_demand(&mut peer, demand(2, DestinationKind::Topic, "T.a"));
    told_demand(&mut peer, demand(3, DestinationKind::Topic, "T.>"));
    assert!(peer.requests.is_empty(), "{:?}", peer.requests);
    told_demand(&mut peer, demand(4, DestinationKind::Queue, "A,topic://B"));
    assert_eq!(subscribed(&mut peer).1.destinations[0].to_string(), "queue://A");
    assert_eq!(subscribed(&mut peer).1.destinations[0].to_string(), "topic://B");
    for value in [1, 2, 3] {
        assert!(peer.requests.is_empty(), "{value}: {:?}", peer.requests);
        told_gone(&mut peer, value);
    }
    assert!(matches!(peer.take().verb, Verb::Credit { .. }));
}

#[test]
fn demand_that_is_our_own_or_from_afar_or_not_wanted_is_none() {
    let mut peer = begun("excludedDestinations=[queue\\://private.>]\n");
    let from = |path: &[&str]| ConsumerInfo {
        broker_path: Some(path.iter().map(|name| broker(name)).collect()),
        ..demand(1, DestinationKind::Queue, "Q")
    };
    told_demand(&mut peer, from(&["ID:elsewhere-1"]));
    told_demand(&mut peer, ConsumerInfo { browser: true, ..demand(2, DestinationKind::Queue, "Q") });
    told_demand(&mut peer, demand(3, DestinationKind::Queue, "private.a"));
    assert!(peer.requests.is_empty(), "{:?}", peer.requests);
    told_demand(&mut peer, from(&[]));
    subscribed(&mut peer);
}

#[test]
fn what_is_delivered_is_forwarded_and_settled_when_it_was_taken() {
    let mut peer = begun("");
    let number = with_queue(&mut peer);
    assert_eq!(peer.deliver(&[text_delivery(number, 1), text_delivery(number, 2)]), 2);
    let (first, second) = (forwarded(&mut peer), forwarded(&mut peer));
    assert!(first.response_required && first.command_id != second.command_id);
    let us = first.broker_path.as_deref().unwrap();
    assert!(us.len() == 1 && us[0].value.starts_with("ID:sabir-"), "{us:?}");
    assert_eq!(&*first.destination.as_ref().unwrap().physical_name, "Q");
    assert!(peer.requests.is_empty(), "{:?}", peer.requests);
    answer(&mut peer, &second);
    assert_eq!(settled(&peer.take()), (one(2), Outcome::Accept));
    answer(&mut peer, &first);
    assert_eq!(settled(&peer.take()), (one(1), Outcome::Accept));
    // An answer to nothing, or once more, says nothing.
    answer(&mut peer, &first);
    assert!(peer.requests.is_empty(), "{:?}", peer.requests);
}

#[test]
fn what_the_other_broker_does_not_take_ends_the_bridge_unless_it_was_for_a_temporary_destination() {
    let mut peer = begun("");
    let number = with_queue(&mut peer);
    peer.deliver(&[text_delivery(number, 1), text_delivery(number, 2)]);
    let (first, second) = (forwarded(&mut peer), forwarded(&mut peer));
    refuse(&mut peer, &first, "javax.jms.InvalidDestinationException$DestinationDoesNotExistException");
    let (range, outcome) = settled(&peer.take());
    assert!(range == one(1) && matches!(outcome, Outcome::Reject { .. }), "{outcome:?}");
    refuse(&mut peer, &second, "java.lang.SecurityException");
    assert!(peer.take_exception().2.contains("does not take"));
    assert!(peer.closed && peer.requests.is_empty(), "{:?}", peer.requests);
}

#[test]
fn what_is_under_way_is_waited_for_when_nobody_consumes_any_more() {
    let mut peer = begun("");
    let number = with_queue(&mut peer);
    peer.deliver(&[text_delivery(number, 1)]);
    let first = forwarded(&mut peer);
    told_gone(&mut peer, 1);
    let request = peer.take();
    assert!(matches!(request.verb, Verb::Credit { .. }) && request.id == number, "{request:?}");
    // What was on its way to us goes back with the subscription.
    peer.deliver(&[text_delivery(number, 2)]);
    assert!(peer.requests.is_empty() && peer.next_command().is_none(), "{:?}", peer.requests);
    // Who comes now is another consumer.
    told_demand(&mut peer, demand(5, DestinationKind::Queue, "Q"));
    let (other, _) = subscribed(&mut peer);
    assert_ne!(other, number);
    answer(&mut peer, &first);
    assert_eq!(settled(&peer.take()), (one(1), Outcome::Accept));
    assert_eq!(settled(&peer.take()).1, Outcome::Return);
    let request = peer.take();
    assert!(matches!(request.verb, Verb::Unsubscribe { .. }) && request.id == number, "{request:?}");
    assert!(peer.requests.is_empty(), "{:?}", peer.requests);
}

/// A message that has been at the other broker.
fn returning(number: u64, tag: u64) -> Delivery {
    use sabir_model::delivery::DeliveryKind;
    let mut first = Peer::connected();
    first.send(Command::ProducerInfo(super::peer::producer_info(1, Some("Q"))));
    let mut message = super::peer::text_message(1, 1, "Q", "x");
    message.broker_path = Some(vec![broker(THEM)]);
    first.send(Command::Message(Box::new(message)));
    let publish = first
        .requests
        .into_iter()
        .find_map(|request| match request.verb {
            Verb::Publish(publish) => Some(publish),
            _ => None,
        })
        .unwrap();
    let mut returning = delivery(number, tag, sample(tag, BodyKind::Text, b"x"));
    let DeliveryKind::Message { message, .. } = &mut returning.kind else { panic!("a message") };
    *message = publish;
    returning
}

#[test]
fn a_message_that_has_been_there_is_not_sent_there_again_and_does_not_stay_with_the_bridge() {
    let mut peer = begun("");
    let number = with_queue(&mut peer);
    assert_eq!(peer.deliver(&[returning(number, 1)]), 1);
    assert!(peer.next_command().is_none() && peer.requests.is_empty());
    peer.advance(500);
    assert!(peer.requests.is_empty(), "{:?}", peer.requests);
    peer.advance(600);
    assert_eq!(settled(&peer.take()), (one(1), Outcome::Return));
}

#[test]
fn a_durable_subscription_is_wanted_until_it_is_deleted() {
    let mut peer = begun("");
    let durable = ConsumerInfo {
        subscription_name: Some("news".into()),
        client_id: Some("desk".into()),
        ..demand(1, DestinationKind::Topic, "T")
    };
    told_demand(&mut peer, durable);
    let (number, subscribe) = subscribed(&mut peer);
    assert!(subscribe.durable);
    assert_eq!(subscribe.name.as_deref(), Some("NC-DS_them_T"));
    told_gone(&mut peer, 1);
    assert!(peer.requests.is_empty(), "{:?}", peer.requests);
    tell(
        &mut peer,
        Command::RemoveSubscriptionInfo(RemoveSubscriptionInfo {
            client_id: Some("desk".into()),
            subscription_name: Some("news".into()),
            ..RemoveSubscriptionInfo::default()
        }),
    );
    let ended = peer
        .requests
        .iter()
        .any(|request| matches!(request.verb, Verb::Unsubscribe { .. }) && request.id == number);
    let Verb::Delete(delete) = &peer.requests.last().unwrap().verb else { panic!("{:?}", peer.requests) };
    assert!(ended && delete.subscription_name.as_deref() == Some("NC-DS_them_T"));
}

#[test]
fn temporary_destinations_there_are_made_here_for_the_answers() {
    let mut peer = begun("");
    let info = |operation_type| {
        Command::DestinationInfo(DestinationInfo {
            destination: Some(Arc::new(Destination::new(DestinationKind::TempQueue, "ID:far-1:1:1"))),
            operation_type,
            ..DestinationInfo::default()
        })
    };
    tell(&mut peer, info(DestinationInfo::ADD));
    assert!(matches!(&peer.take().verb, Verb::Declare(declare) if declare.exclusive));
    told_demand(&mut peer, demand(1, DestinationKind::TempQueue, "ID:far-1:1:1"));
    assert_eq!(subscribed(&mut peer).1.destinations[0].to_string(), "temp-queue://ID:far-1:1:1");
    tell(&mut peer, info(DestinationInfo::REMOVE));
    assert!(matches!(peer.take().verb, Verb::Delete(_)));
    assert!(peer.take_commands().is_empty());
}

#[test]
fn what_may_not_be_read_is_not_forwarded_and_the_bridge_goes_on() {
    let mut peer = begun("");
    told_demand(&mut peer, demand(1, DestinationKind::Queue, "secret"));
    let request = peer.take();
    peer.refuse(&request, Reason::Forbidden, "no");
    assert!(peer.take_commands().is_empty() && !peer.closed);
    // It may be allowed by the time that somebody asks again.
    told_demand(&mut peer, demand(2, DestinationKind::Queue, "secret"));
    subscribed(&mut peer);
}

#[test]
fn what_is_always_included_is_forwarded_without_demand() {
    let mut peer = bridge("staticallyIncludedDestinations=[queue\\://S, topic\\://T]\n");
    let mut wanted = Vec::new();
    for request in &peer.requests {
        if let Verb::Subscribe(subscribe) = &request.verb {
            wanted.push(subscribe.destinations[0].to_string());
        }
    }
    wanted.sort();
    assert_eq!(wanted, ["queue://S", "topic://T"]);
    peer.take_commands();
}

#[test]
fn advisories_are_acknowledged_half_a_prefetch_at_a_time() {
    let mut peer = begun("prefetchSize=10\n");
    let mut acks = Vec::new();
    for value in 1..=12 {
        told_gone(&mut peer, value);
        acks.extend(peer.take_commands());
    }
    let [Command::MessageAck(first), Command::MessageAck(_)] = &acks[..] else { panic!("{acks:?}") };
    assert_eq!(first.message_count, 6);
    assert_eq!(first.consumer_id.as_ref().unwrap().value, 1);
}

#[test]
fn consumers_there_are_counted_and_no_more_are_known_than_a_connection_may_have() {
    let mut peer = bridge_with(r#"{"max_consumers": 3}"#, "");
    peer.take_commands();
    peer.requests.clear();
    let durable = |value| ConsumerInfo {
        subscription_name: Some(format!("news {value}").into()),
        client_id: Some("desk".into()),
        ..demand(value, DestinationKind::Topic, "T")
    };
    for value in 0..20 {
        told_demand(&mut peer, durable(value));
        told_demand(&mut peer, demand(100 + value, DestinationKind::Topic, "T"));
    }
    subscribed(&mut peer);
    // Known are the first three alone: with them the rest has gone.
    let gone = |value: i64| RemoveSubscriptionInfo {
        client_id: Some("desk".into()),
        subscription_name: Some(format!("news {value}").into()),
        ..RemoveSubscriptionInfo::default()
    };
    tell(&mut peer, Command::RemoveSubscriptionInfo(gone(0)));
    told_gone(&mut peer, 100);
    assert!(peer.requests.is_empty(), "{:?}", peer.requests);
    tell(&mut peer, Command::RemoveSubscriptionInfo(gone(1)));
    assert!(matches!(peer.take().verb, Verb::Credit { .. }));
    assert!(peer.take_commands().is_empty() && !peer.closed);
}

#[test]
fn who_listens_is_told_for_which_broker_a_bridge_consumes() {
    let mut peer = begun("");
    let info = consumer_info(1, DestinationKind::Topic, "ActiveMQ.Advisory.Consumer.>", 10);
    peer.send(Command::ConsumerInfo(Box::new(info)));
    let (listener, _) = subscribed(&mut peer);
    for (tag, connection, path) in [(1, "c1", Some(vec![broker(THEM)])), (2, "c2", None)] {
        let mut head = Vec::new();
        let mut writer = HeadWriter::new(&mut head, &Fixed::default());
        assert!(writer.field(Field::Id, b"ID:sabir-event-1-1"));
        assert!(writer.field(Field::Destination, b"topic://$sabir.event.consumer.queue.Q"));
        assert!(writer.property("event", &Value::Text("added")));
        assert!(writer.property("destination", &Value::Text("queue://Q")));
        assert!(writer.property("connection", &Value::Text(connection)));
        writer.finish();
        peer.deliver(&[delivery(listener, tag, ModelMessage::joined(Bytes::from(head)).unwrap())]);
        let message = peer.take_dispatch().message.unwrap();
        let Some(DataStructure::Command(told)) = message.data_structure else { panic!("{message:?}") };
        let Command::ConsumerInfo(info) = *told else { panic!("{told:?}") };
        assert_eq!(info.broker_path, path);
    }
}
