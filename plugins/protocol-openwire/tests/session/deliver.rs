// SPDX-License-Identifier: Apache-2.0
//! Deliveries to consumers.

use crate::peer::{Peer, consumer_info, delivery, pieces_of, sample, sample_to, text_delivery};
use bytes::Bytes;
use sabir_model::Delivery;
use sabir_model::delivery::DeliveryKind;
use sabir_model::fields;
use sabir_model::message::BodyKind;
use sabir_model::verb::{Outcome, Settle, Verb};
use sabir_protocol_openwire::codec::{Command, DestinationKind, KeepAliveInfo, MessageKind, mutf8};
use sabir_sdk::protocol::Capacities;

#[test]
fn a_message_reaches_its_consumer_with_the_tag_as_the_brokers_number() {
    for version in 1..=12 {
        let mut peer = Peer::logged_in("{}", version, Capacities::default());
        let id = peer.consumer(1, "Q", 10);
        peer.deliver(&[text_delivery(1, 5)]);
        let dispatch = peer.take_dispatch();
        assert_eq!(dispatch.consumer_id, Some(id));
        assert_eq!(&*dispatch.destination.unwrap().physical_name, "Q");
        let message = dispatch.message.unwrap();
        assert_eq!((message.kind, message.persistent, message.timestamp), (MessageKind::Text, true, 5));
        let message_id = message.message_id.as_ref().unwrap();
        assert_eq!((message_id.producer_sequence_id, message_id.broker_sequence_id), (5, 5));
        assert_eq!(message.content.unwrap().bytes(&[]), Some(&b"\0\0\0\x05hello"[..]), "version {version}");
    }
}

#[test]
fn bodies_large_and_small_arrive_whole_also_in_pieces() {
    for len in [0, 1, 4095, 4096, 300_000] {
        let body = vec![b'x'; len];
        let one = delivery(1, 1, sample(1, BodyKind::Bytes, &body));
        for pieces in [None, Some(1000)] {
            let mut peer = Peer::connected();
            peer.consumer(1, "Q", 10);
            match pieces {
                None => assert_eq!(peer.deliver(std::slice::from_ref(&one)), 1),
                Some(piece_bytes) => peer.deliver_pieces(&one, piece_bytes),
            }
            let message = peer.take_dispatch().message.unwrap();
            assert_eq!(message.content.unwrap().bytes(&[]), Some(&body[..]), "{len} {pieces:?}");
        }
    }
}

#[test]
fn a_long_body_is_written_as_it_comes_and_nothing_else_between_its_pieces() {
    let body: Vec<u8> = (0..300_000u32).map(|at| at as u8).collect();
    let one = delivery(1, 1, sample(1, BodyKind::Bytes, &body));
    let mut peer = Peer::connected();
    peer.consumer(1, "Q", 10);
    peer.deliver_first_pieces(&one, 100_000, 2);
    assert!(peer.unread() > 200_000);
    // Its answer waits for the end of the message.
    let before = peer.unread();
    peer.ask(Command::KeepAliveInfo(KeepAliveInfo { response_required: true, ..KeepAliveInfo::default() }));
    assert_eq!(peer.unread(), before);
    let last = pieces_of(&one, 100_000).pop().unwrap();
    assert_eq!(peer.deliver(&[last]), 1);
    let message = peer.take_dispatch().message.unwrap();
    assert_eq!(message.content.unwrap().bytes(&[]), Some(&body[..]));
    peer.deliver(&[text_delivery(1, 2)]);
    assert!(peer.take_commands().len() > 1);
}

#[test]
fn a_session_that_ends_in_the_midst_of_a_long_body_closes_the_link_without_a_word() {
    let one = delivery(1, 1, sample(1, BodyKind::Bytes, &[7; 300_000]));
    let mut peer = Peer::connected();
    peer.consumer(1, "Q", 10);
    peer.deliver_first_pieces(&one, 100_000, 1);
    let before = peer.unread();
    peer.close("the end");
    assert_eq!((peer.unread(), peer.closed), (before, true));
}

#[test]
fn a_text_that_java_writes_differently_is_written_so() {
    let mut peer = Peer::connected();
    peer.consumer(1, "Q", 10);
    let text = "a\0b\u{1f600}";
    peer.deliver(&[delivery(1, 1, sample(1, BodyKind::Text, text.as_bytes()))]);
    let content = peer.take_dispatch().message.unwrap().content.unwrap();
    let content = content.bytes(&[]).unwrap();
    assert_eq!(mutf8::decode(&content[4..]).unwrap(), text);
}

#[test]
fn redelivery_is_told_and_dead_letters_bear_their_origin_and_do_not_expire() {
    let mut peer = Peer::connected();
    peer.consumer(1, "ActiveMQ.DLQ", 10);
    let mut label = Vec::new();
    fields::put(&mut label, fields::LABEL_ORIGIN, b"queue://Q");
    fields::put(&mut label, fields::LABEL_CAUSE, b"too often");
    let kind = DeliveryKind::Message {
        message: sample(1, BodyKind::Text, b"x"),
        label: Bytes::from(label),
        redelivery_count: 3,
        redelivered: true,
        auto_accept: false,
        group_first: false,
    };
    peer.deliver(&[Delivery { subscription: 1, tag: 1, kind }]);
    let dispatch = peer.take_dispatch();
    assert_eq!(dispatch.redelivery_counter, 3);
    let message = dispatch.message.unwrap();
    assert_eq!(&*message.destination.unwrap().physical_name, "ActiveMQ.DLQ");
    assert_eq!(&*message.original_destination.unwrap().physical_name, "Q");
    assert_eq!(message.expiration, 0);
}

#[test]
fn who_reads_several_destinations_is_told_the_one_that_a_message_comes_from() {
    let label = |queue: &str| {
        let mut label = Vec::new();
        fields::put(&mut label, fields::LABEL_QUEUE, queue.as_bytes());
        Bytes::from(label)
    };
    for (kind, read, label, expected) in [
        (DestinationKind::Queue, "A.>", label("queue://A.x"), (DestinationKind::Queue, "A.x")),
        (DestinationKind::Queue, "A.x,B", label("queue://B"), (DestinationKind::Queue, "B")),
        (DestinationKind::Topic, "*.y", Bytes::new(), (DestinationKind::Topic, "T.y")),
        (DestinationKind::Topic, "T.>", Bytes::new(), (DestinationKind::Topic, "T.x")),
    ] {
        let mut peer = Peer::connected();
        peer.ask(Command::ConsumerInfo(Box::new(consumer_info(1, kind, read, 10))));
        peer.done_all();
        peer.take_response();
        let kind = DeliveryKind::Message {
            message: sample_to(1, "queue://A.x,topic://T.x,topic://T.y", BodyKind::Text, b"x"),
            label,
            redelivery_count: 0,
            redelivered: false,
            auto_accept: false,
            group_first: false,
        };
        peer.deliver(&[Delivery { subscription: 1, tag: 1, kind }]);
        let message = peer.take_dispatch().message.unwrap();
        let seen = message.destination.unwrap();
        assert_eq!((seen.kind, &*seen.physical_name), expected, "{read}");
        let sent_to = message.original_destination.unwrap();
        assert_eq!(&*sent_to.physical_name, "A.x,topic://T.x,topic://T.y");
    }
}

#[test]
fn the_end_of_a_browse_is_a_dispatch_without_a_message() {
    let mut peer = Peer::connected();
    let id = peer.consumer(1, "Q", 10);
    peer.deliver(&[Delivery { subscription: 1, tag: 0, kind: DeliveryKind::EndOfBrowse }]);
    let dispatch = peer.take_dispatch();
    assert_eq!((dispatch.consumer_id, dispatch.message), (Some(id), None));
}

#[test]
fn a_message_that_openwire_cannot_carry_goes_to_the_dead_letters_and_is_in_nobodys_way() {
    let mut peer = Peer::connected();
    peer.consumer(1, "Q", 10);
    let mut head = Vec::new();
    let fixed = sabir_model::message::Fixed { body_encoding: 77, ..Default::default() };
    sabir_model::message::HeadWriter::new(&mut head, &fixed).finish();
    let odd = sabir_model::message::Message::split(head.into(), Bytes::new()).unwrap();
    assert_eq!(peer.deliver(&[delivery(1, 1, odd), text_delivery(1, 2)]), 2);
    assert!(matches!(peer.take().verb, Verb::Settle(Settle { outcome: Outcome::Reject { .. }, .. })));
    assert!(matches!(peer.take().verb, Verb::Credit { amount: 1, .. }));
    assert!(peer.take_dispatch().message.is_some());
}

#[test]
fn messages_for_a_consumer_that_is_gone_are_taken_and_not_written() {
    let mut peer = Peer::connected();
    assert_eq!(peer.deliver(&[text_delivery(9, 1)]), 1);
    assert_eq!(peer.next_command(), None);
}

#[test]
fn all_that_is_delivered_at_once_is_written_in_order() {
    let mut peer = Peer::connected();
    peer.consumer(1, "Q", 1000);
    let all: Vec<Delivery> = (1..=500).map(|tag| text_delivery(1, tag)).collect();
    let mut taken = 0;
    while taken < all.len() {
        let more = peer.deliver(&all[taken..]);
        assert!(more > 0);
        taken += more;
    }
    peer.advance(1);
    let numbers: Vec<i64> = peer
        .take_commands()
        .into_iter()
        .map(|command| match command {
            Command::MessageDispatch(dispatch) => {
                dispatch.message.unwrap().message_id.unwrap().producer_sequence_id
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(numbers, (1..=500).collect::<Vec<_>>());
}
