// SPDX-License-Identifier: Apache-2.0
//! `docs/message-format.md` says the truth: its example is what the code writes and reads.

use sabir_model::message::{BodyKind, FIXED_HEAD_BYTES, Field, Fixed, HeadWriter};
use sabir_model::property::Value;
use sabir_model::{Head, Message};

const DOCUMENT: &str = include_str!("../../../docs/message-format.md");

/// The bytes of the document's example: two hexadecimal digits each, up to what explains them.
fn example() -> Vec<u8> {
    let (_, from) = DOCUMENT.split_once("```hex\n").expect("the document has its example");
    let (block, _) = from.split_once("```").expect("the example ends");
    let bytes = block.lines().flat_map(|line| {
        line.split(' ').map_while(|word| match word.len() {
            2 => u8::from_str_radix(word, 16).ok(),
            _ => None,
        })
    });
    bytes.collect()
}

const FIXED: Fixed = Fixed {
    persistent: true,
    priority: 7,
    body_kind: BodyKind::Text,
    body_encoding: 0,
    timestamp_ms: 1_700_000_000_000,
    expiration_ms: 0,
    deliver_at_ms: 0,
};

#[test]
fn the_documents_example_is_what_is_written() {
    let mut bytes = Vec::new();
    let mut writer = HeadWriter::new(&mut bytes, &FIXED);
    assert!(writer.field(Field::Id, b"ID:host-1:1:7"));
    assert!(writer.field(Field::Destination, b"queue://ORDERS"));
    assert!(writer.property("region", &Value::Text("EU")));
    assert!(writer.property("quantity", &Value::Int(3)));
    writer.finish();
    bytes.extend_from_slice(b"hi");
    assert_eq!(bytes, example());
}

#[test]
fn the_documents_example_is_read_as_it_is_told() {
    let bytes = example();
    let head = Head::parse(&bytes).unwrap();
    assert!(head.persistent());
    assert_eq!(
        (head.priority(), head.body_kind(), head.timestamp_ms()),
        (7, BodyKind::Text, 1_700_000_000_000)
    );
    assert_eq!(head.text(Field::Id), Some("ID:host-1:1:7"));
    assert_eq!(head.text(Field::Destination), Some("queue://ORDERS"));
    assert_eq!(head.property("region"), Some(Value::Text("EU")));
    assert_eq!(head.property("quantity"), Some(Value::Int(3)));
    assert_eq!(Message::joined(bytes.into()).unwrap().body(), b"hi");
}

#[test]
fn the_documents_fixed_part_ends_where_the_code_has_it_end() {
    assert!(DOCUMENT.contains(&format!("{FIXED_HEAD_BYTES} bytes")));
    assert!(DOCUMENT.contains("| 32 | i64 | deliver at |"));
}

#[test]
fn every_code_of_the_document_is_a_value_and_the_next_is_none() {
    let values: [&[u8]; 14] = [
        &[0],
        &[1, 1],
        &[2, 0xff],
        &[3, 0, 65],
        &[4, 0xff, 0xfe],
        &[5, 0, 0, 1, 0],
        &[6, 0, 0, 0, 0, 0, 0, 1, 0],
        &[7, 0x40, 0, 0, 0, 0, 0, 0, 0],
        &[8, 0x3f, 0xc0, 0, 0],
        &[9, 0, 1, b'x'],
        &[10, 0, 0, 0, 1, 9],
        &[11, 0, 0, 0, 1, 0, 1, b'n', 0],
        &[12, 0, 0, 0, 2, 0, 1, 0],
        &[13, 0, 0, 0, 1, b'x'],
    ];
    let expected = [
        Value::Null,
        Value::Bool(true),
        Value::Byte(-1),
        Value::Char(65),
        Value::Short(-2),
        Value::Int(256),
        Value::Long(256),
        Value::Double(2.0),
        Value::Float(1.5),
        Value::Text("x"),
        Value::Bytes(&[9]),
        Value::Map(&[0, 0, 0, 1, 0, 1, b'n', 0]),
        Value::List(&[0, 0, 0, 2, 0, 1, 0]),
        Value::Text("x"),
    ];
    for (encoded, expected) in values.iter().zip(expected) {
        let map = [&[0, 0, 0, 1, 0, 1, b'p'], *encoded].concat();
        assert_eq!(sabir_model::property::check(&map), Ok(()), "{encoded:?}");
        assert_eq!(sabir_model::property::find(&map, "p"), Some(expected));
        assert!(DOCUMENT.contains(&format!("\n| {} | ", encoded[0])), "{encoded:?}");
    }
    assert!(sabir_model::property::check(&[0, 0, 0, 1, 0, 1, b'p', 14]).is_err());
}

#[test]
fn a_head_that_says_it_is_shorter_than_its_fixed_part_is_none() {
    let mut bytes = Vec::new();
    HeadWriter::new(&mut bytes, &Fixed::default()).finish();
    assert_eq!(Head::trusted(&bytes).map(|head| head.priority()), Some(4));
    for len in [0u32, 1, 39] {
        bytes[4..8].copy_from_slice(&len.to_le_bytes());
        assert!(Head::trusted(&bytes).is_none(), "{len}");
        assert!(Head::parse(&bytes).is_err(), "{len}");
    }
}
