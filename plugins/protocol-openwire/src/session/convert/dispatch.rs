// SPDX-License-Identifier: Apache-2.0
//! A message that a client is sent, from the canonical form.

use super::destination::split_kind;
use super::error::ConvertError;
use super::names::Names;
use super::{ANNOTATION, property, rest};
use crate::codec::{Blob, Destination, DestinationKind, Message, MessageKind, mutf8};
use sabir_model::body::{self, BodyError, java};
use sabir_model::fields;
use sabir_model::message::{BodyKind, Field, Head};
use sabir_model::pattern::Pattern;
use sabir_sdk::protocol::DeliveryRef;
use std::sync::Arc;

/// What the content of a message is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentPlan {
    /// There is none: null.
    Null,
    /// The delivery's body as it is, behind a length if there is one: the bytes in front of it.
    Body(Option<[u8; body::LENGTH_BYTES]>),
    /// The delivery's body in another form: all of the content.
    Owned(Vec<u8>),
}

/// The message of a delivery, without its content, which `ContentPlan` tells.
///
/// `from` is where the subscription takes its messages from, if that is one destination: of several that a message was
/// sent to, and of virtual topics and dead letters, the client is told the one that it reads. One that reads several
/// queues is told the one that the message comes from, which the label says; and of several topics that a message was
/// sent to, the first that `topics`, which are what it reads, match.
///
/// Properties that need no change are a span of `delivery.head.as_bytes()`: encode with
/// [`Encoder::encode_split_from`](crate::codec::Encoder::encode_split_from) or `encode_from` and that. The broker's sequence
/// in the message's id is the delivery's tag.
///
/// # Errors
///
/// The message is not one that OpenWire can carry.
pub fn to_message(
    delivery: &DeliveryRef<'_>,
    from: Option<&Arc<Destination>>,
    topics: &[Pattern],
    names: &mut Names,
) -> Result<(Message, ContentPlan), ConvertError> {
    let head = &delivery.head;
    let (kind, compressed, plan) = content(delivery)?;
    let mut message = Message {
        kind,
        compressed,
        persistent: head.persistent(),
        priority: head.priority().cast_signed(),
        timestamp: head.timestamp_ms(),
        expiration: head.expiration_ms(),
        redelivery_counter: redelivery_counter(delivery),
        jmsx_group_first_for_consumer: delivery.group_first,
        ..Message::default()
    };
    let mut seen = Seen::default();
    for (tag, value) in head.fields() {
        seen.field(tag, value, &mut message, names);
    }
    if let Some(rest) = seen.annotation.and_then(rest::read) {
        restore(&mut message, rest);
    }
    let label = Label::read(delivery.label);
    let found = match (from, label.queue) {
        (Some(from), _) => Some(from.clone()),
        (None, Some(queue)) => names.destination(queue),
        (None, None) => message.destination.as_deref().and_then(|sent_to| topic_read(sent_to, topics)),
    };
    place(&mut message, found.as_ref(), label.origin, names)?;
    if label.cause.is_some() {
        // A dead letter does not expire any more, and its client is not to think so.
        message.expiration = 0;
    }
    message.marshalled_properties = properties(head, &seen, label.cause);
    let id = message.message_id.as_mut().ok_or(ConvertError::Missing("id"))?;
    id.broker_sequence_id = delivery.tag.cast_signed();
    if message.producer_id.is_none() {
        message.producer_id = id.producer_id.clone();
    }
    Ok((message, plan))
}

/// Java knows a message that was delivered before by its count alone.
fn redelivery_counter(delivery: &DeliveryRef<'_>) -> i32 {
    let least = u32::from(delivery.redelivered);
    i32::try_from(delivery.redelivery_count.max(least)).unwrap_or(i32::MAX)
}

/// What there is in the head beside what the message holds.
#[derive(Default)]
struct Seen<'m> {
    /// A bit for each tag below 64: of a field that comes again the first one counts.
    tags: u64,
    annotation: Option<&'m [u8]>,
    trace_parent: Option<&'m str>,
    content_type: Option<&'m str>,
}

impl<'m> Seen<'m> {
    #[inline]
    fn field(&mut self, tag: u8, value: &'m [u8], message: &mut Message, names: &mut Names) {
        const ID: u8 = Field::Id as u8;
        const DESTINATION: u8 = Field::Destination as u8;
        const REPLY_TO: u8 = Field::ReplyTo as u8;
        const CORRELATION_ID: u8 = Field::CorrelationId as u8;
        const TYPE: u8 = Field::Type as u8;
        const GROUP: u8 = Field::Group as u8;
        const GROUP_SEQUENCE: u8 = Field::GroupSequence as u8;
        const USER: u8 = Field::User as u8;
        const TRACE_PARENT: u8 = Field::TraceParent as u8;
        const CONTENT_TYPE: u8 = Field::ContentType as u8;
        const ANNOTATED: u8 = Field::Annotation as u8;
        let bit = 1u64.checked_shl(tag.into()).unwrap_or_default();
        if self.tags & bit != 0 {
            return;
        }
        self.tags |= bit;
        match tag {
            ID => message.message_id = text(value).map(|text| names.message_id(text)),
            DESTINATION => message.destination = text(value).and_then(|text| names.destination(text)),
            REPLY_TO => message.reply_to = text(value).and_then(|text| names.destination(text)),
            // It may be any bytes; what is no text cannot be told in OpenWire.
            CORRELATION_ID => message.correlation_id = text(value).map(Box::from),
            TYPE => message.message_type = text(value).map(Box::from),
            GROUP => message.group_id = text(value).map(Box::from),
            GROUP_SEQUENCE => {
                message.group_sequence = value.try_into().map(i32::from_le_bytes).unwrap_or_default();
            }
            USER => message.user_id = text(value).map(Box::from),
            TRACE_PARENT => self.trace_parent = text(value),
            CONTENT_TYPE => self.content_type = text(value),
            ANNOTATED => {
                let value = value.split_first().and_then(|(length, rest)| {
                    rest.split_at_checked(usize::from(*length))
                        .filter(|(name, _)| *name == ANNOTATION.as_bytes())
                });
                self.annotation = self.annotation.or(value.map(|(_, value)| value));
            }
            _ => {}
        }
    }
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

/// Puts back what only OpenWire understands.
fn restore(message: &mut Message, rest: Message) {
    if rest.kind == MessageKind::Blob && message.kind == MessageKind::Plain {
        message.kind = MessageKind::Blob;
        message.remote_blob = rest.remote_blob;
    }
    if rest.message_id.is_some() {
        message.message_id = rest.message_id;
        message.producer_id = rest.producer_id;
    }
    message.transaction_id = rest.transaction_id;
    message.original_transaction_id = rest.original_transaction_id;
    message.original_destination = rest.original_destination;
    message.data_structure = rest.data_structure;
    message.target_consumer_id = rest.target_consumer_id;
    message.broker_path = rest.broker_path;
    message.cluster = rest.cluster;
    message.received_by_df_bridge = rest.received_by_df_bridge;
    message.droppable = rest.droppable;
}

/// What belongs to the delivery and not to the message.
#[derive(Default)]
struct Label<'m> {
    origin: Option<&'m str>,
    cause: Option<&'m str>,
    queue: Option<&'m str>,
}

impl<'m> Label<'m> {
    fn read(label: &'m [u8]) -> Self {
        let mut read = Label::default();
        if label.is_empty() {
            return read;
        }
        for (field, value) in fields::iter(label).map_while(Result::ok) {
            match field {
                fields::LABEL_ORIGIN => read.origin = text(value),
                fields::LABEL_CAUSE => read.cause = text(value),
                fields::LABEL_QUEUE => read.queue = text(value),
                _ => {}
            }
        }
        read
    }
}

/// Of several destinations, the first topic that is among those that are read.
fn topic_read(sent_to: &Destination, topics: &[Pattern]) -> Option<Arc<Destination>> {
    let parts = sent_to.physical_name.split_once(',').map(|_| sent_to.physical_name.split(','))?;
    parts
        .map(|part| split_kind(part, sent_to.kind))
        .find(|(kind, name)| {
            *kind == DestinationKind::Topic && topics.iter().any(|topic| topic.matches(name))
        })
        .map(|(kind, name)| Arc::new(Destination::new(kind, name)))
}

/// Where the message is, and where it was sent to, if that is another place.
fn place(
    message: &mut Message,
    from: Option<&Arc<Destination>>,
    origin: Option<&str>,
    names: &mut Names,
) -> Result<(), ConvertError> {
    if let Some(from) = from {
        let sent_to = message.destination.replace(from.clone());
        if let Some(sent_to) = sent_to.filter(|sent_to| !Arc::ptr_eq(sent_to, from) && sent_to != from) {
            message.original_destination = Some(sent_to);
        }
    }
    if let Some(origin) = origin {
        message.original_destination = names.destination(origin);
    }
    if message.destination.is_none() {
        return Err(ConvertError::Missing("destination that OpenWire knows"));
    }
    Ok(())
}

fn properties(head: &Head<'_>, seen: &Seen<'_>, cause: Option<&str>) -> Option<Blob> {
    let map = head.property_bytes();
    let missing = |name, value: Option<&'_ str>| value.is_some() && property_is_missing(map, name);
    let mut added = Vec::new();
    if let Some(cause) = cause {
        added.push((property::DEAD_LETTER_CAUSE, cause));
    }
    for (name, value) in
        [(property::TRACE_PARENT, seen.trace_parent), (property::CONTENT_TYPE, seen.content_type)]
    {
        if missing(name, value) {
            added.extend(value.map(|value| (name, value)));
        }
    }
    if added.is_empty() && (head.plain_text() || map.is_empty() || java::check_map(map) == Ok(true)) {
        let all = head.as_bytes().len();
        return if map.is_empty() { None } else { Some(Blob::Span(all - map.len()..all)) };
    }
    Some(Blob::from(property::deliver(map, &added)))
}

fn property_is_missing(map: &[u8], name: &str) -> bool {
    sabir_model::property::find(map, name).is_none()
}

/// Whether the body of a delivery, of which only a piece is here, can be written as it comes: its form needs no change, and
/// what stands in front of it does not depend on what it holds.
pub fn goes_as_it_is(head: &Head<'_>) -> bool {
    match (head.body_encoding(), head.body_kind()) {
        (body::JMS | body::JMS_COMPRESSED, _) => true,
        (body::CANONICAL, BodyKind::Bytes | BodyKind::Object) => true,
        (body::CANONICAL, _) => head.plain_text() && head.body_kind() != BodyKind::None,
        _ => false,
    }
}

/// The kind of message, whether its body is compressed, and what its content is.
fn content(delivery: &DeliveryRef<'_>) -> Result<(MessageKind, bool, ContentPlan), ConvertError> {
    let head = &delivery.head;
    let kind = match head.body_kind() {
        BodyKind::None => MessageKind::Plain,
        BodyKind::Text => MessageKind::Text,
        BodyKind::Bytes => MessageKind::Bytes,
        BodyKind::Map => MessageKind::Map,
        BodyKind::Stream => MessageKind::Stream,
        BodyKind::Object => MessageKind::Object,
    };
    let is_empty = delivery.body.is_empty();
    let plan = match head.body_encoding() {
        body::CANONICAL => canonical_content(head, delivery.body, delivery.body_total),
        body::JMS | body::JMS_COMPRESSED if is_empty => ContentPlan::Null,
        body::JMS | body::JMS_COMPRESSED => ContentPlan::Body(None),
        other => return Err(ConvertError::Body(BodyError::Encoding(other))),
    };
    let compressed = head.body_encoding() == body::JMS_COMPRESSED && !is_empty;
    Ok((kind, compressed, plan))
}

fn canonical_content(head: &Head<'_>, body: &[u8], total: u64) -> ContentPlan {
    let as_it_is = head.plain_text();
    match head.body_kind() {
        BodyKind::None => ContentPlan::Null,
        // Java's reader takes no bytes for the end of a map that goes on.
        BodyKind::Map if body.is_empty() => ContentPlan::Null,
        BodyKind::Bytes | BodyKind::Object => ContentPlan::Body(None),
        BodyKind::Text => text_content(as_it_is, body, total),
        BodyKind::Map if as_it_is || java::check_map(body) == Ok(true) => ContentPlan::Body(None),
        BodyKind::Stream if as_it_is || java::check_stream(body) == Ok(true) => ContentPlan::Body(None),
        BodyKind::Map => {
            let mut converted = Vec::with_capacity(body.len() + 16);
            property::put_map(body, &mut converted);
            ContentPlan::Owned(converted)
        }
        BodyKind::Stream => {
            let mut converted = Vec::with_capacity(body.len() + 16);
            property::put_values(body, &mut converted);
            ContentPlan::Owned(converted)
        }
    }
}

fn text_content(as_it_is: bool, body: &[u8], total: u64) -> ContentPlan {
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    if as_it_is || java::is_plain(body) {
        return ContentPlan::Body(Some(length(usize::try_from(total).unwrap_or(usize::MAX))));
    }
    // What calls itself text and is none is shown as far as it can be.
    let text = String::from_utf8_lossy(body);
    let mut converted = length(mutf8::encoded_len(&text)).to_vec();
    mutf8::encode(&text, &mut converted);
    ContentPlan::Owned(converted)
}
