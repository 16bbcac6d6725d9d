// SPDX-License-Identifier: Apache-2.0
//! Ids of messages: `ID:host-port-time-n:connection:session:producer:sequence`, as OpenWire makes them, and any others.
//!
//! An id that OpenWire did not make travels as `text_view`, which there is from version 10 on. Clients compare producer and
//! sequence instead, and older ones have nothing else, so that these too must differ from message to message and lead back
//! to the text: the producer's connection is the text without the number at its end, its session and value are -1, and
//! the sequence is that number.

use super::error::ConvertError;
use crate::codec::{MessageId, ProducerId};
use sabir_model::message::{Field, HeadBuffer, HeadWriter};

/// Session and value of producers that stand for ids of other protocols.
const FOREIGN: i64 = -1;

/// Writes the id into the head.
pub fn write<B: HeadBuffer>(id: &MessageId, head: &mut HeadWriter<'_, B>) -> Result<(), ConvertError> {
    let written = match (&id.text_view, &id.producer_id) {
        (Some(text), _) if !text.is_empty() => head.field(Field::Id, text.as_bytes()),
        (_, Some(producer)) => {
            let mut numbers = [itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new()];
            let [session, value, sequence] = &mut numbers;
            let sequence = sequence.format(id.producer_sequence_id).as_bytes();
            let connection = producer.connection_id.as_bytes();
            if is_foreign(producer) {
                let sequence = if id.producer_sequence_id < 0 { b"" } else { sequence };
                head.field_of(Field::Id, &[connection, sequence])
            } else {
                let session = session.format(producer.session_id).as_bytes();
                let value = value.format(producer.value).as_bytes();
                head.field_of(Field::Id, &[connection, b":", session, b":", value, b":", sequence])
            }
        }
        _ => return Err(ConvertError::Missing("id")),
    };
    if written { Ok(()) } else { Err(super::publish::too_long("id")) }
}

/// Whether the id comes back from its text as it is, but for the text view itself.
pub fn is_native(id: &MessageId) -> bool {
    let Some(producer) = &id.producer_id else { return false };
    let stands_for = |text: &str| {
        let native = split_native(text).and_then(|(producer, _)| self::producer(producer));
        native.is_none() && split_foreign(text) == (&*producer.connection_id, id.producer_sequence_id)
    };
    match &id.text_view {
        Some(text) => is_foreign(producer) && stands_for(text),
        None if is_foreign(producer) => match id.producer_sequence_id {
            ..0 => stands_for(&producer.connection_id),
            sequence => stands_for(&format!("{}{sequence}", producer.connection_id)),
        },
        // The numbers are written as they are read; only an empty connection would not be found again.
        None => !producer.connection_id.is_empty(),
    }
}

fn is_foreign(producer: &ProducerId) -> bool {
    producer.session_id == FOREIGN && producer.value == FOREIGN
}

/// The producer's text, and the sequence; `None`: it is no id of OpenWire.
#[inline]
pub fn split_native(text: &str) -> Option<(&str, i64)> {
    let (producer, sequence) = text.rsplit_once(':')?;
    Some((producer, number(sequence)?))
}

/// A producer's id from its text.
pub fn producer(text: &str) -> Option<ProducerId> {
    let (rest, value) = text.rsplit_once(':')?;
    let (connection, session) = rest.rsplit_once(':')?;
    let producer =
        ProducerId { connection_id: connection.into(), value: number(value)?, session_id: number(session)? };
    // That one stands for something else.
    if connection.is_empty() || is_foreign(&producer) { None } else { Some(producer) }
}

/// A number, if it would be written just so.
fn number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    match digits {
        [b'0'] if text.len() > 1 => None,
        [b'0', _, ..] => None,
        _ if digits.iter().all(u8::is_ascii_digit) => text.parse().ok(),
        _ => None,
    }
}

/// The text up to the number at its end, and that number; -1: there is none.
pub fn split_foreign(text: &str) -> (&str, i64) {
    let stem = text.trim_end_matches(|character: char| character.is_ascii_digit());
    // A number with zeros in front, or too long, would come back as another.
    let digits = text.get(stem.len()..).unwrap_or_default();
    match number(digits) {
        Some(sequence) => (stem, sequence),
        None => (text, -1),
    }
}

/// The producer for such a text.
pub fn foreign_producer(stem: &str) -> ProducerId {
    ProducerId { connection_id: stem.into(), value: FOREIGN, session_id: FOREIGN }
}
