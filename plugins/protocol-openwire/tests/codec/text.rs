// SPDX-License-Identifier: Apache-2.0
//! Java's modified UTF-8, for any text and any bytes.

use proptest::prelude::*;
use sabir_protocol_openwire::codec::mutf8;
use std::borrow::Cow;

fn encode(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    mutf8::encode(text, &mut out);
    out
}

/// Long enough that several steps of the fast path are taken.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,100}\0?[ -~]{0,40}",
        "[ -~]{0,100}[\u{e9}\u{20ac}\u{1f600}]{0,3}[ -~]{0,40}"
    ]
}

proptest! {
    #[test]
    fn every_text_comes_back(text in texts()) {
        let bytes = encode(&text);
        prop_assert_eq!(mutf8::encoded_len(&text), bytes.len());
        prop_assert_eq!(mutf8::decode(&bytes).unwrap(), text.as_str());
        prop_assert_eq!(mutf8::is_plain(&bytes), bytes == text.as_bytes());
        prop_assert_eq!(mutf8::is_plain(text.as_bytes()), bytes == text.as_bytes());
        // No NUL and nothing of four bytes is ever written.
        prop_assert!(bytes.iter().all(|byte| (1..0xf0).contains(byte)));
    }

    #[test]
    fn bytes_are_a_text_or_an_error(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x80u8..0xc0, 0xc0u8..0xf1], 0..80)) {
        if let Ok(text) = mutf8::decode(&bytes) {
            if mutf8::is_plain(&bytes) {
                prop_assert!(matches!(text, Cow::Borrowed(_)));
                prop_assert_eq!(text.as_bytes(), &bytes);
            }
            let again = encode(&text);
            prop_assert_eq!(mutf8::decode(&again).unwrap(), text.as_ref());
        } else {
            prop_assert!(!mutf8::is_plain(&bytes));
        }
    }
}
