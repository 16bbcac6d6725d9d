// SPDX-License-Identifier: Apache-2.0
//! `SEND`: the producers behind destinations, and the heads of messages.

use super::problem::Problem;
use super::temporary::Resolved;
use super::{Core, Step};
use crate::codec::{Frame, Head, HeaderName};
use crate::destination::{self, Use};
use sabir_model::message::{BodyKind, Field, Fixed, HeadBuffer, HeadWriter};
use sabir_model::property::Value;
use sabir_model::verb::Attach;
use sabir_sdk::protocol::{Now, Out, Piece, VerbMeta};
use std::borrow::Cow;

/// Set in the tokens of verbs whose destination may be gone without anybody's fault.
const VANISHING: u64 = 1 << 63;

/// Longest connection id, in bytes (`sabir_session_params.connection_id`).
const CONNECTION_ID_BYTES: usize = 64;
/// Room for that, a hyphen and a number.
const MESSAGE_ID_BYTES: usize = CONNECTION_ID_BYTES + 1 + 20;

/// A destination that is attached.
#[derive(Debug)]
struct Producer {
    /// As the client writes it.
    raw: Box<str>,
    /// As it stands in the message's head.
    text: Box<str>,
    id: u64,
    used: u64,
    /// Another connection's temporary destination: it goes when that does.
    vanishing: bool,
}

/// The destinations that are attached, and which was used when.
#[derive(Debug, Default)]
pub struct Producers {
    attached: Vec<Producer>,
    /// Where the last one was found: most clients send to one destination.
    last: usize,
    made: u64,
    clock: u64,
}

impl Producers {
    fn find(&self, raw: &str) -> Option<usize> {
        if self.attached.get(self.last).is_some_and(|producer| *producer.raw == *raw) {
            return Some(self.last);
        }
        self.attached.iter().position(|producer| *producer.raw == *raw)
    }

    fn least_recently_used(&self) -> Option<(usize, u64)> {
        let (at, producer) = self.attached.iter().enumerate().min_by_key(|(_, producer)| producer.used)?;
        Some((at, producer.id))
    }

    /// Whether the token is one of a verb whose destination may be gone.
    pub fn may_vanish(&self, token: u64) -> bool {
        token & VANISHING != 0
    }

    /// The destination of this token is gone.
    pub fn vanished(&mut self, token: u64) {
        self.attached.retain(|producer| producer.id != token & !VANISHING);
    }
}

/// Which producer a message goes through.
enum Through {
    /// One that is attached.
    Attached(usize),
    /// One that has yet to be made.
    New { resolved: Resolved, text: String, vanishing: bool, evicted: Option<(usize, u64)> },
}

/// Where replies go.
enum ReplyTo<'d> {
    Nowhere,
    /// A destination, in the text form, with what has yet to be made for it.
    To(String, Resolved),
    /// Something that is no destination here. It is kept for who understands it.
    Opaque(Cow<'d, str>),
}

impl Core {
    /// `SEND`. `base` is where the frame begins in the input of the call, `rest` the input from there.
    pub fn on_send(
        &mut self,
        now: Now,
        frame: &Frame<'_>,
        base: usize,
        rest: &[u8],
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let head = &frame.head;
        let raw = head
            .raw(HeaderName::Destination)
            .ok_or_else(|| Problem::missing(head.command, HeaderName::Destination))?;
        let transaction = self.transaction_of(head.get(HeaderName::Transaction))?;
        let fixed = self.read_fixed(now, frame, rest)?;
        let receipt = head.raw(HeaderName::Receipt);
        let through = self.through(head, raw)?;
        let reply_to = self.reply_to(head)?;
        let (id, vanishing) = match &through {
            Through::Attached(at) => self
                .producers
                .attached
                .get(*at)
                .map_or((0, false), |producer| (producer.id, producer.vanishing)),
            Through::New { vanishing, .. } => (self.producers.made + 1, *vanishing),
        };
        // A persistent message outside of a transaction must be safe before a later receipt is sent.
        let silent = fixed.persistent && transaction == 0 && !vanishing;
        let mut meta = VerbMeta { id, transaction, ..self.meta(receipt, silent) };
        if vanishing && !meta.confirm {
            meta.token = VANISHING | id;
        }
        self.attach(&through, &reply_to, meta, out);
        let from = out.position();
        self.write_head(head, &fixed, &through, &reply_to, out);
        let message_head = out.arena_piece(from);
        let body = base + frame.body.start..base + frame.body.start + frame.body.len;
        out.publish(meta, message_head, Piece::input(body), frame.body.more);
        if out.overflowed() {
            return Ok(Step::Full);
        }
        self.expect(meta, receipt);
        self.keep_producer(raw, through);
        if let ReplyTo::To(_, resolved) = reply_to {
            self.keep_temporaries(resolved);
        }
        self.messages += 1;
        self.receiving = frame.body.more;
        Ok(Step::Done)
    }

    fn through(&self, head: &Head<'_>, raw: &str) -> Result<Through, Problem> {
        if let Some(at) = self.producers.find(raw) {
            return Ok(Through::Attached(at));
        }
        let addresses = destination::parse(
            &unescaped(head, HeaderName::Destination),
            Use::Send,
            self.settings.max_composite,
        )?;
        let resolved = self.resolve(addresses)?;
        let text = text_of(&resolved);
        let vanishing = match resolved.destinations.as_slice() {
            [only] => {
                only.kind.is_temporary() && self.own_name(&only.name).is_none() && resolved.new.is_empty()
            }
            _ => false,
        };
        let full = self.producers.attached.len() >= self.settings.max_producers;
        let evicted = if full { self.producers.least_recently_used() } else { None };
        Ok(Through::New { resolved, text, vanishing, evicted })
    }

    fn reply_to<'d>(&self, head: &Head<'d>) -> Result<ReplyTo<'d>, Problem> {
        let Some(text) = head.get(HeaderName::ReplyTo) else { return Ok(ReplyTo::Nowhere) };
        let Ok(addresses) = destination::parse(&text, Use::Send, 1) else { return Ok(ReplyTo::Opaque(text)) };
        let resolved = self.resolve(addresses)?;
        Ok(ReplyTo::To(text_of(&resolved), resolved))
    }

    fn attach(&self, through: &Through, reply_to: &ReplyTo<'_>, meta: VerbMeta, out: &mut Out<'_>) {
        let meta = VerbMeta { confirm: false, transaction: 0, ..meta };
        if let ReplyTo::To(_, resolved) = reply_to {
            self.declare(resolved, meta, out);
        }
        let Through::New { resolved, evicted, .. } = through else { return };
        self.declare(resolved, meta, out);
        if let Some((_, id)) = evicted {
            out.detach(VerbMeta { id: *id, ..VerbMeta::default() });
        }
        let attach = Attach { destinations: resolved.destinations.clone(), producer_name: None };
        out.attach(meta, &attach);
    }

    fn keep_producer(&mut self, raw: &str, through: Through) {
        let producers = &mut self.producers;
        producers.clock += 1;
        let used = producers.clock;
        match through {
            Through::Attached(at) => {
                producers.last = at;
                if let Some(producer) = producers.attached.get_mut(at) {
                    producer.used = used;
                }
            }
            Through::New { resolved, text, vanishing, evicted } => {
                if let Some((at, _)) = evicted {
                    producers.attached.swap_remove(at);
                }
                producers.made += 1;
                let id = producers.made;
                producers.last = producers.attached.len();
                producers.attached.push(Producer { raw: raw.into(), text: text.into(), id, used, vanishing });
                self.keep_temporaries(resolved);
            }
        }
    }

    fn read_fixed(&self, now: Now, frame: &Frame<'_>, rest: &[u8]) -> Result<Fixed, Problem> {
        let head = &frame.head;
        let persistent = flag(head, HeaderName::Persistent)?.unwrap_or(self.settings.persistent_by_default);
        let priority = number(head, HeaderName::Priority)?.map_or(4, |priority| priority.clamp(0, 9) as u8);
        let timestamp_ms = number(head, HeaderName::Timestamp)?.unwrap_or(now.unix_ms);
        Ok(Fixed {
            persistent,
            priority,
            body_kind: body_kind(frame, rest)?,
            body_encoding: 0,
            timestamp_ms,
            expiration_ms: expiration(now, head)?,
            deliver_at_ms: deliver_at(now, head)?,
        })
    }

    /// The id of the next message: without colon, which would have to be escaped in every header.
    fn message_id<'b>(&self, buffer: &'b mut [u8; MESSAGE_ID_BYTES]) -> &'b [u8] {
        let mut digits = itoa::Buffer::new();
        let number = digits.format(self.messages + 1);
        let parts = self.connection_id.bytes().take(CONNECTION_ID_BYTES).chain([b'-']).chain(number.bytes());
        let mut len = 0;
        for (slot, byte) in buffer.iter_mut().zip(parts) {
            *slot = byte;
            len += 1;
        }
        buffer.get(..len).unwrap_or_default()
    }

    fn write_head(
        &self,
        head: &Head<'_>,
        fixed: &Fixed,
        through: &Through,
        reply_to: &ReplyTo<'_>,
        out: &mut Out<'_>,
    ) {
        let destination = match through {
            Through::Attached(at) => self.producers.attached.get(*at).map_or("", |producer| &*producer.text),
            Through::New { text, .. } => text,
        };
        let mut id = [0; MESSAGE_ID_BYTES];
        let id = self.message_id(&mut id);
        let mut writer = HeadWriter::new(out, fixed);
        // No field can be too long: a header line is shorter than a field may be (`max_header_bytes`).
        let _ = writer.field(Field::Id, id);
        let _ = writer.field(Field::Destination, destination.as_bytes());
        if let ReplyTo::To(text, _) = reply_to {
            let _ = writer.field(Field::ReplyTo, text.as_bytes());
        }
        for (name, field) in TEXT_FIELDS {
            if let Some(value) = head.get(name) {
                let _ = writer.field(field, value.as_bytes());
            }
        }
        if let Some(sequence) =
            head.raw(HeaderName::GroupSequence).and_then(|text| text.trim().parse::<i32>().ok())
        {
            let _ = writer.field(Field::GroupSequence, &sequence.to_le_bytes());
        }
        if let ReplyTo::Opaque(text) = reply_to {
            let _ = writer.property(HeaderName::ReplyTo.as_str(), &Value::Text(text));
        }
        for (name, value) in head.raw_where(HeaderName::is_applications) {
            let _ = writer.property(&head.unescape(name), &Value::Text(&head.unescape(value)));
        }
        writer.finish();
    }
}

/// Headers that are fields of the head, as they are.
const TEXT_FIELDS: [(HeaderName, Field); 5] = [
    (HeaderName::CorrelationId, Field::CorrelationId),
    (HeaderName::Type, Field::Type),
    (HeaderName::GroupId, Field::Group),
    (HeaderName::TraceParent, Field::TraceParent),
    (HeaderName::ContentType, Field::ContentType),
];

fn unescaped<'d>(head: &Head<'d>, name: HeaderName) -> Cow<'d, str> {
    head.get(name).unwrap_or_default()
}

/// Several destinations in one text, as a composite.
pub fn text_of(resolved: &Resolved) -> String {
    let mut text = String::new();
    for destination in &resolved.destinations {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(destination.kind.scheme());
        text.push_str("://");
        text.push_str(&destination.name);
    }
    text
}

/// With `content-length` bytes, without text, as ActiveMQ has it; `amq-msg-type` decides if it is there.
fn body_kind(frame: &Frame<'_>, rest: &[u8]) -> Result<BodyKind, Problem> {
    let head = &frame.head;
    if let Some(kind) = head.get(HeaderName::AmqMessageType) {
        return match kind.trim().to_ascii_lowercase().as_str() {
            "text" => Ok(BodyKind::Text),
            "bytes" => Ok(BodyKind::Bytes),
            _ => Err(Problem::bad_header(HeaderName::AmqMessageType, &kind, "text or bytes")),
        };
    }
    if head.has(HeaderName::ContentLength) {
        return Ok(BodyKind::Bytes);
    }
    let body = rest.get(frame.body.start..frame.body.start + frame.body.len).unwrap_or_default();
    // What is no text must not be called so. Of a body in pieces only what has come can be looked at.
    let is_text = match std::str::from_utf8(body) {
        Ok(_) => true,
        Err(error) => frame.body.more && error.error_len().is_none(),
    };
    Ok(if is_text { BodyKind::Text } else { BodyKind::Bytes })
}

/// `expires` is a time, as ActiveMQ has it; `expiration` a duration, as RabbitMQ has it.
fn expiration(now: Now, head: &Head<'_>) -> Result<i64, Problem> {
    if let Some(expires) = number(head, HeaderName::Expires)? {
        return Ok(expires.max(0));
    }
    let Some(duration) = number(head, HeaderName::Expiration)? else { return Ok(0) };
    if duration < 0 {
        let value = unescaped(head, HeaderName::Expiration);
        return Err(Problem::bad_header(HeaderName::Expiration, &value, "a number of milliseconds"));
    }
    Ok(now.unix_ms.saturating_add(duration).max(1))
}

fn deliver_at(now: Now, head: &Head<'_>) -> Result<i64, Problem> {
    for name in [HeaderName::ScheduledPeriod, HeaderName::ScheduledRepeat, HeaderName::ScheduledCron] {
        if let Some(value) = head.get(name)
            && !matches!(value.trim(), "" | "0")
        {
            return Err(Problem::bad_header(
                name,
                &value,
                "supported: messages are delivered once, after AMQ_SCHEDULED_DELAY",
            ));
        }
    }
    match number(head, HeaderName::ScheduledDelay)? {
        Some(delay) if delay > 0 => Ok(now.unix_ms.saturating_add(delay)),
        _ => Ok(0),
    }
}

/// The number in a header.
pub fn number(head: &Head<'_>, name: HeaderName) -> Result<Option<i64>, Problem> {
    let Some(value) = head.raw(name) else { return Ok(None) };
    match value.trim_matches([' ', '\t']).parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(Problem::bad_header(name, value, "a number")),
    }
}

/// `true` or `false` in a header.
pub fn flag(head: &Head<'_>, name: HeaderName) -> Result<Option<bool>, Problem> {
    let Some(value) = head.raw(name) else { return Ok(None) };
    match value.trim_matches([' ', '\t']) {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => Err(Problem::bad_header(name, value, "true or false")),
    }
}
