// SPDX-License-Identifier: Apache-2.0
//! Protocol buffers, as much as KahaDB uses: numbers, and bytes with their length.

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number.
    Number(u64),
    /// Bytes: a text, a message, or just bytes.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The bytes, if it is some.
    pub fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            Value::Number(_) => None,
        }
    }

    /// The number, if it is one.
    pub fn number(self) -> Option<u64> {
        match self {
            Value::Number(number) => Some(number),
            Value::Bytes(_) => None,
        }
    }
}

/// Takes a number off the front.
pub fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        // A negative number of 32 bits is written with ten bytes, of which the last has one bit that counts.
        value |= u64::from(first & 0x7f).checked_shl(shift).unwrap_or(0);
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The fields of a message in their order. Ends with an error where the bytes are none.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    failed: bool,
}

impl<'a> Fields<'a> {
    /// Those of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Fields { rest: bytes, failed: false }
    }

    fn read(&mut self) -> Option<(u32, Value<'a>)> {
        let tag = number(&mut self.rest)?;
        let field = u32::try_from(tag >> 3).ok()?;
        let value = match tag & 7 {
            0 => Value::Number(number(&mut self.rest)?),
            2 => {
                let len = usize::try_from(number(&mut self.rest)?).ok()?;
                let (bytes, rest) = self.rest.split_at_checked(len)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            1 => Value::Bytes(self.take(8)?),
            5 => Value::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((field, value))
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    /// The number of the field, and its value; `Err`: the bytes are no message.
    type Item = Result<(u32, Value<'a>), BadBytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.rest.is_empty() {
            return None;
        }
        let read = self.read().ok_or(BadBytes);
        self.failed = read.is_err();
        Some(read)
    }
}

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadBytes;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_in_order_and_bad_bytes_end_them() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x0a, 0];
        let found: Vec<_> = Fields::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(found, [(1, Value::Number(150)), (2, Value::Bytes(b"hi")), (1, Value::Bytes(b""))]);
        for bad in [&[0x12, 9, 1][..], &[0x08], &[0x0b], &[0xff; 12]] {
            assert!(Fields::new(bad).any(|field| field.is_err()), "{bad:?}");
        }
    }

    #[test]
    fn negative_numbers_are_read_as_protocol_buffers_write_them() {
        let mut bytes = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01][..];
        assert_eq!(number(&mut bytes).map(|value| value as i32), Some(-1));
    }
}
