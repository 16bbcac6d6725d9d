// SPDX-License-Identifier: Apache-2.0
//! The conditions of JMS 3.8.1 on a message's headers and properties: SQL-92 with three-valued logic.
//!
//! It reads heads of messages and nothing else: no body, no clock, no engine. `docs/selectors.md` tells users what they
//! can write and where JMS and its brokers differ.
//!
//! ```text
//!   text ─▶ lexer ─▶ parser ─▶ tree (flat, limited in depth) ─▶ evaluate(head) ─▶ true | false | unknown
//! ```
//! Evaluating never fails and never allocates. Texts come from outside: length, depth and the work of a LIKE are bounded.

mod error;
mod evaluate;
mod lexer;
mod like;
mod parser;
mod tree;

pub use error::{SelectorError, SelectorProblem};
pub use evaluate::Truth;

use crate::message::Head;
use std::fmt;
use tree::Tree;

/// Longest selector, in bytes. The setting of the broker may be lower.
pub const MAX_SELECTOR_BYTES: usize = 65_536;
/// Deepest nesting of parentheses, NOT, signs and operators.
pub const MAX_SELECTOR_DEPTH: usize = 128;
/// Longest pattern of a LIKE, in bytes.
pub const MAX_LIKE_BYTES: usize = 4096;

/// A condition on messages.
///
/// Two selectors are equal when they have the same canonical text, which is what `Display` writes: it reads back as the
/// same selector.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    tree: Tree,
    settings: Settings,
}

/// What prefixes switch on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Settings {
    /// `convert_string_expressions:`: text is read as a number or boolean where one is wanted.
    convert_text: bool,
    /// `hyphenated_props:`: names may have hyphens.
    hyphens: bool,
}

/// Spellings of the prefixes, which come before the condition in any order.
const CONVERT_PREFIX: &str = "convert_string_expressions:";
const HYPHENS_PREFIX: &str = "hyphenated_props:";

/// What a selector may ask of a delivery, beside the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryState {
    /// Value of `JMSRedelivered`.
    pub redelivered: bool,
    /// How often it was delivered before: `JMSXDeliveryCount` is one more.
    pub redelivery_count: u32,
}

impl Selector {
    /// Reads a selector. An empty text, or one of spaces, is an error: JMS 3.8.1 takes it for no selector at all, which
    /// is the caller's to know.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.len() > MAX_SELECTOR_BYTES {
            return Err(SelectorError::new(text, 0, SelectorProblem::TooLong { bytes: text.len() }));
        }
        let mut settings = Settings::default();
        let mut condition = text.trim_start();
        loop {
            if let Some(rest) = condition.strip_prefix(CONVERT_PREFIX) {
                settings.convert_text = true;
                condition = rest;
            } else if let Some(rest) = condition.strip_prefix(HYPHENS_PREFIX) {
                settings.hyphens = true;
                condition = rest;
            } else {
                break;
            }
        }
        let tree = parser::parse(condition, settings.hyphens)
            .map_err(|(at, problem)| SelectorError::new(text, text.len() - condition.len() + at, problem))?;
        Ok(Selector { tree, settings })
    }

    /// Whether the condition is true of a message that was never delivered; false and unknown are not.
    pub fn matches(&self, head: &Head<'_>) -> bool {
        self.evaluate(head, DeliveryState::default()) == Truth::True
    }

    /// Whether the condition is true of a delivery.
    pub fn matches_delivery(&self, head: &Head<'_>, delivery: DeliveryState) -> bool {
        self.evaluate(head, delivery) == Truth::True
    }

    /// True, false or unknown.
    pub fn evaluate(&self, head: &Head<'_>, delivery: DeliveryState) -> Truth {
        evaluate::evaluate(
            &self.tree,
            &evaluate::Scope { head, delivery, convert_text: self.settings.convert_text },
        )
    }
}

impl std::str::FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Selector::parse(text)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.settings.convert_text {
            f.write_str(CONVERT_PREFIX)?;
        }
        if self.settings.hyphens {
            f.write_str(HYPHENS_PREFIX)?;
        }
        self.tree.fmt(f)
    }
}
