// SPDX-License-Identifier: Apache-2.0
//! Consumers, their credit, and requests for single messages.

use crate::peer::{Peer, consumer_info, text_delivery};
use sabir_model::Delivery;
use sabir_model::delivery::DeliveryKind;
use sabir_model::verb::{Outcome, Reason, Settle, SettleRange, Subscribe, Verb};
use sabir_protocol_openwire::codec::{
    Command, ConsumerControl, ConsumerInfo, DestinationKind, MessageAck, MessagePull, ObjectId, RemoveInfo,
    RemoveSubscriptionInfo,
};
use std::sync::Arc;

fn subscribe(peer: &mut Peer, info: ConsumerInfo) -> Subscribe {
    peer.ask(Command::ConsumerInfo(Box::new(info)));
    match peer.take().verb {
        Verb::Subscribe(subscribe) => *subscribe,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_consumer_asks_for_is_what_the_broker_is_asked() {
    let mut peer = Peer::connected();
    let info = ConsumerInfo {
        selector: Some("a = 1".into()),
        subscription_name: Some("news".into()),
        no_local: true,
        exclusive: true,
        priority: -5,
        ..consumer_info(1, DestinationKind::Topic, "A.>,B", 100)
    };
    let asked = subscribe(&mut peer, info);
    let names: Vec<String> = asked.destinations.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["topic://A.#", "topic://B"]);
    assert_eq!((asked.selector.as_deref(), asked.name.as_deref()), (Some("a = 1"), Some("news")));
    assert!(asked.durable && asked.no_local && asked.exclusive && asked.link_credit && !asked.browse);
    assert_eq!((asked.priority, asked.credit), (-5, 100));
    let browser = ConsumerInfo { browser: true, ..consumer_info(2, DestinationKind::Queue, "Q", i32::MAX) };
    let asked = subscribe(&mut peer, browser);
    assert!(asked.browse && !asked.durable && asked.selector.is_none());
    assert_eq!(asked.credit, 65_535);
    let optioned =
        consumer_info(3, DestinationKind::Queue, "Q?consumer.prefetchSize=3&consumer.exclusive=true", 9);
    let asked = subscribe(&mut peer, optioned);
    assert_eq!((&*asked.destinations[0].name, asked.credit, asked.exclusive), ("Q", 3, true));
}

#[test]
fn a_refused_consumer_is_told_and_can_be_made_again() {
    let mut peer = Peer::connected();
    for (reason, class) in [
        (Reason::BadSelector, "javax.jms.InvalidSelectorException"),
        (Reason::Forbidden, "java.lang.SecurityException"),
    ] {
        let id = peer.ask(Command::ConsumerInfo(Box::new(consumer_info(1, DestinationKind::Queue, "Q", 1))));
        let request = peer.take();
        peer.refuse(&request, reason, "no");
        assert_eq!(peer.take_exception(), (Some(id), class.to_owned(), "no".to_owned()));
    }
    // What a client sends again because it does not know whether it has arrived is done once.
    peer.consumer(1, "Q", 1);
    let again = peer.ask(Command::ConsumerInfo(Box::new(consumer_info(1, DestinationKind::Queue, "Q", 1))));
    assert_eq!(peer.take_response(), again);
    assert!(peer.requests.is_empty());
}

/// The credits given, and what was settled, since nobody looked.
fn credits(peer: &mut Peer) -> Vec<(u64, u64)> {
    std::mem::take(&mut peer.requests)
        .into_iter()
        .filter_map(|request| match request.verb {
            Verb::Credit { amount, set: false, drain: false } => Some((request.id, amount)),
            _ => None,
        })
        .collect()
}

#[test]
fn credit_comes_back_once_at_the_first_that_is_heard_of_a_message() {
    let mut peer = Peer::connected();
    peer.consumer(1, "Q", 10);
    let all: Vec<Delivery> = (1..=6).map(|tag| text_delivery(1, tag)).collect();
    assert_eq!(peer.deliver(&all), 6);
    let sent: Vec<_> = (0..6).map(|_| peer.take_dispatch()).collect();
    peer.ack(MessageAck::DELIVERED, &[&sent[2]]);
    assert_eq!(credits(&mut peer), [(1, 3)]);
    peer.ack(MessageAck::DELIVERED, &[&sent[3]]);
    assert_eq!(credits(&mut peer), [(1, 1)]);
    peer.ack(MessageAck::STANDARD, &[&sent[0], &sent[4]]);
    assert_eq!(credits(&mut peer), [(1, 1)]);
    peer.ack(MessageAck::STANDARD, &[&sent[4]]);
    assert_eq!(credits(&mut peer), []);
    peer.ack(MessageAck::INDIVIDUAL, &[&sent[5]]);
    assert_eq!(credits(&mut peer), [(1, 1)]);
}

#[test]
fn a_lower_prefetch_holds_credit_back_and_a_higher_one_gives_more() {
    let mut peer = Peer::connected();
    let id = peer.consumer(1, "Q", 4);
    let control = |prefetch| {
        Command::ConsumerControl(ConsumerControl {
            consumer_id: Some(id.clone()),
            prefetch,
            ..ConsumerControl::default()
        })
    };
    peer.send(control(7));
    assert_eq!(credits(&mut peer), [(1, 3)]);
    peer.send(control(5));
    assert_eq!(credits(&mut peer), []);
    peer.deliver(&(1..=4).map(|tag| text_delivery(1, tag)).collect::<Vec<_>>());
    let sent: Vec<_> = (0..4).map(|_| peer.take_dispatch()).collect();
    peer.ack(MessageAck::STANDARD, &[&sent[2]]);
    assert_eq!(credits(&mut peer), [(1, 1)]);
}

#[test]
fn a_client_that_comes_back_begins_without_prefetch_and_is_then_given_all_of_it() {
    let mut peer = Peer::connected();
    let id = peer.consumer(1, "Q", 0);
    peer.send(Command::ConsumerControl(ConsumerControl {
        consumer_id: Some(id),
        prefetch: 1000,
        ..ConsumerControl::default()
    }));
    assert_eq!(credits(&mut peer), [(1, 1000)]);
}

fn pull(id: &Arc<sabir_protocol_openwire::codec::ConsumerId>, timeout: i64) -> Command {
    Command::MessagePull(MessagePull { consumer_id: Some(id.clone()), timeout, ..MessagePull::default() })
}

#[test]
fn a_request_that_waits_for_nothing_is_answered_at_once_with_a_message_or_with_none() {
    let mut peer = Peer::connected();
    let id = peer.consumer(1, "Q", 0);
    peer.send(pull(&id, -1));
    let request = peer.take();
    assert!(matches!(request.verb, Verb::Credit { amount: 1, set: false, drain: true }));
    peer.done(&request);
    let nothing = peer.take_dispatch();
    assert_eq!((nothing.consumer_id, nothing.message), (Some(id.clone()), None));
    peer.send(pull(&id, -1));
    let request = peer.take();
    peer.deliver(&[text_delivery(1, 1)]);
    peer.done(&request);
    assert!(peer.take_dispatch().message.is_some());
    assert_eq!(peer.next_command(), None);
}

#[test]
fn a_request_that_waits_is_answered_with_none_when_its_time_is_over() {
    let mut peer = Peer::connected();
    let id = peer.consumer(1, "Q", 0);
    peer.send(pull(&id, 0));
    assert!(matches!(peer.take().verb, Verb::Credit { amount: 1, set: true, drain: false }));
    peer.send(pull(&id, 500));
    assert!(matches!(peer.take().verb, Verb::Credit { amount: 1, set: true, drain: false }));
    assert_eq!(peer.deadline_ms(), Some(500));
    peer.advance(500);
    let request = peer.take();
    assert!(matches!(request.verb, Verb::Credit { amount: 0, set: false, drain: true }));
    peer.done(&request);
    assert_eq!(peer.take_dispatch().message, None);
    peer.send(pull(&id, 500));
    peer.requests.clear();
    peer.deliver(&[text_delivery(1, 2)]);
    assert!(peer.take_dispatch().message.is_some());
    peer.advance(500);
    assert!(peer.requests.is_empty() && peer.next_command().is_none());
}

/// How the messages of a consumer that ends go back.
fn given_back(peer: &mut Peer) -> Vec<(SettleRange, Outcome)> {
    let requests = std::mem::take(&mut peer.requests);
    assert!(matches!(requests.last().unwrap().verb, Verb::Unsubscribe { forget: false }));
    let settles = requests.into_iter().filter_map(|request| match request.verb {
        Verb::Settle(Settle { range, outcome }) => Some((range, outcome)),
        _ => None,
    });
    settles.collect()
}

#[test]
fn what_reached_the_application_counts_as_an_attempt_when_its_consumer_ends() {
    let all = (SettleRange::UpTo(u64::MAX), Outcome::Return);
    let released = |last| (SettleRange::Tags { first: 1, last }, Outcome::Release { delay_ms: None });
    for (last_delivered, expected) in [
        (2, vec![released(2), all.clone()]),
        (RemoveInfo::NONE_DELIVERED, vec![all.clone()]),
        (RemoveInfo::DELIVERED_UNKNOWN, vec![released(3), all.clone()]),
    ] {
        let mut peer = Peer::connected();
        let id = peer.consumer(1, "Q", 10);
        peer.deliver(&(1..=3).map(|tag| text_delivery(1, tag)).collect::<Vec<_>>());
        peer.take_commands();
        let remove = RemoveInfo {
            object_id: Some(ObjectId::Consumer(id)),
            last_delivered_sequence_id: last_delivered,
            ..RemoveInfo::default()
        };
        let command = peer.ask(Command::RemoveInfo(remove));
        let end = peer.requests.last().unwrap().clone();
        assert_eq!(given_back(&mut peer), expected);
        peer.done(&end);
        assert_eq!(peer.take_response(), command);
        assert_eq!(peer.deliver(&[text_delivery(1, 9)]), 1);
        assert_eq!(peer.next_command(), None);
    }
}

#[test]
fn a_durable_subscription_is_deleted_by_its_own_client() {
    let mut peer = Peer::connected();
    let info = |client: &str| {
        Command::RemoveSubscriptionInfo(RemoveSubscriptionInfo {
            subscription_name: Some("news".into()),
            client_id: Some(client.into()),
            ..RemoveSubscriptionInfo::default()
        })
    };
    let id = peer.ask(info("desk"));
    let request = peer.take();
    assert!(
        matches!(&request.verb, Verb::Delete(delete) if delete.subscription_name.as_deref() == Some("news"))
    );
    peer.done(&request);
    assert_eq!(peer.take_response(), id);
    peer.ask(info("other"));
    assert_eq!(peer.take_exception().1, "javax.jms.IllegalStateException");
}

#[test]
fn a_subscription_that_the_broker_ends_is_told_to_its_consumer() {
    let mut peer = Peer::connected();
    let id = peer.consumer(1, "Q", 1);
    let kind = DeliveryKind::Cancelled { reason: "the queue was deleted".to_owned() };
    peer.deliver(&[Delivery { subscription: 1, tag: 0, kind }]);
    let Command::ConsumerControl(control) = peer.take_command() else { panic!("no ConsumerControl") };
    assert_eq!((control.close, control.consumer_id), (true, Some(id)));
}

#[test]
fn consumers_beyond_the_limit_are_refused_with_its_name() {
    let mut peer = Peer::logged_in(r#"{"max_consumers": 1}"#, 12, sabir_sdk::protocol::Capacities::default());
    peer.consumer(1, "Q", 1);
    peer.ask(Command::ConsumerInfo(Box::new(consumer_info(2, DestinationKind::Queue, "Q", 1))));
    let (_, class, text) = peer.take_exception();
    assert_eq!(class, "javax.jms.ResourceAllocationException");
    assert!(text.contains("max_consumers"), "{text}");
}

#[test]
fn a_consumers_destination_that_is_too_long_to_be_kept_is_refused() {
    let mut peer = Peer::connected();
    // Of such advisories the broker has none, and would be asked nothing.
    let long = format!("ActiveMQ.Advisory.FULL.{}", "x".repeat(9000));
    peer.ask(Command::ConsumerInfo(Box::new(consumer_info(1, DestinationKind::Topic, &long, 1))));
    assert!(peer.take_exception().2.contains("max_destination_bytes is 8192"));
    assert!(peer.requests.is_empty() && !peer.closed);
}
