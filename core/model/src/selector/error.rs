// SPDX-License-Identifier: Apache-2.0
//! Why a text is no selector: where, what was found, and what was expected.

use super::{MAX_LIKE_BYTES, MAX_SELECTOR_BYTES, MAX_SELECTOR_DEPTH};
use std::fmt;

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError {
    /// Where: the number of the character, counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: SelectorProblem,
    near: String,
}

/// What is wrong with a selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorProblem {
    /// There is no condition.
    #[error("the selector is empty")]
    Empty,
    /// Too many bytes.
    #[error("the selector has {bytes} bytes, more than the {MAX_SELECTOR_BYTES} allowed")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// Too deep.
    #[error("the selector is nested deeper than the {MAX_SELECTOR_DEPTH} levels allowed")]
    TooDeep,
    /// Something else was expected.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What could stand here.
        expected: &'static str,
        /// What stands here.
        found: String,
    },
    /// A text without its closing quote.
    #[error("this text has no closing quote (a quote inside a text is written twice)")]
    UnclosedText,
    /// A character that begins nothing.
    #[error("{0:?} cannot stand here{hint}", hint = hint(*.0))]
    Character(char),
    /// A number that is none, or too large.
    #[error("{0:?} is no number{1}")]
    Number(String, &'static str),
    /// The operator cannot take that.
    #[error("{operator} needs {needed}, but has {found}")]
    Operand {
        /// As `<` or `AND`.
        operator: &'static str,
        /// What it needs.
        needed: &'static str,
        /// What it has.
        found: &'static str,
    },
    /// The pattern of a LIKE is too long.
    #[error("the pattern of this LIKE has {bytes} bytes, more than the {MAX_LIKE_BYTES} allowed")]
    LikeTooLong {
        /// How many it has.
        bytes: usize,
    },
    /// ESCAPE needs one character.
    #[error("ESCAPE needs a text of one character")]
    Escape,
    /// Functions and XPATH, which some brokers have.
    #[error("{0} is an extension of other brokers, which this one does not have")]
    Unsupported(String),
}

fn hint(character: char) -> &'static str {
    match character {
        '"' => " (texts are written in single quotes)",
        '!' => " (not equal is written <>)",
        '&' => " (and is written AND)",
        '|' => " (or is written OR)",
        '.' => " (names have letters, digits, _ and $ only)",
        _ => "",
    }
}

impl SelectorError {
    pub(super) fn new(text: &str, at: usize, problem: SelectorProblem) -> Self {
        const NEAR_CHARS: usize = 24;
        let before = text.get(..at).unwrap_or(text);
        let near = text.get(at..).unwrap_or("").chars().take(NEAR_CHARS).collect();
        SelectorError { column: before.chars().count() + 1, problem, near }
    }
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.problem)?;
        if self.near.is_empty() { Ok(()) } else { write!(f, ", at {:?}", self.near) }
    }
}

impl std::error::Error for SelectorError {}
