// SPDX-License-Identifier: Apache-2.0
//! Selectors from hostile clients.

use super::{DELIVERY, message};
use sabir_model::Head;
use sabir_model::message::{Fixed, HeadWriter};
use sabir_model::property::Value;
use sabir_model::selector::{MAX_SELECTOR_BYTES, MAX_SELECTOR_DEPTH, Selector, SelectorProblem, Truth};

fn problem(text: &str) -> SelectorProblem {
    Selector::parse(text).expect_err("this must not be a selector").problem
}

#[test]
fn nesting_too_deep_is_an_error_whatever_nests() {
    let deep = 10_000;
    assert_eq!(problem(&"(".repeat(deep)), SelectorProblem::TooDeep);
    assert_eq!(problem(&("(".repeat(deep) + "a" + &")".repeat(deep))), SelectorProblem::TooDeep);
    assert_eq!(problem(&("NOT ".repeat(deep) + "a")), SelectorProblem::TooDeep);
    assert_eq!(problem(&("-".repeat(deep) + "a = 1")), SelectorProblem::TooDeep);
    assert_eq!(problem(&("+".repeat(deep) + "a = 1")), SelectorProblem::TooDeep);
    assert_eq!(problem(&("a".to_owned() + &" + a".repeat(deep) + " = 1")), SelectorProblem::TooDeep);
    assert_eq!(problem(&("a".to_owned() + &" IS NULL".repeat(5000))), SelectorProblem::TooDeep);
    assert_eq!(problem(&("a".to_owned() + &" = a".repeat(deep))), SelectorProblem::TooDeep);
}

#[test]
fn nesting_up_to_the_limit_is_allowed() {
    let text = "(".repeat(MAX_SELECTOR_DEPTH) + "yes" + &")".repeat(MAX_SELECTOR_DEPTH);
    let bytes = message();
    let head = Head::parse(&bytes).unwrap();
    assert!(Selector::parse(&text).unwrap().matches(&head));
    assert_eq!(problem(&format!("({text})")), SelectorProblem::TooDeep);
}

#[test]
fn very_many_alternatives_are_no_nesting() {
    let text = (0..4000).map(|n| format!("int = {n}")).collect::<Vec<_>>().join(" OR ");
    let bytes = message();
    let head = Head::parse(&bytes).unwrap();
    let selector = Selector::parse(&text).unwrap();
    assert_eq!(selector.evaluate(&head, DELIVERY), Truth::True);
    assert_eq!(selector.to_string(), text);
}

#[test]
fn a_selector_that_is_too_long_is_refused_before_it_is_read() {
    let text = "a = '".to_owned() + &"x".repeat(MAX_SELECTOR_BYTES) + "'";
    assert_eq!(problem(&text), SelectorProblem::TooLong { bytes: MAX_SELECTOR_BYTES + 6 });
    let pattern = format!("a LIKE '{}'", "%_".repeat(3000));
    assert_eq!(problem(&pattern), SelectorProblem::LikeTooLong { bytes: 6000 });
}

#[test]
fn a_like_with_thousands_of_wildcards_ends() {
    let mut bytes = Vec::new();
    let mut writer = HeadWriter::new(&mut bytes, &Fixed::default());
    let long = "a".repeat(60_000);
    assert!(writer.property("text", &Value::Text(&long)));
    writer.finish();
    let head = Head::parse(&bytes).unwrap();
    for pattern in ["%_".repeat(1000), "%a".repeat(1000), "%a_".repeat(1000)] {
        let fails = Selector::parse(&format!("text LIKE '{pattern}%b%'")).unwrap();
        let fits = Selector::parse(&format!("text LIKE '{pattern}%'")).unwrap();
        assert!(!fails.matches(&head) && fits.matches(&head));
    }
}

#[test]
fn no_text_makes_the_parser_panic() {
    let pieces = [
        "a", "'x'", "1", "0x", "1e", "(", ")", "NOT", "AND", "IS", "NULL", "LIKE", "IN", "-", ",", "ä", "\0",
    ];
    for first in pieces {
        for second in pieces {
            for third in pieces {
                for separator in ["", " "] {
                    let text = [first, second, third].join(separator);
                    if let Err(error) = Selector::parse(&text) {
                        assert!(error.column <= text.chars().count() + 1, "{text}");
                    }
                }
            }
        }
    }
}
