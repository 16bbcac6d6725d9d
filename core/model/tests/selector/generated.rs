// SPDX-License-Identifier: Apache-2.0
//! Selectors that nobody wrote.

use super::{DELIVERY, message};
use proptest::prelude::*;
use sabir_model::Head;
use sabir_model::selector::{Selector, Truth};

const NAMES: [&str; 12] = [
    "int",
    "long",
    "float",
    "double",
    "yes",
    "no",
    "name",
    "none",
    "zero",
    "digits",
    "JMSPriority",
    "JMSType",
];

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(&NAMES[..]).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    "[a-zä%_'!0-9 ]{0,6}".prop_map(|text| format!("'{}'", text.replace('\'', "''")))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|value| value.to_string()),
        (-1e6f64..1e6).prop_map(|value| format!("{value:?}")),
        any::<u32>().prop_map(|value| format!("{value:#x}")),
        (0u32..9).prop_map(|value| value.to_string()),
    ]
}

fn numeric() -> impl Strategy<Value = String> {
    prop_oneof![name(), number()].prop_recursive(4, 12, 2, |inner| {
        let operator = prop::sample::select(["+", "-", "*", "/", "%"].as_slice());
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.prop_map(|a| format!("-{a}")),
        ]
    })
}

fn predicate() -> impl Strategy<Value = String> {
    let comparison = prop::sample::select(["=", "<>", "<", "<=", ">", ">="].as_slice());
    prop_oneof![
        (numeric(), comparison, numeric()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (name(), text()).prop_map(|(a, b)| format!("{a} = {b}")),
        (name(), text()).prop_map(|(a, b)| format!("{a} NOT LIKE {b}")),
        (name(), text()).prop_map(|(a, b)| format!("{a} LIKE {b} ESCAPE '!'")),
        (name(), text(), text()).prop_map(|(a, b, c)| format!("{a} IN ({b}, {c})")),
        (numeric(), numeric(), numeric()).prop_map(|(a, b, c)| format!("{a} BETWEEN {b} AND {c}")),
        (numeric(), numeric(), numeric()).prop_map(|(a, b, c)| format!("{a} NOT BETWEEN {b} AND {c}")),
        numeric().prop_map(|a| format!("{a} IS NOT NULL")),
        name(),
        Just("TRUE".to_owned()),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    predicate().prop_recursive(5, 24, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} AND {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} OR {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) = ({b})")),
            inner.clone().prop_map(|a| format!("NOT {a}")),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.prop_map(|a| format!("({a}) IS NULL")),
        ]
    })
}

fn truth(selector: &Selector) -> Truth {
    let bytes = message();
    selector.evaluate(&Head::parse(&bytes).unwrap(), DELIVERY)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_canonical_text_reads_back_as_the_same_selector(text in condition()) {
        // `(name) = (name)` is fine, `(1 = 1) = (name + 1)` is not a selector: only selectors count here.
        if let Ok(selector) = Selector::parse(&text) {
            let canonical = selector.to_string();
            let again = Selector::parse(&canonical);
            prop_assert_eq!(again.as_ref(), Ok(&selector), "{}", canonical);
            prop_assert_eq!(truth(&again.unwrap()), truth(&selector));
        }
    }

    #[test]
    fn negating_a_condition_negates_its_value(text in condition()) {
        if let (Ok(selector), Ok(negated)) = (Selector::parse(&text), Selector::parse(&format!("NOT ({text})"))) {
            prop_assert_eq!(truth(&negated), !truth(&selector), "{}", text);
        }
    }

    #[test]
    fn both_laws_of_de_morgan_hold(a in predicate(), b in predicate()) {
        let both = |text: String| Selector::parse(&text).map(|selector| truth(&selector)).ok();
        prop_assert_eq!(
            both(format!("NOT (({a}) AND ({b}))")),
            both(format!("(NOT ({a})) OR (NOT ({b}))"))
        );
        prop_assert_eq!(
            both(format!("NOT (({a}) OR ({b}))")),
            both(format!("(NOT ({a})) AND (NOT ({b}))"))
        );
    }

    #[test]
    fn any_text_is_a_selector_or_an_error(text in "\\PC{0,40}") {
        if let Ok(selector) = Selector::parse(&text) {
            truth(&selector);
        }
    }

    #[test]
    fn like_agrees_with_the_plain_definition(text in "[ab%_]{0,8}", pattern in "[ab%_!]{0,6}") {
        let mut bytes = Vec::new();
        let mut writer = sabir_model::message::HeadWriter::new(&mut bytes, &Default::default());
        prop_assert!(writer.property("t", &sabir_model::property::Value::Text(&text)));
        writer.finish();
        let head = Head::parse(&bytes).unwrap();
        let selector = Selector::parse(&format!("t LIKE '{pattern}' ESCAPE '!'")).unwrap();
        let pattern: Vec<char> = pattern.chars().collect();
        let text: Vec<char> = text.chars().collect();
        prop_assert_eq!(selector.matches(&head), like(&text, &pattern));
    }
}

/// LIKE as the standard defines it, without a thought of speed.
fn like(text: &[char], pattern: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['!', next @ ('%' | '_' | '!'), rest @ ..] => {
            text.split_first().is_some_and(|(first, behind)| first == next && like(behind, rest))
        }
        ['%', rest @ ..] => (0..=text.len()).any(|at| like(&text[at..], rest)),
        ['_', rest @ ..] => text.split_first().is_some_and(|(_, behind)| like(behind, rest)),
        [literal, rest @ ..] => {
            text.split_first().is_some_and(|(first, behind)| first == literal && like(behind, rest))
        }
    }
}
