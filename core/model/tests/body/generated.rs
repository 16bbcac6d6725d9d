// SPDX-License-Identifier: Apache-2.0
//! Whatever comes: what is read is canonical, and checking and converting agree.

use proptest::prelude::*;
use sabir_model::body::java::{check_map, check_stream, is_plain, map_to_utf8, stream_to_utf8, to_utf8};
use sabir_model::body::{JMS, JMS_COMPRESSED, canonical};
use sabir_model::message::BodyKind;
use sabir_model::property;

/// Values with their codes, of which most are good.
fn value() -> impl Strategy<Value = Vec<u8>> {
    const TEXTS: [&[u8]; 6] =
        [b"plain", b"\xc0\x80", b"\xed\xa0\xbd\xed\xb8\x80", b"\xed\xa0\xbd", b"gr\xc3\xbcn", b"\xf0\x9f"];
    let text = prop::sample::select(&TEXTS[..]);
    let short = text.clone().prop_map(|text| [&[9, 0, text.len() as u8], text].concat());
    let long = text.prop_map(|text| [&[13, 0, 0, 0, text.len() as u8], text].concat());
    let fixed = prop_oneof![
        Just(vec![0]),
        Just(vec![1, 7]),
        Just(vec![4, 1, 2]),
        Just(vec![5, 1, 2, 3, 4]),
        Just(vec![6, 1, 2, 3, 4, 5, 6, 7, 8]),
        Just(vec![10, 0, 0, 0, 2, 0xff, 0]),
        Just(vec![11, 0xff, 0xff, 0xff, 0xff]),
        Just(vec![14]),
    ];
    let leaf = prop_oneof![6 => fixed, 3 => short, 2 => long];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|values| [
                &[12, 0, 0, 0, values.len() as u8][..],
                &values.concat()
            ]
            .concat()),
            prop::collection::vec(inner, 0..4)
                .prop_map(|values: Vec<Vec<u8>>| { [&[11][..], &map_of(&values)].concat() }),
        ]
    })
}

fn map_of(values: &[Vec<u8>]) -> Vec<u8> {
    let mut map = (values.len() as u32).to_be_bytes().to_vec();
    for value in values {
        map.extend_from_slice(b"\0\x04n\xc0\x80x");
        map.extend_from_slice(value);
    }
    map
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(value(), 0..5).prop_map(|values: Vec<Vec<u8>>| map_of(&values)),
        prop::collection::vec(value(), 0..5).prop_map(|values: Vec<Vec<u8>>| values.concat()),
        prop::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #[test]
    fn what_is_read_is_canonical(bytes in bytes()) {
        for kind in [BodyKind::Text, BodyKind::Map, BodyKind::Stream, BodyKind::Bytes] {
            for encoding in [JMS, JMS_COMPRESSED] {
                let Ok(body) = canonical(kind, encoding, &bytes, 1000) else { continue };
                match kind {
                    BodyKind::Text => prop_assert!(std::str::from_utf8(&body).is_ok()),
                    BodyKind::Map if !body.is_empty() => prop_assert!(property::check(&body).is_ok()),
                    BodyKind::Stream => {
                        let mut rest = &body[..];
                        while let Some((_, after)) = property::split_value(rest) {
                            rest = after;
                        }
                        prop_assert!(rest.is_empty());
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn checking_and_converting_agree(bytes in bytes()) {
        for (checked, converted) in [
            (check_map(&bytes), map_to_utf8(&bytes)),
            (check_stream(&bytes), stream_to_utf8(&bytes)),
        ] {
            match (checked, converted) {
                (Ok(true), Ok(converted)) => prop_assert_eq!(converted, bytes.clone()),
                (Ok(false), Ok(converted)) => prop_assert_ne!(converted, bytes.clone()),
                (Err(one), Err(other)) => prop_assert_eq!(one, other),
                (one, other) => prop_assert!(false, "{:?} but {:?}", one, other),
            }
        }
    }

    #[test]
    fn a_plain_text_is_itself(text in any::<String>()) {
        if is_plain(text.as_bytes()) {
            prop_assert_eq!(to_utf8(text.as_bytes()).unwrap(), text.as_str());
        } else {
            let differs = |character: char| character == '\0' || character.len_utf16() > 1;
            prop_assert!(text.chars().any(differs));
        }
    }
}
