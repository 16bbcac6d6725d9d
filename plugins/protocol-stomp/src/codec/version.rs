// SPDX-License-Identifier: Apache-2.0
//! The three versions, which of them both ends speak, and how each writes special characters.

use std::borrow::Cow;
use std::fmt;

/// A version of STOMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// 1.0: no escapes, no heart-beats, no `NACK`.
    #[default]
    V1_0,
    /// 1.1
    V1_1,
    /// 1.2: carriage returns before line feeds are allowed, and escaped in headers.
    V1_2,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Version; 3] = [Version::V1_0, Version::V1_1, Version::V1_2];

    /// What a server answers to a client with which it has no version in common (STOMP 1.2, "Protocol Negotiation").
    pub const SUPPORTED: &'static str = "1.0,1.1,1.2";

    /// As in the header `version`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Version::V1_0 => "1.0",
            Version::V1_1 => "1.1",
            Version::V1_2 => "1.2",
        }
    }

    /// The highest version that the client's `accept-version` names; without that header it is 1.0.
    pub fn negotiate(accept_version: Option<&str>) -> Option<Version> {
        let Some(accepted) = accept_version else { return Some(Version::V1_0) };
        let named = |version: &Version| accepted.split(',').any(|one| one.trim() == version.as_str());
        Version::ALL.into_iter().rev().find(named)
    }

    /// How this version writes special characters in headers.
    pub const fn escapes(self) -> Escapes {
        match self {
            Version::V1_0 => Escapes::None,
            Version::V1_1 => Escapes::V1_1,
            Version::V1_2 => Escapes::V1_2,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How special characters are written in names and values of headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escapes {
    /// Not at all: 1.0, and `CONNECT` and `CONNECTED` in every version.
    None,
    /// `\n`, `\c` for a colon, `\\`.
    V1_1,
    /// Those, and `\r`.
    V1_2,
}

impl Escapes {
    /// What the letter after a backslash stands for; `None`: it is not defined, which is an error (1.2: "Undefined
    /// escape sequences such as `\t` MUST be treated as a fatal protocol error").
    pub fn decode(self, letter: u8) -> Option<u8> {
        match (self, letter) {
            (Escapes::None, _) => None,
            (_, b'n') => Some(b'\n'),
            (_, b'c') => Some(b':'),
            (_, b'\\') => Some(b'\\'),
            (Escapes::V1_2, b'r') => Some(b'\r'),
            _ => None,
        }
    }

    /// The letter that stands after a backslash for this byte; `None`: it is written as it is.
    pub fn encode(self, byte: u8) -> Option<u8> {
        match (self, byte) {
            (Escapes::None, _) => None,
            (_, b'\n') => Some(b'n'),
            (_, b':') => Some(b'c'),
            (_, b'\\') => Some(b'\\'),
            (Escapes::V1_2, b'\r') => Some(b'r'),
            _ => None,
        }
    }

    /// Whether every backslash in these bytes begins a defined escape.
    pub fn are_defined_in(self, bytes: &[u8]) -> bool {
        if self == Escapes::None {
            return true;
        }
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            let Some(&letter) = rest.get(at + 1) else { return false };
            if self.decode(letter).is_none() {
                return false;
            }
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        true
    }

    /// The text that `raw` stands for. Undefined escapes stay as they are: they were refused when the frame was read.
    pub fn unescape(self, raw: &str) -> Cow<'_, str> {
        if self == Escapes::None || !raw.as_bytes().contains(&b'\\') {
            return Cow::Borrowed(raw);
        }
        let mut text = String::with_capacity(raw.len());
        let mut characters = raw.chars();
        while let Some(character) = characters.next() {
            if character != '\\' {
                text.push(character);
                continue;
            }
            let letter = characters.next();
            match letter.and_then(|letter| u8::try_from(letter).ok()).and_then(|letter| self.decode(letter)) {
                Some(byte) => text.push(char::from(byte)),
                None => {
                    text.push('\\');
                    text.extend(letter);
                }
            }
        }
        Cow::Owned(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_common_version_is_chosen() {
        assert_eq!(Version::negotiate(None), Some(Version::V1_0));
        assert_eq!(Version::negotiate(Some("1.0,1.1,1.2")), Some(Version::V1_2));
        assert_eq!(Version::negotiate(Some("1.2, 1.1")), Some(Version::V1_2));
        assert_eq!(Version::negotiate(Some("1.1")), Some(Version::V1_1));
        assert_eq!(Version::negotiate(Some("9.9,1.0")), Some(Version::V1_0));
        assert_eq!(Version::negotiate(Some("9.9")), None);
        assert_eq!(Version::negotiate(Some("")), None);
    }

    #[test]
    fn each_version_has_its_own_escapes_and_no_others() {
        assert_eq!(Escapes::None.unescape(r"a\nb"), r"a\nb");
        assert_eq!(Escapes::V1_1.unescape(r"a\nb\cc\\d"), "a\nb:c\\d");
        assert_eq!(Escapes::V1_2.unescape(r"a\r\n"), "a\r\n");
        assert!(Escapes::V1_1.are_defined_in(br"\\n"));
        assert!(!Escapes::V1_1.are_defined_in(br"\r"));
        assert!(Escapes::V1_2.are_defined_in(br"\r"));
        assert!(!Escapes::V1_2.are_defined_in(br"\t"));
        assert!(!Escapes::V1_2.are_defined_in(br"lone \"));
        assert!(Escapes::None.are_defined_in(br"\t"));
    }
}
