// SPDX-License-Identifier: Apache-2.0
//! Primitive maps and streams: properties, the bodies of map and stream messages, and the options of a wire format.
//!
//! ```text
//!   map     i32 count (-1: none), then for each entry: name (u16 length, modified UTF-8), value
//!   stream  values one after another, to the end
//!   value   type byte, then
//!           0 null | 1 boolean: byte | 2 byte | 3 char: u16 | 4 short | 5 int | 6 long | 7 double | 8 float
//!           9 text: u16 length, bytes | 10 bytes: i32 length, bytes | 11 map | 12 list: i32 count, values
//!           13 long text: i32 length, bytes
//! ```

use super::cursor::Cursor;
use super::error::{Error, Place};
use super::mutf8;

/// The type bytes.
pub mod code {
    /// Nothing.
    pub const NULL: u8 = 0;
    /// A boolean, in a byte.
    pub const BOOLEAN: u8 = 1;
    /// A byte with a sign.
    pub const BYTE: u8 = 2;
    /// A UTF-16 unit.
    pub const CHAR: u8 = 3;
    /// 16 bits with a sign.
    pub const SHORT: u8 = 4;
    /// 32 bits with a sign.
    pub const INT: u8 = 5;
    /// 64 bits with a sign.
    pub const LONG: u8 = 6;
    /// A float of 64 bits.
    pub const DOUBLE: u8 = 7;
    /// A float of 32 bits.
    pub const FLOAT: u8 = 8;
    /// Text, its length in 16 bits.
    pub const TEXT: u8 = 9;
    /// Bytes.
    pub const BYTES: u8 = 10;
    /// A map within.
    pub const MAP: u8 = 11;
    /// A list within.
    pub const LIST: u8 = 12;
    /// Text, its length in 32 bits.
    pub const LONG_TEXT: u8 = 13;
}

/// From this many UTF-16 units on Java writes a text with a length of 32 bits.
const LONG_TEXT_UNITS: usize = i16::MAX as usize / 4;

const NAME: &Place = &Place { command: "map", field: "name" };
const VALUE: &Place = &Place { command: "map", field: "value" };

/// A value of one of Java's primitive types, or a map or list of them.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each is the type byte of the same name")]
pub enum Value {
    Null,
    Boolean(bool),
    Byte(i8),
    /// A UTF-16 unit, which need not be a character.
    Char(u16),
    Short(i16),
    Int(i32),
    Long(i64),
    Double(f64),
    Float(f32),
    /// Long texts too: which form is written follows from the length.
    Text(Box<str>),
    Bytes(Box<[u8]>),
    Map(Map),
    List(Vec<Value>),
}

/// Names and values in their order on the wire. A name that occurs twice means its last value.
pub type Map = Vec<(Box<str>, Value)>;

/// What a reader may be made to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries of one map or list.
    pub entries: usize,
    /// Bytes of one text or byte array.
    pub value_bytes: usize,
    /// Maps and lists within each other; the outermost is not counted.
    pub depth: u16,
    /// Memory for all of it.
    pub budget_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { entries: 64 * 1024, value_bytes: usize::MAX, depth: 16, budget_bytes: 16 * 1024 * 1024 }
    }
}

/// Reads a map; `None`: it is marked as none.
///
/// # Errors
///
/// The bytes are not a map and nothing else, or it is beyond a limit.
pub fn read(bytes: &[u8], limits: Limits) -> Result<Option<Map>, Error> {
    let mut reader = Reader { cursor: Cursor::new(bytes, VALUE), limits, kept: 0 };
    let map = reader.map(0)?;
    match reader.cursor.remaining() {
        0 => Ok(map),
        bytes => Err(Error::Trailing { what: VALUE, bytes }),
    }
}

/// Reads values up to the end.
///
/// # Errors
///
/// As for [`read`].
pub fn read_stream(bytes: &[u8], limits: Limits) -> Result<Vec<Value>, Error> {
    let mut reader = Reader { cursor: Cursor::new(bytes, VALUE), limits, kept: 0 };
    let mut values = Vec::new();
    while reader.cursor.remaining() > 0 {
        if values.len() >= limits.entries {
            return Err(too_large(VALUE, values.len() + 1, limits.entries));
        }
        reader.keep(size_of::<Value>())?;
        values.push(reader.value(0)?);
    }
    Ok(values)
}

/// Appends a map.
///
/// # Errors
///
/// [`Error::TooLarge`]: a name over 65,535 bytes, or a count or length that 32 bits do not hold.
pub fn write(map: Option<&[(Box<str>, Value)]>, out: &mut Vec<u8>) -> Result<(), Error> {
    let Some(map) = map else {
        out.extend_from_slice(&(-1i32).to_be_bytes());
        return Ok(());
    };
    write_length(map.len(), out)?;
    for (name, value) in map {
        write_short_text(name, NAME, out)?;
        write_value(value, out)?;
    }
    Ok(())
}

/// Appends values one after another.
///
/// # Errors
///
/// As for [`write()`].
pub fn write_stream(values: &[Value], out: &mut Vec<u8>) -> Result<(), Error> {
    values.iter().try_for_each(|value| write_value(value, out))
}

/// Appends one value with its type.
///
/// # Errors
///
/// As for [`write()`].
pub fn write_value(value: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
    match value {
        Value::Null => out.push(code::NULL),
        Value::Boolean(value) => out.extend_from_slice(&[code::BOOLEAN, u8::from(*value)]),
        Value::Byte(value) => tagged(code::BYTE, &value.to_be_bytes(), out),
        Value::Char(value) => tagged(code::CHAR, &value.to_be_bytes(), out),
        Value::Short(value) => tagged(code::SHORT, &value.to_be_bytes(), out),
        Value::Int(value) => tagged(code::INT, &value.to_be_bytes(), out),
        Value::Long(value) => tagged(code::LONG, &value.to_be_bytes(), out),
        Value::Double(value) => tagged(code::DOUBLE, &value.to_be_bytes(), out),
        Value::Float(value) => tagged(code::FLOAT, &value.to_be_bytes(), out),
        Value::Text(text) if is_long(text) => {
            out.push(code::LONG_TEXT);
            write_length(mutf8::encoded_len(text), out)?;
            mutf8::encode(text, out);
        }
        Value::Text(text) => {
            out.push(code::TEXT);
            write_short_text(text, VALUE, out)?;
        }
        Value::Bytes(bytes) => {
            out.push(code::BYTES);
            write_length(bytes.len(), out)?;
            out.extend_from_slice(bytes);
        }
        Value::Map(map) => {
            out.push(code::MAP);
            write(Some(map), out)?;
        }
        Value::List(values) => {
            out.push(code::LIST);
            write_length(values.len(), out)?;
            write_stream(values, out)?;
        }
    }
    Ok(())
}

fn is_long(text: &str) -> bool {
    text.len() >= LONG_TEXT_UNITS && text.encode_utf16().count() >= LONG_TEXT_UNITS
}

fn tagged(code: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(code);
    out.extend_from_slice(bytes);
}

fn too_large(what: &'static Place, size: usize, limit: usize) -> Error {
    Error::TooLarge { what, size: size as u64, limit: limit as u64 }
}

fn write_length(length: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    let length = i32::try_from(length).map_err(|_| too_large(VALUE, length, i32::MAX as usize))?;
    out.extend_from_slice(&length.to_be_bytes());
    Ok(())
}

fn write_short_text(text: &str, what: &'static Place, out: &mut Vec<u8>) -> Result<(), Error> {
    let length = mutf8::encoded_len(text);
    let short = u16::try_from(length).map_err(|_| too_large(what, length, u16::MAX.into()))?;
    out.extend_from_slice(&short.to_be_bytes());
    mutf8::encode(text, out);
    Ok(())
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    limits: Limits,
    kept: usize,
}

impl Reader<'_> {
    /// Counts memory before it is taken.
    fn keep(&mut self, bytes: usize) -> Result<(), Error> {
        self.kept = self.kept.saturating_add(bytes);
        match self.kept > self.limits.budget_bytes {
            true => Err(too_large(self.cursor.what, self.kept, self.limits.budget_bytes)),
            false => Ok(()),
        }
    }

    fn text(&mut self, length: usize) -> Result<Box<str>, Error> {
        self.value_bytes(length)?;
        let bytes = self.cursor.take(length)?;
        self.keep(length)?;
        Ok(mutf8::decode_at(bytes, self.cursor.what)?.into())
    }

    fn value_bytes(&self, length: usize) -> Result<(), Error> {
        match length > self.limits.value_bytes {
            true => Err(too_large(self.cursor.what, length, self.limits.value_bytes)),
            false => Ok(()),
        }
    }

    fn enter(&self, depth: u16) -> Result<(), Error> {
        match depth > self.limits.depth {
            true => Err(Error::TooDeep { what: VALUE, limit: self.limits.depth }),
            false => Ok(()),
        }
    }

    /// A count of entries; each takes at least a byte.
    fn count(&mut self, count: i32, entry_bytes: usize) -> Result<usize, Error> {
        let negative = Error::BadLength { what: VALUE, length: count.into() };
        let count = usize::try_from(count).map_err(|_| negative)?;
        if count > self.limits.entries {
            return Err(too_large(VALUE, count, self.limits.entries));
        }
        if count > self.cursor.remaining() {
            return Err(Error::Truncated { what: VALUE, needed: self.cursor.at().saturating_add(count) });
        }
        self.keep(count.saturating_mul(entry_bytes))?;
        Ok(count)
    }

    fn map(&mut self, depth: u16) -> Result<Option<Map>, Error> {
        self.enter(depth)?;
        let count = self.cursor.i32()?;
        if count == -1 {
            return Ok(None);
        }
        let count = self.count(count, size_of::<(Box<str>, Value)>())?;
        let mut map = Map::with_capacity(count);
        for _ in 0..count {
            self.cursor.what = NAME;
            let length = self.cursor.u16()?;
            let name = self.text(length.into())?;
            self.cursor.what = VALUE;
            map.push((name, self.value(depth)?));
        }
        Ok(Some(map))
    }

    fn list(&mut self, depth: u16) -> Result<Vec<Value>, Error> {
        self.enter(depth)?;
        let count = self.cursor.i32()?;
        let count = self.count(count, size_of::<Value>())?;
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(self.value(depth)?);
        }
        Ok(values)
    }

    fn value(&mut self, depth: u16) -> Result<Value, Error> {
        let cursor = &mut self.cursor;
        Ok(match cursor.u8()? {
            code::NULL => Value::Null,
            code::BOOLEAN => Value::Boolean(cursor.u8()? != 0),
            code::BYTE => Value::Byte(cursor.u8()? as i8),
            code::CHAR => Value::Char(cursor.u16()?),
            code::SHORT => Value::Short(cursor.i16()?),
            code::INT => Value::Int(cursor.i32()?),
            code::LONG => Value::Long(cursor.i64()?),
            code::DOUBLE => Value::Double(f64::from_bits(cursor.i64()? as u64)),
            code::FLOAT => Value::Float(f32::from_bits(cursor.u32()?)),
            code::TEXT => {
                let length = cursor.u16()?;
                Value::Text(self.text(length.into())?)
            }
            code::LONG_TEXT => {
                let length = cursor.length_i32()?;
                Value::Text(self.text(length)?)
            }
            code::BYTES => {
                let length = cursor.length_i32()?;
                self.value_bytes(length)?;
                self.keep(length)?;
                Value::Bytes(self.cursor.take(length)?.into())
            }
            code::MAP => self.map(depth + 1)?.map_or(Value::Null, Value::Map),
            code::LIST => Value::List(self.list(depth + 1)?),
            code => return Err(Error::UnknownValue { what: VALUE, code }),
        })
    }
}
