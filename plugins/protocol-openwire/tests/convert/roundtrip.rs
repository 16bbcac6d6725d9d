// SPDX-License-Identifier: Apache-2.0
//! From one OpenWire client to another: what one wrote is what the other reads, byte by byte.

use crate::counting::count;
use crate::frames::{body, captures, detach, encode};
use crate::support::*;
use sabir_protocol_openwire::codec::{
    Command, Decoder, Encoder, Message, MessageDispatch, MessageKind, Options, map,
};
use sabir_protocol_openwire::convert::{BodyPlace, Names, to_message, to_publish};
use sabir_sdk::protocol::DeliveryArray;

fn message_of(command: Command) -> Option<Message> {
    match command {
        Command::Message(message) => Some(*message),
        Command::MessageDispatch(dispatch) => {
            let MessageDispatch { message, .. } = *dispatch;
            message.map(|message| *message)
        }
        _ => None,
    }
}

#[test]
fn every_message_of_the_java_clients_comes_back_as_it_was_written() {
    let mut seen = [0; 7];
    let mut nameless = 0;
    for capture in captures() {
        for connection in capture.connections {
            let mut decoder = Decoder::new(connection.options);
            for golden in connection.frames {
                let frame = body(&decoder, &golden.frame);
                let mut command = decoder.decode(&frame).unwrap();
                let spans = message_of(command.clone());
                detach(&mut command, &frame);
                let Some((spans, sent)) = spans.zip(message_of(command)) else { continue };
                if sent.message_id.is_none() {
                    nameless += 1;
                    continue;
                }
                seen[sent.kind as usize] += 1;
                let canonical = published_from(&spans, &frame).unwrap();
                let expected = with_the_brokers_own(sent);
                let context = format!("{}: {}", capture.name, golden.text);
                assert_eq!(dispatched(&canonical), expected, "{context}");
                let written = written(&delivery(&canonical), connection.options);
                let expected = encode(&mut Encoder::new(connection.options), &dispatch(expected));
                assert!(written == expected, "{context}");
            }
        }
    }
    // Of each capture the one in which everything is null.
    assert!(seen.iter().all(|count| *count >= 10) && nameless < 200, "{seen:?} {nameless}");
}

fn usual() -> Message {
    let mut sent = text(&"x".repeat(1024));
    let mut properties = Vec::new();
    let entries = [
        ("region".into(), map::Value::Text("eu".into())),
        ("amount".into(), map::Value::Int(7)),
        ("express".into(), map::Value::Boolean(true)),
    ];
    map::write(Some(&entries), &mut properties).unwrap();
    sent.marshalled_properties = Some(properties.into());
    sent
}

#[test]
fn body_and_properties_stay_where_they_are() {
    let options = Options { tight: true, cache: 64, ..Options::initial() };
    let frame = encode(&mut Encoder::new(options), &Command::Message(Box::new(usual())));
    let Command::Message(message) = Decoder::new(options).decode(&frame[4..]).unwrap() else { panic!() };
    let mut head = Vec::new();
    let BodyPlace::Frame(range) = to_publish(&message, &frame[4..], NOW, &mut head).unwrap() else {
        panic!()
    };
    assert_eq!(&frame[4..][range], "x".repeat(1024).as_bytes());
    let properties = message.marshalled_properties.as_ref().unwrap().bytes(&frame[4..]).unwrap();
    assert!(head.ends_with(properties));
}

#[test]
fn an_ordinary_message_costs_no_memory_in_either_direction() {
    let options = Options { tight: true, cache: 64, ..Options::initial() };
    let frame = encode(&mut Encoder::new(options), &Command::Message(Box::new(usual())));
    let Command::Message(sent) = Decoder::new(options).decode(&frame[4..]).unwrap() else { panic!() };
    let mut head = Vec::with_capacity(4096);
    let (_, taken) = count(|| to_publish(&sent, &frame[4..], NOW, &mut head).unwrap());
    assert_eq!(taken.times, 0);
    let deliveries = [delivery(&published(&usual()))];
    let array = DeliveryArray::of(&deliveries);
    let delivery = array.lend().get(0).unwrap();
    let mut names = Names::new(16);
    to_message(&delivery, None, &[], &mut names).unwrap();
    let (_, taken) = count(|| to_message(&delivery, None, &[], &mut names).unwrap());
    assert_eq!(taken.times, 0);
}

#[test]
fn what_is_null_stays_null_and_what_is_empty_stays_empty() {
    for kind in [
        MessageKind::Bytes,
        MessageKind::Map,
        MessageKind::Object,
        MessageKind::Stream,
        MessageKind::Text,
        MessageKind::Plain,
    ] {
        let back = there_and_back(&message(kind, None));
        assert_eq!((back.kind, back.content), (kind, None));
    }
    for (kind, content) in [
        (MessageKind::Text, &[0, 0, 0, 0][..]),
        (MessageKind::Bytes, &[]),
        (MessageKind::Object, &[]),
        (MessageKind::Stream, &[]),
        (MessageKind::Map, &[0, 0, 0, 0]),
        // Java writes none, and reads none.
        (MessageKind::Plain, b"what is this"),
    ] {
        let back = there_and_back(&message(kind, Some(content)));
        assert_eq!((back.kind, bytes(back.content.as_ref())), (kind, Some(content)));
    }
}

#[test]
fn no_properties_and_a_map_without_any_are_two_things() {
    let mut sent = text("x");
    assert_eq!(there_and_back(&sent).marshalled_properties, None);
    sent.marshalled_properties = Some(vec![0; 4].into());
    assert_eq!(there_and_back(&sent).marshalled_properties, sent.marshalled_properties);
    // None, as Java writes it into a field where it expects a map.
    sent.marshalled_properties = Some(vec![0xff; 4].into());
    assert_eq!(there_and_back(&sent).marshalled_properties, None);
}
