// SPDX-License-Identifier: Apache-2.0
//! Whatever a client sends either comes back as it was or is refused.

use crate::support::*;
use bytes::Bytes;
use proptest::prelude::*;
use sabir_protocol_openwire::codec::{
    BrokerId, Destination, DestinationKind, Message, MessageId, MessageKind, ProducerId, map,
};
use std::sync::Arc;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9:.-]{0,20}",
        any::<String>(),
        Just("ID:h-1:1:1:1:2".to_owned()),
        Just("\u{1f600}\0".to_owned()),
    ]
}

fn boxed() -> impl Strategy<Value = Option<Box<str>>> {
    prop::option::of(text().prop_map(Into::into))
}

fn value() -> impl Strategy<Value = map::Value> {
    use map::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i8>().prop_map(Value::Byte),
        any::<u16>().prop_map(Value::Char),
        any::<i16>().prop_map(Value::Short),
        any::<i32>().prop_map(Value::Int),
        any::<i64>().prop_map(Value::Long),
        any::<f32>().prop_map(Value::Float),
        any::<f64>().prop_map(Value::Double),
        text().prop_map(|text| Value::Text(text.into())),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(|bytes| Value::Bytes(bytes.into())),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            prop::collection::vec((text().prop_map(Into::into), inner), 0..3).prop_map(Value::Map),
        ]
    })
}

fn properties() -> impl Strategy<Value = Option<Vec<u8>>> {
    let entries = prop::collection::vec((text().prop_map(Into::into), value()), 0..5);
    prop::option::of(entries.prop_map(|entries: map::Map| {
        let mut bytes = Vec::new();
        map::write(Some(&entries), &mut bytes).unwrap();
        bytes
    }))
}

fn destination() -> impl Strategy<Value = Option<Arc<Destination>>> {
    use DestinationKind::{Queue, TempQueue, TempTopic, Topic};
    let kind = prop::sample::select(&[Queue, Topic, TempQueue, TempTopic][..]);
    (kind, "[a-zA-Z:.>*]{1,9}").prop_map(|(kind, name)| Some(Arc::new(Destination::new(kind, &name))))
}

fn message_id() -> impl Strategy<Value = MessageId> {
    let small = prop_oneof![Just(-1), Just(0), 1..9i64, any::<i64>()];
    let producer = ("[a-zA-Z0-9:-]{1,12}", small.clone(), small.clone());
    (prop::option::of("[a-zA-Z0-9:-]{1,12}"), producer, small).prop_map(|(view, producer, sequence)| {
        let (connection, value, session_id) = producer;
        let producer = ProducerId { connection_id: connection.into(), value, session_id };
        MessageId {
            text_view: view.map(Into::into),
            producer_id: Some(Arc::new(producer)),
            producer_sequence_id: sequence,
            broker_sequence_id: 0,
        }
    })
}

fn content() -> impl Strategy<Value = Option<Vec<u8>>> {
    let random = prop::collection::vec(any::<u8>(), 0..30);
    let texts = text().prop_map(|text| [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat());
    let map = properties().prop_map(Option::unwrap_or_default);
    prop::option::of(prop_oneof![random, texts, map])
}

prop_compose! {
    fn any_message()(
        kind in prop::sample::select(&[
            MessageKind::Plain, MessageKind::Bytes, MessageKind::Map,
            MessageKind::Object, MessageKind::Stream, MessageKind::Text,
        ][..]),
        id in message_id(),
        own in any::<bool>(),
        destinations in (destination(), prop::option::of(destination()), prop::option::of(destination())),
        texts in (boxed(), boxed(), boxed(), boxed()),
        numbers in (any::<i32>(), 0..10i8, any::<i64>(), 0..i64::MAX),
        flags in (any::<bool>(), any::<bool>(), any::<bool>()),
        content in content(),
        properties in properties(),
        path in prop::option::of(prop::collection::vec("[a-z]{0,5}", 0..3)),
    ) -> Message {
        let (persistent, compressed, droppable) = flags;
        let (group_sequence, priority, timestamp, expiration) = numbers;
        let (group_id, correlation_id, message_type, user_id) = texts;
        let (destination, reply_to, original_destination) = destinations;
        let broker = |value: String| Arc::new(BrokerId { value: value.into() });
        Message {
            kind,
            producer_id: if own { id.producer_id.clone() } else { None },
            message_id: Some(id),
            destination,
            reply_to: reply_to.flatten(),
            original_destination: original_destination.flatten(),
            group_id, correlation_id, message_type, user_id,
            group_sequence, priority, timestamp, expiration,
            persistent, droppable,
            compressed: compressed && content.as_ref().is_some_and(|content| !content.is_empty()),
            content: content.map(Into::into),
            marshalled_properties: properties.map(Into::into),
            broker_path: path.map(|path| path.into_iter().map(broker).collect()),
            ..Message::default()
        }
    }
}

/// What the canonical form has no room for, or says in another way.
fn as_it_comes_back(mut sent: Message) -> Message {
    // No text, map or stream of Java is without bytes.
    let is_empty = sent.content.as_ref().is_some_and(|content| content.is_empty());
    if is_empty && matches!(sent.kind, MessageKind::Text | MessageKind::Map | MessageKind::Plain) {
        sent.content = None;
    }
    with_the_brokers_own(sent)
}

proptest! {
    #[test]
    fn a_message_comes_back_as_it_was(sent in any_message()) {
        let canonical = published(&sent);
        let mut back = dispatched(&canonical);
        let mut expected = as_it_comes_back(sent);
        if expected.producer_id.is_none() {
            // Who gets it may take it for granted that there is one.
            back.producer_id = None;
        }
        if expected.message_id.as_ref().is_some_and(|id| id.text_view.is_none()) {
            // One that stood for an id of another protocol has its text again.
            expected.message_id.as_mut().unwrap().text_view = back.message_id.as_ref().unwrap().text_view.clone();
        }
        prop_assert_eq!(back, expected);
    }

    #[test]
    fn whatever_the_properties_are_nothing_but_a_map_passes(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut sent = text_message();
        sent.marshalled_properties = Some(bytes.clone().into());
        if let Ok(canonical) = published_from(&sent, &Bytes::new()) {
            prop_assert!(bytes.is_empty() || map::read(&bytes, map::Limits::default()).is_ok());
            dispatched(&canonical);
        }
    }
}

fn text_message() -> Message {
    crate::support::text("x")
}
