// SPDX-License-Identifier: Apache-2.0
//! Values, and the map in which properties travel: OpenWire's primitive map.
//!
//! ```text
//!   map    i32 count, then entries {u16 length, name, value}
//!   value  0 null | 1 u8 bool | 2 i8 | 3 u16 char | 4 i16 | 5 i32 | 6 i64 | 7 f64 | 8 f32
//!          | 9 u16 length, text | 10 i32 length, bytes | 11 map | 12 i32 count, values | 13 i32 length, text
//! ```
//! Numbers are big-endian. Text is UTF-8 here; protocols that write Java's modified UTF-8 convert at the edge.

use crate::message::HeadBuffer;

/// Deepest nesting of maps and lists.
pub const MAX_DEPTH: usize = 16;

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'m> {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// 8 bits, signed.
    Byte(i8),
    /// A UTF-16 unit.
    Char(u16),
    /// 16 bits, signed.
    Short(i16),
    /// 32 bits, signed.
    Int(i32),
    /// 64 bits, signed.
    Long(i64),
    /// 64 bits, IEEE 754.
    Double(f64),
    /// 32 bits, IEEE 754.
    Float(f32),
    /// Text.
    Text(&'m str),
    /// Bytes.
    Bytes(&'m [u8]),
    /// A map, encoded.
    Map(&'m [u8]),
    /// A list, encoded.
    List(&'m [u8]),
}

/// Bytes that are no map, or no text where text must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the properties are damaged")]
pub struct MapError;

/// Writes one entry of a map. Text of any length and bytes up to `i32::MAX` are possible; longer ones are refused
/// with `false`, and then nothing was written.
#[must_use]
pub fn write_entry<B: HeadBuffer>(buffer: &mut B, name: &str, value: &Value<'_>) -> bool {
    let Ok(name_len) = u16::try_from(name.len()) else { return false };
    let too_long = match value {
        Value::Text(text) => i32::try_from(text.len()).is_err(),
        Value::Bytes(bytes) => i32::try_from(bytes.len()).is_err(),
        _ => false,
    };
    if too_long {
        return false;
    }
    buffer.put(&name_len.to_be_bytes());
    buffer.put(name.as_bytes());
    write_value(buffer, value);
    true
}

/// Writes a value, with its code in front. Text and bytes are at most `i32::MAX` bytes.
pub fn write_value<B: HeadBuffer>(buffer: &mut B, value: &Value<'_>) {
    match value {
        Value::Null => buffer.put(&[0]),
        Value::Bool(value) => buffer.put(&[1, u8::from(*value)]),
        Value::Byte(value) => buffer.put(&[2, value.to_be_bytes()[0]]),
        Value::Char(value) => tagged(buffer, 3, &value.to_be_bytes()),
        Value::Short(value) => tagged(buffer, 4, &value.to_be_bytes()),
        Value::Int(value) => tagged(buffer, 5, &value.to_be_bytes()),
        Value::Long(value) => tagged(buffer, 6, &value.to_be_bytes()),
        Value::Double(value) => tagged(buffer, 7, &value.to_be_bytes()),
        Value::Float(value) => tagged(buffer, 8, &value.to_be_bytes()),
        Value::Text(text) => match u16::try_from(text.len()) {
            Ok(len) => {
                tagged(buffer, 9, &len.to_be_bytes());
                buffer.put(text.as_bytes());
            }
            Err(_) => {
                tagged(buffer, 13, &(text.len() as u32).to_be_bytes());
                buffer.put(text.as_bytes());
            }
        },
        Value::Bytes(bytes) => {
            tagged(buffer, 10, &(bytes.len() as u32).to_be_bytes());
            buffer.put(bytes);
        }
        Value::Map(encoded) => tagged(buffer, 11, encoded),
        Value::List(encoded) => tagged(buffer, 12, encoded),
    }
}

fn tagged<B: HeadBuffer>(buffer: &mut B, tag: u8, bytes: &[u8]) {
    buffer.put(&[tag]);
    buffer.put(bytes);
}

/// Reads bytes from the front, never past the end.
#[derive(Clone, Copy)]
struct Cursor<'m> {
    rest: &'m [u8],
}

impl<'m> Cursor<'m> {
    fn take(&mut self, len: usize) -> Result<&'m [u8], MapError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(MapError)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MapError> {
        self.take(N)?.try_into().map_err(|_| MapError)
    }

    fn count(&mut self) -> Result<usize, MapError> {
        usize::try_from(i32::from_be_bytes(self.array()?)).map_err(|_| MapError)
    }

    fn text(&mut self, len: usize) -> Result<&'m str, MapError> {
        std::str::from_utf8(self.take(len)?).map_err(|_| MapError)
    }

    fn short_text(&mut self) -> Result<&'m str, MapError> {
        let len = u16::from_be_bytes(self.array()?);
        self.text(usize::from(len))
    }

    fn value(&mut self, depth: usize) -> Result<Value<'m>, MapError> {
        let [tag] = self.array()?;
        Ok(match tag {
            0 => Value::Null,
            1 => Value::Bool(self.array::<1>()? != [0]),
            2 => Value::Byte(i8::from_be_bytes(self.array()?)),
            3 => Value::Char(u16::from_be_bytes(self.array()?)),
            4 => Value::Short(i16::from_be_bytes(self.array()?)),
            5 => Value::Int(i32::from_be_bytes(self.array()?)),
            6 => Value::Long(i64::from_be_bytes(self.array()?)),
            7 => Value::Double(f64::from_be_bytes(self.array()?)),
            8 => Value::Float(f32::from_be_bytes(self.array()?)),
            9 => Value::Text(self.short_text()?),
            10 => {
                let len = self.count()?;
                Value::Bytes(self.take(len)?)
            }
            11 => Value::Map(self.nested(depth, Cursor::skip_map)?),
            12 => Value::List(self.nested(depth, Cursor::skip_list)?),
            13 => {
                let len = self.count()?;
                Value::Text(self.text(len)?)
            }
            _ => return Err(MapError),
        })
    }

    fn nested(
        &mut self,
        depth: usize,
        skip: fn(&mut Cursor<'m>, usize) -> Result<(), MapError>,
    ) -> Result<&'m [u8], MapError> {
        if depth == 0 {
            return Err(MapError);
        }
        let before = self.rest;
        skip(self, depth - 1)?;
        before.get(..before.len() - self.rest.len()).ok_or(MapError)
    }

    fn skip_map(&mut self, depth: usize) -> Result<(), MapError> {
        for _ in 0..self.count()? {
            self.short_text()?;
            self.value(depth)?;
        }
        Ok(())
    }

    fn skip_list(&mut self, depth: usize) -> Result<(), MapError> {
        for _ in 0..self.count()? {
            self.value(depth)?;
        }
        Ok(())
    }
}

/// Checks a whole map: lengths, nesting, UTF-8, and that nothing follows.
pub fn check(map: &[u8]) -> Result<(), MapError> {
    let mut cursor = Cursor { rest: map };
    cursor.skip_map(MAX_DEPTH)?;
    if cursor.rest.is_empty() { Ok(()) } else { Err(MapError) }
}

/// The value at the front of `values`, and what follows it. `None`: there is none, or it is damaged.
pub fn split_value(values: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let mut cursor = Cursor { rest: values };
    let value = cursor.value(MAX_DEPTH).ok()?;
    Some((value, cursor.rest))
}

/// The value under `name`; `None` when there is none or the map is damaged before it.
pub fn find<'m>(map: &'m [u8], name: &str) -> Option<Value<'m>> {
    Entries::new(map).find(|(entry, _)| *entry == name).map(|(_, value)| value)
}

/// The entries of a map, in order; ends early where the map is damaged.
#[derive(Clone)]
pub struct Entries<'m> {
    cursor: Cursor<'m>,
    left: usize,
}

impl std::fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}

impl<'m> Entries<'m> {
    /// Over an encoded map; an empty slice is an empty map.
    pub fn new(map: &'m [u8]) -> Self {
        let mut cursor = Cursor { rest: map };
        let left = cursor.count().unwrap_or(0);
        Entries { cursor, left }
    }
}

impl<'m> Iterator for Entries<'m> {
    type Item = (&'m str, Value<'m>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = self
            .cursor
            .short_text()
            .and_then(|name| self.cursor.value(MAX_DEPTH).map(|value| (name, value)))
            .ok();
        if entry.is_none() {
            self.left = 0;
        }
        entry
    }
}
