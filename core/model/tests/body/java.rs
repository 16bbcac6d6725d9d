// SPDX-License-Identifier: Apache-2.0
//! Contents as `activemq-client` 5.18.7 has written them, without and with `useCompression`.

use sabir_model::body::{JMS, JMS_COMPRESSED, canonical};
use sabir_model::message::BodyKind;
use sabir_model::property::{self, Value};
use std::borrow::Cow;

const TEXT: &str = "gr\u{fc}n \u{20ac} \u{1f600} \0.";
const MAX: usize = 1000;

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn read(kind: BodyKind, encoding: u16, hex: &str) -> Vec<u8> {
    canonical(kind, encoding, &bytes(hex), MAX).unwrap().into_owned()
}

#[test]
fn text_is_utf8() {
    let plain = "000000146772c3bc6e20e282ac20eda0bdedb88020c0802e";
    let zlib = "789c63606010492f3abc274fe151d31a85b70bf6beddd1a070a0410f0077990b28";
    assert_eq!(read(BodyKind::Text, JMS, plain), TEXT.as_bytes());
    assert_eq!(read(BodyKind::Text, JMS_COMPRESSED, zlib), TEXT.as_bytes());
    assert_eq!(read(BodyKind::Text, JMS, "00000000"), b"");
    assert_eq!(read(BodyKind::Text, JMS_COMPRESSED, "789c63606060000000040001"), b"");
}

#[test]
fn a_map_is_one_whose_texts_are_utf8() {
    let plain = "000000030001620a00000002010200046e616d65090014\
                 6772c3bc6e20e282ac20eda0bdedb88020c0802e00016e0500000003";
    let zlib = "789c6360606066604ce26260606062646260c94bcc4de56410492f3abc274fe1\
                51d31a85b70bf6beddd1a070a0418f81318f15a88c190020650dc2";
    for map in [read(BodyKind::Map, JMS, plain), read(BodyKind::Map, JMS_COMPRESSED, zlib)] {
        property::check(&map).unwrap();
        let entries: Vec<_> = property::Entries::new(&map).collect();
        let expected = [("b", Value::Bytes(&[1, 2])), ("name", Value::Text(TEXT)), ("n", Value::Int(3))];
        assert_eq!(entries, expected);
    }
}

#[test]
fn a_stream_is_values_whose_texts_are_utf8() {
    let plain = "0900146772c3bc6e20e282ac20eda0bdedb88020c0802e0a00000002010206000000000000000500";
    let zlib = "789ce36410492f3abc274fe151d31a85b70bf6beddd1a070a0418f8b8181818991898d010258190037e30b4b";
    for stream in [read(BodyKind::Stream, JMS, plain), read(BodyKind::Stream, JMS_COMPRESSED, zlib)] {
        let (mut rest, mut values) = (&stream[..], Vec::new());
        while let Some((value, after)) = property::split_value(rest) {
            values.push(value);
            rest = after;
        }
        assert_eq!(rest, b"");
        assert_eq!(values, [Value::Text(TEXT), Value::Bytes(&[1, 2]), Value::Long(5), Value::Null]);
    }
}

#[test]
fn bytes_and_objects_are_as_they_were() {
    let hello = b"hello hello hello";
    let zlib = "00000011789ccb48cdc9c957c840900ca360148c82910400db4c067d";
    assert_eq!(canonical(BodyKind::Bytes, JMS, hello, MAX), Ok(Cow::Borrowed(&hello[..])));
    assert_eq!(read(BodyKind::Bytes, JMS_COMPRESSED, zlib), hello);
    let object = "aced000574000a73657269616c6973656479";
    let zlib = "789c5bf39681b58481ab38b528333127b33835a512003ea706bb";
    assert_eq!(read(BodyKind::Object, JMS, object), bytes(object));
    assert_eq!(read(BodyKind::Object, JMS_COMPRESSED, zlib), bytes(object));
}

#[test]
fn no_bytes_are_a_null_and_that_is_empty_to_others() {
    for kind in [BodyKind::None, BodyKind::Text, BodyKind::Map, BodyKind::Stream, BodyKind::Object] {
        for encoding in [JMS, JMS_COMPRESSED] {
            assert_eq!(read(kind, encoding, ""), b"");
        }
    }
}
