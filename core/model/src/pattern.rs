// SPDX-License-Identifier: Apache-2.0
//! One language of wildcards for names: words separated by dots, `*` for one word, `#` for any number of words.
//!
//! It knows no protocol: each translates its own wildcards into this language at the edge. A pattern also tells
//! whether it *covers* another one, which is what permission to subscribe with a wildcard comes down to.

use crate::destination::MAX_NAME_BYTES;
use std::collections::HashSet;
use std::fmt;

/// Most words of a pattern. One less than the bits of the set in which [`Pattern::covers`] keeps its states.
pub const MAX_PATTERN_WORDS: usize = 127;

/// Most pairs of states that [`Pattern::covers`] looks at before it gives up and says no.
const MAX_COVER_STATES: usize = 4096;

/// A pattern of names.
///
/// `*` and `#` are wildcards only where they are a whole word: `a*` is the literal word `a*`. Several `#` in a row are
/// one. A name's empty words are words: `a..b` has three.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern {
    words: Box<[Word]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Word {
    Literal(Box<str>),
    /// `*`: one word.
    One,
    /// `#`: any number of words, none included.
    Many,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// There is nothing.
    #[error("the pattern is empty")]
    Empty,
    /// Too many bytes.
    #[error("the pattern has {0} bytes, more than the {MAX_NAME_BYTES} allowed")]
    TooLong(usize),
    /// Too many words.
    #[error("the pattern has {0} words, more than the {MAX_PATTERN_WORDS} allowed")]
    TooManyWords(usize),
    /// A control character.
    #[error("the pattern has a control character at byte {0}")]
    Control(usize),
}

impl Pattern {
    /// Reads a pattern. A name without wildcards is a pattern that matches itself alone.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(PatternError::TooLong(text.len()));
        }
        if let Some((at, _)) = text.char_indices().find(|(_, c)| c.is_control()) {
            return Err(PatternError::Control(at));
        }
        let mut words: Vec<Word> = Vec::new();
        for word in text.split('.') {
            match word {
                "*" => words.push(Word::One),
                "#" if words.last() == Some(&Word::Many) => {}
                "#" => words.push(Word::Many),
                literal => words.push(Word::Literal(literal.into())),
            }
        }
        // Without wildcards the words are never walked, so a literal name may have as many as its bytes allow.
        let literal = words.iter().all(|word| matches!(word, Word::Literal(_)));
        if words.len() > MAX_PATTERN_WORDS {
            if !literal {
                return Err(PatternError::TooManyWords(words.len()));
            }
            words = vec![Word::Literal(text.into())];
        }
        Ok(Pattern { words: words.into() })
    }

    /// Whether it has no wildcard, so that it matches one name only.
    pub fn is_literal(&self) -> bool {
        self.words.iter().all(|word| matches!(word, Word::Literal(_)))
    }

    /// Whether a name matches.
    ///
    /// Walks the name once; where a word does not fit, it goes back to the last `#` and no further, so that the work is
    /// at most the name's words times the pattern's.
    pub fn matches(&self, name: &str) -> bool {
        if let [Word::Literal(only)] = &*self.words {
            return **only == *name;
        }
        let mut at = 0;
        let mut rest = Some(name);
        let mut retry: Option<(usize, Option<&str>)> = None;
        loop {
            let fits = match (self.words.get(at), rest) {
                (Some(Word::Many), _) => {
                    if at + 1 == self.words.len() {
                        return true;
                    }
                    at += 1;
                    retry = Some((at, rest));
                    continue;
                }
                (Some(word), Some(text)) => {
                    let (first, behind) = split_word(text);
                    rest = behind;
                    at += 1;
                    match word {
                        Word::Literal(literal) => **literal == *first,
                        Word::One | Word::Many => true,
                    }
                }
                (Some(_), None) => return false,
                (None, None) => return true,
                (None, Some(_)) => false,
            };
            if !fits {
                let Some((back, Some(text))) = retry else { return false };
                at = back;
                rest = split_word(text).1;
                retry = Some((at, rest));
            }
        }
    }

    /// Whether every name that matches `other` matches this pattern.
    ///
    /// Exact, save that a comparison that would take too many steps is answered with no: who asks grants something on
    /// a yes. Every pattern covers itself, however many steps that would take.
    pub fn covers(&self, other: &Pattern) -> bool {
        if self == other {
            return true;
        }
        if other.is_literal() {
            return self.matches(&other.to_string());
        }
        let accepting = 1u128 << self.words.len();
        let mut seen: HashSet<(usize, u128)> = HashSet::new();
        let start = self.closure(1);
        // A name has at least one word: what only `#` stands for is never nothing.
        let only_many = matches!(*other.words, [Word::Many]);
        let mut open = vec![(0, if only_many { self.step(start, None) } else { start })];
        while let Some((at, states)) = open.pop() {
            if !seen.insert((at, states)) {
                continue;
            }
            if seen.len() > MAX_COVER_STATES {
                return false;
            }
            match other.words.get(at) {
                None if states & accepting == 0 => return false,
                None => {}
                Some(Word::Literal(word)) => open.push((at + 1, self.step(states, Some(word)))),
                Some(Word::One) => open.push((at + 1, self.step(states, None))),
                Some(Word::Many) => {
                    open.push((at + 1, states));
                    open.push((at, self.step(states, None)));
                }
            }
        }
        true
    }

    /// The states after one more word; `None` is a word that stands nowhere in this pattern. Of all words that `*` can
    /// stand for this is the one that fits least, so nobody need try the others.
    fn step(&self, states: u128, word: Option<&str>) -> u128 {
        let mut next = 0;
        for (at, here) in self.words.iter().enumerate() {
            if states & (1 << at) == 0 {
                continue;
            }
            next |= match here {
                Word::Literal(literal) if word == Some(literal) => 1 << (at + 1),
                Word::Literal(_) => 0,
                Word::One => 1 << (at + 1),
                Word::Many => 1 << at,
            };
        }
        self.closure(next)
    }

    /// Adds the states that are reached without a word, past each `#`.
    fn closure(&self, mut states: u128) -> u128 {
        for (at, here) in self.words.iter().enumerate() {
            if *here == Word::Many && states & (1 << at) != 0 {
                states |= 1 << (at + 1);
            }
        }
        states
    }
}

/// The first word, and what follows its dot.
fn split_word(text: &str) -> (&str, Option<&str>) {
    match text.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (text, None),
    }
}

impl std::str::FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Pattern::parse(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, word) in self.words.iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            f.write_str(match word {
                Word::Literal(literal) => literal,
                Word::One => "*",
                Word::Many => "#",
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn one_star_is_one_word_and_a_hash_is_any_number_of_words() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("a", &["a"], &["b", "a.b", ""]),
            ("a.b", &["a.b"], &["a", "a.c", "a.b.c"]),
            ("*", &["a", ""], &["a.b"]),
            ("a.*", &["a.b", "a."], &["a", "a.b.c"]),
            ("*.b", &["a.b", ".b"], &["b", "a.b.b"]),
            ("#", &["a", "a.b", "a.b.c", ""], &[]),
            ("a.#", &["a", "a.b", "a.b.c"], &["b", "b.a", "ab"]),
            ("#.b", &["b", "a.b", "b.b", "a.b.a.b"], &["a", "b.a"]),
            ("a.#.b", &["a.b", "a.x.b", "a.b.b", "a.x.y.b"], &["a", "b", "a.b.c"]),
            ("#.b.#", &["b", "a.b", "b.c", "a.b.c"], &["a", "a.c"]),
            ("#.*", &["a", "a.b"], &[]),
            ("*.#.*", &["a.b", "a.b.c"], &["a"]),
            ("#.a.#.b.#", &["a.b", "x.a.b.b.x", "a.a.b"], &["b.a", "a", "b.b.a.a"]),
            ("a*", &["a*"], &["ab", "a"]),
            ("a.#b", &["a.#b"], &["a.b", "a"]),
        ];
        for (text, matching, others) in cases {
            for name in *matching {
                assert!(pattern(text).matches(name), "{text} should match {name:?}");
            }
            for name in *others {
                assert!(!pattern(text).matches(name), "{text} should not match {name:?}");
            }
        }
    }

    #[test]
    fn a_pattern_of_many_hashes_is_matched_in_little_time() {
        let text = "#.a.".repeat(60) + "#.b";
        let name = "a.".repeat(500) + "a";
        assert!(!pattern(&text).matches(&name));
        assert!(pattern(&text).matches(&(name + ".b")));
        assert_eq!(pattern("#.#.#.a.#.#").to_string(), "#.a.#");
    }

    #[test]
    fn bad_patterns_are_refused_with_what_is_wrong() {
        assert_eq!(Pattern::parse(""), Err(PatternError::Empty));
        assert_eq!(Pattern::parse(&"x".repeat(1025)), Err(PatternError::TooLong(1025)));
        assert_eq!(Pattern::parse("a\nb"), Err(PatternError::Control(1)));
        assert_eq!(Pattern::parse(&("*.".repeat(127) + "*")), Err(PatternError::TooManyWords(128)));
        assert!(Pattern::parse(&("*.".repeat(126) + "*")).is_ok());
    }

    #[test]
    fn a_literal_name_of_very_many_words_is_a_pattern() {
        let name = "a.".repeat(500) + "a";
        let literal = pattern(&name);
        assert!(literal.is_literal() && literal.matches(&name) && !literal.matches("a"));
        assert_eq!(literal.to_string(), name);
    }

    #[test]
    fn a_pattern_covers_what_it_contains_and_nothing_else() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("a", &["a"], &["*", "#", "b", "a.#"]),
            ("a.*", &["a.b", "a.*"], &["a.#", "*.*", "a", "#"]),
            ("a.#", &["a", "a.#", "a.*", "a.*.b", "a.#.b", "a.b.#"], &["#", "*", "*.a", "#.a"]),
            ("#", &["#", "*", "a", "a.#", "#.#"], &[]),
            ("*.#", &["#.*", "*", "*.#", "#.b", "a.#", "#.b.#", "#"], &[]),
            ("#.b", &["#.b", "a.b", "*.b", "b"], &["#", "#.*", "b.#"]),
            ("#.a.#", &["a.#", "#.a", "#.a.*", "#.b.a.#"], &["#", "*", "#.*.#"]),
            ("*", &["*", "a"], &["#", "*.*"]),
            ("*.*.#", &["*.*", "a.#.b"], &["#", "*.#"]),
        ];
        for (text, covered, others) in cases {
            for other in *covered {
                assert!(pattern(text).covers(&pattern(other)), "{text} should cover {other}");
            }
            for other in *others {
                assert!(!pattern(text).covers(&pattern(other)), "{text} should not cover {other}");
            }
        }
    }

    #[test]
    fn a_comparison_that_takes_too_long_is_answered_with_no() {
        let wide = pattern(&("#.a.*.".repeat(40) + "#"));
        assert!(!wide.covers(&pattern(&("#.a.".repeat(60) + "#"))));
    }
}
