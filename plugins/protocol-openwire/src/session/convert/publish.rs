// SPDX-License-Identifier: Apache-2.0
//! A message that a client sends, to the canonical form.

use super::error::ConvertError;
use super::property::{self, Received};
use super::{destination, message_id, rest};
use crate::codec::{Blob, Destination, Message, MessageKind};
use bytes::Bytes;
use sabir_model::body::{self, LENGTH_BYTES, java};
use sabir_model::message::{BodyKind, Field, Fixed, HeadBuffer, HeadWriter};
use sabir_model::time::Now;
use std::ops::Range;

/// Where the body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyPlace {
    /// There is none.
    None,
    /// In the frame.
    Frame(Range<usize>),
    /// Here.
    Owned(Bytes),
}

/// Writes the head of a message that was decoded from `frame` (what `Decoder::decode` was given), and says where its body
/// is. Nothing of the body is copied, and nothing allocated unless the message asks the broker for something or has texts
/// that differ in UTF-8.
///
/// The message's transaction, number and wish for a response are the session's. Redelivery count and times of arrival are
/// the broker's own: what the client says of them does not count.
///
/// # Errors
///
/// The message cannot be taken; what was put into `head` so far is to be taken back.
pub fn to_publish<B: HeadBuffer>(
    message: &Message,
    frame: &[u8],
    now: Now,
    head: &mut B,
) -> Result<BodyPlace, ConvertError> {
    let body = Body::of(message, frame)?;
    write_head(message, frame, now, head, body)
}

/// The same for a message whose content was cut out of its frame, and was handed on before as it is. What was not looked
/// into is left in Java's form.
///
/// # Errors
///
/// As of [`to_publish`].
pub fn to_publish_behind<B: HeadBuffer>(
    message: &Message,
    frame: &[u8],
    now: Now,
    head: &mut B,
) -> Result<BodyPlace, ConvertError> {
    let kind = kind_of(message);
    let encoding = match kind {
        _ if message.compressed => body::JMS_COMPRESSED,
        BodyKind::Bytes | BodyKind::Object => body::CANONICAL,
        BodyKind::None | BodyKind::Text | BodyKind::Map | BodyKind::Stream => body::JMS,
    };
    write_head(message, frame, now, head, Body { kind, encoding, place: BodyPlace::None })
}

fn write_head<B: HeadBuffer>(
    message: &Message,
    frame: &[u8],
    now: Now,
    head: &mut B,
    body: Body,
) -> Result<BodyPlace, ConvertError> {
    let map = bytes_of(message.marshalled_properties.as_ref(), frame, "properties")?;
    let properties = property::receive(map)?;
    let fixed = fixed(message, now, &properties, &body);
    let mut writer = HeadWriter::new(head, &fixed);
    message_id::write(message.message_id.as_ref().ok_or(ConvertError::Missing("id"))?, &mut writer)?;
    let target = message.destination.as_deref().ok_or(ConvertError::Missing("destination"))?;
    put_destination(&mut writer, Field::Destination, target, "destination")?;
    if let Some(reply_to) = message.reply_to.as_deref() {
        put_destination(&mut writer, Field::ReplyTo, reply_to, "reply-to")?;
    }
    put_texts(&mut writer, message, &properties)?;
    if message.group_sequence != 0 {
        let _ = writer.field(Field::GroupSequence, &message.group_sequence.to_le_bytes());
    }
    if let Some(sequence) = producer_sequence(message) {
        let _ = writer.producer_sequence(sequence);
    }
    rest::write(message, frame, &mut writer)?;
    if properties.plain {
        writer.plain_text();
    }
    if let Some(map) = &properties.map {
        let _ = writer.properties(map);
    }
    writer.finish();
    Ok(body.place)
}

pub(super) fn too_long(what: &'static str) -> ConvertError {
    ConvertError::TooLong { what, limit_bytes: usize::from(u16::MAX) }
}

fn bytes_of<'f>(
    blob: Option<&'f Blob>,
    frame: &'f [u8],
    what: &'static str,
) -> Result<Option<&'f [u8]>, ConvertError> {
    match blob {
        None => Ok(None),
        Some(blob) => blob.bytes(frame).map(Some).ok_or(ConvertError::Detached(what)),
    }
}

fn fixed(message: &Message, now: Now, properties: &Received<'_>, body: &Body) -> Fixed {
    let delay_ms = properties.delay_ms;
    // As with ActiveMQ's scheduler, the time to live begins when the message is due.
    let expiration_ms = match message.expiration {
        1.. => message.expiration.saturating_add(delay_ms),
        _ => 0,
    };
    Fixed {
        persistent: message.persistent,
        priority: message.priority.clamp(0, 9) as u8,
        body_kind: body.kind,
        body_encoding: body.encoding,
        timestamp_ms: message.timestamp,
        expiration_ms,
        deliver_at_ms: if delay_ms > 0 { now.unix_ms.saturating_add(delay_ms) } else { 0 },
    }
}

fn put_destination<B: HeadBuffer>(
    writer: &mut HeadWriter<'_, B>,
    field: Field,
    destination: &Destination,
    what: &'static str,
) -> Result<(), ConvertError> {
    let (scheme, names) = destination::text(destination);
    if names.is_empty() {
        return Err(ConvertError::Missing(what));
    }
    match writer.field_of(field, &[scheme.as_bytes(), names.as_bytes()]) {
        true => Ok(()),
        false => Err(too_long(what)),
    }
}

fn put_texts<B: HeadBuffer>(
    writer: &mut HeadWriter<'_, B>,
    message: &Message,
    properties: &Received<'_>,
) -> Result<(), ConvertError> {
    fn text(text: Option<&str>) -> Option<&[u8]> {
        text.map(str::as_bytes)
    }
    let texts = [
        (Field::CorrelationId, text(message.correlation_id.as_deref()), "correlation id"),
        (Field::Type, text(message.message_type.as_deref()), "type"),
        (Field::Group, text(message.group_id.as_deref()), "group"),
        (Field::User, text(message.user_id.as_deref()), "user"),
        (Field::TraceParent, properties.trace_parent, property::TRACE_PARENT),
        (Field::ContentType, properties.content_type, property::CONTENT_TYPE),
    ];
    for (field, value, what) in texts {
        if let Some(value) = value
            && !writer.field(field, value)
        {
            return Err(too_long(what));
        }
    }
    Ok(())
}

/// The producer's own count, if it is the producer's own message: what a bridge passes on keeps its first sender's id.
fn producer_sequence(message: &Message) -> Option<u64> {
    let id = message.message_id.as_ref()?;
    if id.text_view.is_some() || id.producer_id.is_none() || id.producer_id != message.producer_id {
        return None;
    }
    u64::try_from(id.producer_sequence_id).ok()
}

fn kind_of(message: &Message) -> BodyKind {
    match message.kind {
        // Where a blob message's body is, only OpenWire understands.
        MessageKind::Plain | MessageKind::Blob => BodyKind::None,
        MessageKind::Bytes => BodyKind::Bytes,
        MessageKind::Map => BodyKind::Map,
        MessageKind::Object => BodyKind::Object,
        MessageKind::Stream => BodyKind::Stream,
        MessageKind::Text => BodyKind::Text,
    }
}

/// The body of a message.
struct Body {
    kind: BodyKind,
    encoding: u16,
    place: BodyPlace,
}

impl Body {
    fn of(message: &Message, frame: &[u8]) -> Result<Body, ConvertError> {
        let kind = kind_of(message);
        let Some(blob) = &message.content else {
            // In Java's form no bytes are null, which is not the same as empty.
            let encoding = if kind == BodyKind::None { body::CANONICAL } else { body::JMS };
            return Ok(Body { kind, encoding, place: BodyPlace::None });
        };
        let content = blob.bytes(frame).ok_or(ConvertError::Detached("content"))?;
        if message.compressed {
            return Ok(Body { kind, encoding: body::JMS_COMPRESSED, place: place_of(blob, 0) });
        }
        let (encoding, skipped) = encoding_of(kind, content);
        Ok(Body { kind, encoding, place: place_of(blob, skipped) })
    }
}

/// In which encoding the content is, less so many bytes at its front. What is no text, map or stream at all stays as it
/// is too: it is the receiver's to complain of.
fn encoding_of(kind: BodyKind, content: &[u8]) -> (u16, usize) {
    let is_canonical = match kind {
        BodyKind::Bytes | BodyKind::Object => true,
        BodyKind::None => content.is_empty(),
        BodyKind::Text => {
            let is_plain = content.split_first_chunk::<LENGTH_BYTES>().is_some_and(|(length, text)| {
                usize::try_from(i32::from_be_bytes(*length)) == Ok(text.len()) && java::is_plain(text)
            });
            return if is_plain { (body::CANONICAL, LENGTH_BYTES) } else { (body::JMS, 0) };
        }
        BodyKind::Map => java::check_map(content) == Ok(true),
        BodyKind::Stream => java::check_stream(content) == Ok(true),
    };
    (if is_canonical { body::CANONICAL } else { body::JMS }, 0)
}

fn place_of(blob: &Blob, skipped: usize) -> BodyPlace {
    if blob.len() <= skipped {
        return BodyPlace::None;
    }
    match blob {
        Blob::Span(span) => BodyPlace::Frame(span.start + skipped..span.end),
        Blob::Own(bytes) => BodyPlace::Owned(bytes.slice(skipped..)),
    }
}
