// SPDX-License-Identifier: Apache-2.0
//! What is damaged or too large is named, and takes no memory to speak of.

use sabir_model::body::java::{Entries, check_map, check_stream, is_plain, map_to_utf8, to_utf8};
use sabir_model::body::{BodyError, CANONICAL, JMS, JMS_COMPRESSED, canonical};
use sabir_model::message::BodyKind;
use std::io::Write;

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_body_inflates_to_the_limit_and_not_beyond() {
    let body = zlib(&[7; 1000]);
    assert_eq!(canonical(BodyKind::Object, JMS_COMPRESSED, &body, 1000).unwrap().len(), 1000);
    let refused = canonical(BodyKind::Object, JMS_COMPRESSED, &body, 999);
    assert_eq!(refused, Err(BodyError::TooLarge { limit_bytes: 999 }));
    // The length of a text is not the text's.
    let text = zlib(&[&3u32.to_be_bytes()[..], b"abc"].concat());
    assert_eq!(canonical(BodyKind::Text, JMS_COMPRESSED, &text, 3).unwrap(), &b"abc"[..]);
    assert!(canonical(BodyKind::Text, JMS_COMPRESSED, &text, 2).is_err());
}

/// What Java writes behind it is not part of the message.
#[test]
fn of_compressed_bytes_as_many_count_as_they_say() {
    let body = |length: i32| [&length.to_be_bytes()[..], &zlib(&[7; 1000])].concat();
    let read =
        |length, max| canonical(BodyKind::Bytes, JMS_COMPRESSED, &body(length), max).map(|body| body.len());
    assert_eq!(read(1000, 1000), Ok(1000));
    assert_eq!(read(17, 20), Ok(17));
    assert_eq!(read(0, 0), Ok(0));
    assert_eq!(read(1001, 2000), Err(BodyError::Damaged("it inflates to less than it says")));
    assert_eq!(read(1000, 999), Err(BodyError::TooLarge { limit_bytes: 999 }));
    assert_eq!(read(i32::MAX, 999), Err(BodyError::TooLarge { limit_bytes: 999 }));
    assert!(matches!(read(-1, 999), Err(BodyError::Damaged(_))));
}

#[test]
fn a_stream_that_ends_early_or_is_none_is_damaged() {
    let body = zlib(&[7; 1000]);
    for end in 1..body.len() {
        let read = canonical(BodyKind::Object, JMS_COMPRESSED, &body[..end], 2000);
        assert!(matches!(read, Err(BodyError::Damaged(_))), "{end}: {read:?}");
    }
    for kind in [BodyKind::Bytes, BodyKind::Text] {
        assert!(canonical(kind, JMS_COMPRESSED, b"\0\0", 10).is_err());
        assert!(canonical(kind, JMS_COMPRESSED, b"\0\0\0\x01no zlib", 10).is_err());
    }
}

#[test]
fn texts_that_are_not_as_long_as_they_say_are_damaged() {
    for body in [&b"\0\0\0"[..], b"\0\0\0\x02a", b"\0\0\0\x01ab", b"\xff\xff\xff\xff", b"\0\0\0\x01\xc0"] {
        assert!(matches!(canonical(BodyKind::Text, JMS, body, 10), Err(BodyError::Damaged(_))), "{body:?}");
    }
}

#[test]
fn a_canonical_body_is_lent_whatever_it_holds() {
    for kind in [BodyKind::Text, BodyKind::Map, BodyKind::Bytes] {
        assert_eq!(canonical(kind, CANONICAL, b"\xff", 0).unwrap(), &b"\xff"[..]);
    }
    assert_eq!(canonical(BodyKind::Text, 3, b"x", 10), Err(BodyError::Encoding(3)));
}

#[test]
fn maps_and_lists_nest_as_deep_as_properties_may() {
    let nested = |depth: usize| [&b"\x0c\0\0\0\x01"[..]; 40][..depth].concat();
    assert_eq!(check_stream(&[&nested(15)[..], b"\x0c\0\0\0\0"].concat()), Ok(true));
    assert_eq!(
        check_stream(&[&nested(16)[..], b"\x0c\0\0\0\0"].concat()),
        Err(BodyError::Damaged("maps and lists are nested too deeply"))
    );
}

#[test]
fn counts_and_lengths_are_not_believed() {
    for map in [
        &b"\x7f\xff\xff\xff"[..],
        b"\0\0\0\x01\0\x01a\x0c\x7f\xff\xff\xff",
        b"\0\0\0\x01\0\x01a\x0a\x7f\xff\xff\xff",
        b"\0\0\0\x01\0\x01a\x0a\xff\xff\xff\xff",
        b"\0\0\0\x01\xff\xffa",
        b"\xff\xff\xff\xfe",
        b"\0\0\0\0\0",
        b"\0\0\0\x01\0\x01a\x0e",
        b"",
    ] {
        assert!(check_map(map).is_err() && map_to_utf8(map).is_err(), "{map:?}");
        let mut entries = Entries::new(map);
        let ends = loop {
            match entries.as_mut().map(Entries::next_entry) {
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None)) => break false,
                _ => break true,
            }
        };
        assert!(ends, "{map:?}");
    }
}

#[test]
fn plain_is_what_is_the_same_in_both_forms() {
    let long = "x".repeat(200);
    for (bytes, plain) in [
        (&b""[..], true),
        (long.as_bytes(), true),
        ("gr\u{fc}n \u{ffff}".as_bytes(), true),
        (b"\0", false),
        (b"\xc0\x80", false),
        ("\u{1f600}".as_bytes(), false),
        (b"\xed\xa0\xbd\xed\xb8\x80", false),
        (b"\xff", false),
        (b"\xc3", false),
    ] {
        assert_eq!(is_plain(bytes), plain, "{bytes:?}");
        assert_eq!(is_plain(&[long.as_bytes(), bytes].concat()), plain, "{bytes:?}");
        assert_eq!(is_plain(&[bytes, long.as_bytes()].concat()), plain, "{bytes:?}");
    }
}

#[test]
fn surrogates_are_joined_or_replaced() {
    for (bytes, text) in [
        (&b"\xed\xa0\xbd\xed\xb8\x80"[..], "\u{1f600}"),
        (b"a\xed\xa0\xbdb", "a\u{fffd}b"),
        (b"\xed\xb8\x80\xed\xa0\xbd", "\u{fffd}\u{fffd}"),
        (b"a\xc0\x80b", "a\0b"),
        (b"a\0b", "a\0b"),
    ] {
        assert_eq!(to_utf8(bytes).unwrap(), text, "{bytes:?}");
    }
    for bytes in [&b"\xf0\x9f\x98\x80"[..], b"\x80", b"\xc3", b"\xe2\x82", b"\xe2(\xa1", b"\xff"] {
        assert!(to_utf8(bytes).is_err(), "{bytes:?}");
    }
}
