// SPDX-License-Identifier: Apache-2.0
//! The canonical binary form of a message. `docs/message-format.md` specifies it byte by byte.
//!
//! A message is a *head* and a *body*. The head is a fixed part, fields, and properties; it can be read without the
//! body, and one property can be looked up without decoding the others.
//!
//! ```text
//!   0  u8   version, 1                       16  i64  timestamp, ms since 1970
//!   1  u8   flags                            24  i64  expiration, ms since 1970; 0: never
//!   2  u8   priority, 0 to 9                 32  i64  not to be delivered before, ms since 1970; 0: at once
//!   3  u8   kind of the body                 40  fields: {u8 tag, u8 zero, u16 length, bytes} ...
//!   4  u32  length of the head               ..  properties, up to the length of the head
//!   8  u32  where the properties begin
//!  12  u16  encoding of the body; 13 (byte 14) u8 encoding of the properties; u8 zero
//! ```
//! All numbers are little-endian, save inside the properties, which are an OpenWire primitive map.

use crate::property::{self, Value};
use crate::stored::{STORED_AT_BYTES, StoredAt, StoredBody};
use bytes::Bytes;
use std::sync::Arc;

/// Length of the fixed part of a head, in bytes.
pub const FIXED_HEAD_BYTES: usize = 40;
/// Version of the form.
pub const VERSION: u8 = 1;

const FLAG_PERSISTENT: u8 = 1 << 0;
const FLAG_PLAIN_TEXT: u8 = 1 << 1;

/// Kinds of body, as JMS names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum BodyKind {
    /// There is no body.
    #[default]
    None = 0,
    /// UTF-8 text.
    Text = 1,
    /// Bytes.
    Bytes = 2,
    /// Names and values.
    Map = 3,
    /// Values in order.
    Stream = 4,
    /// A serialised object: bytes that nothing here ever looks into.
    Object = 5,
}

impl BodyKind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => BodyKind::None,
            1 => BodyKind::Text,
            2 => BodyKind::Bytes,
            3 => BodyKind::Map,
            4 => BodyKind::Stream,
            5 => BodyKind::Object,
            _ => return None,
        })
    }
}

/// Tags of the fields of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Field {
    /// Text: the message's id.
    Id = 1,
    /// Text: where it was sent to, in the text form of a destination.
    Destination = 2,
    /// Text: where a reply is expected.
    ReplyTo = 3,
    /// Bytes, mostly text: what it belongs to.
    CorrelationId = 4,
    /// Text: the application's type.
    Type = 5,
    /// Text: the message group.
    Group = 6,
    /// u32: position in the group.
    GroupSequence = 7,
    /// Text: who sent it, as the broker authenticated them.
    User = 8,
    /// Text: the W3C trace context's `traceparent`, never changed by the broker.
    TraceParent = 9,
    /// Text: media type of the body.
    ContentType = 10,
    /// u64: the sender's own count, by which the broker knows a message that is sent again.
    ProducerSequence = 11,
    /// Bytes: `{u8 length, namespace, bytes}`: what one protocol alone understands. May be repeated.
    Annotation = 64,
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Shorter than they say.
    #[error("the message ends before its head does")]
    Truncated,
    /// Another version.
    #[error("version {0} of the message format is not known")]
    Version(u8),
    /// A length or offset that cannot be.
    #[error("the message's head contradicts itself")]
    Inconsistent,
    /// A number out of its range.
    #[error("{0} is out of range")]
    Range(&'static str),
}

/// Where a head is written to: a growing buffer whose earlier bytes can be set.
pub trait HeadBuffer {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);
    /// Sets bytes that were appended before. Positions beyond the end are ignored.
    fn patch(&mut self, at: usize, bytes: &[u8]);
    /// Bytes so far.
    fn position(&self) -> usize;
}

impl HeadBuffer for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(target) = at.checked_add(bytes.len()).and_then(|end| self.get_mut(at..end)) {
            target.copy_from_slice(bytes);
        }
    }

    fn position(&self) -> usize {
        self.len()
    }
}

/// The fixed part of a head, to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Survives a restart of the broker.
    pub persistent: bool,
    /// 0 to 9; 4 is normal (JMS 3.4.10).
    pub priority: u8,
    /// Kind of the body.
    pub body_kind: BodyKind,
    /// Encoding of the body: 0 is the canonical one of its kind.
    pub body_encoding: u16,
    /// When it was sent, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// When it stops being of use; 0: never.
    pub expiration_ms: i64,
    /// Not to be delivered before; 0: at once.
    pub deliver_at_ms: i64,
}

impl Default for Fixed {
    fn default() -> Self {
        Fixed {
            persistent: false,
            priority: 4,
            body_kind: BodyKind::None,
            body_encoding: 0,
            timestamp_ms: 0,
            expiration_ms: 0,
            deliver_at_ms: 0,
        }
    }
}

/// Writes a head: fixed part, then fields, then properties, then `finish`.
#[derive(Debug)]
pub struct HeadWriter<'b, B: HeadBuffer> {
    buffer: &'b mut B,
    start: usize,
    properties_at: Option<usize>,
    properties: u32,
    flags: u8,
}

impl<'b, B: HeadBuffer> HeadWriter<'b, B> {
    /// Begins a head at the buffer's end.
    pub fn new(buffer: &'b mut B, fixed: &Fixed) -> Self {
        let start = buffer.position();
        let mut bytes = [0u8; FIXED_HEAD_BYTES];
        bytes[0] = VERSION;
        let flags = if fixed.persistent { FLAG_PERSISTENT } else { 0 };
        bytes[1] = flags;
        bytes[2] = fixed.priority.min(9);
        bytes[3] = fixed.body_kind as u8;
        bytes[12..14].copy_from_slice(&fixed.body_encoding.to_le_bytes());
        bytes[16..24].copy_from_slice(&fixed.timestamp_ms.to_le_bytes());
        bytes[24..32].copy_from_slice(&fixed.expiration_ms.to_le_bytes());
        bytes[32..40].copy_from_slice(&fixed.deliver_at_ms.to_le_bytes());
        buffer.put(&bytes);
        HeadWriter { buffer, start, properties_at: None, properties: 0, flags }
    }

    /// Adds a field. Fields longer than 65,535 bytes and fields after the first property are a caller's mistake:
    /// they are refused with `false`.
    #[must_use]
    pub fn field(&mut self, field: Field, value: &[u8]) -> bool {
        let Ok(len) = u16::try_from(value.len()) else { return false };
        if self.properties_at.is_some() {
            return false;
        }
        let [low, high] = len.to_le_bytes();
        self.buffer.put(&[field as u8, 0, low, high]);
        self.buffer.put(value);
        true
    }

    /// Adds a field whose value is made of several parts.
    #[must_use]
    pub fn field_of(&mut self, field: Field, parts: &[&[u8]]) -> bool {
        let Ok(len) = u16::try_from(parts.iter().map(|part| part.len()).sum::<usize>()) else { return false };
        if self.properties_at.is_some() {
            return false;
        }
        let [low, high] = len.to_le_bytes();
        self.buffer.put(&[field as u8, 0, low, high]);
        for part in parts {
            self.buffer.put(part);
        }
        true
    }

    /// Adds what one protocol alone understands. The namespace is its name, of at most 255 bytes.
    #[must_use]
    pub fn annotation(&mut self, namespace: &str, value: &[u8]) -> bool {
        let Ok(len) = u8::try_from(namespace.len()) else { return false };
        self.field_of(Field::Annotation, &[&[len], namespace.as_bytes(), value])
    }

    /// Says that all texts in the body and in the properties are the same in UTF-8 and in Java's modified UTF-8, for
    /// protocols that would have to look for themselves.
    pub fn plain_text(&mut self) {
        self.flags |= FLAG_PLAIN_TEXT;
    }

    /// Adds the producer's own count of its messages ([`Field::ProducerSequence`]).
    #[must_use]
    pub fn producer_sequence(&mut self, sequence: u64) -> bool {
        self.field(Field::ProducerSequence, &sequence.to_le_bytes())
    }

    /// Adds a property. Names longer than 65,535 bytes are refused with `false`.
    #[must_use]
    pub fn property(&mut self, name: &str, value: &Value<'_>) -> bool {
        if name.len() > usize::from(u16::MAX) {
            return false;
        }
        if self.properties_at.is_none() {
            self.properties_at = Some(self.buffer.position());
            self.buffer.put(&[0; 4]);
        }
        self.properties += 1;
        property::write_entry(self.buffer, name, value)
    }

    /// Takes the properties from an encoded map, as [`property::check`] takes it, in front of those that are added one
    /// by one. Once, and before these.
    #[must_use]
    pub fn properties(&mut self, map: &[u8]) -> bool {
        let Some(count) = map.first_chunk().map(|count| u32::from_be_bytes(*count)) else { return false };
        if self.properties_at.is_some() {
            return false;
        }
        self.properties_at = Some(self.buffer.position());
        self.properties = count;
        self.buffer.put(map);
        true
    }

    /// Ends the head and answers its length.
    pub fn finish(self) -> usize {
        let len = self.buffer.position() - self.start;
        let properties_at = match self.properties_at {
            Some(at) => {
                self.buffer.patch(at, &self.properties.to_be_bytes());
                at - self.start
            }
            None => len,
        };
        self.buffer.patch(self.start + 1, &[self.flags]);
        self.buffer.patch(self.start + 4, &(len as u32).to_le_bytes());
        self.buffer.patch(self.start + 8, &(properties_at as u32).to_le_bytes());
        len
    }
}

/// A head, to be read. Making one checks lengths and ranges, so that the accessors cannot fail.
#[derive(Clone, Copy, Debug)]
pub struct Head<'m> {
    bytes: &'m [u8],
    properties_at: usize,
}

impl<'m> Head<'m> {
    /// Reads the head at the front of `bytes`, which may go on with the body.
    pub fn parse(bytes: &'m [u8]) -> Result<Self, FormatError> {
        let fixed = bytes.get(..FIXED_HEAD_BYTES).ok_or(FormatError::Truncated)?;
        if fixed[0] != VERSION {
            return Err(FormatError::Version(fixed[0]));
        }
        if fixed[2] > 9 {
            return Err(FormatError::Range("the priority"));
        }
        BodyKind::from_byte(fixed[3]).ok_or(FormatError::Range("the kind of the body"))?;
        let len = u32_at(fixed, 4) as usize;
        let properties_at = u32_at(fixed, 8) as usize;
        let bytes = bytes.get(..len).ok_or(FormatError::Truncated)?;
        if properties_at < FIXED_HEAD_BYTES || properties_at > len {
            return Err(FormatError::Inconsistent);
        }
        let head = Head { bytes, properties_at };
        head.check_fields()?;
        if properties_at < len {
            property::check(&bytes[properties_at..]).map_err(|_| FormatError::Inconsistent)?;
        }
        Ok(head)
    }

    /// A head that was checked before, by whoever put it where it lies.
    ///
    /// Bytes that were not checked give wrong answers or empty ones, but never undefined behaviour; still,
    /// anything from outside goes through [`Head::parse`].
    pub fn trusted(bytes: &'m [u8]) -> Option<Self> {
        let fixed = bytes.get(..FIXED_HEAD_BYTES)?;
        // A head that says it is shorter than its fixed part has nothing that the accessors could read.
        let len = Some(u32_at(fixed, 4) as usize).filter(|len| *len >= FIXED_HEAD_BYTES)?;
        let properties_at = (u32_at(fixed, 8) as usize).max(FIXED_HEAD_BYTES);
        Some(Head { bytes: bytes.get(..len)?, properties_at: properties_at.min(len) })
    }

    fn check_fields(&self) -> Result<(), FormatError> {
        let mut at = FIXED_HEAD_BYTES;
        while at < self.properties_at {
            let head = self.bytes.get(at..at + 4).ok_or(FormatError::Inconsistent)?;
            at += 4 + usize::from(u16::from_le_bytes([head[2], head[3]]));
        }
        if at == self.properties_at { Ok(()) } else { Err(FormatError::Inconsistent) }
    }

    /// The whole head.
    pub fn as_bytes(&self) -> &'m [u8] {
        self.bytes
    }

    /// Survives a restart of the broker.
    pub fn persistent(&self) -> bool {
        self.bytes[1] & FLAG_PERSISTENT != 0
    }

    /// All texts in the body and in the properties are known to be the same in UTF-8 and in Java's modified UTF-8.
    /// `false` says nothing.
    pub fn plain_text(&self) -> bool {
        self.bytes[1] & FLAG_PLAIN_TEXT != 0
    }

    /// 0 to 9.
    pub fn priority(&self) -> u8 {
        self.bytes[2].min(9)
    }

    /// Kind of the body.
    pub fn body_kind(&self) -> BodyKind {
        BodyKind::from_byte(self.bytes[3]).unwrap_or_default()
    }

    /// Encoding of the body: 0 is the canonical one of its kind.
    pub fn body_encoding(&self) -> u16 {
        u16::from_le_bytes([self.bytes[12], self.bytes[13]])
    }

    /// Milliseconds since 1970.
    pub fn timestamp_ms(&self) -> i64 {
        i64_at(self.bytes, 16)
    }

    /// Milliseconds since 1970; 0: never.
    pub fn expiration_ms(&self) -> i64 {
        i64_at(self.bytes, 24)
    }

    /// Milliseconds since 1970; 0: at once.
    pub fn deliver_at_ms(&self) -> i64 {
        i64_at(self.bytes, 32)
    }

    /// All fields in order: tag and value.
    pub fn fields(&self) -> impl Iterator<Item = (u8, &'m [u8])> + use<'m> {
        let Head { bytes, properties_at } = *self;
        let mut at = FIXED_HEAD_BYTES;
        std::iter::from_fn(move || {
            let head = bytes.get(at..at.checked_add(4)?)?;
            let value_at = at + 4;
            let end = value_at + usize::from(u16::from_le_bytes([head[2], head[3]]));
            if end > properties_at {
                return None;
            }
            at = end;
            Some((head[0], bytes.get(value_at..end)?))
        })
    }

    /// The first field with this tag.
    pub fn field(&self, field: Field) -> Option<&'m [u8]> {
        self.fields().find(|(tag, _)| *tag == field as u8).map(|(_, value)| value)
    }

    /// The first field with this tag, if it is UTF-8.
    pub fn text(&self, field: Field) -> Option<&'m str> {
        std::str::from_utf8(self.field(field)?).ok()
    }

    /// The producer's own count of its messages, if it gave one. One of another width counts as missing.
    pub fn producer_sequence(&self) -> Option<u64> {
        self.field(Field::ProducerSequence)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// What one protocol alone understands, under its name: the first annotation with this namespace.
    pub fn annotation(&self, namespace: &str) -> Option<&'m [u8]> {
        self.fields().filter(|(tag, _)| *tag == Field::Annotation as u8).find_map(|(_, value)| {
            let (len, rest) = value.split_first()?;
            let (name, value) = rest.split_at_checked(usize::from(*len))?;
            (name == namespace.as_bytes()).then_some(value)
        })
    }

    /// The properties, as an OpenWire primitive map; empty when there are none.
    pub fn property_bytes(&self) -> &'m [u8] {
        &self.bytes[self.properties_at..]
    }

    /// All properties in order.
    pub fn properties(&self) -> property::Entries<'m> {
        property::Entries::new(self.property_bytes())
    }

    /// Looks one property up without decoding the rest.
    pub fn property(&self, name: &str) -> Option<Value<'m>> {
        property::find(self.property_bytes(), name)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut array = [0; 4];
    array.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(array)
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    let mut array = [0; 8];
    array.copy_from_slice(&bytes[at..at + 8]);
    i64::from_le_bytes(array)
}

/// A message: head and body, by reference count.
///
/// Small messages are one run of bytes, head first; large bodies stand alone, so that they are never copied; what is
/// larger still is not here at all, but comes and goes in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    record: Bytes,
    body: Body,
    head_len: u32,
}

// Every message on its way is moved several times.
const _: () = assert!(size_of::<Message>() <= 72);

/// The body of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    /// These bytes; without any it lies behind the head.
    Here(Bytes),
    /// It is not in memory as a whole.
    Apart(Apart),
}

/// A body that is not in memory as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Apart {
    /// All of it has come from the session, in pieces; so many bytes.
    Arrived(u64),
    /// It lies in the store.
    Stored(Arc<StoredBody>),
    /// A piece of it is here, on the way to a consumer.
    Piece(Box<Piece>),
}

/// A piece of a body on the way to a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The bytes.
    pub bytes: Bytes,
    /// Of the whole body.
    pub total: u64,
    /// Another piece follows.
    pub more: bool,
    /// A piece came before.
    pub continued: bool,
}

impl Message {
    /// A message whose head and body lie behind each other in one run of bytes. Checks the head.
    pub fn joined(record: Bytes) -> Result<Self, FormatError> {
        let head_len = Head::parse(&record)?.as_bytes().len() as u32;
        Ok(Message { record, body: Body::Here(Bytes::new()), head_len })
    }

    /// A message whose body stands alone. Checks the head.
    pub fn split(head: Bytes, body: Bytes) -> Result<Self, FormatError> {
        Message::of(head, Body::Here(body))
    }

    /// A message whose body is not in memory. Checks the head.
    pub fn apart(head: Bytes, body: Apart) -> Result<Self, FormatError> {
        Message::of(head, Body::Apart(body))
    }

    fn of(head: Bytes, body: Body) -> Result<Self, FormatError> {
        let head_len = Head::parse(&head)?.as_bytes().len();
        if head_len != head.len() {
            return Err(FormatError::Inconsistent);
        }
        Ok(Message { record: head, body, head_len: head_len as u32 })
    }

    /// A message that was checked when it was published, back from a store whose checksums held.
    pub fn trusted(record: Bytes) -> Result<Self, FormatError> {
        let head_len = Head::trusted(&record).ok_or(FormatError::Truncated)?.as_bytes().len();
        if head_len < FIXED_HEAD_BYTES {
            return Err(FormatError::Inconsistent);
        }
        Ok(Message { record, body: Body::Here(Bytes::new()), head_len: head_len as u32 })
    }

    /// The same for a record that says where the body lies ([`Message::pieces`]); `body` is what lies there.
    pub fn trusted_apart(record: &Bytes, body: Arc<StoredBody>) -> Result<Self, FormatError> {
        let head = Head::trusted(record).ok_or(FormatError::Truncated)?.as_bytes().len();
        match StoredAt::decode(&record[head..]) {
            Some(at) if at == body.at() => {}
            _ => return Err(FormatError::Inconsistent),
        }
        let record = record.slice(..head);
        Ok(Message { record, body: Body::Apart(Apart::Stored(body)), head_len: head as u32 })
    }

    /// The same message with its body elsewhere.
    #[must_use]
    pub fn with_body(&self, body: Apart) -> Message {
        let record = self.record.slice(..self.head_len as usize);
        Message { record, body: Body::Apart(body), head_len: self.head_len }
    }

    /// Where the body is if it is not in memory.
    pub fn body_apart(&self) -> Option<&Apart> {
        match &self.body {
            Body::Here(_) => None,
            Body::Apart(apart) => Some(apart),
        }
    }

    /// The body, if it lies in the store.
    pub fn stored_body(&self) -> Option<&Arc<StoredBody>> {
        match &self.body {
            Body::Apart(Apart::Stored(body)) => Some(body),
            _ => None,
        }
    }

    /// The head, to be read.
    pub fn head(&self) -> Head<'_> {
        let bytes = &self.record[..self.head_len as usize];
        let properties_at = (u32_at(bytes, 8) as usize).clamp(FIXED_HEAD_BYTES, bytes.len());
        Head { bytes, properties_at }
    }

    /// The body, as far as it is here: none of one that lies in the store.
    pub fn body(&self) -> &[u8] {
        match &self.body {
            Body::Here(body) if body.is_empty() => &self.record[self.head_len as usize..],
            Body::Here(body) => body,
            Body::Apart(Apart::Piece(piece)) => &piece.bytes,
            Body::Apart(_) => &[],
        }
    }

    /// The same, by reference count.
    pub fn body_bytes(&self) -> Bytes {
        match &self.body {
            Body::Here(body) if body.is_empty() => self.record.slice(self.head_len as usize..),
            Body::Here(body) => body.clone(),
            Body::Apart(Apart::Piece(piece)) => piece.bytes.clone(),
            Body::Apart(_) => Bytes::new(),
        }
    }

    /// The pieces that joined give the record a store keeps. Of a body that lies elsewhere it says where, and has the
    /// format [`crate::store::FORMAT_BODY_APART`].
    pub fn pieces(&self) -> [Bytes; 2] {
        let body = match &self.body {
            Body::Here(body) => body.clone(),
            Body::Apart(Apart::Stored(body)) => Bytes::copy_from_slice(&body.at().encode()),
            Body::Apart(_) => Bytes::new(),
        };
        [self.record.clone(), body]
    }

    /// Bytes of head and body, wherever the body is.
    pub fn size_bytes(&self) -> usize {
        let body = match &self.body {
            Body::Here(body) => body.len(),
            Body::Apart(apart) => usize::try_from(apart.len()).unwrap_or(usize::MAX),
        };
        self.record.len().saturating_add(body)
    }

    /// Bytes of it that are in memory.
    pub fn held_bytes(&self) -> usize {
        let body = match &self.body {
            Body::Here(body) => body.len(),
            Body::Apart(Apart::Piece(piece)) => piece.bytes.len(),
            Body::Apart(_) => STORED_AT_BYTES,
        };
        self.record.len() + body
    }
}

impl Apart {
    /// Bytes of the whole body.
    pub fn len(&self) -> u64 {
        match self {
            Apart::Arrived(len) => *len,
            Apart::Stored(body) => body.at().len,
            Apart::Piece(piece) => piece.total,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        let fixed = Fixed {
            persistent: true,
            priority: 7,
            body_kind: BodyKind::Text,
            body_encoding: 0,
            timestamp_ms: 1,
            expiration_ms: 2,
            deliver_at_ms: 3,
        };
        let mut writer = HeadWriter::new(&mut bytes, &fixed);
        assert!(writer.field(Field::Id, b"ID:1"));
        assert!(writer.field(Field::Destination, b"queue://Q"));
        assert!(writer.producer_sequence(u64::MAX - 1));
        assert!(writer.property("region", &Value::Text("EU")));
        assert!(writer.property("qty", &Value::Int(3)));
        assert_eq!(writer.finish(), bytes.len());
        bytes
    }

    #[test]
    fn a_head_is_read_back_as_it_was_written() {
        let bytes = sample();
        let head = Head::parse(&bytes).unwrap();
        assert!(head.persistent());
        assert_eq!(head.priority(), 7);
        assert_eq!(head.body_kind(), BodyKind::Text);
        assert_eq!((head.timestamp_ms(), head.expiration_ms(), head.deliver_at_ms()), (1, 2, 3));
        assert_eq!(head.text(Field::Id), Some("ID:1"));
        assert_eq!(head.text(Field::Destination), Some("queue://Q"));
        assert_eq!(head.field(Field::ReplyTo), None);
        assert_eq!(head.producer_sequence(), Some(u64::MAX - 1));
        assert_eq!(head.property("qty"), Some(Value::Int(3)));
        assert_eq!(head.property("region"), Some(Value::Text("EU")));
        assert_eq!(head.property("none"), None);
    }

    #[test]
    fn a_map_can_be_taken_whole_and_more_put_behind_it() {
        let head = sample();
        let map = Head::parse(&head).unwrap().property_bytes();
        let mut bytes = Vec::new();
        let mut writer = HeadWriter::new(&mut bytes, &Fixed::default());
        assert!(!writer.properties(b"\0\0"));
        assert!(writer.properties(map));
        assert!(!writer.properties(map));
        assert!(!writer.field_of(Field::Id, &[b"late"]));
        assert!(writer.property("more", &Value::Bool(true)));
        writer.finish();
        let head = Head::parse(&bytes).unwrap();
        assert_eq!(
            (head.property("qty"), head.property("more")),
            (Some(Value::Int(3)), Some(Value::Bool(true)))
        );
        assert_eq!(head.properties().count(), 3);
    }

    #[test]
    fn fields_in_parts_and_annotations_are_read_whole() {
        let mut bytes = Vec::new();
        let mut writer = HeadWriter::new(&mut bytes, &Fixed { persistent: true, ..Fixed::default() });
        assert!(writer.field_of(Field::Id, &[b"ID:", b"", b"1"]));
        assert!(writer.annotation("one", b"first"));
        assert!(writer.annotation("other", b"second"));
        assert!(writer.annotation("other", b"third"));
        assert!(!writer.annotation(&"x".repeat(256), b""));
        assert!(!writer.field_of(Field::Type, &[&[0; 60_000], &[0; 6_000]]));
        writer.plain_text();
        writer.finish();
        let head = Head::parse(&bytes).unwrap();
        assert_eq!(head.text(Field::Id), Some("ID:1"));
        assert_eq!(head.annotation("other"), Some(&b"second"[..]));
        assert_eq!(head.annotation("on"), None);
        assert_eq!((head.persistent(), head.plain_text()), (true, true));
        assert!(!Head::parse(&sample()).unwrap().plain_text());
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_read_without_panic() {
        let bytes = sample();
        for end in 0..bytes.len() {
            assert!(Head::parse(&bytes[..end]).is_err());
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                if let Ok(head) = Head::parse(&bad) {
                    let fields = head.fields().count();
                    let properties = head.properties().count();
                    assert!(fields <= 8 && properties <= bytes.len());
                }
            }
        }
    }

    #[test]
    fn a_body_that_lies_elsewhere_is_named_by_the_record_and_found_again_by_it() {
        let returns = crate::stored::Returns::default();
        let body = |log| Arc::new(StoredBody::new(StoredAt { log, len: 5_000_000 }, 0, &returns));
        let head = Bytes::from(sample());
        let message = Message::apart(head.clone(), Apart::Stored(body(9))).unwrap();
        assert_eq!((message.body(), message.size_bytes()), (&b""[..], head.len() + 5_000_000));
        assert_eq!(message.held_bytes(), head.len() + STORED_AT_BYTES);
        let record = Bytes::from(message.pieces().concat());
        assert_eq!(Message::trusted_apart(&record, body(9)).unwrap(), message);
        assert!(Message::trusted_apart(&record, body(8)).is_err());
        assert!(Message::trusted_apart(&head, body(9)).is_err());
        let bytes = Bytes::from_static(b"part");
        let piece = Piece { bytes, total: 5_000_000, more: true, continued: false };
        let piece = message.with_body(Apart::Piece(Box::new(piece)));
        assert_eq!((piece.body(), piece.size_bytes()), (&b"part"[..], message.size_bytes()));
        assert_eq!(piece.head().text(Field::Id), Some("ID:1"));
    }

    #[test]
    fn head_and_body_are_found_whether_joined_or_split() {
        let head = sample();
        let mut joined = head.clone();
        joined.extend_from_slice(b"body");
        let joined = Message::joined(Bytes::from(joined)).unwrap();
        let split = Message::split(Bytes::from(head), Bytes::from_static(b"body")).unwrap();
        for message in [&joined, &split] {
            assert_eq!(message.body(), b"body");
            assert_eq!(message.head().text(Field::Id), Some("ID:1"));
            assert_eq!(message.pieces().concat(), joined.pieces().concat());
        }
    }
}
