// SPDX-License-Identifier: Apache-2.0
//! One client that has logged in, and whose bytes cannot be read.

use super::client::{Client, Wire};
use super::{Attack, MIB, check_log, frame, once, witness_beside};
use crate::data;
use sabir_tests::process::{Broker, Options};
use std::time::{Duration, Instant};

/// What one refused client may cost: its receive buffer, its half frame, its answers.
const MEMORY_BOUND: u64 = 2 * MIB;

#[test]
fn loose_frames_that_lie_end_the_connection() {
    let (_folder, data) = data();
    let broker = Options::new(&data).set("protocols.openwire.frame_timeout_ms", "1000").start();
    let mut witness = witness_beside(&broker);
    for attack in sizes().into_iter().chain(loose()) {
        let what = attack.what;
        let client = Client::log_in(&broker, Wire::LOOSE);
        witness.during(what, MEMORY_BOUND, || attack.run(client));
    }
    check_log(&broker, 120);
}

#[test]
fn tight_frames_that_lie_end_the_connection() {
    let (_folder, data) = data();
    let broker = Options::new(&data).set("protocols.openwire.frame_timeout_ms", "1000").start();
    let mut witness = witness_beside(&broker);
    for attack in sizes().into_iter().chain(tight()) {
        let what = attack.what;
        let client = Client::log_in(&broker, Wire::TIGHT);
        witness.during(what, MEMORY_BOUND, || attack.run(client));
    }
    check_log(&broker, 120);
}

/// Lengths of whole frames.
fn sizes() -> Vec<Attack> {
    let long = |size: u32, sent: usize| [&size.to_be_bytes()[..], &vec![28; sent]].concat();
    // Of a long message the fields before its content are looked at as soon as they are there: these are all missing.
    let message = |size: u32, sent: usize| [&size.to_be_bytes()[..], &[28], &vec![0; sent]].concat();
    vec![
        once("a frame of 2 GiB", [0x7f, 0xff, 0xff, 0xff], "is more than"),
        once("a negative frame", [0xff; 4], "a length of -1"),
        once("the most negative frame", [0x80, 0, 0, 0], "a length of -2147483648"),
        once("an empty frame", [0; 4], "a length of 0"),
        once("a frame of one byte", frame(&[1]), "cannot be read"),
        once("a type alone", frame(&[5]), "the frame ends within it"),
        once("a frame beyond the limit", long(102 << 20, 16), "is more than"),
        once("a long message that begins as none does", long(90 << 20, 100_000), "cannot be read"),
        once("a long frame that does not go on", message(90 << 20, 100_000), "frame_timeout_ms"),
        once("a type that does not exist", frame(&[0x7e, 0, 0, 0, 1, 0, 0]), "type 126"),
        once("the type of nothing", frame(&[0, 0, 0, 0, 1, 0, 0]), "type 0"),
        once("a queue where a command must be", frame(&[100, 0, 0, 0, 1, 0, 0]), "type 100"),
        once("no OpenWire at all", *b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "is more than"),
        Attack::flood("NUL without end", &[0; 64], 1_000_000, "a length of 0"),
    ]
}

/// Number 7, an answer wanted.
const HEAD: [u8; 5] = [0, 0, 0, 7, 1];

/// A loose command from its type and its fields.
fn command(code: u8, fields: &[u8]) -> Vec<u8> {
    frame(&[&[code][..], &HEAD, fields].concat())
}

/// A text that is there.
fn text(text: &[u8]) -> Vec<u8> {
    [&[1][..], &(text.len() as u16).to_be_bytes(), text].concat()
}

fn loose() -> Vec<Attack> {
    let connection = [&[1, 120][..], &text(b"ID:x")].concat();
    // DataResponse within DataResponse: a structure, its type, its head, the number it answers.
    let inside = [&[1, 32][..], &HEAD, &[0, 0, 0, 1]].concat();
    let deep = [&[0, 0, 0, 1][..], &inside.repeat(10_000), &[0]].concat();
    // A message whose advisory is a message whose advisory ...
    let poison = |after: &[u8]| {
        // MessageAck: no destination, no transaction, no consumer, POISON, no ids, no count; then the exception.
        [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], after].concat()
    };
    let causes = {
        let one = [&[1][..], &text(b"java.lang.Exception"), &text(b"because")].concat();
        one.repeat(10_000)
    };
    let string_lie = [&[1, 120, 1][..], &[0xff, 0xff], b"short"].concat();
    let broken = |bytes: &[u8]| command(3, &[&[1, 120][..], &text(bytes)].concat());
    vec![
        once("a text longer than its frame", command(3, &string_lie), "the frame ends within it"),
        // As Java does it, it is read; what follows is missing.
        once("a text of overlong UTF-8", broken(b"\xc0\xae"), "the frame ends within it"),
        once("a text that ends within a character", broken(b"a\xe2\x82"), "modified UTF-8"),
        once("a text of bytes that never stand in UTF-8", broken(b"\xff\xfe"), "modified UTF-8"),
        once("a text of four bytes for a character", broken(b"\xf0\x9f\x98\x80"), "modified UTF-8"),
        once(
            "an array of 32,767",
            command(3, &[&connection[..], &[0, 0, 0, 1, 0x7f, 0xff]].concat()),
            "cannot be read",
        ),
        once(
            "an array of a negative length",
            command(3, &[&connection[..], &[0, 0, 0, 1, 0xff, 0xff]].concat()),
            "a length of -1",
        ),
        once("an array of structures of 32,767", command(33, &[0, 0, 0, 1, 1, 0x7f, 0xff]), "cannot be read"),
        once("structures nested 10,000 deep", command(32, &deep), "nested deeper"),
        once("a structure of no type", command(32, &[0, 0, 0, 1, 1, 0x7e]), "type 126"),
        once(
            "an exception's cause within a cause",
            command(22, &poison(&causes)),
            "bytes follow the last field",
        ),
        once(
            "an id where another belongs",
            command(3, &[&[1, 121][..], &text(b"ID:x")].concat()),
            "type 121",
        ),
        once(
            "bytes of 2 GiB",
            command(18, &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff]),
            "the frame ends within it",
        ),
        once(
            "bytes of less than nothing",
            command(18, &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]),
            "a length of -1",
        ),
        once("bytes behind the last field", command(10, &[1, 2, 3]), "bytes follow the last field"),
        once(
            "pieces of a datagram",
            frame(&[60, 0, 0, 0, 1, 1, 0x7f, 0xff, 0xff, 0xff]),
            "the frame ends within it",
        ),
        once("a second first frame", frame(b"\x01ActiveMQ\0\0\0\x0c\0"), "agreed before"),
        once(
            "half a command and then silence",
            [&[0, 1, 0x86, 0xa0, 28][..], &[0; 70_000]].concat(),
            "frame_timeout_ms",
        ),
    ]
}

fn tight() -> Vec<Attack> {
    // ConnectionControl, no bits for its fields.
    let control = |stream: &[u8], rest: &[u8]| frame(&[&[18][..], stream, rest].concat());
    vec![
        once(
            "a boolean stream longer than its frame",
            control(&[0x80, 0xff, 0xff], &[0; 8]),
            "the frame ends within it",
        ),
        once(
            "a boolean stream of 255 that is not there",
            control(&[0xc0, 0xff], &[0; 8]),
            "the frame ends within it",
        ),
        once("no booleans at all", control(&[0], &[0, 0, 0, 1]), "the frame ends within it"),
        once("a boolean stream of no length", control(&[0x80], &[]), "the frame ends within it"),
        once(
            "booleans that promise texts",
            control(&[2, 0xff, 0xff], &[0, 0, 0, 1]),
            "the frame ends within it",
        ),
        // RemoveInfo: an answer is not wanted, the object stands in the cache.
        once(
            "a place in the cache that was never filled",
            frame(&[12, 1, 0b0000, 0, 0, 0, 1, 0x03, 0xe7]),
            "the cache has no such value at 999",
        ),
        once(
            "a place far beyond the cache",
            frame(&[12, 1, 0b0000, 0, 0, 0, 1, 0x7f, 0xff]),
            "the cache has no such value at 32767",
        ),
        once(
            "a negative place in the cache",
            frame(&[12, 1, 0b0000, 0, 0, 0, 1, 0xff, 0xfe]),
            "the cache has no such value at -2",
        ),
        once(
            "a new value far beyond the cache",
            frame(&[12, 1, 0b1110, 0, 0, 0, 1, 120, 0, 1, b'x', 0x7f, 0xff]),
            "cannot be read",
        ),
        once(
            "a new value at a negative place",
            frame(&[12, 1, 0b1110, 0, 0, 0, 1, 120, 0, 1, b'x', 0xff, 0x00]),
            "cannot be read",
        ),
    ]
}

#[test]
fn a_client_that_falls_silent_within_a_frame_is_left_after_the_silence_that_was_agreed() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut witness = witness_beside(&broker);
    for half in [&b""[..], &[0, 0, 0], &[0, 0, 1, 0, 5, 0]] {
        let mut client = Client::log_in(&broker, Wire { inactivity_ms: 600, ..Wire::LOOSE });
        client.write(half).expect("a living connection");
        witness.during("silence within a frame", MIB, || {
            let start = Instant::now();
            let refusal = super::last_words(&mut client, "silence").expect("a word");
            assert!(refusal.text.contains("MaxInactivityDuration"), "{refusal:?}");
            assert!(start.elapsed() > Duration::from_millis(300), "left after {:?}", start.elapsed());
        });
    }
}
