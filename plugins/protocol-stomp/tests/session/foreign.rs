// SPDX-License-Identifier: Apache-2.0
//! `MESSAGE` frames of messages whose bodies another protocol left in a form of its own.

use crate::peer::{Peer, Sample};
use sabir_model::body::{JMS, JMS_COMPRESSED};
use sabir_model::message::BodyKind;
use sabir_model::verb::{Outcome, Settle, SettleRange, Verb};
use sabir_sdk::protocol::Capacities;
use std::io::Write;

const ROOM: Capacities = Capacities { verbs: 8, arena_bytes: 1400, segments: 8, owned: 1 };

fn subscribed(ack: &str, config: &str) -> Peer {
    let mut peer = Peer::logged_in("1.2", "", config);
    peer.send(format!("SUBSCRIBE\nid:s\ndestination:/queue/q\nack:{ack}\n\n\0"));
    peer.requests.clear();
    peer
}

/// As JMS brokers send it.
fn jms(kind: BodyKind, content: &[u8]) -> Sample {
    let mut sample = Sample::bytes(content);
    sample.fixed.body_kind = kind;
    sample.fixed.body_encoding = JMS;
    sample
}

fn compressed(kind: BodyKind, content: &[u8]) -> Sample {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(content).unwrap();
    let mut body =
        if kind == BodyKind::Bytes { (content.len() as u32).to_be_bytes().to_vec() } else { vec![] };
    body.extend(zlib.finish().unwrap());
    let mut sample = jms(kind, &body);
    sample.fixed.body_encoding = JMS_COMPRESSED;
    sample
}

fn java_text(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn body_of(frame: &str) -> &str {
    frame.split_once("\n\n").expect("a head").1
}

#[test]
fn texts_of_java_are_utf8_in_stomp_compressed_or_not() {
    let java = java_text(b"a\xed\xa0\xbd\xed\xb8\x80b");
    let samples = [jms(BodyKind::Text, &java), compressed(BodyKind::Text, &java)];
    for sample in samples {
        let mut peer = subscribed("auto", "{}");
        assert_eq!(peer.deliver(&[sample.to(1, 9)]), 1);
        let text = peer.text();
        assert_eq!(body_of(&text), "a\u{1f600}b^@");
        assert!(!text.contains("content-length"), "{text}");
    }
    let mut peer = subscribed("auto", "{}");
    peer.deliver(&[jms(BodyKind::Text, &java_text(b"a\xc0\x80b")).to(1, 9)]);
    let text = peer.text();
    assert!(text.contains("\ncontent-length:3\namq-msg-type:text\n"), "{text}");
    assert_eq!(body_of(&text), "a^@b^@");
}

#[test]
fn what_is_null_in_java_is_empty_in_stomp() {
    let mut peer = subscribed("auto", "{}");
    peer.deliver(&[jms(BodyKind::Text, b"").to(1, 9), jms(BodyKind::Bytes, b"").to(1, 10)]);
    let text = peer.text();
    let (first, second) = text.split_once("^@").unwrap();
    assert_eq!(body_of(first), "");
    assert!(second.contains("\ncontent-length:0\n") && body_of(second) == "^@", "{text}");
}

#[test]
fn compressed_bytes_are_counted_as_they_are_inflated_and_handed_over_when_long() {
    for len in [10, 100_000] {
        let mut peer = subscribed("client", "{}");
        assert_eq!(peer.deliver(&[compressed(BodyKind::Bytes, &vec![b'x'; len]).to(1, 9)]), 1);
        let text = peer.text();
        assert!(text.contains(&format!("\ncontent-length:{len}\n")), "{len}");
        assert!(body_of(&text) == format!("{}^@", "x".repeat(len)), "{len}");
        assert!(peer.requests.is_empty());
    }
}

#[test]
fn a_body_that_inflates_beyond_the_limit_goes_to_the_dead_letters_with_the_reason() {
    let bomb = compressed(BodyKind::Bytes, &vec![0; 1_000_000]);
    let mut peer = subscribed("client-individual", r#"{"max_inflated_bytes": 500000}"#);
    assert_eq!(peer.deliver(&[bomb.to(1, 9), Sample::text("next").to(1, 10)]), 2);
    let Verb::Settle(Settle { range, outcome: Outcome::Reject { reason } }) = peer.take().verb else {
        panic!("it is rejected");
    };
    assert_eq!(range, SettleRange::Tags { first: 9, last: 9 });
    assert!(reason.contains("more than 500000 bytes") && reason.contains("max_inflated_bytes"), "{reason}");
    let text = peer.text();
    assert_eq!(text.matches("MESSAGE\n").count(), 1);
    assert_eq!(body_of(&text), "next^@");
}

/// Also if the setting were larger: the session takes no larger messages from its client either (10 MiB here).
#[test]
fn no_body_inflates_beyond_the_largest_message() {
    let bomb = compressed(BodyKind::Bytes, &vec![0; 11 << 20]);
    let mut peer = subscribed("client", "{}");
    peer.deliver(&[bomb.to(1, 9)]);
    assert!(matches!(peer.take().verb, Verb::Settle(Settle { outcome: Outcome::Reject { .. }, .. })));
}

#[test]
fn who_cannot_reject_gets_a_damaged_body_as_it_is_and_is_told() {
    for mode in ["ack:auto", "ack:client\nbrowser:true"] {
        let mut peer = Peer::connected("1.2");
        peer.send(format!("SUBSCRIBE\nid:s\ndestination:/queue/q\n{mode}\n\n\0"));
        peer.requests.clear();
        peer.deliver(&[jms(BodyKind::Text, b"\0\0\0\x09abc").to(1, 9)]);
        let text = peer.text();
        assert!(text.contains("\nbody-error:the body is damaged"), "{text}");
        assert_eq!(body_of(&text), "^@^@^@\tabc^@");
        assert!(peer.requests.is_empty());
    }
}

#[test]
fn a_body_that_comes_in_pieces_is_converted_once_it_is_whole() {
    let content = format!("{}\u{e9}", "x".repeat(5000));
    let delivery = jms(BodyKind::Text, &java_text(content.as_bytes())).to(1, 9);
    let mut peer = Peer::cramped("", ROOM);
    peer.send("SUBSCRIBE\nid:s\ndestination:/queue/q\n\n\0");
    peer.requests.clear();
    let mut taken = 0;
    for _ in 0..20 {
        taken += peer.deliver_pieces(&delivery, 1000, taken);
        if taken == 6 {
            break;
        }
    }
    assert_eq!(taken, 6);
    let text = peer.text();
    assert_eq!(text.matches("MESSAGE\n").count(), 1);
    assert!(body_of(&text) == format!("{content}^@"), "{text}");
}

/// The frame fits only when nothing else is there: the last piece is offered again.
#[test]
fn the_last_piece_of_a_body_may_be_offered_again() {
    let content = java_text(&[&[b'y'; 1000][..], b"\xc0\x80"].concat());
    let delivery = jms(BodyKind::Text, &content).to(1, 10);
    let mut peer = Peer::cramped("", ROOM);
    peer.send("SUBSCRIBE\nid:s\ndestination:/queue/q\n\n\0");
    peer.requests.clear();
    // A message takes the room in front of it.
    let all = [Sample::text(&"z".repeat(600)).to(1, 9), delivery];
    assert_eq!(peer.deliver_all_in_pieces(&all, 500, 0), 4);
    assert_eq!(peer.deliver_all_in_pieces(&all, 500, 4), 1);
    let text = peer.text();
    assert!(text.ends_with(&format!("\n\n{}^@^@", "y".repeat(1000))), "{text}");
}

#[test]
fn after_much_was_converted_the_host_writes_before_more_is() {
    let long = compressed(BodyKind::Bytes, &vec![b'x'; 300_000]);
    let deliveries: Vec<_> = (1..5).map(|tag| long.to(1, tag)).collect();
    let mut peer = subscribed("auto", "{}");
    for at in 0..deliveries.len() {
        assert_eq!(peer.deliver(&deliveries[at..]), 1);
    }
    assert_eq!(peer.text().matches("MESSAGE\n").count(), 4);
}
