// SPDX-License-Identifier: Apache-2.0
//! Bodies: which are canonical as they are, which stay in Java's form, and what others make of them.

use crate::support::*;
use bytes::Bytes;
use sabir_model::body::{BodyError, canonical};
use sabir_model::message::{BodyKind, Field, Fixed, HeadWriter, Message as Canonical};
use sabir_model::property::Value;
use sabir_protocol_openwire::codec::{Message, MessageKind, map, mutf8};
use sabir_protocol_openwire::convert::{ConvertError, Names};
use std::io::Write;

const MAX: usize = 1 << 20;

fn java_text(text: &str) -> Vec<u8> {
    let mut content = (mutf8::encoded_len(text) as u32).to_be_bytes().to_vec();
    mutf8::encode(text, &mut content);
    content
}

fn java_map(text: &str) -> Vec<u8> {
    let mut content = Vec::new();
    let entries = [("name".into(), map::Value::Text(text.into())), ("n".into(), map::Value::Int(3))];
    map::write(Some(&entries), &mut content).unwrap();
    content
}

fn java_stream(text: &str) -> Vec<u8> {
    let mut content = Vec::new();
    let values = [map::Value::Text(text.into()), map::Value::Bytes(vec![0xf0, 0].into()), map::Value::Null];
    map::write_stream(&values, &mut content).unwrap();
    content
}

fn contents(text: &str) -> Vec<(MessageKind, Vec<u8>)> {
    vec![
        (MessageKind::Text, java_text(text)),
        (MessageKind::Map, java_map(text)),
        (MessageKind::Stream, java_stream(text)),
        (MessageKind::Bytes, text.as_bytes().to_vec()),
        (MessageKind::Object, text.as_bytes().to_vec()),
    ]
}

fn compressed(kind: MessageKind, content: &[u8]) -> Message {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(content).unwrap();
    let mut bytes =
        if kind == MessageKind::Bytes { (content.len() as u32).to_be_bytes().to_vec() } else { vec![] };
    bytes.extend(zlib.finish().unwrap());
    Message { compressed: true, ..message(kind, Some(&bytes)) }
}

fn read(message: &Canonical) -> Result<Vec<u8>, BodyError> {
    let head = message.head();
    canonical(head.body_kind(), head.body_encoding(), message.body(), MAX).map(|body| body.into_owned())
}

/// What others read of these contents.
fn expected(kind: MessageKind, text: &str) -> Vec<u8> {
    let string = |text: &str| match text.encode_utf16().count() {
        0..8191 => [&[9][..], &(text.len() as u16).to_be_bytes(), text.as_bytes()].concat(),
        _ => [&[13][..], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat(),
    };
    match kind {
        MessageKind::Map => {
            [&b"\0\0\0\x02\0\x04name"[..], &string(text), &b"\0\x01n\x05\0\0\0\x03"[..]].concat()
        }
        MessageKind::Stream => [&string(text)[..], &b"\x0a\0\0\0\x02\xf0\0\0"[..]].concat(),
        _ => text.as_bytes().to_vec(),
    }
}

#[test]
fn others_read_every_body_as_its_kind_whatever_form_it_was_sent_in() {
    for text in ["", "plain", "gr\u{fc}n \u{20ac}", "\u{1f600} and \0", &"\u{1f600}".repeat(5000)] {
        for (kind, content) in contents(text) {
            let context = format!("{kind:?} {text:.20}");
            for sent in [message(kind, Some(&content)), compressed(kind, &content)] {
                let canonical = published(&sent);
                assert!(read(&canonical) == Ok(expected(kind, text)), "{context}");
                let back = dispatched(&canonical);
                assert_eq!(back.compressed, sent.compressed, "{context}");
                assert!(bytes(back.content.as_ref()) == bytes(sent.content.as_ref()), "{context}");
            }
        }
    }
}

#[test]
fn a_body_stays_in_javas_form_only_when_it_must() {
    for (text, expected) in [("plain", 0), ("gr\u{fc}n \u{20ac}", 0), ("\u{1f600}", 1), ("a\0", 1)] {
        for (kind, content) in contents(text) {
            let has_text = matches!(kind, MessageKind::Text | MessageKind::Map | MessageKind::Stream);
            let encoding = published(&message(kind, Some(&content))).head().body_encoding();
            assert_eq!(encoding, if has_text { expected } else { 0 }, "{kind:?} {text}");
            assert_eq!(published(&compressed(kind, &content)).head().body_encoding(), 2);
        }
    }
}

#[test]
fn a_null_body_is_an_empty_one_to_others() {
    for kind in [MessageKind::Text, MessageKind::Map, MessageKind::Bytes, MessageKind::Plain] {
        assert_eq!(read(&published(&message(kind, None))), Ok(vec![]));
    }
}

#[test]
fn a_body_that_inflates_beyond_the_limit_is_named_and_nothing_more() {
    for kind in [MessageKind::Bytes, MessageKind::Text, MessageKind::Map, MessageKind::Object] {
        let bomb = published(&compressed(kind, &vec![b' '; MAX + 100]));
        assert!(bomb.body().len() < 4096);
        assert_eq!(read(&bomb), Err(BodyError::TooLarge { limit_bytes: MAX }), "{kind:?}");
    }
    let (fits, content) = (vec![b'x'; MAX], java_text(&"x".repeat(MAX)));
    assert_eq!(read(&published(&compressed(MessageKind::Bytes, &fits))), Ok(fits.clone()));
    assert_eq!(read(&published(&compressed(MessageKind::Text, &content))), Ok(fits));
}

#[test]
fn damaged_bodies_go_through_and_are_named_to_others() {
    let cases: [(MessageKind, &[u8], bool); 8] = [
        (MessageKind::Text, b"\0\0\0\x05abc", false),
        (MessageKind::Text, b"\0\0", false),
        (MessageKind::Text, b"\xff\xff\xff\xff", false),
        (MessageKind::Text, b"\0\0\0\x01\xff", false),
        (MessageKind::Map, b"\0\0\0\x01", false),
        (MessageKind::Stream, b"\x0e", false),
        (MessageKind::Object, b"no zlib", true),
        (MessageKind::Bytes, b"\0\0", true),
    ];
    for (kind, content, compressed) in cases {
        let sent = Message { compressed, ..message(kind, Some(content)) };
        let canonical = published(&sent);
        assert!(matches!(read(&canonical), Err(BodyError::Damaged(_))), "{kind:?} {content:?}");
        assert_eq!(bytes(dispatched(&canonical).content.as_ref()), Some(content));
    }
}

fn from_another(kind: BodyKind, encoding: u16, body: &[u8]) -> Canonical {
    let mut head = Vec::new();
    let fixed = Fixed { body_kind: kind, body_encoding: encoding, ..Fixed::default() };
    let mut writer = HeadWriter::new(&mut head, &fixed);
    assert!(writer.field(Field::Id, b"sabir-1"));
    assert!(writer.field(Field::Destination, b"queue://Q"));
    writer.finish();
    Canonical::split(head.into(), Bytes::copy_from_slice(body)).unwrap()
}

#[test]
fn bodies_of_other_protocols_are_what_java_would_have_written() {
    for text in ["", "plain", "gr\u{fc}n \u{20ac}", "\u{1f600} and \0"] {
        for (kind, content) in contents(text) {
            let kinds = match kind {
                MessageKind::Text => BodyKind::Text,
                MessageKind::Map => BodyKind::Map,
                MessageKind::Stream => BodyKind::Stream,
                MessageKind::Bytes => BodyKind::Bytes,
                _ => BodyKind::Object,
            };
            let message = dispatched(&from_another(kinds, 0, &expected(kind, text)));
            assert_eq!(message.kind, kind);
            assert_eq!(bytes(message.content.as_ref()), Some(&content[..]), "{kind:?} {text}");
        }
    }
    let none = dispatched(&from_another(BodyKind::None, 0, b""));
    assert_eq!((none.kind, none.content), (MessageKind::Plain, None));
}

#[test]
fn nested_maps_and_lists_in_the_body_of_another_protocol_are_converted_within() {
    let value = |text: &str| {
        map::Value::List(vec![map::Value::Map(vec![(text.into(), map::Value::Text(text.into()))])])
    };
    let mut java = Vec::new();
    map::write_stream(&[value("\u{1f600}")], &mut java).unwrap();
    let text = "\u{1f600}".as_bytes();
    let body = [&b"\x0c\0\0\0\x01\x0b\0\0\0\x01\0\x04"[..], text, &b"\x09\0\x04"[..], text].concat();
    let message = dispatched(&from_another(BodyKind::Stream, 0, &body));
    assert_eq!(bytes(message.content.as_ref()), Some(&java[..]));
}

#[test]
fn text_that_is_no_text_is_shown_as_far_as_it_can_be() {
    let message = dispatched(&from_another(BodyKind::Text, 0, b"a\xffb\0"));
    assert_eq!(bytes(message.content.as_ref()), Some(&java_text("a\u{fffd}b\0")[..]));
}

#[test]
fn an_encoding_of_another_protocol_is_refused_by_name() {
    let message = from_another(BodyKind::Text, 77, b"x");
    let refused = dispatched_from(&delivery(&message), None, &mut Names::new(4));
    assert_eq!(refused, Err(ConvertError::Body(BodyError::Encoding(77))));
    assert_eq!(read(&message), Err(BodyError::Encoding(77)));
}

#[test]
fn the_place_of_a_blob_message_s_body_is_openwires_alone() {
    let mut sent = message(MessageKind::Blob, None);
    sent.remote_blob = Some(Box::default());
    sent.remote_blob.as_mut().unwrap().remote_blob_url = Some("http://host.example/blob".into());
    let canonical = published(&sent);
    assert_eq!(canonical.head().body_kind(), BodyKind::None);
    assert_eq!(dispatched(&canonical), with_the_brokers_own(sent));
    // A map that says it is a value of a property is none the less the application's.
    assert_eq!(canonical.head().property("remoteBlobUrl"), None::<Value<'_>>);
}
