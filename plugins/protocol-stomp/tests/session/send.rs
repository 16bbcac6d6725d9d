// SPDX-License-Identifier: Apache-2.0
//! `SEND`: every header, bodies whole and in pieces, producers.

use crate::peer::{Peer, START};
use sabir_model::message::{BodyKind, Field};
use sabir_model::property::Value;
use sabir_model::verb::{Reason, Verb};

fn sent(headers: &str, body: &str) -> sabir_model::Message {
    let mut peer = Peer::connected("1.2");
    peer.send(format!("SEND\ndestination:/queue/q\n{headers}\n{body}\0"));
    if peer.requests.is_empty() {
        panic!("{}", peer.text());
    }
    peer.take_message()
}

#[track_caller]
fn refused(headers: &str, words: &str) {
    let mut peer = Peer::connected("1.2");
    peer.send(format!("SEND\ndestination:/queue/q\n{headers}receipt:r7\n\n\0"));
    assert!(peer.requests.is_empty());
    let error = peer.expect_error(words);
    assert!(error.contains("receipt-id:r7\n"), "{error}");
}

#[test]
fn a_plain_send_is_a_text_that_does_not_persist() {
    let message = sent("", "hello");
    let head = message.head();
    assert_eq!(head.body_kind(), BodyKind::Text);
    assert!(!head.persistent());
    assert_eq!((head.priority(), head.expiration_ms(), head.deliver_at_ms()), (4, 0, 0));
    assert_eq!(head.timestamp_ms(), START.unix_ms);
    assert_eq!(head.text(Field::Id), Some("c1-1"));
    assert_eq!(head.text(Field::Destination), Some("queue://q"));
    assert_eq!(head.properties().count(), 0);
    assert_eq!(message.body(), b"hello");
}

#[test]
fn every_header_finds_its_place_in_the_head() {
    let message = sent(
        "persistent:true\npriority:7\nexpires:1700000001000\ntimestamp:42\ncorrelation-id:c\\c1\ntype:t\n\
         JMSXGroupID:g\nJMSXGroupSeq:3\ncontent-type:text/plain\nreply-to:/queue/r\nAMQ_SCHEDULED_DELAY:5000\n\
         traceparent:00-a-b-01\n",
        "",
    );
    let head = message.head();
    assert!(head.persistent());
    assert_eq!((head.priority(), head.timestamp_ms(), head.expiration_ms()), (7, 42, 1_700_000_001_000));
    assert_eq!(head.deliver_at_ms(), START.unix_ms + 5000);
    for (field, value) in [
        (Field::CorrelationId, "c:1"),
        (Field::Type, "t"),
        (Field::Group, "g"),
        (Field::ContentType, "text/plain"),
        (Field::ReplyTo, "queue://r"),
        (Field::TraceParent, "00-a-b-01"),
    ] {
        assert_eq!(head.text(field), Some(value), "{field:?}");
    }
    assert_eq!(head.field(Field::GroupSequence), Some(&3i32.to_le_bytes()[..]));
    assert_eq!(head.properties().count(), 0);
}

#[test]
fn headers_of_the_application_are_properties_and_reserved_ones_are_not() {
    let message = sent(
        "a\\cb:1\\n2\nregion:EU\nregion:US\nid:mine\nmessage-id:forged\nredelivered:true\nsubscription:s\nack:x\n\
         JMSXUserID:root\nJMSXDeliveryCount:9\noriginal-destination:/queue/x\ndlqDeliveryFailureCause:y\n\
         transformation:jms-map-json\nlogin:ann\npasscode:secret\nreceipt:r\nbrowser:end\n",
        "",
    );
    let properties: Vec<_> = message.head().properties().collect();
    assert_eq!(
        properties,
        [("a:b", Value::Text("1\n2")), ("region", Value::Text("EU")), ("id", Value::Text("mine"))]
    );
}

#[test]
fn the_first_header_of_a_name_counts() {
    let message = sent("priority:8\npriority:2\n", "");
    assert_eq!(message.head().priority(), 8);
    assert_eq!(message.head().properties().count(), 0);
}

#[test]
fn content_length_makes_bytes_and_its_absence_text() {
    assert_eq!(sent("content-length:3\n", "a\0b").head().body_kind(), BodyKind::Bytes);
    assert_eq!(sent("content-length:3\n", "a\0b").body(), b"a\0b");
    assert_eq!(sent("content-length:3\namq-msg-type:text\n", "abc").head().body_kind(), BodyKind::Text);
    assert_eq!(sent("amq-msg-type:BYTES\n", "abc").head().body_kind(), BodyKind::Bytes);
    let mut peer = Peer::connected("1.2");
    peer.send(b"SEND\ndestination:q\n\n\xff\xfe\0");
    assert_eq!(peer.take_message().head().body_kind(), BodyKind::Bytes);
}

#[test]
fn expiration_is_a_duration_and_expires_a_time() {
    assert_eq!(sent("expiration:250\n", "").head().expiration_ms(), START.unix_ms + 250);
    assert_eq!(sent("expires:0\n", "").head().expiration_ms(), 0);
    assert_eq!(sent("expires:-5\n", "").head().expiration_ms(), 0);
}

#[test]
fn priorities_beyond_the_range_are_its_ends() {
    assert_eq!(sent("priority:200\n", "").head().priority(), 9);
    assert_eq!(sent("priority:-1\n", "").head().priority(), 0);
}

#[test]
fn values_that_cannot_be_are_refused_with_the_receipt() {
    refused("priority:high\n", "priority");
    refused("persistent:yes\n", "true or false");
    refused("expires:soon\n", "expires");
    refused("expiration:-1\n", "expiration");
    refused("timestamp:now\n", "timestamp");
    refused("amq-msg-type:map\n", "text or bytes");
    refused("AMQ_SCHEDULED_DELAY:x\n", "AMQ_SCHEDULED_DELAY");
    refused("AMQ_SCHEDULED_CRON:* * * * *\n", "AMQ_SCHEDULED_CRON");
    refused("AMQ_SCHEDULED_PERIOD:10\n", "AMQ_SCHEDULED_PERIOD");
    refused("transaction:t\n", "no such transaction");
}

#[test]
fn a_send_without_destination_is_refused() {
    let mut peer = Peer::connected("1.2");
    peer.send("SEND\nreceipt:1\n\n\0");
    peer.expect_error("SEND has no header destination");
}

#[test]
fn a_destination_is_attached_once_and_the_least_recently_used_gives_way() {
    let mut peer = Peer::logged_in("1.2", "", r#"{"max_producers": 2}"#);
    let verbs = |peer: &mut Peer, name: &str| -> Vec<String> {
        peer.send(format!("SEND\ndestination:/queue/{name}\n\n\0"));
        peer.requests
            .drain(..)
            .map(|request| match request.verb {
                Verb::Attach(_) => format!("attach {}", request.id),
                Verb::Detach => format!("detach {}", request.id),
                Verb::Publish(_) => format!("publish {}", request.id),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(verbs(&mut peer, "a"), ["attach 1", "publish 1"]);
    assert_eq!(verbs(&mut peer, "a"), ["publish 1"]);
    assert_eq!(verbs(&mut peer, "b"), ["attach 2", "publish 2"]);
    assert_eq!(verbs(&mut peer, "a"), ["publish 1"]);
    assert_eq!(verbs(&mut peer, "c"), ["detach 2", "attach 3", "publish 3"]);
    assert_eq!(verbs(&mut peer, "a"), ["publish 1"]);
    assert_eq!(verbs(&mut peer, "b"), ["detach 3", "attach 4", "publish 4"]);
}

#[test]
fn a_long_body_is_handed_on_in_pieces_and_arrives_whole() {
    for counted in [true, false] {
        let body: Vec<u8> = (0..300_000u32).map(|at| b'a' + (at % 26) as u8).collect();
        let mut peer = Peer::connected("1.2");
        let length = if counted { format!("content-length:{}\n", body.len()) } else { String::new() };
        peer.send(format!("SEND\ndestination:/queue/q\nreceipt:big\n{length}\n"));
        for chunk in body.chunks(7000) {
            peer.send(chunk);
            assert!(peer.waiting() <= 64 * 1024 + 7000, "{} bytes wait", peer.waiting());
        }
        peer.send(b"\0\n");
        assert_eq!(peer.waiting(), 0);
        let _ = peer.take();
        let publish = peer.take();
        let Verb::Publish(message) = publish.verb else { panic!() };
        assert_eq!(message.body(), body);
        peer.done(publish.token);
        assert_eq!(peer.text(), "RECEIPT\nreceipt-id:big\n\n^@");
    }
}

#[test]
fn a_long_body_that_does_not_end_where_it_said_is_refused_with_its_receipt() {
    let mut peer = Peer::connected("1.2");
    peer.send("SEND\ndestination:/queue/q\nreceipt:big\ncontent-length:100000\n\n");
    peer.send([b'x'; 100_001]);
    let error = peer.expect_error("does not end with NUL");
    assert!(error.contains("receipt-id:big\n"), "{error}");
    assert!(!peer.requests.iter().any(|request| matches!(request.verb, Verb::Publish(_))));
}

#[test]
fn a_body_longer_than_the_broker_takes_is_refused_before_it_comes() {
    let mut peer = Peer::connected("1.2");
    peer.send("SEND\ndestination:/queue/q\nreceipt:1\ncontent-length:10485761\n\n");
    peer.expect_error("max_message_bytes");
    let mut peer = Peer::connected("1.2");
    peer.send("SEND\ndestination:/queue/q\n\n");
    for _ in 0..170 {
        peer.send([b'x'; 64 * 1024]);
    }
    peer.expect_error("max_message_bytes");
}

#[test]
fn a_refused_publish_is_told_with_its_receipt() {
    let mut peer = Peer::connected("1.1");
    peer.send("SEND\ndestination:/queue/q\nreceipt:a\\cb\n\n\0");
    let attach = peer.take();
    assert!(matches!(attach.verb, Verb::Attach(_)) && !attach.confirm);
    peer.refuse(attach.token, Reason::Forbidden, "ann may not write to queue://q");
    let error = peer.expect_error("ann may not write to queue");
    assert!(error.contains("receipt-id:a\\cb\n"), "{error}");
}

#[test]
fn a_reply_to_somebody_who_is_gone_is_dropped_unless_a_receipt_was_wanted() {
    let mut peer = Peer::connected("1.2");
    peer.send("SEND\ndestination:/remote-temp-queue/x-temp-1\n\n\0");
    let attach = peer.take();
    let publish = peer.take();
    peer.refuse(attach.token, Reason::NotFound, "no such destination");
    peer.refuse(publish.token, Reason::NotFound, "no such producer");
    assert!(!peer.closed);
    peer.send("SEND\ndestination:/remote-temp-queue/x-temp-1\nreceipt:1\n\n\0");
    let attach = peer.take();
    assert!(matches!(attach.verb, Verb::Attach(_)), "it may be there again");
    peer.refuse(attach.token, Reason::NotFound, "no such destination");
    peer.expect_error("receipt-id:1\n");
}
