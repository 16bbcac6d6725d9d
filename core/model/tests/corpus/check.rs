// SPDX-License-Identifier: Apache-2.0
//! What must hold of any input, for the fuzzer and for the tests that replay its corpus.
#![allow(dead_code)] // Each fuzz target uses one of them.

use sabir_model::Head;
use sabir_model::message::{Field, Fixed, HeadWriter};
use sabir_model::pattern::Pattern;
use sabir_model::property::Value;
use sabir_model::selector::{DeliveryState, Selector};

/// A selector reads back as itself and is the same of a message; an error points into the text.
pub fn selector(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let selector = match Selector::parse(text) {
        Ok(selector) => selector,
        Err(error) => {
            assert!(error.column <= text.chars().count() + 1, "{error}");
            return;
        }
    };
    let mut bytes = Vec::new();
    let mut writer = HeadWriter::new(&mut bytes, &Fixed::default());
    assert!(writer.field(Field::Type, b"t"));
    for (name, value) in [("a", Value::Int(1)), ("b", Value::Text("x%_")), ("c", Value::Bool(true))] {
        assert!(writer.property(name, &value));
    }
    writer.finish();
    let head = Head::parse(&bytes).expect("this is a head");
    let truth = selector.evaluate(&head, DeliveryState::default());
    let canonical = selector.to_string();
    // Quotes and spaces that were left out before may make it longer than what is allowed.
    if let Ok(again) = Selector::parse(&canonical) {
        assert_eq!(again, selector, "{canonical}");
        assert_eq!(again.evaluate(&head, DeliveryState::default()), truth, "{canonical}");
    } else {
        assert!(canonical.len() > text.len(), "{canonical}");
    }
}

/// A head that was checked can be read to its end; one that was not is read without harm.
pub fn message(data: &[u8]) {
    if let Ok(head) = Head::parse(data) {
        let fields: usize = head.fields().map(|(_, value)| 4 + value.len()).sum();
        assert_eq!(40 + fields + head.property_bytes().len(), head.as_bytes().len());
        for (name, _) in head.properties() {
            assert!(head.property(name).is_some());
        }
    }
    if let Some(head) = Head::trusted(data) {
        let _ = (head.priority(), head.body_kind(), head.fields().count(), head.properties().count());
    }
}

/// Two patterns and a name, each on a line: what one pattern covers, it matches too.
pub fn pattern(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let (Some(wide), Some(narrow), Some(name)) = (lines.next(), lines.next(), lines.next()) else { return };
    let (Ok(wide), Ok(narrow)) = (Pattern::parse(wide), Pattern::parse(narrow)) else { return };
    assert_eq!(Pattern::parse(&wide.to_string()).as_ref(), Ok(&wide));
    assert!(wide.covers(&wide), "{wide} covers itself");
    if wide.covers(&narrow) && narrow.matches(name) {
        assert!(wide.matches(name), "{wide} covers {narrow}, which matches {name:?}");
    }
}
