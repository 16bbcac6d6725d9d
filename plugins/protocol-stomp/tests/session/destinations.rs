// SPDX-License-Identifier: Apache-2.0
//! Temporary destinations, and destinations as they come back.

use crate::peer::{Peer, Sample};
use sabir_model::message::Field;
use sabir_model::verb::Verb;

#[test]
fn a_temporary_queue_is_made_on_first_use_under_a_name_of_its_own() {
    let mut peer = Peer::connected("1.2");
    peer.send("SUBSCRIBE\nid:s\ndestination:/temp-queue/replies\n\n\0");
    let Verb::Declare(declare) = peer.take().verb else { panic!() };
    assert_eq!(declare.destination.to_string(), "temp-queue://c1-temp-1");
    assert!(declare.exclusive && !declare.durable);
    let Verb::Subscribe(subscribe) = peer.take().verb else { panic!() };
    assert_eq!(subscribe.destinations[0].to_string(), "temp-queue://c1-temp-1");
    peer.send("SEND\ndestination:/queue/service\nreply-to:/temp-queue/replies\n\n\0");
    let message = peer.take_message();
    assert_eq!(message.head().text(Field::ReplyTo), Some("temp-queue://c1-temp-1"));
    peer.send("SEND\ndestination:/queue/service\nreply-to:/temp-queue/others\n\n\0");
    let Verb::Declare(declare) = peer.take().verb else { panic!() };
    assert_eq!(declare.destination.to_string(), "temp-queue://c1-temp-2");
}

#[test]
fn the_owner_sees_its_own_name_and_others_one_to_which_they_can_send() {
    let mut peer = Peer::connected("1.2");
    peer.send(
        "SUBSCRIBE\nid:s\ndestination:/temp-queue/replies\n\n\0SUBSCRIBE\nid:q\ndestination:/queue/q\n\n\0",
    );
    let mut sample = Sample::text("x");
    sample.fields.push((Field::ReplyTo, b"temp-queue://c1-temp-1".to_vec()));
    peer.deliver(&[sample.to(1, 1)]);
    let text = peer.text();
    assert!(text.contains("destination:/temp-queue/replies\n"), "{text}");
    assert!(text.contains("reply-to:/temp-queue/replies\n"), "{text}");
    sample.fields[2].1 = b"temp-queue://c2-temp-1".to_vec();
    peer.deliver(&[sample.to(2, 2)]);
    let text = peer.text();
    assert!(text.contains("reply-to:/remote-temp-queue/c2-temp-1\n"), "{text}");
    peer.requests.clear();
    peer.send("SEND\ndestination:/remote-temp-queue/c2-temp-1\n\n\0");
    let Verb::Attach(attach) = peer.take().verb else { panic!() };
    assert_eq!(attach.destinations[0].to_string(), "temp-queue://c2-temp-1");
}

#[test]
fn a_reply_to_that_is_no_destination_is_kept_as_it_is() {
    let mut peer = Peer::connected("1.2");
    peer.send("SEND\ndestination:/queue/q\nreply-to:/elsewhere/x\n\n\0");
    let message = peer.take_message();
    assert_eq!(message.head().field(Field::ReplyTo), None);
    peer.send("SUBSCRIBE\nid:s\ndestination:/queue/q\n\n\0");
    let delivery = sabir_model::Delivery {
        subscription: 1,
        tag: 1,
        kind: sabir_model::delivery::DeliveryKind::Message {
            message,
            label: bytes::Bytes::new(),
            redelivery_count: 0,
            redelivered: false,
            group_first: false,
            auto_accept: true,
        },
    };
    peer.deliver(&[delivery]);
    assert!(peer.text().contains("reply-to:/elsewhere/x\n"));
}

#[test]
fn too_many_temporary_destinations_are_refused() {
    let mut peer = Peer::logged_in("1.2", "", r#"{"max_temporaries": 2}"#);
    for name in 0..3 {
        peer.send(format!("SUBSCRIBE\nid:{name}\ndestination:/temp-topic/{name}\n\n\0"));
    }
    peer.expect_error("max_temporaries is 2");
}

#[test]
fn a_composite_is_attached_as_all_of_its_destinations() {
    let mut peer = Peer::connected("1.2");
    peer.send("SEND\ndestination:/queue/a,b,topic://c\n\n\0");
    let Verb::Attach(attach) = peer.take().verb else { panic!() };
    let names: Vec<String> = attach.destinations.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["queue://a", "queue://b", "topic://c"]);
    assert_eq!(peer.take_message().head().text(Field::Destination), Some("queue://a,queue://b,topic://c"));
}

#[test]
fn messages_are_not_sent_to_wildcards() {
    for name in ["/topic/>", "/queue/a.*", "/topic/#", "/queue/a,>"] {
        let mut peer = Peer::connected("1.2");
        peer.send(format!("SEND\ndestination:{name}\n\n\0"));
        peer.expect_error("wildcard");
    }
}

#[test]
fn a_wildcard_subscription_tells_where_each_message_was_sent_to() {
    let mut peer = Peer::connected("1.1");
    peer.send("SUBSCRIBE\nid:s\ndestination:/topic/prices.>\n\n\0");
    let Verb::Subscribe(subscribe) = peer.take().verb else { panic!() };
    assert_eq!(subscribe.destinations[0].to_string(), "topic://prices.#");
    let mut sample = Sample::text("x");
    sample.fields[1].1 = b"topic://prices.eu.acme".to_vec();
    peer.deliver(&[sample.to(1, 1)]);
    assert!(peer.text().contains("destination:/topic/prices.eu.acme\n"));
}
