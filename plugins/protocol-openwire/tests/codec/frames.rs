// SPDX-License-Identifier: Apache-2.0
//! Reads the files of golden frames; `tests/java/capture` says how they are written, and how they look.

use bytes::Bytes;
use sabir_protocol_openwire::codec::{Command, Decoder, Encoder, Framed, Options};
use std::path::Path;

/// A frame as Java wrote it, with its length if it has one, and what Java read from it.
pub struct Golden {
    pub frame: Bytes,
    pub text: String,
}

/// Frames that were written one after another.
pub struct Connection {
    pub options: Options,
    pub frames: Vec<Golden>,
}

/// A file.
pub struct Capture {
    pub name: String,
    pub connections: Vec<Connection>,
}

pub fn captures() -> Vec<Capture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "frames"));
    paths.sort();
    assert!(paths.len() >= 13, "files are missing: {paths:?}");
    paths.iter().map(|path| capture(path)).collect()
}

fn capture(path: &Path) -> Capture {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let (mut connections, mut texts) = (Vec::<Connection>::new(), Vec::new());
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let (kind, rest) = line.split_once(' ').unwrap();
        match kind {
            "#" => {}
            "=" => connections.push(Connection { options: options(rest), frames: Vec::new() }),
            "d" => texts.push(rest.to_owned()),
            "f" => {
                let (number, hex) = rest.split_once(' ').unwrap();
                let text = texts[number.parse::<usize>().unwrap()].clone();
                connections.last_mut().unwrap().frames.push(Golden { frame: bytes(hex), text });
            }
            _ => panic!("{name}: {line}"),
        }
    }
    Capture { name, connections }
}

fn options(line: &str) -> Options {
    let words: Vec<&str> = line.split(' ').collect();
    let [version, tight, cache, stack_trace, size_prefix] = words[..] else { panic!("{line}") };
    Options {
        version: version.parse().unwrap(),
        tight: tight == "true",
        size_prefix: size_prefix == "true",
        cache: cache.parse().unwrap(),
        stack_trace: stack_trace == "true",
        ..Options::initial()
    }
}

pub fn bytes(hex: &str) -> Bytes {
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// The frame without its length.
pub fn body(decoder: &Decoder, frame: &Bytes) -> Bytes {
    match decoder.frame(frame).unwrap() {
        Framed::Whole { body, consumed } => {
            assert_eq!(consumed, frame.len());
            frame.slice(body)
        }
        need => panic!("{need:?}"),
    }
}

/// Makes the command independent of its frame.
pub fn detach(command: &mut Command, frame: &Bytes) {
    match command {
        Command::Message(message) => message.detach(frame),
        Command::MessageDispatch(dispatch) => {
            if let Some(message) = &mut dispatch.message {
                message.detach(frame);
            }
        }
        Command::PartialCommand(partial) => partial.data.iter_mut().for_each(|data| data.detach(frame)),
        Command::LastPartialCommand(partial) => partial.data.iter_mut().for_each(|data| data.detach(frame)),
        _ => {}
    }
}

pub fn encode(encoder: &mut Encoder, command: &Command) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.encode(command, &mut out).unwrap();
    out
}
