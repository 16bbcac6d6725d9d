// SPDX-License-Identifier: Apache-2.0
//! Rust source with its comments and strings told apart, so that rules can look at code alone.
//!
//! This is no parser: it knows comments, strings, characters, lifetimes and brackets, which is all that rules about
//! lines need.

use regex::Regex;
use std::sync::LazyLock;

/// A Rust file in three forms of the same length and the same lines.
pub struct Source {
    /// Relative to the root.
    pub path: String,
    /// As it is.
    pub text: String,
    /// Without comments.
    pub uncommented: String,
    /// Without comments, and with blanks for what strings and characters hold.
    pub code: String,
    /// For each line, from 0: whether it belongs to a test.
    test_lines: Vec<bool>,
}

static TEST_ATTRIBUTE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"#\[cfg\((?:all\()?test\b|#\[test\]").expect("a valid pattern"));

impl Source {
    /// Reads a file's text.
    pub fn new(path: &str, text: String) -> Source {
        let mut uncommented = text.clone().into_bytes();
        let mut code = uncommented.clone();
        for (range, kind) in spans(text.as_bytes()) {
            blank(&mut code, range.clone());
            if kind == Span::Comment {
                blank(&mut uncommented, range);
            }
        }
        let code = String::from_utf8(code).expect("blanks replaced whole characters");
        let uncommented = String::from_utf8(uncommented).expect("blanks replaced whole characters");
        let test_lines = test_lines(path, &code);
        Source { path: path.to_owned(), text, uncommented, code, test_lines }
    }

    /// Whether a line, counted from 0, belongs to a test.
    pub fn is_test(&self, line: usize) -> bool {
        self.test_lines.get(line).copied().unwrap_or(false)
    }

    /// Whether a comment on a line, counted from 0, or above it allows what stands there, and gives a reason.
    pub fn is_allowed(&self, line: usize) -> bool {
        let allows =
            |line: &str| line.split_once("// tidy: allow(").is_some_and(|(_, reason)| reason.len() > 3);
        let mut before = self.text.lines().take(line + 1).collect::<Vec<_>>();
        if before.pop().is_some_and(allows) {
            return true;
        }
        before.iter().rev().take_while(|line| line.trim_start().starts_with("//")).any(|line| allows(line))
    }

    /// The line, counted from 0, of a byte.
    pub fn line_of(&self, offset: usize) -> usize {
        self.code.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count()
    }
}

#[derive(PartialEq, Eq)]
enum Span {
    Comment,
    Literal,
}

/// Keeps newlines, so that lines stay lines.
fn blank(bytes: &mut [u8], range: std::ops::Range<usize>) {
    for byte in &mut bytes[range] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// Finds comments, and what strings and characters hold.
fn spans(bytes: &[u8]) -> Vec<(std::ops::Range<usize>, Span)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if rest.starts_with(b"//") {
            let end = at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            found.push((at..end, Span::Comment));
            at = end;
        } else if rest.starts_with(b"/*") {
            let end = at + block_comment(rest);
            found.push((at..end, Span::Comment));
            at = end;
        } else if let Some(hashes) = raw_string(bytes, at) {
            let start = at + 2 + hashes;
            let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
            let inner = bytes[start..].windows(close.len()).position(|window| window == close);
            let end = start + inner.unwrap_or(bytes.len() - start);
            found.push((start..end, Span::Literal));
            at = (end + close.len()).min(bytes.len());
        } else if rest[0] == b'"' {
            let end = quoted(bytes, at + 1, b'"');
            found.push((at + 1..end, Span::Literal));
            at = end + 1;
        } else if let Some(end) = character(bytes, at) {
            found.push((at + 1..end, Span::Literal));
            at = end + 1;
        } else {
            at += 1;
        }
    }
    found
}

fn block_comment(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The number of `#` when a raw string starts at `at` with its `r`.
fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    let in_word = at > 0 && is_word(bytes[at - 1]) && !matches!(bytes[at - 1], b'b' | b'c');
    if bytes[at] != b'r' || in_word {
        return None;
    }
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    (bytes.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

/// Where the literal that is open at `at` closes.
fn quoted(bytes: &[u8], mut at: usize, close: u8) -> usize {
    while at < bytes.len() && bytes[at] != close {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}

/// Where a character literal that starts at `at` closes; `None` for lifetimes and anything else.
fn character(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes[at] != b'\'' {
        return None;
    }
    if bytes.get(at + 1) == Some(&b'\\') {
        return Some(quoted(bytes, at + 1, b'\''));
    }
    let character = std::str::from_utf8(&bytes[at + 1..(at + 5).min(bytes.len())])
        .or_else(|error| std::str::from_utf8(&bytes[at + 1..at + 1 + error.valid_up_to()]))
        .ok()?
        .chars()
        .next()?;
    let end = at + 1 + character.len_utf8();
    (bytes.get(end) == Some(&b'\'')).then_some(end)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The end, exclusive, of the block that opens at the first `{` from `at` on; `None` when a `;` comes first.
pub fn block_end(code: &str, at: usize) -> Option<usize> {
    let (mut round, mut curly) = (0i32, 0i32);
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => round += 1,
            b')' | b']' => round -= 1,
            b'{' => curly += 1,
            b'}' => {
                curly -= 1;
                if curly == 0 {
                    return Some(offset + 1);
                }
            }
            b';' if round == 0 && curly == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Files that hold nothing but tests, and items under `#[cfg(test)]` or `#[test]`.
fn test_lines(path: &str, code: &str) -> Vec<bool> {
    let count = code.lines().count();
    if is_test_path(path) {
        return vec![true; count];
    }
    let mut lines = vec![false; count];
    for attribute in TEST_ATTRIBUTE.find_iter(code) {
        let Some(end) = block_end(code, attribute.start()) else { continue };
        let first = code[..attribute.start()].matches('\n').count();
        let last = code[..end].matches('\n').count();
        lines[first..=last.min(count - 1)].fill(true);
    }
    lines
}

/// Whether a file belongs to tests by its place.
pub fn is_test_path(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "fuzz"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::new("core/x/src/lib.rs", text.to_owned()).code
    }

    #[test]
    fn comments_and_what_strings_hold_become_blanks() {
        assert_eq!(code("let a = \"x\\\"y\"; // z"), "let a = \"    \";     ");
        assert_eq!(code("a /* b /* c */ d */ e"), "a                   e");
        assert_eq!(code("r#\"a\"b\"# c"), "r#\"   \"# c");
        assert_eq!(code("b'\\'' 'x' 'é' 'static"), "b'  ' ' ' '  ' 'static");
        assert_eq!(code("\"a\nb\""), "\" \n \"");
    }

    #[test]
    fn code_without_comments_keeps_its_strings() {
        let source = Source::new("x.rs", "f(\"a // b\"); // c".to_owned());
        assert_eq!(source.uncommented, "f(\"a // b\");     ");
    }

    #[test]
    fn lines_of_tests_are_known() {
        let source =
            Source::new("x.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n  x\n}\nfn b() {}\n".to_owned());
        assert_eq!(
            (0..6).map(|line| source.is_test(line)).collect::<Vec<_>>(),
            [false, true, true, true, true, false]
        );
        assert!(Source::new("core/x/tests/y.rs", "a\n".to_owned()).is_test(0));
        assert!(!Source::new("x.rs", "#[cfg(test)]\nmod tests;\nfn a() { b }\n".to_owned()).is_test(2));
    }

    #[test]
    fn a_line_is_allowed_by_a_comment_with_a_reason_only() {
        let source = Source::new(
            "x.rs",
            "a // tidy: allow(it is so)\n// tidy: allow(why)\n// more\nb\nc // tidy: allow()\n".to_owned(),
        );
        assert!(source.is_allowed(0));
        assert!(source.is_allowed(3));
        assert!(!source.is_allowed(4));
    }
}
