// SPDX-License-Identifier: Apache-2.0
//! Text as Java writes it: modified UTF-8, where NUL is `C0 80` and characters beyond U+FFFF are two surrogates of three
//! bytes each; and primitive maps, lists and streams with such texts.
//!
//! Nearly all texts are *plain*: the same bytes in UTF-8 and in modified UTF-8. What holds only such texts needs no
//! conversion in either direction.

use super::BodyError;
use crate::property::MAX_DEPTH;
use std::borrow::Cow;

const TEXT: BodyError = BodyError::Damaged("a text is not modified UTF-8");
const END: BodyError = BodyError::Damaged("it ends within a value");
const LENGTH: BodyError = BodyError::Damaged("a length is negative");
const DEPTH: BodyError = BodyError::Damaged("maps and lists are nested too deeply");
const CODE: BodyError = BodyError::Damaged("a value has a type that is not known");
const TRAILING: BodyError = BodyError::Damaged("bytes follow its end");

/// Codes of values, as `docs/message-format.md` lists them.
mod code {
    pub(super) const NULL: u8 = 0;
    pub(super) const TEXT: u8 = 9;
    pub(super) const BYTES: u8 = 10;
    pub(super) const MAP: u8 = 11;
    pub(super) const LIST: u8 = 12;
    pub(super) const LONG_TEXT: u8 = 13;
}

/// Whether the bytes are the same text in UTF-8 and in modified UTF-8: no NUL, nothing beyond U+FFFF, in either form.
pub fn is_plain(bytes: &[u8]) -> bool {
    // Nearly all text is ASCII: one comparison for each byte, without an early end within a chunk, so that vector
    // instructions do it.
    const CHUNK: usize = 64;
    let up_to =
        |bytes: &[u8], last: u8| bytes.iter().fold(true, |all, byte| all & (byte.wrapping_sub(1) < last));
    let (chunks, end) = bytes.as_chunks::<CHUNK>();
    let ascii = match chunks.iter().position(|chunk| !up_to(chunk, 0x7f)) {
        Some(chunks) => chunks * CHUNK,
        None if up_to(end, 0x7f) => return true,
        None => bytes.len() - end.len(),
    };
    let rest = bytes.get(ascii..).unwrap_or_default();
    rest.chunks(CHUNK).all(|chunk| up_to(chunk, LAST_OF_THREE)) && std::str::from_utf8(rest).is_ok()
}

/// The last byte that begins a character of three bytes, in both forms.
const LAST_OF_THREE: u8 = 0xef;

/// Modified UTF-8 as UTF-8, borrowed where they are the same. A surrogate without its other half, which a Java string
/// can hold, is read as U+FFFD.
///
/// # Errors
///
/// The bytes are not modified UTF-8.
pub fn to_utf8(bytes: &[u8]) -> Result<Cow<'_, str>, BodyError> {
    if bytes.iter().fold(true, |within, byte| within & (*byte <= LAST_OF_THREE))
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return Ok(Cow::Borrowed(text));
    }
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let (first, after) = unit(rest).ok_or(TEXT)?;
        let pair = unit(after).filter(|_| matches!(first, 0xd800..=0xdbff));
        rest = match pair {
            Some((second @ 0xdc00..=0xdfff, after)) => {
                let code = 0x10000 + ((u32::from(first) & 0x3ff) << 10 | u32::from(second) & 0x3ff);
                text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                after
            }
            _ => {
                text.push(char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER));
                after
            }
        };
    }
    Ok(Cow::Owned(text))
}

/// One UTF-16 unit, and what follows it.
fn unit(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let low = |byte: u8, bits: u8| u16::from(byte & bits);
    let is_tail = |byte: u8| byte & 0xc0 == 0x80;
    match bytes {
        [first @ 0..=0x7f, rest @ ..] => Some((u16::from(*first), rest)),
        [first @ 0xc0..=0xdf, second, rest @ ..] if is_tail(*second) => {
            Some((low(*first, 0x1f) << 6 | low(*second, 0x3f), rest))
        }
        [first @ 0xe0..=0xef, second, third, rest @ ..] if is_tail(*second) && is_tail(*third) => {
            Some((low(*first, 0x0f) << 12 | low(*second, 0x3f) << 6 | low(*third, 0x3f), rest))
        }
        _ => None,
    }
}

/// Checks a whole map: lengths, nesting, texts, and that nothing follows. The answer is whether all its texts are plain
/// and it has no null where the canonical form has none, so that it is canonical as it is.
///
/// # Errors
///
/// The bytes are no map.
pub fn check_map(map: &[u8]) -> Result<bool, BodyError> {
    whole(map, |cursor| cursor.map(&mut Nowhere))
}

/// The same for values one behind the other.
///
/// # Errors
///
/// The bytes are no values.
pub fn check_stream(values: &[u8]) -> Result<bool, BodyError> {
    whole(values, |cursor| cursor.stream(&mut Nowhere))
}

/// A map with its texts in UTF-8.
///
/// # Errors
///
/// The bytes are no map.
pub fn map_to_utf8(map: &[u8]) -> Result<Vec<u8>, BodyError> {
    let mut converted = Vec::with_capacity(map.len());
    whole(map, |cursor| cursor.map(&mut converted))?;
    Ok(converted)
}

/// Values with their texts in UTF-8.
///
/// # Errors
///
/// The bytes are no values.
pub fn stream_to_utf8(values: &[u8]) -> Result<Vec<u8>, BodyError> {
    let mut converted = Vec::with_capacity(values.len());
    whole(values, |cursor| cursor.stream(&mut converted))?;
    Ok(converted)
}

/// Reads a whole run of bytes.
fn whole<'m>(
    bytes: &'m [u8],
    read: impl FnOnce(&mut Cursor<'m>) -> Result<bool, BodyError>,
) -> Result<bool, BodyError> {
    let mut cursor = Cursor { rest: bytes };
    let plain = read(&mut cursor)?;
    if cursor.rest.is_empty() { Ok(plain) } else { Err(TRAILING) }
}

/// Where a converted map goes; nowhere, when it is only checked.
trait Sink {
    fn put(&mut self, bytes: &[u8]);
    /// A text that is not plain, with the width of its length.
    fn text(&mut self, bytes: &[u8], wide: bool) -> Result<(), BodyError>;
}

struct Nowhere;

impl Sink for Nowhere {
    #[inline]
    fn put(&mut self, _: &[u8]) {}

    fn text(&mut self, bytes: &[u8], _: bool) -> Result<(), BodyError> {
        to_utf8(bytes).map(|_| ())
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn text(&mut self, bytes: &[u8], wide: bool) -> Result<(), BodyError> {
        let text = to_utf8(bytes)?;
        // It is never longer than before, so that its length has room where the old one stood: U+FFFD takes as many
        // bytes as the surrogate for which it stands.
        let length = (text.len() as u32).to_be_bytes();
        self.extend_from_slice(if wide { &length } else { &length[2..] });
        self.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Reads bytes from the front, never past the end.
struct Cursor<'m> {
    rest: &'m [u8],
}

impl<'m> Cursor<'m> {
    #[inline]
    fn take(&mut self, len: usize) -> Result<&'m [u8], BodyError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(END)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<&'m [u8; N], BodyError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(END)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The number of entries; `None`: there is no map.
    fn count(&mut self) -> Result<Option<u32>, BodyError> {
        match i32::from_be_bytes(*self.array()?) {
            -1 => Ok(None),
            count => u32::try_from(count).map(Some).map_err(|_| LENGTH),
        }
    }

    /// Copies so many bytes.
    #[inline]
    fn copy<S: Sink>(&mut self, len: usize, sink: &mut S) -> Result<bool, BodyError> {
        sink.put(self.take(len)?);
        Ok(true)
    }

    /// A text with a length of 16 bits. The answer to this and the rest: whether all is canonical as it is.
    #[inline]
    fn short_text<S: Sink>(&mut self, sink: &mut S) -> Result<bool, BodyError> {
        let length = self.array::<2>()?;
        self.text(usize::from(u16::from_be_bytes(*length)), length, sink)
    }

    #[inline]
    fn text<S: Sink>(&mut self, len: usize, length: &[u8], sink: &mut S) -> Result<bool, BodyError> {
        let text = self.take(len)?;
        if is_plain(text) {
            sink.put(length);
            sink.put(text);
            return Ok(true);
        }
        sink.text(text, length.len() > 2)?;
        Ok(false)
    }

    fn long<S: Sink>(
        &mut self,
        sink: &mut S,
        then: impl FnOnce(&mut Self, usize, &[u8], &mut S) -> Result<bool, BodyError>,
    ) -> Result<bool, BodyError> {
        let length = self.array::<4>()?;
        let len = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| LENGTH)?;
        then(self, len, length, sink)
    }

    fn value<S: Sink>(&mut self, depth: usize, sink: &mut S) -> Result<bool, BodyError> {
        let [code] = *self.array()?;
        if matches!(code, code::MAP | code::LIST) {
            return self.nested(code, depth, sink);
        }
        sink.put(&[code]);
        match code {
            code::NULL => Ok(true),
            1 | 2 => self.copy(1, sink),
            3 | 4 => self.copy(2, sink),
            5 | 8 => self.copy(4, sink),
            6 | 7 => self.copy(8, sink),
            code::TEXT => self.short_text(sink),
            code::BYTES => self.long(sink, |cursor, len, length, sink| {
                sink.put(length);
                cursor.copy(len, sink)
            }),
            code::LONG_TEXT => self.long(sink, |cursor, len, length, sink| cursor.text(len, length, sink)),
            _ => Err(CODE),
        }
    }

    fn nested<S: Sink>(&mut self, code: u8, depth: usize, sink: &mut S) -> Result<bool, BodyError> {
        let depth = depth.checked_sub(1).ok_or(DEPTH)?;
        let Some(count) = self.count()? else {
            // The canonical form has no map that is null, but it has nulls.
            sink.put(&[code::NULL]);
            return Ok(false);
        };
        sink.put(&[code]);
        sink.put(&count.to_be_bytes());
        let mut plain = true;
        for _ in 0..count {
            if code == code::MAP {
                plain &= self.short_text(sink)?;
            }
            plain &= self.value(depth, sink)?;
        }
        Ok(plain)
    }

    fn map<S: Sink>(&mut self, sink: &mut S) -> Result<bool, BodyError> {
        let count = self.count()?;
        sink.put(&count.unwrap_or_default().to_be_bytes());
        let mut plain = count.is_some();
        for _ in 0..count.unwrap_or_default() {
            plain &= self.short_text(sink)?;
            plain &= self.value(MAX_DEPTH, sink)?;
        }
        Ok(plain)
    }

    fn stream<S: Sink>(&mut self, sink: &mut S) -> Result<bool, BodyError> {
        let mut plain = true;
        while !self.rest.is_empty() {
            plain &= self.value(MAX_DEPTH, sink)?;
        }
        Ok(plain)
    }
}

/// An entry of a map, as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'m> {
    /// The whole entry.
    pub bytes: &'m [u8],
    /// Its name.
    pub name: &'m [u8],
    /// Its value, with its code in front.
    pub value: &'m [u8],
    /// Whether its texts are plain, so that the entry is canonical as it is.
    pub plain: bool,
}

/// The entries of a map from outside, each checked before it is given.
pub struct Entries<'m> {
    cursor: Cursor<'m>,
    left: u32,
    is_null: bool,
}

impl<'m> Entries<'m> {
    /// Over a whole map.
    ///
    /// # Errors
    ///
    /// The bytes are no map.
    pub fn new(map: &'m [u8]) -> Result<Self, BodyError> {
        let mut cursor = Cursor { rest: map };
        let count = cursor.count()?;
        Ok(Entries { cursor, left: count.unwrap_or_default(), is_null: count.is_none() })
    }

    /// Whether the map is marked as none.
    pub fn is_null(&self) -> bool {
        self.is_null
    }

    /// The next entry; `None`: that was all, and nothing follows.
    ///
    /// # Errors
    ///
    /// The bytes are no map.
    #[inline]
    pub fn next_entry(&mut self) -> Result<Option<Entry<'m>>, BodyError> {
        let before = self.cursor.rest;
        let Some(left) = self.left.checked_sub(1) else {
            return if before.is_empty() { Ok(None) } else { Err(TRAILING) };
        };
        self.left = left;
        let length = usize::from(u16::from_be_bytes(*self.cursor.array()?));
        let name = self.cursor.take(length)?;
        let mut plain = is_plain(name) || to_utf8(name).map(|_| false)?;
        let value = self.cursor.rest;
        plain &= self.cursor.value(MAX_DEPTH, &mut Nowhere)?;
        let rest = self.cursor.rest.len();
        Ok(Some(Entry {
            bytes: before.get(..before.len() - rest).unwrap_or_default(),
            name,
            value: value.get(..value.len() - rest).unwrap_or_default(),
            plain,
        }))
    }
}
