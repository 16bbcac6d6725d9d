// SPDX-License-Identifier: Apache-2.0
//! Frames of the real Java clients: read as Java reads them, field by field, and written as Java writes them, byte by
//! byte, the cache's indices included.

use crate::frames::{Capture, Connection, body, captures, detach, encode};
use sabir_protocol_openwire::codec::map::Value;
use sabir_protocol_openwire::codec::{Blob, Command, Decoder, Encoder, Message, Options, WireFormatInfo};
use std::collections::BTreeSet;

/// What Java printed for a wire format: sorted, without types.
fn describe(info: &WireFormatInfo) -> String {
    let mut entries: Vec<String> = (info.properties.iter().flatten())
        .map(|(name, value)| match value {
            Value::Text(text) => format!("{name}: {text:?}"),
            Value::Boolean(value) => format!("{name}: {value}"),
            Value::Int(value) => format!("{name}: {value}"),
            Value::Long(value) => format!("{name}: {value}"),
            value => panic!("{name}: {value:?}"),
        })
        .collect();
    entries.sort();
    format!("WireFormatInfo(WireFormatInfo {{ version: {}, {} }})", info.version, entries.join(", "))
}

/// Whether Java's cache ran over, where it forgets in an order of its own.
fn overflows(connection: &Connection) -> bool {
    connection.options.cache == 128
}

fn each(mut see: impl FnMut(&Capture, &Connection)) {
    for capture in &captures() {
        assert!(capture.connections.len() >= 4, "{}", capture.name);
        for connection in &capture.connections {
            assert!(connection.frames.len() > 40, "{} {:?}", capture.name, connection.options);
            see(capture, connection);
        }
    }
}

#[test]
fn every_field_is_read_as_java_reads_it() {
    let mut seen = BTreeSet::new();
    each(|capture, connection| {
        let mut decoder = Decoder::new(connection.options);
        for (number, golden) in connection.frames.iter().enumerate() {
            let place = format!("{} {:?} frame {number}", capture.name, connection.options);
            let frame = body(&decoder, &golden.frame);
            let mut command = decoder.decode(&frame).unwrap_or_else(|error| panic!("{place}: {error}"));
            detach(&mut command, &frame);
            let text = match &command {
                Command::WireFormatInfo(info) => describe(info),
                command => format!("{command:?}"),
            };
            assert_eq!(text, golden.text, "{place}");
            seen.insert((connection.options.version, command.name()));
        }
    });
    for (version, commands) in [(1, 34), (2, 35), (3, 37), (9, 37), (11, 37), (12, 38)] {
        let names: Vec<_> = seen.iter().filter(|(seen, _)| *seen == version).map(|(_, name)| name).collect();
        assert_eq!(names.len(), commands, "version {version}: {names:?}");
    }
}

#[test]
fn what_was_read_is_written_byte_by_byte_as_java_wrote_it() {
    each(|capture, connection| {
        if overflows(connection) {
            return;
        }
        let (mut decoder, mut encoder) = (Decoder::new(connection.options), Encoder::new(connection.options));
        for (number, golden) in connection.frames.iter().enumerate() {
            let frame = body(&decoder, &golden.frame);
            let command = decoder.decode(&frame).unwrap();
            let mut out = Vec::new();
            encoder.encode_from(&command, &frame, &mut out).unwrap();
            let place = format!("{} {:?} frame {number} {}", capture.name, connection.options, golden.text);
            assert_eq!(out, golden.frame, "{place}");
        }
    });
}

#[test]
fn a_message_written_around_its_content_is_the_same_frame() {
    let mut split = 0;
    each(|_, connection| {
        let (mut decoder, mut encoder) = (Decoder::new(connection.options), Encoder::new(connection.options));
        for golden in connection.frames.iter().filter(|_| !overflows(connection)) {
            let frame = body(&decoder, &golden.frame);
            let mut command = decoder.decode(&frame).unwrap();
            let content = command.message().and_then(|message| message.content.clone());
            let Some(content) = content else {
                encoder.encode_from(&command, &frame, &mut Vec::new()).unwrap();
                continue;
            };
            let message = match &mut command {
                Command::Message(message) => message,
                Command::MessageDispatch(dispatch) => dispatch.message.as_mut().unwrap(),
                other => panic!("{other:?}"),
            };
            message.content = None;
            let (mut before, mut after) = (Vec::new(), Vec::new());
            encoder.encode_split_from(&command, &frame, content.len(), &mut before, &mut after).unwrap();
            let whole = [&before, content.bytes(&frame).unwrap(), &after].concat();
            assert_eq!(whole, golden.frame, "{}", golden.text);
            split += 1;
        }
    });
    assert!(split > 300, "{split}");
}

#[test]
fn two_of_ours_understand_each_other_when_the_cache_runs_over() {
    let mut seen = 0;
    each(|_, connection| {
        if !overflows(connection) {
            return;
        }
        for cache in [1, 2, 15, 16, 17, 128] {
            let options = Options { cache, ..connection.options };
            let mut theirs = Decoder::new(connection.options);
            let (mut encoder, mut ours) = (Encoder::new(options), Decoder::new(options));
            for golden in &connection.frames {
                let command = theirs.decode(&body(&theirs, &golden.frame)).unwrap();
                let frame = encode(&mut encoder, &command).into();
                assert_eq!(ours.decode(&body(&ours, &frame)).unwrap(), command, "cache of {cache}");
                seen += 1;
            }
        }
    });
    assert!(seen > 2000, "{seen}");
}

/// Two versions of the client write the same frames, but for the names of the exceptions.
#[test]
fn javax_and_jakarta_differ_in_the_names_of_classes_alone() {
    let captures = captures();
    let of = |name: &str| {
        captures
            .iter()
            .find(|capture| capture.name.starts_with(name) && capture.name.ends_with("-v12.frames"))
            .unwrap()
    };
    for (old, new) in of("client-5").connections.iter().zip(&of("client-6").connections) {
        assert_eq!(old.frames.len(), new.frames.len());
        for (old, new) in old.frames.iter().zip(&new.frames) {
            assert_eq!(old.text.replace("javax.jms.", "jakarta.jms."), new.text);
        }
    }
}

#[test]
fn a_span_without_its_frame_is_refused_and_nothing_is_appended() {
    let message = Message { content: Some(Blob::Span(0..3)), ..Message::default() };
    let mut out = vec![7];
    let mut encoder = Encoder::new(Options::initial());
    encoder.encode(&Command::Message(Box::new(message)), &mut out).unwrap_err();
    assert_eq!(out, [7]);
}
