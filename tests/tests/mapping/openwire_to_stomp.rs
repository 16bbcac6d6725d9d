// SPDX-License-Identifier: Apache-2.0
//! What an OpenWire client sends, as a STOMP client reads it.

use crate::openwire::{ID, message, published, queue, text, with_properties};
use crate::stomp::{Client, Frame, delivery};
use sabir_model::delivery::DeliveryKind;
use sabir_model::fields::{self, LABEL_CAUSE, LABEL_ORIGIN};
use sabir_protocol_openwire::codec::map::Value;
use sabir_protocol_openwire::codec::{
    Destination, DestinationKind, LocalTransactionId, Message, MessageKind, TransactionId, map,
};
use std::io::Write;
use std::sync::Arc;

fn sent(message: &Message) -> Frame {
    Client::new().read(&published(message))
}

#[test]
fn headers_of_jms_are_what_they_are_called() {
    let mut message = text("x");
    message.persistent = true;
    message.priority = 7;
    message.expiration = 1_900_000_000_000;
    message.correlation_id = Some("c:1".into());
    message.message_type = Some("order".into());
    message.group_id = Some("g".into());
    message.group_sequence = 3;
    message.user_id = Some("ann".into());
    let frame = sent(&message);
    for (name, value) in [
        ("message-id", ID),
        ("destination", "/queue/Q"),
        ("persistent", "true"),
        ("priority", "7"),
        ("timestamp", "1700000000000"),
        ("expires", "1900000000000"),
        ("correlation-id", "c:1"),
        ("type", "order"),
        ("JMSXGroupID", "g"),
        ("JMSXGroupSeq", "3"),
        ("JMSXUserID", "ann"),
    ] {
        assert_eq!(frame.header(name), Some(value), "{name}");
    }
}

#[test]
fn what_is_not_set_is_no_header() {
    let mut message = text("x");
    message.timestamp = 0;
    let frame = sent(&message);
    for name in [
        "persistent",
        "timestamp",
        "expires",
        "correlation-id",
        "type",
        "JMSXGroupID",
        "JMSXGroupSeq",
        "JMSXUserID",
        "reply-to",
        "redelivered",
        "content-type",
        "traceparent",
    ] {
        assert_eq!(frame.header(name), None, "{name}");
    }
}

#[test]
fn a_reply_to_is_an_address_for_the_other() {
    for (kind, name, expected) in [
        (DestinationKind::Queue, "r", "/queue/r"),
        (DestinationKind::Topic, "r", "/topic/r"),
        (DestinationKind::TempQueue, "ID:h-1:1:1", "/remote-temp-queue/ID:h-1:1:1"),
        (DestinationKind::TempTopic, "ID:h-1:1:1", "/remote-temp-topic/ID:h-1:1:1"),
    ] {
        let mut message = text("x");
        message.reply_to = Some(Arc::new(Destination::new(kind, name)));
        assert_eq!(sent(&message).header("reply-to"), Some(expected));
    }
}

#[test]
fn the_destination_of_several_is_where_it_is_read() {
    let mut message = text("x");
    message.destination = queue("A,topic://B");
    assert_eq!(sent(&message).header("destination"), Some("/queue/Q"));
}

#[test]
fn media_type_and_trace_context_are_headers() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let properties =
        [("content-type", Value::Text("text/xml".into())), ("traceparent", Value::Text(trace.into()))];
    let frame = sent(&with_properties(text("x"), &properties));
    assert_eq!(frame.header("content-type"), Some("text/xml"));
    assert_eq!(frame.header("traceparent"), Some(trace));
}

#[test]
fn properties_are_headers_if_they_are_text_or_have_one() {
    let properties = [
        ("text", Value::Text("gr\u{fc}n \u{1f600}: yes".into())),
        ("boolean", Value::Boolean(true)),
        ("byte", Value::Byte(-3)),
        ("char", Value::Char(0x20ac)),
        ("short", Value::Short(-300)),
        ("int", Value::Int(70_000)),
        ("long", Value::Long(i64::MIN)),
        ("float", Value::Float(1.5)),
        ("double", Value::Double(-0.25)),
        ("null", Value::Null),
        ("bytes", Value::Bytes(vec![1].into())),
        ("map", Value::Map(vec![])),
        ("list", Value::List(vec![])),
        ("receipt", Value::Text("reserved".into())),
        ("type", Value::Text("reserved".into())),
        ("AMQ_SCHEDULED_DELAY", Value::Long(5)),
    ];
    let frame = sent(&with_properties(text("x"), &properties));
    for (name, value) in [
        ("text", Some("gr\u{fc}n \u{1f600}: yes")),
        ("boolean", Some("true")),
        ("byte", Some("-3")),
        ("char", Some("\u{20ac}")),
        ("short", Some("-300")),
        ("int", Some("70000")),
        ("long", Some("-9223372036854775808")),
        ("float", Some("1.5")),
        ("double", Some("-0.25")),
        ("null", None),
        ("bytes", None),
        ("map", None),
        ("list", None),
        ("receipt", None),
        ("type", None),
        ("AMQ_SCHEDULED_DELAY", None),
    ] {
        assert_eq!(frame.header(name), value, "{name}");
    }
}

#[test]
fn a_text_message_is_text() {
    for body in ["", "plain", "gr\u{fc}n \u{20ac}", "\u{1f600}"] {
        let frame = sent(&text(body));
        assert_eq!((frame.body.as_slice(), frame.header("content-length")), (body.as_bytes(), None));
    }
    let frame = sent(&text("a\0b"));
    assert_eq!((frame.body.as_slice(), frame.header("content-length")), (&b"a\0b"[..], Some("3")));
    assert_eq!(frame.header("amq-msg-type"), Some("text"));
    assert_eq!(sent(&message(MessageKind::Text, None)).body, b"");
}

#[test]
fn other_bodies_are_counted_and_named() {
    let mut map = Vec::new();
    map::write(Some(&[("name".into(), Value::Text("\u{1f600}".into()))]), &mut map).unwrap();
    let utf8_map = [&b"\0\0\0\x01\0\x04name\x09\0\x04"[..], "\u{1f600}".as_bytes()].concat();
    for (kind, content, expected, name) in [
        (MessageKind::Bytes, vec![0, 255], vec![0, 255], None),
        (MessageKind::Map, map, utf8_map, Some("map")),
        (MessageKind::Stream, vec![5, 0, 0, 0, 3], vec![5, 0, 0, 0, 3], Some("stream")),
        (MessageKind::Object, vec![0xac, 0xed], vec![0xac, 0xed], Some("object")),
    ] {
        let frame = sent(&message(kind, Some(content)));
        assert_eq!(frame.header("amq-msg-type"), name);
        assert_eq!(frame.header("content-length"), Some(&*expected.len().to_string()));
        assert_eq!(frame.body, expected);
    }
    for kind in [MessageKind::Plain, MessageKind::Blob] {
        let frame = sent(&message(kind, None));
        assert_eq!((frame.body.as_slice(), frame.header("content-length")), (&b""[..], None));
    }
}

#[test]
fn compressed_bodies_are_inflated() {
    let zlib = |content: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    };
    let content = [&5u32.to_be_bytes()[..], b"hello"].concat();
    let mut sent_text = message(MessageKind::Text, Some(zlib(&content)));
    sent_text.compressed = true;
    let frame = sent(&sent_text);
    assert_eq!((frame.body.as_slice(), frame.header("content-length")), (&b"hello"[..], None));
    let mut sent_bytes =
        message(MessageKind::Bytes, Some([&5u32.to_be_bytes()[..], &zlib(b"hello")].concat()));
    sent_bytes.compressed = true;
    let frame = sent(&sent_bytes);
    assert_eq!((frame.body.as_slice(), frame.header("content-length")), (&b"hello"[..], Some("5")));
}

#[test]
fn what_openwire_alone_understands_is_lost() {
    let mut message = text("x");
    message.droppable = true;
    message.original_destination = queue("before");
    let transaction = LocalTransactionId { value: 1, connection_id: None };
    message.transaction_id = Some(Arc::new(TransactionId::Local(transaction)));
    let plain = sent(&text("x"));
    assert_eq!(format!("{:?}", sent(&message)), format!("{plain:?}"));
}

#[test]
fn redelivery_and_dead_letters_are_told() {
    let mut delivery = delivery(&published(&text("x")));
    let DeliveryKind::Message { label, redelivery_count, redelivered, .. } = &mut delivery.kind else {
        panic!()
    };
    (*redelivery_count, *redelivered) = (2, true);
    let mut told = Vec::new();
    fields::put(&mut told, LABEL_ORIGIN, b"queue://ORDERS");
    fields::put(&mut told, LABEL_CAUSE, b"it was rejected");
    *label = told.into();
    let frame = Client::new().read_delivery(&delivery);
    assert_eq!((frame.header("redelivered"), frame.header("JMSXDeliveryCount")), (Some("true"), Some("3")));
    assert_eq!(frame.header("original-destination"), Some("/queue/ORDERS"));
    assert_eq!(frame.header("dlqDeliveryFailureCause"), Some("it was rejected"));
}
