// SPDX-License-Identifier: Apache-2.0
//! Primitive maps and streams: what is written is read back, and nothing that is read can do harm.

use crate::counting::count;
use proptest::prelude::*;
use sabir_protocol_openwire::codec::Error;
use sabir_protocol_openwire::codec::map::{self, Limits, Map, Value};

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i8>().prop_map(Value::Byte),
        any::<u16>().prop_map(Value::Char),
        any::<i16>().prop_map(Value::Short),
        any::<i32>().prop_map(Value::Int),
        any::<i64>().prop_map(Value::Long),
        (-1e9f64..1e9).prop_map(Value::Double),
        (-1e9f32..1e9).prop_map(Value::Float),
        any::<String>().prop_map(|text| Value::Text(text.into())),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Bytes(bytes.into())),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::vec((any::<String>().prop_map(Into::into), inner), 0..6).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        entries in prop::collection::vec((any::<String>().prop_map(Box::<str>::from), values()), 0..10),
    ) {
        let mut out = Vec::new();
        map::write(Some(&entries), &mut out).unwrap();
        prop_assert_eq!(map::read(&out, Limits::default()).unwrap().unwrap(), entries.clone());
        for len in 0..out.len() {
            prop_assert!(map::read(&out[..len], Limits::default()).is_err());
        }
        let stream: Vec<Value> = entries.into_iter().map(|(_, value)| value).collect();
        out.clear();
        map::write_stream(&stream, &mut out).unwrap();
        prop_assert_eq!(map::read_stream(&out, Limits::default()).unwrap(), stream);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let limits = Limits { budget_bytes: 100_000, ..Limits::default() };
        let (read, taken) = count(|| (map::read(&bytes, limits), map::read_stream(&bytes, limits)));
        prop_assert!(taken.bytes < 500_000, "{taken:?}");
        if let (Ok(Some(map)), _) = read {
            map::write(Some(&map), &mut Vec::new()).unwrap();
        }
    }
}

#[test]
fn long_texts_change_their_type_where_javas_do() {
    for (text, code) in [
        ("x".repeat(8190), 9),
        ("x".repeat(8191), 13),
        ("\u{20ac}".repeat(8190), 9),
        ("\0".repeat(70_000), 13),
    ] {
        let value = Value::Text(text.into());
        let mut out = Vec::new();
        map::write_value(&value, &mut out).unwrap();
        assert_eq!(out[0], code);
        assert_eq!(map::read_stream(&out, Limits::default()).unwrap(), [value]);
    }
}

#[test]
fn no_map_is_not_an_empty_one() {
    let mut out = Vec::new();
    map::write(None, &mut out).unwrap();
    assert_eq!(map::read(&out, Limits::default()), Ok(None));
    assert_eq!(map::read(&[0; 4], Limits::default()), Ok(Some(Map::new())));
    assert!(matches!(map::read(&[0xff, 0xff, 0xff, 0xfe], Limits::default()), Err(Error::BadLength { .. })));
}

#[test]
fn counts_lengths_and_depth_are_checked_before_memory_is_taken() {
    let deep = [&[0, 0, 0, 1, 0, 0][..], &[12, 0, 0, 0, 1].repeat(100_000), &[0]].concat();
    let cases: [&[u8]; 5] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0, 1, 0, 0, 12, 0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0, 1, 0, 0, 10, 0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0, 1, 0, 0, 13, 0x7f, 0xff, 0xff, 0xff],
        &deep,
    ];
    for bytes in cases {
        let (read, taken) = count(|| map::read(bytes, Limits::default()));
        assert!(read.is_err());
        assert!(taken.bytes < 10_000, "{taken:?} {read:?}");
    }
    assert!(matches!(map::read(&deep, Limits::default()), Err(Error::TooDeep { limit: 16, .. })));
    let nulls = [&[0, 0, 0, 1, 0, 0, 12, 0, 0, 0x4e, 0x20][..], &[0; 20_000]].concat();
    let limits = Limits { budget_bytes: 100_000, ..Limits::default() };
    let (read, taken) = count(|| map::read(&nulls, limits));
    assert!(matches!(read, Err(Error::TooLarge { limit: 100_000, .. })), "{read:?}");
    assert!(taken.bytes < 10_000, "{taken:?}");
    assert!(matches!(map::read_stream(&nulls[11..], limits), Err(Error::TooLarge { limit: 100_000, .. })));
    let unknown = map::read_stream(&[14], Limits::default());
    assert!(matches!(unknown, Err(Error::UnknownValue { code: 14, .. })));
}
