// SPDX-License-Identifier: Apache-2.0
//! The cases of `tests/java/selectors/expected`: what ActiveMQ's own evaluator says, and where Sabir differs on purpose.

use sabir_model::message::{BodyKind, Field, Fixed, HeadWriter};
use sabir_model::property::Value;
use sabir_model::selector::{DeliveryState, Selector, Truth};
use std::collections::BTreeMap;

/// A header or property of a sample message: name, type and value.
type Item = (String, String, String);

struct Case {
    message: String,
    result: String,
    selector: String,
}

struct Expected {
    messages: BTreeMap<String, Vec<u8>>,
    cases: Vec<Case>,
}

fn unescape(text: &str) -> String {
    let mut units = Vec::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let escaped = if character == '\\' { characters.next() } else { None };
        match escaped {
            None => units.push(character as u16),
            Some('t') => units.push(u16::from(b'\t')),
            Some('n') => units.push(u16::from(b'\n')),
            Some('r') => units.push(u16::from(b'\r')),
            Some('\\') => units.push(u16::from(b'\\')),
            Some('u') => {
                let digits: String = characters.by_ref().take(4).collect();
                units.push(u16::from_str_radix(&digits, 16).unwrap());
            }
            Some(other) => panic!("the escape \\{other}"),
        }
    }
    String::from_utf16(&units).unwrap()
}

fn read() -> Expected {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/java/selectors/expected");
    let mut items: BTreeMap<String, Vec<Item>> = BTreeMap::from([("bare".to_owned(), Vec::new())]);
    let mut cases = Vec::new();
    for line in std::fs::read_to_string(path).unwrap().lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<String> = line.split('\t').map(unescape).collect();
        match fields.as_slice() {
            [kind, message, name, of, value] if kind == "set" => {
                let item = (name.clone(), of.clone(), value.clone());
                items.entry(message.clone()).or_default().push(item);
            }
            [kind, message, result, selector] if kind == "case" => cases.push(Case {
                message: message.clone(),
                result: result.clone(),
                selector: selector.clone(),
            }),
            other => panic!("{other:?}"),
        }
    }
    let messages = items.iter().map(|(name, items)| (name.clone(), message(items))).collect();
    Expected { messages, cases }
}

fn message(items: &[Item]) -> Vec<u8> {
    let header = |name: &str| items.iter().find(|item| item.0 == name).map(|item| item.2.as_str());
    let number = |name: &str, default: i64| header(name).map_or(default, |text| text.parse().unwrap());
    let fixed = Fixed {
        persistent: header("JMSDeliveryMode") != Some("NON_PERSISTENT"),
        priority: number("JMSPriority", 4) as u8,
        body_kind: BodyKind::Text,
        body_encoding: 0,
        timestamp_ms: number("JMSTimestamp", 0),
        expiration_ms: number("JMSExpiration", 0),
        deliver_at_ms: 0,
    };
    let mut bytes = Vec::new();
    let mut writer = HeadWriter::new(&mut bytes, &fixed);
    let sequence = (number("JMSXGroupSeq", 0) as u32).to_le_bytes();
    let texts = [
        (Field::Id, "JMSMessageID"),
        (Field::Destination, "JMSDestination"),
        (Field::ReplyTo, "JMSReplyTo"),
        (Field::CorrelationId, "JMSCorrelationID"),
        (Field::Type, "JMSType"),
        (Field::Group, "JMSXGroupID"),
        (Field::GroupSequence, "JMSXGroupSeq"),
        (Field::User, "JMSXUserID"),
    ];
    for (field, name) in texts {
        if let Some(text) = header(name) {
            let is_sequence = matches!(field, Field::GroupSequence);
            assert!(writer.field(field, if is_sequence { &sequence } else { text.as_bytes() }));
        }
    }
    for (name, of, text) in items.iter().filter(|item| item.1 != "header") {
        assert!(writer.property(name, &value(of, text)), "{name}");
    }
    writer.finish();
    bytes
}

fn value<'a>(of: &str, text: &'a str) -> Value<'a> {
    match of {
        "text" => Value::Text(text),
        "boolean" => Value::Bool(text == "true"),
        "byte" => Value::Byte(text.parse().unwrap()),
        "short" => Value::Short(text.parse().unwrap()),
        "int" => Value::Int(text.parse().unwrap()),
        "long" => Value::Long(text.parse().unwrap()),
        "float" => Value::Float(text.parse().unwrap()),
        "double" => Value::Double(text.parse().unwrap()),
        other => panic!("the type {other}"),
    }
}

/// What Sabir says, in the words of the file.
fn result(message: &[u8], selector: &str) -> &'static str {
    let head = sabir_model::Head::parse(message).unwrap();
    let first = DeliveryState::default();
    match Selector::parse(selector).map(|selector| selector.evaluate(&head, first)) {
        Err(_) => "error",
        Ok(Truth::True) => "true",
        Ok(Truth::False) => "false",
        Ok(Truth::Unknown) => "unknown",
    }
}

/// Why Sabir says something else on purpose, and of which selectors. `docs/selectors.md` tells users.
struct Difference {
    why: &'static str,
    of: fn(selector: &str, theirs: &str, ours: &str) -> bool,
}

/// What `convert_string_expressions:` stands before.
fn converted(selector: &str) -> bool {
    selector.starts_with("convert_string_expressions:")
}

const DIFFERENCES: [Difference; 9] = [
    Difference {
        why: "a comparison with something missing is unknown, on whichever side it stands; ActiveMQ looks at the left",
        of: |selector, _, ours| {
            let right_is_missing =
                ["= absent", "<> absent", "a = b"].iter().any(|end| selector.ends_with(end));
            right_is_missing && ours == "unknown"
        },
    },
    Difference {
        why: "a division by zero is unknown; in ActiveMQ it is infinite, or no number",
        of: |selector, _, ours| {
            ["/ zero", "% zero", "/ 0", "% 0"].iter().any(|end| selector.contains(end)) && ours == "unknown"
        },
    },
    Difference {
        why: "numbers are compared by value; ActiveMQ converts to the type of one, loses digits, or fails",
        of: |selector, theirs, ours| {
            let narrow = ["byte", "short", "float"].iter().any(|end| selector.ends_with(end));
            narrow && matches!(theirs, "false" | "fails") && matches!(ours, "true" | "false")
        },
    },
    Difference {
        why: "whole numbers that overflow 32 bits go on in 64",
        of: |selector, _, ours| selector == "2147483647 + 1 > 0" && ours == "true",
    },
    Difference {
        why: "names may have any letters of Unicode, as JMS says, and numbers the endings that Java has",
        of: |selector, theirs, ours| {
            let known = selector.starts_with("st\u{e4}dte") || selector.starts_with("float = 1.5f");
            (known || selector.starts_with("double = 2.25")) && theirs == "error" && ours != "error"
        },
    },
    Difference {
        why: "operands that can never fit are refused when the selector is made",
        of: |selector, _, ours| {
            let literal =
                ["100 ", "1.5 ", "'", "-'", "5 LIKE", "NULL"].iter().any(|start| selector.starts_with(start));
            let number = ["int = 9223372036854775808", "int = 1e999"].contains(&selector);
            (literal || number || selector.starts_with("name + 'x'")) && ours == "error"
        },
    },
    Difference {
        why: "a text is not added to: without the prefix that is unknown",
        of: |selector, _, ours| selector == "name + 1 = 2" && ours == "unknown",
    },
    Difference {
        why: "comments and numbers that words follow without a space are not JMS",
        of: |selector, theirs, ours| match selector {
            "int=100AND yes" => ours == "error",
            // Two signs and a name, which is not there.
            "int = 100 -- comment" => ours == "unknown",
            _ => selector.contains("/* comment */") && theirs == "true" && ours == "error",
        },
    },
    Difference {
        why: "with the prefix every text that stands for a number or boolean is one; ActiveMQ reads some and fails at others",
        of: |selector, _, ours| converted(selector) && ours != "error",
    },
];

/// What the difference of a group that is missing from the message is: said in one place, since it is no operator's.
const MISSING_SEQUENCE: (&str, &str) = ("JMSXGroupSeq = 0", "unknown");

#[test]
fn selectors_are_what_activemq_says_but_for_differences_on_purpose() {
    let expected = read();
    assert!(expected.cases.len() >= 500, "{} cases", expected.cases.len());
    let mut seen = [0; DIFFERENCES.len()];
    let mut wrong = Vec::new();
    for case in &expected.cases {
        let Case { message, result: theirs, selector } = case;
        let ours = result(&expected.messages[message], selector);
        if ours == theirs.as_str() || (selector.as_str(), ours) == MISSING_SEQUENCE {
            continue;
        }
        match DIFFERENCES.iter().position(|difference| (difference.of)(selector, theirs, ours)) {
            Some(index) => seen[index] += 1,
            None => wrong.push(format!("{message}: {selector:?}: ActiveMQ says {theirs}, Sabir {ours}")),
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    for (difference, count) in DIFFERENCES.iter().zip(seen) {
        assert!(count > 0, "no case shows any more that {}", difference.why);
    }
}
