// SPDX-License-Identifier: Apache-2.0
//! What a STOMP client sends, as an OpenWire client reads it.

use crate::openwire::{Read, read, read_delivery};
use crate::stomp::{Client, NOW, delivery};
use sabir_model::delivery::DeliveryKind;
use sabir_model::fields::{self, LABEL_CAUSE, LABEL_ORIGIN};
use sabir_protocol_openwire::codec::{MessageKind, map::Value};

fn sent(headers: &str, body: &[u8]) -> Read {
    read(&Client::new().published(headers, body))
}

fn text(value: &str) -> Value {
    Value::Text(value.into())
}

#[test]
fn the_id_is_the_session_s_with_the_prefix_of_jms() {
    let message = Client::new().published("", b"x");
    assert_eq!(read(&message).id(), "ID:c1-1");
}

#[test]
fn headers_of_jms_are_what_they_are_called() {
    let read = sent(
        "persistent:true\npriority:7\ntimestamp:5\nexpires:1900000000000\ncorrelation-id:c\\c1\ntype:order\n\
         JMSXGroupID:g\nJMSXGroupSeq:3\n",
        b"x",
    );
    let message = &read.message;
    assert!(message.persistent);
    assert_eq!((message.priority, message.timestamp, message.expiration), (7, 5, 1_900_000_000_000));
    assert_eq!(message.correlation_id.as_deref(), Some("c:1"));
    assert_eq!(message.message_type.as_deref(), Some("order"));
    assert_eq!((message.group_id.as_deref(), message.group_sequence), (Some("g"), 3));
    assert_eq!(message.user_id, None);
    assert_eq!(read.properties, []);
}

#[test]
fn without_headers_a_message_is_as_jms_has_it_by_default() {
    let message = sent("", b"x").message;
    assert!(!message.persistent && !message.compressed);
    assert_eq!((message.priority, message.timestamp, message.expiration), (4, NOW.unix_ms, 0));
    assert_eq!((message.correlation_id, message.message_type, message.group_id), (None, None, None));
    assert_eq!((message.redelivery_counter, message.reply_to), (0, None));
}

#[test]
fn the_destination_is_where_it_is_read_and_of_several_all_are_told() {
    assert_eq!(sent("", b"x").message.destination.unwrap().to_string(), "queue://Q");
    assert_eq!(sent("", b"x").message.original_destination, None);
    let mut client = Client::new();
    let requests = client.send(b"SEND\ndestination:/queue/Q,/topic/T\n\nx\0");
    let Some(sabir_model::Verb::Publish(message)) = requests.into_iter().map(|request| request.verb).last()
    else {
        panic!("a message")
    };
    let message = read(&message).message;
    assert_eq!(message.destination.unwrap().to_string(), "queue://Q");
    assert_eq!(message.original_destination.unwrap().to_string(), "queue://Q,topic://T");
}

#[test]
fn a_reply_to_is_an_address_for_the_other() {
    let reply_to = |header: &str| {
        let read = sent(&format!("reply-to:{header}\n"), b"x");
        (read.message.reply_to.as_ref().map(ToString::to_string), read.property("reply-to").cloned())
    };
    assert_eq!(reply_to("/queue/r"), (Some("queue://r".to_owned()), None));
    assert_eq!(reply_to("/topic/r"), (Some("topic://r".to_owned()), None));
    assert_eq!(reply_to("/remote-temp-queue/ID\\ca\\c1"), (Some("temp-queue://ID:a:1".to_owned()), None));
    let (own, _) = reply_to("/temp-queue/answers");
    assert!(own.is_some_and(|own| own.starts_with("temp-queue://")));
    assert_eq!(reply_to("/exchange/e"), (None, None));
    assert_eq!(reply_to("/else/where"), (None, Some(text("/else/where"))));
}

#[test]
fn media_type_and_trace_context_are_properties() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let read = sent(&format!("content-type:text/xml\ntraceparent:{trace}\n"), b"x");
    assert_eq!(read.property("content-type"), Some(&text("text/xml")));
    assert_eq!(read.property("traceparent"), Some(&text(trace)));
}

#[test]
fn every_header_that_is_not_reserved_is_a_text_property() {
    let read = sent("region:EU\namount:7\nnote:gr\u{fc}n \u{1f600}\nreceipt:r\n", b"x");
    let expected = [("region", "EU"), ("amount", "7"), ("note", "gr\u{fc}n \u{1f600}")];
    let expected = expected.map(|(name, value)| (name.into(), text(value)));
    assert_eq!(read.properties, expected);
}

#[test]
fn a_delay_is_not_told() {
    let message = Client::new().published("AMQ_SCHEDULED_DELAY:5000\n", b"x");
    assert_eq!(message.head().deliver_at_ms(), NOW.unix_ms + 5000);
    assert_eq!(read(&message).properties, []);
}

#[test]
fn text_is_a_text_message_and_bytes_are_a_bytes_message() {
    for body in ["", "plain", "gr\u{fc}n \u{20ac}", "\u{1f600}"] {
        assert_eq!(sent("", body.as_bytes()).text().as_deref(), Some(body));
    }
    let with_nul = "amq-msg-type:text\ncontent-length:3\n";
    assert_eq!(sent(with_nul, b"a\0b").text().as_deref(), Some("a\0b"));
    assert_eq!(sent("amq-msg-type:text\n", b"a\xffb").text().as_deref(), Some("a\u{fffd}b"));
    for body in [&b""[..], b"\0\xff"] {
        let read = sent(&format!("content-length:{}\n", body.len()), body);
        assert_eq!((read.message.kind, read.content.as_deref()), (MessageKind::Bytes, Some(body)));
    }
}

#[test]
fn redelivery_and_dead_letters_are_told() {
    let mut delivery = delivery(&Client::new().published("", b"x"));
    let DeliveryKind::Message { label, redelivery_count, redelivered, .. } = &mut delivery.kind else {
        panic!()
    };
    (*redelivery_count, *redelivered) = (2, true);
    let mut told = Vec::new();
    fields::put(&mut told, LABEL_ORIGIN, b"queue://ORDERS");
    fields::put(&mut told, LABEL_CAUSE, b"it was rejected");
    *label = told.into();
    let read = read_delivery(&delivery);
    assert_eq!(read.message.redelivery_counter, 2);
    assert_eq!(read.message.original_destination.as_ref().unwrap().to_string(), "queue://ORDERS");
    assert_eq!(read.property("dlqDeliveryFailureCause"), Some(&text("it was rejected")));
}
