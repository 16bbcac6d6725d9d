// SPDX-License-Identifier: Apache-2.0
//! Producers, and what they send.

use crate::peer::{
    CONNECTION, MAX_MESSAGE_BYTES, Peer, connection_info, producer_id, producer_info, session_info,
    text_message,
};
use sabir_model::destination::Destination as ModelDestination;
use sabir_model::message::Field;
use sabir_model::verb::{Query, Reason, Request, Verb};
use sabir_protocol_openwire::codec::{
    Blob, BrokerInfo, Command, ConnectionInfo, Destination, DestinationKind, Message, ObjectId, ProducerInfo,
    RemoveInfo,
};
use sabir_sdk::protocol::Capacities;
use std::sync::Arc;

fn message(sequence: i64, queue: &str) -> Command {
    Command::Message(Box::new(text_message(1, sequence, queue, "hello")))
}

/// A producer for the queue Q.
fn producing() -> Peer {
    let mut peer = Peer::connected();
    peer.ask(Command::ProducerInfo(producer_info(1, Some("Q"))));
    let request = peer.take();
    let Verb::Attach(attach) = &request.verb else { panic!("no producer was made") };
    assert_eq!(attach.producer_name.as_deref(), Some(&*format!("{CONNECTION}:1:1")));
    assert_eq!(attach.destinations[0].to_string(), "queue://Q");
    peer.done(&request);
    peer.take_response();
    peer
}

#[test]
fn a_message_reaches_the_broker_whole_and_its_sender_hears_when_it_is_safe() {
    let mut peer = producing();
    let id = peer.ask(message(7, "Q"));
    let request = peer.take();
    let Verb::Publish(published) = &request.verb else { panic!("no publish") };
    let head = published.head();
    assert_eq!(head.text(Field::Id), Some(&*format!("{CONNECTION}:1:1:7")));
    assert_eq!(head.text(Field::Destination), Some("queue://Q"));
    assert_eq!(head.producer_sequence(), Some(7));
    assert_eq!(head.text(Field::User), Some("ann"));
    assert_eq!(published.body(), b"hello");
    assert!(request.confirm && head.persistent());
    assert_eq!(peer.next_command(), None);
    peer.done(&request);
    assert_eq!(peer.take_response(), id);
    peer.send(message(8, "Q"));
    assert!(!peer.take().confirm);
}

#[test]
fn a_refused_message_is_told_with_its_response_or_by_itself() {
    for (reason, class) in [
        (Reason::Full, "javax.jms.ResourceAllocationException"),
        (Reason::NotFound, "javax.jms.InvalidDestinationException"),
    ] {
        let mut peer = producing();
        let id = peer.ask(message(1, "Q"));
        let request = peer.take();
        peer.refuse(&request, reason, "no");
        assert_eq!(peer.take_exception(), (Some(id), class.to_owned(), "no".to_owned()));
        peer.send(message(2, "Q"));
        let request = peer.take();
        peer.refuse(&request, reason, "no");
        assert_eq!(peer.take_exception(), (None, class.to_owned(), "no".to_owned()));
        assert!(!peer.closed);
    }
}

/// The names of what the verbs are for: attached destinations, detached and published numbers.
fn shown(requests: Vec<Request>) -> Vec<String> {
    requests
        .into_iter()
        .map(|request| match request.verb {
            Verb::Attach(attach) => format!("attach {} {}", request.id, attach.destinations[0].name),
            Verb::Detach => format!("detach {}", request.id),
            Verb::Publish(_) => format!("publish {}", request.id),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_producer_without_destination_is_attached_where_it_sends_and_the_least_recently_used_way_goes() {
    let config = r#"{"max_anonymous_destinations": 2}"#;
    let mut peer = Peer::logged_in(config, 12, Capacities::default());
    let id = peer.ask(Command::ProducerInfo(producer_info(1, None)));
    assert_eq!(peer.take_response(), id);
    for (sequence, queue) in (0..).zip(["A", "B", "A", "C", "B", "B"]) {
        peer.send(message(sequence, queue));
    }
    let expected = [
        "attach 1 A",
        "publish 1",
        "attach 2 B",
        "publish 2",
        "publish 1",
        "detach 2",
        "attach 3 C",
        "publish 3",
        "detach 1",
        "attach 4 B",
        "publish 4",
        "publish 4",
    ];
    assert_eq!(shown(std::mem::take(&mut peer.requests)), expected);
    let remove = RemoveInfo { object_id: Some(ObjectId::Producer(producer_id(1))), ..RemoveInfo::default() };
    peer.ask(Command::RemoveInfo(remove));
    let mut gone = shown(std::mem::take(&mut peer.requests));
    gone.sort_unstable();
    assert_eq!(gone, ["detach 3", "detach 4"]);
}

#[test]
fn who_may_not_send_somewhere_is_told_so_and_not_that_there_is_no_producer() {
    let mut peer = Peer::connected();
    peer.send(Command::ProducerInfo(producer_info(1, None)));
    let id = peer.ask(message(1, "SECRET"));
    let (attach, publish) = (peer.take(), peer.take());
    peer.refuse(&attach, Reason::Forbidden, "ann may not write queue://SECRET");
    peer.refuse(&publish, Reason::NotFound, "there is no producer 1");
    let (told, class, text) = peer.take_exception();
    assert_eq!((told, &*class), (Some(id), "java.lang.SecurityException"));
    assert_eq!(text, "ann may not write queue://SECRET");
    assert_eq!(peer.next_command(), None);
    peer.send(message(2, "SECRET"));
    assert!(matches!(peer.take().verb, Verb::Attach(_)));
}

#[test]
fn a_producer_with_a_window_hears_of_what_was_taken() {
    let mut peer = Peer::connected();
    let info = ProducerInfo { window_size: 4096, ..producer_info(1, Some("Q")) };
    peer.ask(Command::ProducerInfo(info));
    peer.done_all();
    peer.take_commands();
    peer.send(message(1, "Q"));
    let request = peer.take();
    assert!(request.confirm);
    peer.done(&request);
    let Command::ProducerAck(ack) = peer.take_command() else { panic!("no ProducerAck") };
    assert_eq!((ack.producer_id, ack.size), (Some(producer_id(1)), 1024 + 9));
    let id = peer.ask(message(2, "Q"));
    let request = peer.take();
    peer.done(&request);
    assert_eq!(peer.take_response(), id);
    assert_eq!(peer.next_command(), None);
}

#[test]
fn what_is_confirmed_together_makes_room_in_a_window_by_one_command_for_each_producer() {
    let mut peer = Peer::connected();
    for producer in [1, 2] {
        let info = ProducerInfo { window_size: 4096, ..producer_info(producer, Some("Q")) };
        peer.ask(Command::ProducerInfo(info));
    }
    peer.done_all();
    peer.take_commands();
    for (producer, sequence) in [(1, 1), (1, 2), (1, 3), (2, 1)] {
        peer.send(Command::Message(Box::new(text_message(producer, sequence, "Q", "hello"))));
    }
    let requests = std::mem::take(&mut peer.requests);
    assert_eq!(requests.len(), 4);
    peer.done_together(&requests);
    let acks = peer.take_commands().into_iter().map(|command| match command {
        Command::ProducerAck(ack) => (ack.producer_id.map(|id| id.value), ack.size),
        other => panic!("no ProducerAck but {other:?}"),
    });
    assert_eq!(acks.collect::<Vec<_>>(), [(Some(1), 3 * (1024 + 9)), (Some(2), 1024 + 9)]);
}

#[test]
fn composites_are_attached_as_several() {
    let mut peer = Peer::connected();
    let composite = Destination::new(DestinationKind::Queue, "A,topic://B");
    let info = ProducerInfo { destination: Some(Arc::new(composite)), ..producer_info(1, None) };
    peer.ask(Command::ProducerInfo(info));
    let Verb::Attach(attach) = peer.take().verb else { panic!("no producer was made") };
    let names: Vec<String> = attach.destinations.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["queue://A", "topic://B"]);
}

#[test]
fn a_large_message_is_taken_as_it_comes() {
    let mut peer = producing();
    let len = 5_000_000;
    let message = Message { content: Some(Blob::from(vec![b'x'; len])), ..text_message(1, 1, "Q", "") };
    let message = Message { kind: sabir_protocol_openwire::codec::MessageKind::Bytes, ..message };
    peer.send(Command::Message(Box::new(message)));
    let Verb::Publish(published) = peer.take().verb else { panic!("no publish") };
    assert_eq!((published.body().len(), published.body()[len - 1]), (len, b'x'));
}

#[test]
fn a_long_message_is_handed_on_before_it_is_whole_to_a_destination_that_is_new_too() {
    let mut peer = producing();
    let text = "x".repeat(1_000_000);
    let sent = text_message(1, 1, "elsewhere", &text);
    let content = sent.content.clone().unwrap();
    let message = Message { response_required: true, ..sent };
    let frame = peer.frame(Command::Message(Box::new(message)));
    let mut pieces = 0;
    for chunk in frame.chunks(100_000) {
        peer.send_bytes(chunk);
        pieces += usize::from(peer.pending_bytes() > 0);
    }
    assert!(pieces > 8, "the broker has had something of it from {pieces} of the reads");
    assert!(matches!(peer.take().verb, Verb::Attach(_)));
    let publish = peer.take();
    let Verb::Publish(published) = &publish.verb else { panic!("no publish") };
    assert_eq!(published.head().body_encoding(), sabir_model::body::JMS);
    assert_eq!(Some(published.body()), content.bytes(&[]));
    assert!(publish.confirm);
    // What comes behind it is taken as ever.
    peer.send(Command::Message(Box::new(text_message(1, 2, "elsewhere", "short"))));
    let Verb::Publish(published) = peer.take().verb else { panic!("no publish") };
    assert_eq!(published.body(), b"short");
}

#[test]
fn a_frame_larger_than_the_largest_message_ends_the_link_before_it_takes_memory() {
    let mut peer = producing();
    let len = (MAX_MESSAGE_BYTES + 1_000_000) as u32;
    peer.send_bytes(&len.to_be_bytes());
    assert!(peer.take_exception().2.contains("MaxFrameSize"));
    assert!(peer.closed);
}

#[test]
fn a_message_that_names_no_place_to_go_is_refused() {
    let mut peer = producing();
    for destination in [None, Some(Arc::new(Destination::new(DestinationKind::Topic, "A.>")))] {
        let message = Message { destination, ..text_message(1, 1, "Q", "x") };
        peer.ask(Command::Message(Box::new(message)));
        peer.take_exception();
        assert!(peer.requests.is_empty() && !peer.closed);
    }
}

#[test]
fn nobody_sends_in_the_name_of_another_connections_producer() {
    let mut peer = producing();
    let mut foreign = text_message(1, i64::MAX, "Q", "hello");
    Arc::make_mut(foreign.producer_id.as_mut().unwrap()).connection_id = "ID:other-1:1".into();
    let id = peer.ask(Command::Message(Box::new(foreign)));
    let (command, class, text) = peer.take_exception();
    assert_eq!((command, &*class), (Some(id), "javax.jms.IllegalStateException"), "{text}");
    assert!(peer.requests.is_empty() && !peer.closed);
}

#[test]
fn a_destination_that_is_too_long_to_be_kept_is_refused() {
    let mut peer = Peer::connected();
    let long = format!("Q?x={}", "y".repeat(9000));
    peer.ask(Command::ProducerInfo(producer_info(2, Some(&long))));
    assert!(peer.take_exception().2.contains("max_destination_bytes is 8192"));
    peer.ask(Command::Message(Box::new(text_message(1, 1, &long, "hello"))));
    assert!(peer.take_exception().2.contains("max_destination_bytes is 8192"));
    assert!(peer.requests.is_empty() && !peer.closed);
}

#[test]
fn nobody_sends_in_anothers_name() {
    for (config, user, expected) in
        [("{}", Some("bob"), "ann"), (r#"{"populate_user_id": false}"#, Some("bob"), "bob")]
    {
        let mut peer = Peer::logged_in(config, 12, Capacities::default());
        let message = Message { user_id: user.map(Into::into), ..text_message(1, 1, "Q", "x") };
        peer.send(Command::Message(Box::new(message)));
        assert!(matches!(peer.take().verb, Verb::Attach(_)));
        let Verb::Publish(published) = peer.take().verb else { panic!("no publish") };
        assert_eq!(published.head().text(Field::User), Some(expected));
    }
}

/// Logs in, as a bridge or not, with this name, and sends a message in the name of `bob`. The broker says whether the
/// connection may speak for others, if it is asked. Answers the name that the message bears.
fn sent_for_bob(is_bridge: bool, user: Option<&str>, may: bool) -> Option<String> {
    let mut peer = Peer::negotiated("{}", 12, Capacities::default());
    if is_bridge {
        peer.send(Command::BrokerInfo(Box::new(BrokerInfo {
            network_connection: true,
            ..BrokerInfo::default()
        })));
    }
    let info = ConnectionInfo { user_name: user.map(Into::into), ..connection_info() };
    peer.ask(Command::ConnectionInfo(Box::new(info)));
    for request in std::mem::take(&mut peer.requests) {
        match &request.verb {
            Verb::Connect(_) => peer.done(&request),
            Verb::Query(query) => {
                assert_eq!(**query, Query::List(ModelDestination::parse("topic://$sabir.bridge").unwrap()));
                if may {
                    peer.told(&request, Vec::new());
                } else {
                    peer.refuse(&request, Reason::Forbidden, "it may not");
                }
            }
            other => panic!("{other:?}"),
        }
    }
    peer.take_response();
    peer.send(session_info(1));
    let message = Message { user_id: Some("bob".into()), ..text_message(1, 1, "Q", "x") };
    peer.send(Command::Message(Box::new(message)));
    assert!(matches!(peer.take().verb, Verb::Attach(_)));
    let Verb::Publish(published) = peer.take().verb else { panic!("no publish") };
    published.head().text(Field::User).map(str::to_owned)
}

#[test]
fn a_bridge_that_may_forwards_messages_in_the_names_of_their_senders() {
    for (is_bridge, user, may, expected) in [
        (true, Some("ann"), true, Some("bob")),
        (true, Some("ann"), false, Some("ann")),
        (false, Some("ann"), true, Some("ann")),
        (true, None, false, None),
        // Who is nobody is believed where everybody may do everything.
        (false, None, true, Some("bob")),
        (false, None, false, None),
    ] {
        assert_eq!(sent_for_bob(is_bridge, user, may).as_deref(), expected, "{is_bridge} {user:?} {may}");
    }
}
