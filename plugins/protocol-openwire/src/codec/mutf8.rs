// SPDX-License-Identifier: Apache-2.0
//! Java's modified UTF-8: NUL as `C0 80`, and characters beyond U+FFFF as two surrogates of three bytes each.
//!
//! Everything else is the same in UTF-8, so that nearly all text passes as it is. A surrogate without its other half, which
//! a Java string can hold and a Rust one cannot, is read as U+FFFD.

use super::error::{Error, Place};
use std::borrow::Cow;

const TEXT: &Place = &Place { command: "text", field: "bytes" };

/// Whether the bytes are canonical modified UTF-8 and at the same time UTF-8 of the same text: they hold neither a NUL
/// nor a character beyond U+FFFF, in either form.
pub fn is_plain(bytes: &[u8]) -> bool {
    let at = ascii_prefix(bytes);
    let rest = bytes.get(at..).unwrap_or_default();
    rest.is_empty()
        || (std::str::from_utf8(rest).is_ok() && rest.iter().all(|byte| *byte != 0 && *byte < 0xf0))
}

/// How many bytes at the front are 1 to 127: all of them, or those of the chunks before the first other one.
fn ascii_prefix(bytes: &[u8]) -> usize {
    const CHUNK: usize = 32;
    // Without an early end within a chunk, so that it is done with vector instructions.
    fn is_ascii(bytes: &[u8]) -> bool {
        bytes.iter().fold(true, |ascii, byte| ascii & (byte.wrapping_sub(1) < 0x7f))
    }
    let (chunks, rest) = bytes.as_chunks::<CHUNK>();
    match chunks.iter().position(|chunk| !is_ascii(chunk)) {
        Some(chunks) => chunks * CHUNK,
        None if is_ascii(rest) => bytes.len(),
        None => chunks.len() * CHUNK,
    }
}

/// Reads a text. Borrows where the bytes are UTF-8 as they are.
///
/// # Errors
///
/// [`Error::Text`]: not modified UTF-8.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, Error> {
    decode_at(bytes, TEXT)
}

pub(super) fn decode_at<'a>(bytes: &'a [u8], what: &'static Place) -> Result<Cow<'a, str>, Error> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && (text.is_ascii() || !bytes.iter().any(|byte| *byte >= 0xf0))
    {
        return Ok(Cow::Borrowed(text));
    }
    decode_slowly(bytes).map(Cow::Owned).map_err(|at| Error::Text { what, at })
}

/// Character by character; the error is the place of the first wrong byte.
fn decode_slowly(bytes: &[u8]) -> Result<String, usize> {
    let mut text = String::with_capacity(bytes.len());
    let mut high: Option<u16> = None;
    let mut at = 0;
    while at < bytes.len() {
        let (unit, len) = unit(bytes.get(at..).unwrap_or_default()).ok_or(at)?;
        match (high.take(), unit) {
            (Some(first), 0xdc00..=0xdfff) => {
                let code = 0x10000 + ((u32::from(first) - 0xd800) << 10) + (u32::from(unit) - 0xdc00);
                text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (before, _) => {
                if before.is_some() {
                    text.push(char::REPLACEMENT_CHARACTER);
                }
                match unit {
                    0xd800..=0xdbff => high = Some(unit),
                    _ => text.push(char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER)),
                }
            }
        }
        at += len;
    }
    if high.is_some() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    Ok(text)
}

/// One UTF-16 unit and how many bytes it takes.
fn unit(bytes: &[u8]) -> Option<(u16, usize)> {
    let tail =
        |at: usize| bytes.get(at).filter(|byte| *byte & 0xc0 == 0x80).map(|byte| u16::from(byte & 0x3f));
    let first = *bytes.first()?;
    match first {
        0..=0x7f => Some((first.into(), 1)),
        0xc0..=0xdf => Some(((u16::from(first & 0x1f) << 6) | tail(1)?, 2)),
        0xe0..=0xef => Some(((u16::from(first & 0x0f) << 12) | (tail(1)? << 6) | tail(2)?, 3)),
        _ => None,
    }
}

/// How many bytes the text takes in modified UTF-8.
pub fn encoded_len(text: &str) -> usize {
    if ascii_prefix(text.as_bytes()) == text.len() {
        return text.len();
    }
    let more = text.bytes().map(|byte| match byte {
        0 => 1,
        // Four bytes become two surrogates of three.
        0xf0.. => 2,
        _ => 0,
    });
    text.len() + more.sum::<usize>()
}

/// Appends the text in modified UTF-8.
pub fn encode(text: &str, out: &mut Vec<u8>) {
    if ascii_prefix(text.as_bytes()) == text.len() || is_plain(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for character in text.chars() {
        let mut buffer = [0; 4];
        match character {
            '\0' => out.extend_from_slice(&[0xc0, 0x80]),
            '\u{10000}'.. => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    out.extend_from_slice(&surrogate(*unit));
                }
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes()),
        }
    }
}

fn surrogate(unit: u16) -> [u8; 3] {
    let low = |shift: u32| (unit >> shift) as u8 & 0x3f;
    [0xe0 | low(12), 0x80 | low(6), 0x80 | low(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_borrowed_and_the_rest_is_turned_both_ways() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("plain", b"plain"),
            ("gr\u{fc}n \u{20ac}", b"gr\xc3\xbcn \xe2\x82\xac"),
            ("a\0b", b"a\xc0\x80b"),
            ("\u{1f600}!", b"\xed\xa0\xbd\xed\xb8\x80!"),
            ("\u{ffff}", b"\xef\xbf\xbf"),
        ] {
            let mut out = Vec::new();
            encode(text, &mut out);
            assert_eq!(out, bytes);
            assert_eq!(encoded_len(text), bytes.len());
            assert_eq!(decode(bytes).unwrap(), text);
            assert_eq!(is_plain(bytes), text.as_bytes() == bytes, "{text}");
        }
        assert!(matches!(decode(b"gr\xc3\xbcn").unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn a_lone_surrogate_is_read_as_the_replacement_character() {
        assert_eq!(decode(b"a\xed\xa0\xbdb").unwrap(), "a\u{fffd}b");
        assert_eq!(decode(b"\xed\xb8\x80").unwrap(), "\u{fffd}");
        assert_eq!(decode(b"\xed\xa0\xbd\xed\xa0\xbd\xed\xb8\x80").unwrap(), "\u{fffd}\u{1f600}");
        assert_eq!(decode(b"\xed\xa0\xbd").unwrap(), "\u{fffd}");
    }

    #[test]
    fn what_is_neither_is_refused_where_it_stands() {
        for (bytes, at) in [
            (&b"ab\xff"[..], 2),
            (b"\x80", 0),
            (b"a\xc3", 1),
            (b"a\xe2\x82", 1),
            (b"\xf0\x9f\x98\x80", 0),
            (b"\xe2(\xac", 0),
        ] {
            assert_eq!(decode(bytes), Err(Error::Text { what: TEXT, at }), "{bytes:?}");
            assert!(!is_plain(bytes));
        }
    }

    #[test]
    fn a_nul_as_it_is_can_be_read_but_is_not_plain() {
        assert_eq!(decode(b"a\0b").unwrap(), "a\0b");
        assert!(!is_plain(b"a\0b"));
        assert!(!is_plain(&[[b'a'; 64].as_slice(), b"\0"].concat()));
    }
}
