// SPDX-License-Identifier: Apache-2.0
//! Deliveries to `MESSAGE` frames.

use super::body::{self, Body};
use super::problem::Problem;
use super::subscribe::AckMode;
use super::{Core, KEPT_SCRATCH_BYTES, Phase, Step};
use crate::codec::{Command, FrameWriter, HeaderName, Version};
use crate::destination;
use sabir_model::destination::DestinationKind;
use sabir_model::fields;
use sabir_model::message::{BodyKind, Field};
use sabir_model::property::Value;
use sabir_sdk::protocol::{DeliveryRef, Out};
use std::hash::BuildHasher;

type Writer<'s> = FrameWriter<'s, Vec<u8>>;

impl Core {
    /// Writes one delivery; `index` is its place in the call.
    pub fn on_delivery(&mut self, delivery: &DeliveryRef<'_>, index: usize, out: &mut Out<'_>) -> Step {
        if self.phase == Phase::Closed {
            // Not taken: what was never written must not count as delivered.
            return Step::Full;
        }
        if self.conversion.is_enough() {
            return Step::Full;
        }
        if delivery.continued && !self.conversion.is_gathering() {
            return if self.sending { self.write_piece(delivery, index, out) } else { Step::Done };
        }
        if delivery.cancelled {
            let reason = String::from_utf8_lossy(delivery.label).into_owned();
            self.fail(Problem::new("the broker has ended a subscription", reason), out);
            return Step::Done;
        }
        // Messages may still come for a subscription that the client has ended; the broker has taken them back.
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let step = if delivery.continued {
            self.gather(delivery, &mut scratch, out)
        } else if delivery.end_of_browse {
            self.write_end_of_browse(delivery, &mut scratch, out)
        } else if body::is_foreign(delivery) {
            self.write_foreign(delivery, &mut scratch, out)
        } else {
            self.write_message(delivery, Body::Delivered(index), &mut scratch, out)
        };
        self.scratch = scratch;
        if self.scratch.capacity() > 64 * KEPT_SCRATCH_BYTES {
            self.scratch = Vec::new();
        }
        step
    }

    /// Writes a message with this body.
    pub fn write_message(
        &mut self,
        delivery: &DeliveryRef<'_>,
        body: Body<'_>,
        scratch: &mut Vec<u8>,
        out: &mut Out<'_>,
    ) -> Step {
        let Some(needs_ack) = self.compose_head(delivery, &body, scratch) else { return Step::Done };
        out.write(scratch);
        body.write(delivery, out);
        if out.overflowed() {
            return Step::Full;
        }
        self.sending = delivery.more;
        if needs_ack && self.version != Version::V1_2 {
            let id = delivery.head.field(Field::Id).unwrap_or_default();
            let hash = self.hasher.hash_one(id);
            if let Some(subscription) = self.subscriptions.get_mut(delivery.subscription) {
                subscription.unsettled.delivered(delivery.tag, hash);
            }
        }
        Step::Done
    }

    fn write_piece(&mut self, delivery: &DeliveryRef<'_>, index: usize, out: &mut Out<'_>) -> Step {
        Body::Delivered(index).write(delivery, out);
        if out.overflowed() {
            return Step::Full;
        }
        self.sending = delivery.more;
        Step::Done
    }

    /// Composes the head; the answer is whether the client is to acknowledge the message, or nothing if nobody
    /// wants it any more.
    fn compose_head(
        &mut self,
        delivery: &DeliveryRef<'_>,
        body: &Body<'_>,
        scratch: &mut Vec<u8>,
    ) -> Option<bool> {
        let escapes = self.version.escapes();
        let head = &delivery.head;
        let subscription = self.subscriptions.get_mut(delivery.subscription)?;
        let needs_ack = subscription.ack != AckMode::Auto;
        let names_destination = subscription.names_destination;
        let mut frame = FrameWriter::new(scratch, Command::Message, escapes).lines(&subscription.lines);
        if needs_ack && self.version == Version::V1_2 {
            let mut digits = [itoa::Buffer::new(), itoa::Buffer::new()];
            let [number, tag] = &mut digits;
            let number = number.format(delivery.subscription);
            frame = frame.parts("ack", &[number.as_bytes(), b"-", tag.format(delivery.tag).as_bytes()]);
        }
        if head.persistent() {
            frame = frame.raw("persistent", b"true");
        }
        frame = frame.number("priority", head.priority());
        frame = some_number(frame, "timestamp", head.timestamp_ms());
        frame = some_number(frame, "expires", head.expiration_ms());
        if delivery.redelivered {
            frame = frame.raw("redelivered", b"true");
            frame = frame.number("JMSXDeliveryCount", u64::from(delivery.redelivery_count) + 1);
        }
        let mut has_reply_to = false;
        for (tag, value) in head.fields() {
            frame = match FieldHeader::of(tag) {
                FieldHeader::None => continue,
                FieldHeader::Text(name) => frame.header(name, text(value)?),
                FieldHeader::Destination if names_destination => continue,
                FieldHeader::Destination => frame.header("destination", &self.shown_text(text(value)?)),
                FieldHeader::ReplyTo => {
                    has_reply_to = true;
                    frame.header("reply-to", &self.shown_text(text(value)?))
                }
                FieldHeader::Lenient(name) => match text(value) {
                    Some(value) => frame.header(name, value),
                    None => continue,
                },
                FieldHeader::Sequence => match value.try_into() {
                    Ok(bytes) => frame.number("JMSXGroupSeq", i32::from_le_bytes(bytes)),
                    Err(_) => continue,
                },
            };
        }
        frame = self.label_headers(frame, delivery.label);
        if let Body::Unreadable(_, error) = body {
            frame = frame.header("body-error", &error.to_string());
        }
        frame = property_headers(frame, delivery, has_reply_to);
        frame = body_headers(frame, delivery, body);
        frame.end_head();
        Some(needs_ack)
    }

    /// Where a dead letter was sent to first, and why it is one.
    fn label_headers<'s>(&self, mut frame: Writer<'s>, label: &[u8]) -> Writer<'s> {
        if label.is_empty() {
            return frame;
        }
        for (field, value) in fields::iter(label).map_while(Result::ok) {
            let Some(value) = text(value) else { continue };
            match field {
                fields::LABEL_ORIGIN => {
                    frame = frame.header("original-destination", &self.shown_text(value));
                }
                fields::LABEL_CAUSE => frame = frame.header("dlqDeliveryFailureCause", value),
                _ => {}
            }
        }
        frame
    }

    fn write_end_of_browse(
        &mut self,
        delivery: &DeliveryRef<'_>,
        scratch: &mut Vec<u8>,
        out: &mut Out<'_>,
    ) -> Step {
        let Some(subscription) = self.subscriptions.get_mut(delivery.subscription) else { return Step::Done };
        FrameWriter::new(scratch, Command::Message, self.version.escapes())
            .lines(&subscription.lines)
            .raw("message-id", b"0")
            .raw("browser", b"end")
            .body(b"");
        out.write(scratch);
        if out.overflowed() { Step::Full } else { Step::Done }
    }

    /// A destination in the text form, as this client can send to it.
    fn shown_text(&self, text: &str) -> String {
        let shown = |part: &str| match destination::split(part) {
            Some((kind, name)) => self.shown_destination(kind, name),
            None => part.to_owned(),
        };
        if !text.contains(',') {
            return shown(text);
        }
        text.split(',').map(shown).collect::<Vec<_>>().join(",")
    }

    /// A destination as this client can send to it.
    pub fn shown_destination(&self, kind: DestinationKind, name: &str) -> String {
        if kind.is_temporary()
            && let Some(own) = self.own_name(name)
        {
            let prefix = if kind == DestinationKind::TempQueue { "/temp-queue/" } else { "/temp-topic/" };
            return format!("{prefix}{own}");
        }
        format!("{}{name}", destination::prefix(kind))
    }
}

/// What becomes of a field of the head.
enum FieldHeader {
    None,
    Text(&'static str),
    /// Text, if it is text.
    Lenient(&'static str),
    Destination,
    ReplyTo,
    Sequence,
}

impl FieldHeader {
    fn of(tag: u8) -> FieldHeader {
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
        match tag {
            ID => FieldHeader::Text(HeaderName::MessageId.as_str()),
            DESTINATION => FieldHeader::Destination,
            REPLY_TO => FieldHeader::ReplyTo,
            CORRELATION_ID => FieldHeader::Lenient(HeaderName::CorrelationId.as_str()),
            TYPE => FieldHeader::Lenient(HeaderName::Type.as_str()),
            GROUP => FieldHeader::Lenient(HeaderName::GroupId.as_str()),
            GROUP_SEQUENCE => FieldHeader::Sequence,
            USER => FieldHeader::Lenient(HeaderName::UserId.as_str()),
            TRACE_PARENT => FieldHeader::Lenient(HeaderName::TraceParent.as_str()),
            CONTENT_TYPE => FieldHeader::Lenient(HeaderName::ContentType.as_str()),
            _ => FieldHeader::None,
        }
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn some_number<'s>(frame: Writer<'s>, name: &str, value: i64) -> Writer<'s> {
    if value == 0 { frame } else { frame.number(name, value) }
}

/// The application's properties. Names that steer STOMP are left out, so that no message can pretend to be another.
fn property_headers<'s>(mut frame: Writer<'s>, delivery: &DeliveryRef<'_>, has_reply_to: bool) -> Writer<'s> {
    for (name, value) in delivery.head.properties() {
        let known = HeaderName::from_bytes(name.as_bytes());
        let opaque_reply_to = known == HeaderName::ReplyTo && !has_reply_to;
        if name.is_empty() || !(known.is_applications() || opaque_reply_to) {
            continue;
        }
        frame = match value {
            Value::Text(value) => frame.header(name, value),
            Value::Bool(value) => frame.header(name, if value { "true" } else { "false" }),
            Value::Byte(value) => frame.named_number(name, value),
            Value::Short(value) => frame.named_number(name, value),
            Value::Int(value) => frame.named_number(name, value),
            Value::Long(value) => frame.named_number(name, value),
            Value::Float(value) => frame.header(name, &value.to_string()),
            Value::Double(value) => frame.header(name, &value.to_string()),
            Value::Char(value) => match char::from_u32(u32::from(value)) {
                Some(value) => frame.header(name, value.encode_utf8(&mut [0; 4])),
                None => continue,
            },
            // Headers are text: what has no text form stays behind.
            Value::Null | Value::Bytes(_) | Value::Map(_) | Value::List(_) => continue,
        };
    }
    frame
}

/// Text has no `content-length`, as in ActiveMQ, unless it must: it has a NUL, or comes in pieces.
fn body_headers<'s>(frame: Writer<'s>, delivery: &DeliveryRef<'_>, body: &Body<'_>) -> Writer<'s> {
    let counted = |frame: Writer<'s>| frame.number("content-length", body.total(delivery));
    match delivery.head.body_kind() {
        BodyKind::None => frame,
        BodyKind::Text if delivery.more => counted(frame).raw("amq-msg-type", b"text"),
        BodyKind::Text if memchr::memchr(0, body.bytes(delivery)).is_some() => {
            counted(frame).raw("amq-msg-type", b"text")
        }
        BodyKind::Text => frame,
        BodyKind::Bytes => counted(frame),
        BodyKind::Map => counted(frame).raw("amq-msg-type", b"map"),
        BodyKind::Stream => counted(frame).raw("amq-msg-type", b"stream"),
        BodyKind::Object => counted(frame).raw("amq-msg-type", b"object"),
    }
}
