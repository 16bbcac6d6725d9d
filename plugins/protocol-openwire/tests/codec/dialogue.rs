// SPDX-License-Identifier: Apache-2.0
//! What the real client and the real broker said to each other: both sides are understood, and would have been said by us
//! in the same bytes.

use crate::frames::bytes;
use bytes::Bytes;
use sabir_protocol_openwire::codec::{
    Command, DataStructure, Decoder, Encoder, Framed, MessageKind, Options, WireFormatInfo, map,
};
use std::collections::BTreeSet;
use std::path::Path;

/// The frames of one connection, with their lengths.
#[derive(Default)]
struct Connection {
    of_client: Vec<Bytes>,
    of_broker: Vec<Bytes>,
}

fn dialogues() -> Vec<(String, Vec<Connection>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut dialogues = Vec::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_none_or(|extension| extension != "dialogue") {
            continue;
        }
        let mut connections: Vec<Connection> = Vec::new();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            match line.split_once(' ') {
                None => connections.push(Connection::default()),
                Some(("#", _)) => {}
                Some((">", hex)) => connections.last_mut().unwrap().of_client.push(bytes(hex)),
                Some(("<", hex)) => connections.last_mut().unwrap().of_broker.push(bytes(hex)),
                other => panic!("{other:?}"),
            }
        }
        dialogues.push((path.file_name().unwrap().to_string_lossy().into_owned(), connections));
    }
    assert_eq!(dialogues.len(), 4, "two clients, two encodings");
    dialogues
}

fn first(frame: &Bytes) -> WireFormatInfo {
    match Decoder::new(Options::initial()).decode(&frame[4..]).unwrap() {
        Command::WireFormatInfo(info) => *info,
        other => panic!("{other:?}"),
    }
}

/// What one side said after its first frame, read and written again.
fn replay(frames: &[Bytes], options: Options, place: &str, mut see: impl FnMut(&Command, &Bytes)) {
    let (mut decoder, mut encoder) = (Decoder::new(options), Encoder::new(options));
    for (number, whole) in frames.iter().enumerate().skip(1) {
        let Ok(Framed::Whole { body, consumed }) = decoder.frame(whole) else { panic!("{place} {number}") };
        assert_eq!(consumed, whole.len());
        let frame = whole.slice(body);
        let command = decoder.decode(&frame).unwrap_or_else(|error| panic!("{place} {number}: {error}"));
        let mut again = Vec::new();
        encoder.encode_from(&command, &frame, &mut again).unwrap();
        assert_eq!(again, *whole, "{place} {number} {command:?}");
        see(&command, &frame);
    }
}

#[test]
fn both_sides_are_read_and_written_as_they_were() {
    let mut seen = BTreeSet::new();
    for (name, connections) in dialogues() {
        for (number, connection) in connections.iter().enumerate() {
            let (client, broker) = (first(&connection.of_client[0]), first(&connection.of_broker[0]));
            let options = Options::negotiate(&client, &broker).unwrap();
            assert_eq!(options.tight, name.contains("tight"));
            assert_eq!((options.version, options.cache, options.size_prefix), (12, 1024, true));
            for (side, frames) in [("client", &connection.of_client), ("broker", &connection.of_broker)] {
                let place = format!("{name} connection {number} {side}");
                replay(frames, options, &place, |command, _| {
                    seen.insert((side, command.name()));
                });
            }
        }
    }
    let of = |side| seen.iter().filter(|(seen, _)| *seen == side).map(|(_, name)| *name).collect::<Vec<_>>();
    for name in
        ["ConnectionInfo", "ConsumerInfo", "ProducerInfo", "TransactionInfo", "MessageAck", "MessagePull"]
    {
        assert!(of("client").contains(&name), "{name} in {:?}", of("client"));
    }
    for name in
        ["BrokerInfo", "MessageDispatch", "Response", "ExceptionResponse", "ProducerAck", "ConnectionControl"]
    {
        assert!(of("broker").contains(&name), "{name} in {:?}", of("broker"));
    }
}

#[test]
fn properties_and_bodies_are_what_the_client_meant() {
    let (mut kinds, mut advisories, mut compressed) = (BTreeSet::new(), 0, 0);
    for (name, connections) in dialogues() {
        for connection in connections {
            let options =
                Options::negotiate(&first(&connection.of_client[0]), &first(&connection.of_broker[0]));
            for frames in [&connection.of_client, &connection.of_broker] {
                replay(frames, options.clone().unwrap(), &name, |command, frame| {
                    let Some(message) = command.message() else { return };
                    kinds.insert(format!("{:?}", message.kind));
                    advisories +=
                        usize::from(matches!(message.data_structure, Some(DataStructure::Command(_))));
                    compressed += usize::from(message.compressed);
                    if let Some(properties) = &message.marshalled_properties {
                        let entries = map::read(properties.bytes(frame).unwrap(), map::Limits::default());
                        assert!(!entries.unwrap().unwrap().is_empty());
                    }
                    let Some(content) = &message.content else { return };
                    let content = content.bytes(frame).unwrap();
                    match message.kind {
                        MessageKind::Map if !message.compressed => {
                            assert_eq!(map::read(content, map::Limits::default()).unwrap().unwrap().len(), 2);
                        }
                        MessageKind::Stream if !message.compressed => {
                            let values = map::read_stream(content, map::Limits::default()).unwrap();
                            assert_eq!(values, [map::Value::Int(7), map::Value::Text("seven".into())]);
                        }
                        _ => {}
                    }
                });
            }
        }
    }
    assert_eq!(Vec::from_iter(kinds), ["Bytes", "Map", "Object", "Plain", "Stream", "Text"]);
    assert!(advisories > 0 && compressed > 0, "{advisories} {compressed}");
}
