// SPDX-License-Identifier: Apache-2.0
//! Properties: what they say to the broker, and what it adds to them.
//!
//! They are a primitive map in both forms. It passes as it is unless a text differs between UTF-8 and Java's modified
//! UTF-8, or an entry was for the broker.

use super::error::ConvertError;
use crate::codec::mutf8;
use sabir_model::body::BodyError;
use sabir_model::body::java::{Entries, Entry, map_to_utf8};
use sabir_model::property::{self, Value};
use std::borrow::Cow;

const DELAY: &str = "AMQ_SCHEDULED_DELAY";
const PERIOD: &str = "AMQ_SCHEDULED_PERIOD";
const REPEAT: &str = "AMQ_SCHEDULED_REPEAT";
const CRON: &str = "AMQ_SCHEDULED_CRON";
/// What all of these begin with.
const SCHEDULED: &[u8] = b"AMQ_SCHEDULED_";

/// The W3C trace context, where JMS clients put it.
pub const TRACE_PARENT: &str = "traceparent";
/// The media type of the body, as ActiveMQ names what comes from STOMP.
pub const CONTENT_TYPE: &str = "content-type";
/// Why a message is a dead letter.
pub const DEAD_LETTER_CAUSE: &str = "dlqDeliveryFailureCause";

/// From this many UTF-16 units on Java writes a text with a length of 32 bits.
const LONG_TEXT_UNITS: usize = i16::MAX as usize / 4;

/// Length of the count in front of a map.
const COUNT_BYTES: usize = 4;

/// A map of a message that is sent.
#[derive(Debug, Default)]
pub struct Received<'m> {
    /// The map as the head takes it; `None`: there is none.
    pub map: Option<Cow<'m, [u8]>>,
    /// It is the same in Java's form.
    pub plain: bool,
    /// How long the message waits; 0: not at all.
    pub delay_ms: i64,
    /// See [`TRACE_PARENT`].
    pub trace_parent: Option<&'m [u8]>,
    /// See [`CONTENT_TYPE`].
    pub content_type: Option<&'m [u8]>,
}

/// Reads and checks the properties of a message that is sent.
pub fn receive(map: Option<&[u8]>) -> Result<Received<'_>, ConvertError> {
    let mut found = Received { plain: true, ..Received::default() };
    // Java's reader fails on no bytes at all; nobody means anything by them.
    let Some(map) = map.filter(|map| !map.is_empty()) else { return Ok(found) };
    let mut entries = Entries::new(map).map_err(ConvertError::Properties)?;
    if entries.is_null() {
        return match entries.next_entry() {
            Ok(_) => Ok(found),
            Err(error) => Err(ConvertError::Properties(error)),
        };
    }
    let mut scheduled = false;
    while let Some(entry) = entries.next_entry().map_err(ConvertError::Properties)? {
        found.plain &= entry.plain;
        match entry.name.len() {
            11 if entry.name == TRACE_PARENT.as_bytes() => found.trace_parent = plain_text(&entry),
            12 if entry.name == CONTENT_TYPE.as_bytes() => found.content_type = plain_text(&entry),
            18..=20 if entry.name.starts_with(SCHEDULED) => scheduled |= found.schedule(&entry)?,
            _ => {}
        }
    }
    let map = if scheduled { without_schedule(map)? } else { Cow::Borrowed(map) };
    found.map = Some(match found.plain {
        true => map,
        false => Cow::Owned(map_to_utf8(&map).map_err(ConvertError::Properties)?),
    });
    Ok(found)
}

impl Received<'_> {
    /// Reads a property of ActiveMQ's scheduler. `true`: it was for the broker and goes no further.
    fn schedule(&mut self, entry: &Entry<'_>) -> Result<bool, ConvertError> {
        let Some(name) = scheduling(entry.name) else { return Ok(false) };
        if name == CRON {
            let asks_for_nothing =
                value(entry).is_some_and(|value| matches!(value, Value::Null | Value::Text("")));
            return if asks_for_nothing { Ok(true) } else { Err(ConvertError::Schedule(name)) };
        }
        let number = value(entry).and_then(whole_number);
        let number = number.ok_or(ConvertError::Property { name, wanted: "a whole number" })?;
        match name {
            DELAY => self.delay_ms = number.max(0),
            _ if number != 0 => return Err(ConvertError::Schedule(name)),
            _ => {}
        }
        Ok(true)
    }
}

fn scheduling(name: &[u8]) -> Option<&'static str> {
    [DELAY, PERIOD, REPEAT, CRON].into_iter().find(|known| known.as_bytes() == name)
}

/// The value of an entry whose texts are plain.
fn value<'m>(entry: &Entry<'m>) -> Option<Value<'m>> {
    let (value, _) = entry.plain.then(|| property::split_value(entry.value)).flatten()?;
    Some(value)
}

fn plain_text<'m>(entry: &Entry<'m>) -> Option<&'m [u8]> {
    match value(entry)? {
        Value::Text(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// As JMS converts a property to a long.
fn whole_number(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Null => Some(0),
        Value::Byte(value) => Some(value.into()),
        Value::Short(value) => Some(value.into()),
        Value::Int(value) => Some(value.into()),
        Value::Long(value) => Some(value),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn without_schedule(map: &[u8]) -> Result<Cow<'_, [u8]>, ConvertError> {
    filtered(map, |name| scheduling(name).is_none()).map(Cow::Owned).map_err(ConvertError::Properties)
}

/// The entries whose names are wanted.
fn filtered(map: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, BodyError> {
    let mut kept = vec![0; COUNT_BYTES];
    kept.reserve(map.len());
    let mut count = 0u32;
    let mut entries = Entries::new(map)?;
    while let Some(entry) = entries.next_entry()? {
        if wanted(entry.name) {
            kept.extend_from_slice(entry.bytes);
            count += 1;
        }
    }
    set_count(&mut kept, count);
    Ok(kept)
}

fn set_count(map: &mut [u8], count: u32) {
    if let Some(place) = map.first_chunk_mut() {
        *place = count.to_be_bytes();
    }
}

/// The properties of a message that is delivered, in Java's form, where they are not the head's as they are: `map` is
/// those of the head, `added` takes the place of what there is under the same names.
pub fn deliver(map: &[u8], added: &[(&str, &str)]) -> Vec<u8> {
    let mut count = 0;
    let mut written = vec![0; COUNT_BYTES];
    written.reserve(map.len() + 64);
    for (name, value) in property::Entries::new(map) {
        if added.iter().all(|(other, _)| *other != name) && put_entry(name, &value, &mut written) {
            count += 1;
        }
    }
    for (name, text) in added {
        if put_entry(name, &Value::Text(text), &mut written) {
            count += 1;
        }
    }
    set_count(&mut written, count);
    written
}

/// `false`: the name cannot be written, and nothing was.
fn put_entry(name: &str, value: &Value<'_>, out: &mut Vec<u8>) -> bool {
    let Ok(length) = u16::try_from(mutf8::encoded_len(name)) else { return false };
    out.extend_from_slice(&length.to_be_bytes());
    mutf8::encode(name, out);
    put_value(value, out);
    true
}

fn put_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => put_text(text, out),
        Value::Map(map) => {
            out.push(11);
            put_map(map, out);
        }
        Value::List(list) => {
            out.push(12);
            let (count, values) = list.split_at_checked(COUNT_BYTES).unwrap_or_default();
            out.extend_from_slice(count);
            put_values(values, out);
        }
        other => property::write_value(out, other),
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    let length = mutf8::encoded_len(text);
    let is_long = text.len() >= LONG_TEXT_UNITS && text.encode_utf16().count() >= LONG_TEXT_UNITS;
    match u16::try_from(length) {
        Ok(length) if !is_long => {
            out.push(9);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(13);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
    mutf8::encode(text, out);
}

/// Appends a map in Java's form. Entries whose names are too long in it are left out.
pub fn put_map(map: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    let mut count = 0;
    out.extend_from_slice(&[0; COUNT_BYTES]);
    for (name, value) in property::Entries::new(map) {
        count += u32::from(put_entry(name, &value, out));
    }
    set_count(out.get_mut(at..).unwrap_or_default(), count);
}

/// Appends values in Java's form. `false`: after those that were appended come bytes that are none.
pub fn put_values(mut values: &[u8], out: &mut Vec<u8>) -> bool {
    while !values.is_empty() {
        let Some((value, rest)) = property::split_value(values) else { return false };
        put_value(&value, out);
        values = rest;
    }
    true
}
