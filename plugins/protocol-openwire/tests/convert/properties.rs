// SPDX-License-Identifier: Apache-2.0
//! Properties: of every type, in Java's text and in UTF-8, and those that are for the broker.

use crate::support::*;
use sabir_model::message::{Field, Fixed, HeadWriter, Message as Canonical};
use sabir_model::property::{self, Value};
use sabir_protocol_openwire::codec::Message;
use sabir_protocol_openwire::codec::map::{self, Value as Java};
use sabir_protocol_openwire::convert::ConvertError;

fn encoded(entries: &[(&str, Java)]) -> Vec<u8> {
    let entries: Vec<_> = entries.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
    let mut bytes = Vec::new();
    map::write(Some(&entries), &mut bytes).unwrap();
    bytes
}

fn with(entries: &[(&str, Java)]) -> Message {
    let mut sent = text("x");
    sent.marshalled_properties = Some(encoded(entries).into());
    sent
}

fn every_type(text: &str) -> Vec<(&'static str, Java)> {
    let within = vec![("deep".into(), Java::List(vec![Java::Text(text.into()), Java::Null]))];
    vec![
        ("null", Java::Null),
        ("boolean", Java::Boolean(true)),
        ("byte", Java::Byte(-3)),
        ("char", Java::Char(0xd83d)),
        ("short", Java::Short(-300)),
        ("int", Java::Int(70_000)),
        ("long", Java::Long(i64::MIN)),
        ("double", Java::Double(-0.5)),
        ("float", Java::Float(1.5)),
        ("text", Java::Text(text.into())),
        ("long text", Java::Text(text.repeat(9000).into())),
        ("bytes", Java::Bytes(vec![0, 255, 0xf0].into())),
        ("map", Java::Map(within)),
        ("list", Java::List(vec![Java::Int(1), Java::Text(text.into()), Java::List(vec![])])),
    ]
}

#[test]
fn values_of_every_type_are_the_head_s_own_and_come_back_byte_by_byte() {
    for text in ["plain", "gr\u{fc}n \u{20ac}", "\u{1f600} and \0"] {
        let sent = with(&every_type(text));
        let canonical = published(&sent);
        let head = canonical.head();
        assert_eq!(head.property("char"), Some(Value::Char(0xd83d)));
        assert_eq!(head.property("long"), Some(Value::Long(i64::MIN)));
        assert_eq!(head.property("float"), Some(Value::Float(1.5)));
        assert_eq!(head.property("text"), Some(Value::Text(text)));
        assert_eq!(head.property("long text"), Some(Value::Text(&text.repeat(9000))));
        let Some(Value::Map(within)) = head.property("map") else { panic!("a map") };
        let Some(Value::List(list)) = property::find(within, "deep") else { panic!("a list") };
        assert_eq!(property::split_value(&list[4..]).unwrap().0, Value::Text(text));
        assert_eq!(head.properties().count(), 14);
        assert_eq!(head.plain_text(), text != "\u{1f600} and \0");
        let back = dispatched(&canonical);
        assert_eq!(
            bytes(back.marshalled_properties.as_ref()),
            bytes(sent.marshalled_properties.as_ref()),
            "{text}"
        );
    }
}

#[test]
fn names_too_are_texts() {
    let sent = with(&[("\u{1f600}", Java::Int(1)), ("\0", Java::Int(2))]);
    let canonical = published(&sent);
    assert_eq!(canonical.head().property("\u{1f600}"), Some(Value::Int(1)));
    assert_eq!(canonical.head().property("\0"), Some(Value::Int(2)));
    assert_eq!(dispatched(&canonical).marshalled_properties, sent.marshalled_properties);
}

/// As a Java string may hold it, and no text of another protocol.
#[test]
fn a_lone_surrogate_is_shown_as_the_replacement_character() {
    let mut sent = text("x");
    let map = b"\0\0\0\x01\0\x01a\x09\0\x05x\xed\xa0\xbdy".to_vec();
    sent.marshalled_properties = Some(map.into());
    assert_eq!(published(&sent).head().property("a"), Some(Value::Text("x\u{fffd}y")));
}

#[test]
fn a_map_within_that_is_none_is_a_null() {
    let mut sent = text("x");
    sent.marshalled_properties = Some(b"\0\0\0\x01\0\x01a\x0b\xff\xff\xff\xff".to_vec().into());
    assert_eq!(published(&sent).head().property("a"), Some(Value::Null));
}

#[test]
fn what_is_no_map_is_refused() {
    let good = encoded(&every_type("\u{1f600}"));
    let mut bad: Vec<Vec<u8>> = (1..good.len()).step_by(97).map(|end| good[..end].to_vec()).collect();
    bad.push([&good[..], &[0]].concat());
    bad.push(b"\xff\xff\xff\xff\0".to_vec());
    bad.push(b"\xff\xff\xff\xfe".to_vec());
    bad.push(b"\x7f\xff\xff\xff\0\x01a\0".to_vec());
    bad.push(b"\0\0\0\x01\0\x01a\x0e".to_vec());
    bad.push(b"\0\0\0\x01\0\x01a\x09\0\x01\xff".to_vec());
    bad.push(b"\0\0\0\x01\0\x01\xc0\0".to_vec());
    bad.push(b"\0\0\0\x01\0\x01a\x0a\xff\xff\xff\xff".to_vec());
    bad.push(b"\0\0\0\x01\0\x01a\x0c\xff\xff\xff\xfe".to_vec());
    bad.push(b"\0\0\0\x01\0\x01a\x0d\x7f\xff\xff\xff".to_vec());
    let deep = (0..20).fold(Java::Null, |within, _| Java::List(vec![within]));
    bad.push(encoded(&[("deep", deep)]));
    for map in bad {
        let mut sent = text("x");
        sent.marshalled_properties = Some(map.clone().into());
        let refused = published_from(&sent, &bytes::Bytes::new());
        assert!(matches!(refused, Err(ConvertError::Properties(_))), "{map:?}: {refused:?}");
    }
}

#[test]
fn the_delay_of_the_scheduler_is_when_the_message_is_due_and_goes_no_further() {
    for delay in [Java::Long(60_000), Java::Int(60_000), Java::Text("60000".into())] {
        let mut sent = with(&[
            ("first", Java::Int(1)),
            ("AMQ_SCHEDULED_DELAY", delay),
            ("AMQ_SCHEDULED_REPEAT", Java::Int(0)),
            ("last", Java::Text("\u{1f600}".into())),
        ]);
        sent.expiration = 1_800_000_010_000;
        let canonical = published(&sent);
        let head = canonical.head();
        assert_eq!(head.deliver_at_ms(), NOW.unix_ms + 60_000);
        assert_eq!(head.expiration_ms(), 1_800_000_070_000);
        let left = with(&[("first", Java::Int(1)), ("last", Java::Text("\u{1f600}".into()))]);
        assert_eq!(dispatched(&canonical).marshalled_properties, left.marshalled_properties);
    }
}

#[test]
fn no_delay_and_one_in_the_past_are_none() {
    for delay in [Java::Null, Java::Long(0), Java::Short(-5), Java::Byte(-1)] {
        let sent = with(&[("AMQ_SCHEDULED_DELAY", delay), ("AMQ_SCHEDULED_CRON", Java::Text("".into()))]);
        assert_eq!(published(&sent).head().deliver_at_ms(), 0);
        assert_eq!(published(&sent).head().properties().count(), 0);
    }
}

#[test]
fn what_the_scheduler_of_activemq_does_beyond_that_is_refused() {
    let cases = [
        ("AMQ_SCHEDULED_PERIOD", Java::Long(5), ConvertError::Schedule("AMQ_SCHEDULED_PERIOD")),
        ("AMQ_SCHEDULED_REPEAT", Java::Int(-1), ConvertError::Schedule("AMQ_SCHEDULED_REPEAT")),
        ("AMQ_SCHEDULED_CRON", Java::Text("0 * * * *".into()), ConvertError::Schedule("AMQ_SCHEDULED_CRON")),
        (
            "AMQ_SCHEDULED_DELAY",
            Java::Text("soon".into()),
            ConvertError::Property { name: "AMQ_SCHEDULED_DELAY", wanted: "a whole number" },
        ),
        (
            "AMQ_SCHEDULED_DELAY",
            Java::Double(1.0),
            ConvertError::Property { name: "AMQ_SCHEDULED_DELAY", wanted: "a whole number" },
        ),
    ];
    for (name, value, expected) in cases {
        assert_eq!(published_from(&with(&[(name, value)]), &bytes::Bytes::new()), Err(expected));
    }
    // A name that only begins like those is the application's.
    let sent = with(&[("AMQ_SCHEDULED_ORDERS", Java::Text("soon".into()))]);
    assert_eq!(dispatched(&published(&sent)).marshalled_properties, sent.marshalled_properties);
}

#[test]
fn trace_context_and_media_type_are_fields_for_others_and_properties_for_java() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let sent =
        with(&[("traceparent", Java::Text(trace.into())), ("content-type", Java::Text("text/xml".into()))]);
    let canonical = published(&sent);
    assert_eq!(canonical.head().text(Field::TraceParent), Some(trace));
    assert_eq!(canonical.head().text(Field::ContentType), Some("text/xml"));
    assert_eq!(dispatched(&canonical).marshalled_properties, sent.marshalled_properties);
    let mut head = Vec::new();
    let mut writer = HeadWriter::new(&mut head, &Fixed::default());
    assert!(writer.field(Field::Id, b"a-1"));
    assert!(writer.field(Field::Destination, b"queue://Q"));
    assert!(writer.field(Field::TraceParent, trace.as_bytes()));
    assert!(writer.field(Field::ContentType, b"text/xml"));
    writer.finish();
    let from_another = Canonical::split(head.into(), bytes::Bytes::new()).unwrap();
    assert_eq!(dispatched(&from_another).marshalled_properties, sent.marshalled_properties);
}

#[test]
fn a_trace_context_that_is_no_text_is_a_property_only() {
    let canonical = published(&with(&[("traceparent", Java::Int(3))]));
    assert_eq!(canonical.head().field(Field::TraceParent), None);
    assert_eq!(canonical.head().property("traceparent"), Some(Value::Int(3)));
}
