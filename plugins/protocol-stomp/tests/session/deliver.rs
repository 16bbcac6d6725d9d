// SPDX-License-Identifier: Apache-2.0
//! `MESSAGE` frames.

use crate::peer::{Peer, Sample};
use bytes::Bytes;
use sabir_model::Delivery;
use sabir_model::delivery::DeliveryKind;
use sabir_model::fields;
use sabir_model::message::{BodyKind, Field};
use sabir_model::property::Value;
use sabir_sdk::protocol::Capacities;

fn subscribed(version: &str, ack: &str) -> Peer {
    let mut peer = Peer::connected(version);
    peer.send(format!("SUBSCRIBE\nid:s\\c1\ndestination:/queue/q\nack:{ack}\n\n\0"));
    peer.requests.clear();
    peer
}

#[test]
fn a_message_has_what_the_specification_and_activemq_say() {
    let mut peer = subscribed("1.2", "client");
    peer.deliver(&[Sample::text("hello").to(1, 9)]);
    assert_eq!(
        peer.text(),
        "MESSAGE\nsubscription:s\\c1\ndestination:/queue/q\nack:1-9\npriority:4\ntimestamp:5\nmessage-id:m-1\n\nhello^@"
    );
    let mut peer = subscribed("1.1", "client");
    peer.deliver(&[Sample::text("hello").to(1, 9)]);
    assert!(!peer.text().contains("ack:"));
    let mut peer = subscribed("1.2", "auto");
    peer.deliver(&[Sample::text("hello").to(1, 9)]);
    assert!(!peer.text().contains("ack:"));
}

#[test]
fn every_field_of_the_head_has_its_header() {
    let mut sample = Sample::bytes(b"a\0b");
    sample.fixed.persistent = true;
    sample.fixed.priority = 9;
    sample.fixed.expiration_ms = 77;
    sample.fields.extend([
        (Field::ReplyTo, b"topic://r".to_vec()),
        (Field::CorrelationId, b"c:1".to_vec()),
        (Field::Type, b"t".to_vec()),
        (Field::Group, b"g".to_vec()),
        (Field::GroupSequence, 3i32.to_le_bytes().to_vec()),
        (Field::User, b"ann".to_vec()),
        (Field::TraceParent, b"00-1".to_vec()),
        (Field::ContentType, b"text/x".to_vec()),
    ]);
    let mut peer = subscribed("1.2", "auto");
    peer.deliver(&[sample.to(1, 9)]);
    let text = peer.text();
    for line in [
        "persistent:true",
        "priority:9",
        "expires:77",
        "reply-to:/topic/r",
        "correlation-id:c\\c1",
        "type:t",
        "JMSXGroupID:g",
        "JMSXGroupSeq:3",
        "JMSXUserID:ann",
        "traceparent:00-1",
        "content-type:text/x",
        "content-length:3",
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line} is not in {text}");
    }
    assert!(text.ends_with("\n\na^@b^@"));
}

#[test]
fn properties_are_headers_and_none_can_pretend_to_be_another() {
    let mut sample = Sample::text("");
    sample.properties = vec![
        ("region", Value::Text("a\nb:c")),
        ("flag", Value::Bool(true)),
        ("count", Value::Long(-5)),
        ("ratio", Value::Double(1.5)),
        ("letter", Value::Char(66)),
        ("blob", Value::Bytes(b"x")),
        ("nothing", Value::Null),
        ("destination", Value::Text("/queue/forged")),
        ("message-id", Value::Text("forged")),
        ("content-length", Value::Text("99")),
        ("a\nack:1-1", Value::Text("x")),
    ];
    let mut peer = subscribed("1.2", "auto");
    peer.deliver(&[sample.to(1, 9)]);
    let text = peer.text();
    assert!(
        text.contains("region:a\\nb\\cc\nflag:true\ncount:-5\nratio:1.5\nletter:B\na\\nack\\c1-1:x\n\n^@"),
        "{text}"
    );
    assert!(!text.contains("forged") && !text.contains("99"));
}

#[test]
fn redelivered_messages_and_dead_letters_say_so() {
    let mut delivery = Sample::text("x").to(1, 9);
    let mut label_bytes = Vec::new();
    fields::put(&mut label_bytes, fields::LABEL_ORIGIN, b"queue://orders");
    fields::put(&mut label_bytes, fields::LABEL_CAUSE, b"expired: late");
    let DeliveryKind::Message { label, redelivery_count, redelivered, .. } = &mut delivery.kind else {
        panic!()
    };
    (*label, *redelivery_count, *redelivered) = (Bytes::from(label_bytes), 2, true);
    let mut peer = subscribed("1.2", "auto");
    peer.deliver(&[delivery]);
    let text = peer.text();
    assert!(text.contains("redelivered:true\nJMSXDeliveryCount:3\n"), "{text}");
    assert!(
        text.contains("original-destination:/queue/orders\ndlqDeliveryFailureCause:expired\\c late\n"),
        "{text}"
    );
}

#[test]
fn text_with_nul_and_bodies_of_other_kinds_are_counted() {
    let mut peer = subscribed("1.2", "auto");
    peer.deliver(&[Sample::text("a\0b").to(1, 1)]);
    assert!(peer.text().contains("content-length:3\namq-msg-type:text\n\na^@b^@"));
    for (kind, name) in [(BodyKind::Map, "map"), (BodyKind::Stream, "stream"), (BodyKind::Object, "object")] {
        let mut sample = Sample::bytes(b"\0\0\0\0");
        sample.fixed.body_kind = kind;
        peer.deliver(&[sample.to(1, 2)]);
        assert!(peer.text().contains(&format!("content-length:4\namq-msg-type:{name}\n")));
    }
}

#[test]
fn large_bodies_are_written_from_where_they_lie() {
    let body = vec![b'x'; 100_000];
    let mut peer = subscribed("1.2", "auto");
    peer.deliver(&[Sample::bytes(&body).to(1, 1), Sample::bytes(&body).to(1, 2)]);
    let bytes = peer.bytes();
    assert_eq!(bytes.iter().filter(|byte| **byte == b'x').count(), 200_000);
    assert_eq!(bytes.last(), Some(&0));
}

#[test]
fn without_room_deliveries_are_left_for_the_next_call_and_nothing_is_written_twice() {
    let deliveries: Vec<Delivery> =
        (1..=50).map(|tag| Sample::text(&format!("body {tag}")).to(1, tag)).collect();
    let mut all = subscribed("1.1", "client");
    assert_eq!(all.deliver(&deliveries), 50);
    let tiny = Capacities { verbs: 4, arena_bytes: 400, segments: 3, owned: 1 };
    let mut peer = Peer::with("{}", tiny);
    peer.send("CONNECT\naccept-version:1.1\n\n\0");
    peer.answer_all();
    peer.send("SUBSCRIBE\nid:s\\c1\ndestination:/queue/q\nack:client\n\n\0");
    let _ = peer.bytes();
    let mut rest = &deliveries[..];
    let mut calls = 0;
    while !rest.is_empty() {
        let taken = peer.deliver(rest);
        assert!(taken > 0);
        rest = &rest[taken..];
        calls += 1;
    }
    assert!(calls > 10);
    assert_eq!(peer.bytes(), all.bytes());
}

#[test]
fn a_browse_ends_with_a_message_that_says_so() {
    let mut peer = Peer::connected("1.2");
    peer.send("SUBSCRIBE\nid:b\ndestination:/queue/q\nbrowser:true\n\n\0");
    peer.deliver(&[Delivery { subscription: 1, tag: 0, kind: DeliveryKind::EndOfBrowse }]);
    assert_eq!(peer.text(), "MESSAGE\nsubscription:b\ndestination:/queue/q\nmessage-id:0\nbrowser:end\n\n^@");
}

#[test]
fn a_subscription_that_the_broker_ends_is_told() {
    let mut peer = subscribed("1.2", "auto");
    let reason = "queue://q was deleted".to_owned();
    peer.deliver(&[Delivery { subscription: 1, tag: 0, kind: DeliveryKind::Cancelled { reason } }]);
    peer.expect_error("queue://q was deleted");
}

#[test]
fn messages_for_an_ended_subscription_are_not_written() {
    let mut peer = subscribed("1.2", "auto");
    peer.send("UNSUBSCRIBE\nid:s\\c1\n\n\0");
    assert_eq!(peer.deliver(&[Sample::text("late").to(1, 1)]), 1);
    assert_eq!(peer.text(), "");
}

#[test]
fn after_an_error_no_delivery_counts_as_taken() {
    let mut peer = subscribed("1.2", "auto");
    peer.send("COMMIT\ntransaction:none\n\n\0");
    peer.expect_error("no such transaction");
    assert_eq!(peer.deliver(&[Sample::text("x").to(1, 1)]), 0);
}
