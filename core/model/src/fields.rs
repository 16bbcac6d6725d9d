// SPDX-License-Identifier: Apache-2.0
//! The encoding of rare verbs, replies and labels on the plugin boundary: `{u16 field, u16 zero, u32 length, bytes}`.
//!
//! Numbers are little-endian. Unknown fields are skipped, so that new ones can be added. The numbers of the fields
//! and flags are those of `SABIR_FIELD_*` and its neighbours in the plugin contract; a test compares them.

use crate::destination::{Destination, DestinationError};
use crate::message::HeadBuffer;
use crate::verb::{Attach, Bind, Connect, Declare, Delete, ExchangeKind, Query, Subscribe};

/// Numbers of the fields.
pub mod number {
    /// Text: user name.
    pub const USER: u16 = 1;
    /// Bytes: password.
    pub const PASSWORD: u16 = 2;
    /// Text: client id.
    pub const CLIENT_ID: u16 = 3;
    /// Text: virtual host.
    pub const VIRTUAL_HOST: u16 = 4;
    /// Text: protocol and version.
    pub const PROTOCOL: u16 = 5;
    /// Text: a destination; may be repeated.
    pub const DESTINATION: u16 = 6;
    /// Text: a selector.
    pub const SELECTOR: u16 = 7;
    /// Text: name of a durable subscription.
    pub const SUBSCRIPTION_NAME: u16 = 8;
    /// u64: flags of the verb.
    pub const FLAGS: u16 = 9;
    /// u64: credit from the start.
    pub const CREDIT: u16 = 10;
    /// i64: consumer priority.
    pub const PRIORITY: u16 = 11;
    /// Text: producer name.
    pub const PRODUCER_NAME: u16 = 12;
    /// Text: the exchange of a binding.
    pub const SOURCE: u16 = 13;
    /// Text: the target of a binding.
    pub const TARGET: u16 = 14;
    /// Text: routing key or pattern.
    pub const KEY: u16 = 15;
    /// u64: what to ask.
    pub const QUERY: u16 = 16;
    /// Text: kind of an exchange.
    pub const EXCHANGE_KIND: u16 = 17;
    /// u64: a count.
    pub const COUNT: u16 = 18;
    /// Text: an argument `name=value`.
    pub const ARGUMENT: u16 = 19;
    /// Bytes: the name of a branch.
    pub const BRANCH: u16 = 20;
    /// u64: the step of a branch.
    pub const BRANCH_ACT: u16 = 21;
    /// Bytes: the canonical head of a message; may be repeated.
    pub const MESSAGE: u16 = 22;
}

/// Bits of the field `FLAGS`, and values of the field `QUERY`.
pub mod flag {
    /// Of `CONNECT`: no other session of the virtual host may have this client id.
    pub const CONNECT_EXCLUSIVE_CLIENT_ID: u64 = 1 << 0;
    /// Of `CONNECT`: a session of the same user that has the client id is ended.
    pub const CONNECT_TAKE_OVER: u64 = 1 << 1;
    /// Of `SUBSCRIBE`: deliveries are accepted once their bytes were handed to the link.
    pub const SUBSCRIBE_AUTO_ACCEPT: u64 = 1 << 0;
    /// Of `SUBSCRIBE`: not what this connection sent.
    pub const SUBSCRIBE_NO_LOCAL: u64 = 1 << 1;
    /// Of `SUBSCRIBE`: one subscription of the queue at a time.
    pub const SUBSCRIBE_EXCLUSIVE: u64 = 1 << 2;
    /// Of `SUBSCRIBE`: look without consuming.
    pub const SUBSCRIBE_BROWSE: u64 = 1 << 3;
    /// Of `SUBSCRIBE`: keeps collecting while its consumer is away.
    pub const SUBSCRIBE_DURABLE: u64 = 1 << 4;
    /// Of `SUBSCRIBE`: several consumers may share it.
    pub const SUBSCRIBE_SHARED: u64 = 1 << 5;
    /// Of `SUBSCRIBE`: goes when its last consumer goes.
    pub const SUBSCRIBE_AUTO_DELETE: u64 = 1 << 6;
    /// Of `SUBSCRIBE`: credit is used up by deliveries.
    pub const SUBSCRIBE_LINK_CREDIT: u64 = 1 << 7;
    /// Of `UNSUBSCRIBE` and `DELETE`: the durable subscription goes too.
    pub const DELETE_DURABLE: u64 = 1 << 0;
    /// Of `DELETE`: only if it holds no message.
    pub const DELETE_IF_EMPTY: u64 = 1 << 1;
    /// Of `DELETE`: only if it has no consumer.
    pub const DELETE_IF_UNUSED: u64 = 1 << 2;
    /// Of `DECLARE`: survives a restart.
    pub const DECLARE_DURABLE: u64 = 1 << 0;
    /// Of `DECLARE`: goes when its last consumer goes.
    pub const DECLARE_AUTO_DELETE: u64 = 1 << 1;
    /// Of `DECLARE`: only this connection may use it.
    pub const DECLARE_EXCLUSIVE: u64 = 1 << 2;
    /// Of `DECLARE`: make nothing.
    pub const DECLARE_PASSIVE: u64 = 1 << 3;
    /// Of `QUERY`: list destinations.
    pub const QUERY_LIST: u64 = 1;
    /// Of `QUERY`: explain why a message waits.
    pub const QUERY_EXPLAIN: u64 = 2;
    /// Of `QUERY`: list the prepared branches.
    pub const QUERY_PREPARED: u64 = 3;
    /// In the reply to a branch's `Prepare`: it had nothing to keep, and is gone.
    pub const BRANCH_READ_ONLY: u64 = 1 << 0;
    /// In the reply to `Await`: the branch counts.
    pub const BRANCH_COMMITTED: u64 = 1 << 1;
    /// In the reply to `Await`: it does not, and what was settled in it is unsettled again, with those who had it.
    pub const BRANCH_RESTORED: u64 = 1 << 2;
}

/// Field of a delivery's label, text: the destination in which a dead letter was before.
pub const LABEL_ORIGIN: u16 = 32;
/// Field of a delivery's label, text: why a message is a dead letter.
pub const LABEL_CAUSE: u16 = 33;
/// Field of a delivery's label, text: the queue that the message comes from, of a subscription to several queues.
pub const LABEL_QUEUE: u16 = 34;

/// Most destinations that one verb may name.
pub const MAX_DESTINATIONS: usize = 256;

/// Appends a field.
pub fn put<B: HeadBuffer>(buffer: &mut B, field: u16, value: &[u8]) {
    let [low, high] = field.to_le_bytes();
    let [a, b, c, d] = (value.len() as u32).to_le_bytes();
    buffer.put(&[low, high, 0, 0, a, b, c, d]);
    buffer.put(value);
}

/// Bytes that are no fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the fields are damaged")]
pub struct FieldsError;

/// All fields in order.
pub fn iter(mut bytes: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), FieldsError>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let Some((head, rest)) = bytes.split_at_checked(8) else {
            bytes = &[];
            return Some(Err(FieldsError));
        };
        let field = u16::from_le_bytes([head[0], head[1]]);
        let len = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let Some((value, rest)) = rest.split_at_checked(len) else {
            bytes = &[];
            return Some(Err(FieldsError));
        };
        bytes = rest;
        Some(Ok((field, value)))
    })
}

/// Why fields are no verb.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They are no fields.
    #[error(transparent)]
    Fields(#[from] FieldsError),
    /// A field is missing.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// A text is no UTF-8.
    #[error("the field {0} is no UTF-8")]
    Text(u16),
    /// A number has another width, or is out of its range.
    #[error("the field {0} is no number in its range")]
    Number(u16),
    /// A destination is none.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// A word that is not known.
    #[error("{0:?} is not the name of a kind of exchange")]
    ExchangeKind(String),
    /// A number that is not known.
    #[error("there is no query {0}")]
    Query(u64),
    /// More destinations than allowed.
    #[error("more than {MAX_DESTINATIONS} destinations in one verb")]
    Destinations,
}

fn put_text<B: HeadBuffer>(buffer: &mut B, field: u16, value: Option<&String>) {
    if let Some(value) = value {
        put(buffer, field, value.as_bytes());
    }
}

fn put_u64<B: HeadBuffer>(buffer: &mut B, field: u16, value: u64) {
    put(buffer, field, &value.to_le_bytes());
}

/// Writes a destination without a text of its own in between.
fn put_destination<B: HeadBuffer>(buffer: &mut B, field: u16, destination: &Destination) {
    let scheme = destination.kind.scheme();
    let len = scheme.len() + 3 + destination.name.len();
    let [low, high] = field.to_le_bytes();
    let [a, b, c, d] = (len as u32).to_le_bytes();
    buffer.put(&[low, high, 0, 0, a, b, c, d]);
    buffer.put(scheme.as_bytes());
    buffer.put(b"://");
    buffer.put(destination.name.as_bytes());
}

fn put_flags<B: HeadBuffer>(buffer: &mut B, flags: &[(bool, u64)]) {
    let value = flags.iter().filter(|(set, _)| *set).fold(0, |bits, (_, bit)| bits | bit);
    if value != 0 {
        put_u64(buffer, number::FLAGS, value);
    }
}

fn text(field: u16, value: &[u8]) -> Result<String, DecodeError> {
    std::str::from_utf8(value).map(str::to_owned).map_err(|_| DecodeError::Text(field))
}

fn u64_of(field: u16, value: &[u8]) -> Result<u64, DecodeError> {
    value.try_into().map(u64::from_le_bytes).map_err(|_| DecodeError::Number(field))
}

fn destination(field: u16, value: &[u8]) -> Result<Destination, DecodeError> {
    let text = std::str::from_utf8(value).map_err(|_| DecodeError::Text(field))?;
    Ok(Destination::parse(text)?)
}

fn push_destination(into: &mut Vec<Destination>, field: u16, value: &[u8]) -> Result<(), DecodeError> {
    if into.len() >= MAX_DESTINATIONS {
        return Err(DecodeError::Destinations);
    }
    into.push(destination(field, value)?);
    Ok(())
}

impl Connect {
    /// Writes the fields of the verb.
    pub fn encode<B: HeadBuffer>(&self, buffer: &mut B) {
        put_text(buffer, number::USER, self.user.as_ref());
        if let Some(password) = &self.password {
            put(buffer, number::PASSWORD, password);
        }
        put_text(buffer, number::CLIENT_ID, self.client_id.as_ref());
        put_text(buffer, number::VIRTUAL_HOST, self.virtual_host.as_ref());
        put(buffer, number::PROTOCOL, self.protocol.as_bytes());
        let flags = [
            (self.exclusive_client_id, flag::CONNECT_EXCLUSIVE_CLIENT_ID),
            (self.take_over, flag::CONNECT_TAKE_OVER),
        ];
        put_flags(buffer, &flags);
    }

    /// Reads the fields of the verb.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut connect = Connect::default();
        for field in iter(bytes) {
            let (field, value) = field?;
            match field {
                number::USER => connect.user = Some(text(field, value)?),
                number::PASSWORD => connect.password = Some(value.to_vec()),
                number::CLIENT_ID => connect.client_id = Some(text(field, value)?),
                number::VIRTUAL_HOST => connect.virtual_host = Some(text(field, value)?),
                number::PROTOCOL => connect.protocol = text(field, value)?,
                number::FLAGS => {
                    let flags = u64_of(field, value)?;
                    connect.exclusive_client_id = flags & flag::CONNECT_EXCLUSIVE_CLIENT_ID != 0;
                    connect.take_over = flags & flag::CONNECT_TAKE_OVER != 0;
                }
                _ => {}
            }
        }
        Ok(connect)
    }
}

impl Attach {
    /// Writes the fields of the verb.
    pub fn encode<B: HeadBuffer>(&self, buffer: &mut B) {
        for destination in &self.destinations {
            put_destination(buffer, number::DESTINATION, destination);
        }
        put_text(buffer, number::PRODUCER_NAME, self.producer_name.as_ref());
    }

    /// Reads the fields of the verb. No destination: the messages' own heads say where they go.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut attach = Attach { destinations: Vec::new(), producer_name: None };
        for field in iter(bytes) {
            let (field, value) = field?;
            match field {
                number::DESTINATION => push_destination(&mut attach.destinations, field, value)?,
                number::PRODUCER_NAME => attach.producer_name = Some(text(field, value)?),
                _ => {}
            }
        }
        Ok(attach)
    }
}

impl ExchangeKind {
    /// All kinds.
    pub const ALL: [ExchangeKind; 4] =
        [ExchangeKind::Direct, ExchangeKind::Fanout, ExchangeKind::Topic, ExchangeKind::Headers];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            ExchangeKind::Direct => "direct",
            ExchangeKind::Fanout => "fanout",
            ExchangeKind::Topic => "topic",
            ExchangeKind::Headers => "headers",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        ExchangeKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl Declare {
    /// Writes the fields of the verb.
    pub fn encode<B: HeadBuffer>(&self, buffer: &mut B) {
        put_destination(buffer, number::DESTINATION, &self.destination);
        if let Some(kind) = self.exchange_kind {
            put(buffer, number::EXCHANGE_KIND, kind.name().as_bytes());
        }
        let flags = [
            (self.durable, flag::DECLARE_DURABLE),
            (self.auto_delete, flag::DECLARE_AUTO_DELETE),
            (self.exclusive, flag::DECLARE_EXCLUSIVE),
            (self.passive, flag::DECLARE_PASSIVE),
        ];
        put_flags(buffer, &flags);
    }

    /// Reads the fields of the verb.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (mut target, mut kind, mut flags) = (None, None, 0);
        for field in iter(bytes) {
            let (field, value) = field?;
            match field {
                number::DESTINATION => target = Some(destination(field, value)?),
                number::EXCHANGE_KIND => {
                    let name = text(field, value)?;
                    kind = Some(ExchangeKind::from_name(&name).ok_or(DecodeError::ExchangeKind(name))?);
                }
                number::FLAGS => flags = u64_of(field, value)?,
                _ => {}
            }
        }
        Ok(Declare {
            destination: target.ok_or(DecodeError::Missing("destination"))?,
            exchange_kind: kind,
            durable: flags & flag::DECLARE_DURABLE != 0,
            auto_delete: flags & flag::DECLARE_AUTO_DELETE != 0,
            exclusive: flags & flag::DECLARE_EXCLUSIVE != 0,
            passive: flags & flag::DECLARE_PASSIVE != 0,
        })
    }
}

impl Delete {
    /// Writes the fields of the verb.
    pub fn encode<B: HeadBuffer>(&self, buffer: &mut B) {
        if let Some(destination) = &self.destination {
            put_destination(buffer, number::DESTINATION, destination);
        }
        put_text(buffer, number::SUBSCRIPTION_NAME, self.subscription_name.as_ref());
        let flags = [
            (self.subscription_name.is_some(), flag::DELETE_DURABLE),
            (self.if_empty, flag::DELETE_IF_EMPTY),
            (self.if_unused, flag::DELETE_IF_UNUSED),
        ];
        put_flags(buffer, &flags);
    }

    /// Reads the fields of the verb.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (mut target, mut name, mut flags) = (None, None, 0);
        for field in iter(bytes) {
            let (field, value) = field?;
            match field {
                number::DESTINATION => target = Some(destination(field, value)?),
                number::SUBSCRIPTION_NAME => name = Some(text(field, value)?),
                number::FLAGS => flags = u64_of(field, value)?,
                _ => {}
            }
        }
        if target.is_none() && name.is_none() {
            return Err(DecodeError::Missing("destination or subscription name"));
        }
        Ok(Delete {
            destination: target,
            subscription_name: name,
            if_empty: flags & flag::DELETE_IF_EMPTY != 0,
            if_unused: flags & flag::DELETE_IF_UNUSED != 0,
        })
    }
}

impl Bind {
    /// Writes the fields of the verb.
    pub fn encode<B: HeadBuffer>(&self, buffer: &mut B) {
        put_destination(buffer, number::SOURCE, &self.source);
        put_destination(buffer, number::TARGET, &self.target);
        put(buffer, number::KEY, self.key.as_bytes());
        put_text(buffer, number::SELECTOR, self.selector.as_ref());
    }

    /// Reads the fields of the verb.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (mut source, mut target, mut key, mut selector) = (None, None, String::new(), None);
        for field in iter(bytes) {
            let (field, value) = field?;
            match field {
                number::SOURCE => source = Some(destination(field, value)?),
                number::TARGET => target = Some(destination(field, value)?),
                number::KEY => key = text(field, value)?,
                number::SELECTOR => selector = Some(text(field, value)?),
                _ => {}
            }
        }
        Ok(Bind {
            source: source.ok_or(DecodeError::Missing("source"))?,
            target: target.ok_or(DecodeError::Missing("target"))?,
            key,
            selector,
        })
    }
}

impl Subscribe {
    /// Writes the fields of the verb.
    pub fn encode<B: HeadBuffer>(&self, buffer: &mut B) {
        for destination in &self.destinations {
            put_destination(buffer, number::DESTINATION, destination);
        }
        put_text(buffer, number::SELECTOR, self.selector.as_ref());
        put_text(buffer, number::SUBSCRIPTION_NAME, self.name.as_ref());
        put_u64(buffer, number::CREDIT, self.credit);
        if self.priority != 0 {
            put(buffer, number::PRIORITY, &i64::from(self.priority).to_le_bytes());
        }
        let flags = [
            (self.auto_accept, flag::SUBSCRIBE_AUTO_ACCEPT),
            (self.no_local, flag::SUBSCRIBE_NO_LOCAL),
            (self.exclusive, flag::SUBSCRIBE_EXCLUSIVE),
            (self.browse, flag::SUBSCRIBE_BROWSE),
            (self.durable, flag::SUBSCRIBE_DURABLE),
            (self.shared, flag::SUBSCRIBE_SHARED),
            (self.auto_delete, flag::SUBSCRIBE_AUTO_DELETE),
            (self.link_credit, flag::SUBSCRIBE_LINK_CREDIT),
        ];
        put_flags(buffer, &flags);
    }

    /// Reads the fields of the verb.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (mut destinations, mut selector, mut name) = (Vec::new(), None, None);
        let (mut credit, mut priority, mut flags) = (0, 0, 0);
        for field in iter(bytes) {
            let (field, value) = field?;
            match field {
                number::DESTINATION => push_destination(&mut destinations, field, value)?,
                number::SELECTOR => selector = Some(text(field, value)?),
                number::SUBSCRIPTION_NAME => name = Some(text(field, value)?),
                number::CREDIT => credit = u64_of(field, value)?,
                number::PRIORITY => {
                    let wide = u64_of(field, value)?.cast_signed();
                    priority = i8::try_from(wide).map_err(|_| DecodeError::Number(field))?;
                }
                number::FLAGS => flags = u64_of(field, value)?,
                _ => {}
            }
        }
        if destinations.is_empty() {
            return Err(DecodeError::Missing("destination"));
        }
        Ok(Subscribe {
            destinations,
            selector,
            name,
            credit,
            priority,
            auto_accept: flags & flag::SUBSCRIBE_AUTO_ACCEPT != 0,
            no_local: flags & flag::SUBSCRIBE_NO_LOCAL != 0,
            exclusive: flags & flag::SUBSCRIBE_EXCLUSIVE != 0,
            browse: flags & flag::SUBSCRIBE_BROWSE != 0,
            durable: flags & flag::SUBSCRIBE_DURABLE != 0,
            shared: flags & flag::SUBSCRIBE_SHARED != 0,
            auto_delete: flags & flag::SUBSCRIBE_AUTO_DELETE != 0,
            link_credit: flags & flag::SUBSCRIBE_LINK_CREDIT != 0,
        })
    }
}

/// Writes the fields of `Unsubscribe`.
pub fn encode_unsubscribe<B: HeadBuffer>(buffer: &mut B, forget: bool) {
    put_flags(buffer, &[(forget, flag::DELETE_DURABLE)]);
}

/// Reads the fields of `Unsubscribe`: whether the durable subscription goes too.
pub fn decode_unsubscribe(bytes: &[u8]) -> Result<bool, DecodeError> {
    let mut flags = 0;
    for field in iter(bytes) {
        let (field, value) = field?;
        if field == number::FLAGS {
            flags = u64_of(field, value)?;
        }
    }
    Ok(flags & flag::DELETE_DURABLE != 0)
}

impl Query {
    /// Writes the fields of the verb.
    pub fn encode<B: HeadBuffer>(&self, buffer: &mut B) {
        let (what, destination) = match self {
            Query::List(destination) => (flag::QUERY_LIST, Some(destination)),
            Query::Explain(destination) => (flag::QUERY_EXPLAIN, Some(destination)),
            Query::Prepared { .. } => (flag::QUERY_PREPARED, None),
        };
        put_u64(buffer, number::QUERY, what);
        if let Some(destination) = destination {
            put_destination(buffer, number::DESTINATION, destination);
        }
    }

    /// Reads the fields of the verb.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (mut what, mut target) = (None, None);
        for field in iter(bytes) {
            let (field, value) = field?;
            match field {
                number::QUERY => what = Some(u64_of(field, value)?),
                number::DESTINATION => target = Some(destination(field, value)?),
                _ => {}
            }
        }
        let what = what.ok_or(DecodeError::Missing("query"))?;
        if what == flag::QUERY_PREPARED {
            return Ok(Query::Prepared { all: false });
        }
        let target = target.ok_or(DecodeError::Missing("destination"))?;
        match what {
            flag::QUERY_LIST => Ok(Query::List(target)),
            flag::QUERY_EXPLAIN => Ok(Query::Explain(target)),
            other => Err(DecodeError::Query(other)),
        }
    }
}
