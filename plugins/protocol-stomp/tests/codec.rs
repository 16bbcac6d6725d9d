// SPDX-License-Identifier: Apache-2.0
//! The codec alone: what is written is read back, however it is cut, and nothing that is read can do harm.

use proptest::prelude::*;
use sabir_protocol_stomp::codec::{Command, Decoded, Decoder, FrameError, FrameWriter, Limits, Version};
use std::path::Path;

/// A frame with its body, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Read {
    command: Command,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Reads all frames; the input comes in chunks of these sizes, again and again.
fn read(bytes: &[u8], version: Version, limits: Limits, chunks: &[usize]) -> Result<Vec<Read>, FrameError> {
    let mut decoder = Decoder::new(limits);
    decoder.set_version(version);
    let (mut frames, mut kept, mut rest): (Vec<Read>, Vec<u8>, &[u8]) = (Vec::new(), Vec::new(), bytes);
    let mut sizes = chunks.iter().cycle();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at((*sizes.next().unwrap_or(&1)).clamp(1, rest.len()));
        rest = after;
        kept.extend_from_slice(chunk);
        let mut at = 0;
        loop {
            let input = &kept[at..];
            let taken = match decoder.decode(input)? {
                Decoded::Incomplete(needed) => {
                    assert!(needed <= limits.whole_bytes, "{needed} bytes are demanded");
                    break;
                }
                Decoded::EndOfLines(len) => len,
                Decoded::Frame(frame) => {
                    let headers =
                        frame.head.headers().map(|(name, value)| (name.into(), value.into())).collect();
                    let body = input[frame.body.start..frame.body.start + frame.body.len].to_vec();
                    frames.push(Read { command: frame.head.command, headers, body });
                    frame.body.end
                }
                Decoded::Body(body) => {
                    let last = frames.last_mut().expect("a body follows its frame");
                    last.body.extend_from_slice(&input[body.start..body.start + body.len]);
                    body.end
                }
            };
            assert!(taken > 0 && taken <= input.len());
            decoder.commit();
            at += taken;
        }
        kept.drain(..at);
        assert!(kept.len() <= limits.whole_bytes + chunk.len(), "{} bytes are held", kept.len());
    }
    Ok(frames)
}

fn versions() -> impl Strategy<Value = Version> {
    prop::sample::select(&Version::ALL[..])
}

fn commands() -> impl Strategy<Value = Command> {
    prop::sample::select(&[Command::Send, Command::Message, Command::Error][..])
}

/// Text that the version can carry in a header; 1.0 cannot escape, and trims.
fn texts(version: Version, least: usize) -> BoxedStrategy<String> {
    match version {
        Version::V1_0 => {
            proptest::string::string_regex(&format!("[a-zA-Z0-9/_=äß€-]{{{least},12}}")).unwrap().boxed()
        }
        Version::V1_1 => prop::collection::vec(any::<char>(), least..12)
            .prop_map(|text| text.into_iter().filter(|c| !matches!(c, '\0' | '\r')).collect::<String>())
            .prop_filter("a name", move |text: &String| text.len() >= least)
            .boxed(),
        Version::V1_2 => prop::collection::vec(any::<char>(), least..12)
            .prop_map(|text| text.into_iter().filter(|c| *c != '\0').collect::<String>())
            .prop_filter("a name", move |text: &String| text.len() >= least)
            .boxed(),
    }
}

fn frames(version: Version) -> impl Strategy<Value = Read> {
    let header = (texts(version, 1), texts(version, 0));
    (commands(), prop::collection::vec(header, 0..6), prop::collection::vec(any::<u8>(), 0..400)).prop_map(
        |(command, headers, body)| {
            let mut seen = std::collections::HashSet::from(["content-length".to_owned()]);
            let headers = headers.into_iter().filter(|(name, _)| seen.insert(name.clone())).collect();
            Read { command, headers, body }
        },
    )
}

/// Writes a frame; without NUL in the body it may do without `content-length`.
fn write(frame: &Read, version: Version, counted: bool, into: &mut Vec<u8>) {
    let mut writer = FrameWriter::new(into, frame.command, version.escapes());
    for (name, value) in &frame.headers {
        writer = writer.header(name, value);
    }
    if counted || frame.body.contains(&0) {
        writer = writer.number("content-length", frame.body.len());
    }
    writer.body(&frame.body);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_however_it_is_cut(
        (version, sent) in versions().prop_flat_map(|version| {
            (Just(version), prop::collection::vec((frames(version), any::<bool>()), 1..5))
        }),
        chunks in prop::collection::vec(1usize..200, 1..8),
        whole_bytes in 300usize..2000,
    ) {
        let mut bytes = Vec::new();
        for (frame, counted) in &sent {
            write(frame, version, *counted, &mut bytes);
            bytes.extend_from_slice(b"\n\n");
        }
        let limits = Limits { whole_bytes: whole_bytes.max(1500), head_bytes: 1500, ..Limits::default() };
        let mut found = read(&bytes, version, limits, &chunks).unwrap();
        for frame in &mut found {
            frame.headers.retain(|(name, _)| name != "content-length");
        }
        let expected: Vec<Read> = sent.into_iter().map(|(frame, _)| frame).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused_the_same_however_they_are_cut(
        version in versions(),
        bytes in prop::collection::vec(prop_oneof![
            Just(b"SEND\n".to_vec()), Just(b"ACK\n".to_vec()), Just(b"a:b\n".to_vec()), Just(b"\n".to_vec()),
            Just(b"content-length:3\n".to_vec()), Just(b"\0".to_vec()), Just(b"x\\c:y\r\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..4),
        ], 0..30).prop_map(|parts| parts.concat()),
        chunks in prop::collection::vec(1usize..20, 1..4),
    ) {
        let limits = Limits { head_bytes: 200, headers: 8, header_bytes: 50, whole_bytes: 200, body_bytes: 1000 };
        let whole = read(&bytes, version, limits, &[bytes.len().max(1)]);
        let cut = read(&bytes, version, limits, &chunks);
        match (&whole, &cut) {
            (Ok(whole), Ok(cut)) => prop_assert_eq!(whole, cut),
            // In pieces a mistake may be seen as another one, but never as none.
            (whole, cut) => prop_assert!(whole.is_err() && cut.is_err(), "{:?} and {:?}", whole, cut),
        }
    }
}

/// The fuzzer's corpus, and what it has found: every input is read in several ways.
#[test]
fn the_corpus_of_the_fuzzer_is_replayed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/stomp/corpus");
    let mut files = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        files += 1;
        for version in Version::ALL {
            for limits in [
                Limits::default(),
                Limits { head_bytes: 64, headers: 4, header_bytes: 32, whole_bytes: 64, body_bytes: 100 },
            ] {
                let whole = read(&bytes, version, limits, &[bytes.len().max(1)]);
                let single = read(&bytes, version, limits, &[1]);
                match (whole, single) {
                    (Ok(whole), Ok(single)) => assert_eq!(whole, single),
                    (whole, single) => assert!(whole.is_err() && single.is_err(), "{whole:?} and {single:?}"),
                }
            }
        }
    }
    assert!(files >= 20, "only {files} inputs in {}", directory.display());
}

/// Frames as real peers write them, byte for byte.
#[test]
fn frames_of_real_peers_are_read() {
    for (name, bytes, command, headers, body) in [
        (
            "stomp.py 8",
            &b"SEND\ncontent-length:5\ndestination:/queue/test\n\nhello\0"[..],
            Command::Send,
            vec![("content-length", "5"), ("destination", "/queue/test")],
            &b"hello"[..],
        ),
        (
            "ActiveMQ 5.17",
            b"MESSAGE\nexpires:0\ndestination:/queue/test\nsubscription:1\npriority:4\nmessage-id:ID\\chost-1\\c1\\c1\n\
              content-length:5\ntimestamp:1700000000000\n\nhello\0\n",
            Command::Message,
            vec![
                ("expires", "0"),
                ("destination", "/queue/test"),
                ("subscription", "1"),
                ("priority", "4"),
                ("message-id", "ID:host-1:1:1"),
                ("content-length", "5"),
                ("timestamp", "1700000000000"),
            ],
            b"hello",
        ),
        (
            "RabbitMQ 3.10",
            b"MESSAGE\nsubscription:0\ndestination:/queue/test\nmessage-id:T_0@@session-x@@1\nredelivered:false\n\
              content-type:text/plain\ncontent-length:2\n\nhi\0\n",
            Command::Message,
            vec![
                ("subscription", "0"),
                ("destination", "/queue/test"),
                ("message-id", "T_0@@session-x@@1"),
                ("redelivered", "false"),
                ("content-type", "text/plain"),
                ("content-length", "2"),
            ],
            b"hi",
        ),
    ] {
        let frames = read(bytes, Version::V1_2, Limits::default(), &[bytes.len()]).unwrap();
        let [frame] = frames.as_slice() else { panic!("{name}: {frames:?}") };
        let expected: Vec<(String, String)> =
            headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!((frame.command, &frame.headers, frame.body.as_slice()), (command, &expected, body), "{name}");
    }
}
