// SPDX-License-Identifier: Apache-2.0
//! The names of things: connections, sessions, consumers, producers, brokers, messages, transactions, destinations.

use super::cache::ObjectId;
use super::error::{Error, Place};
use super::field::{Body, CachedField, Field, Nested, Shared};
use super::reader::Reader;
use super::table::{nested, read_field, record, write_field};
use super::writer::Writer;
use std::fmt;
use std::sync::Arc;

record! {
    /// Type 120. The client makes it up, unlike anybody else's: `ID:host-port-time-n:m`.
    #[derive(Eq, Hash)]
    ConnectionId {
        /// The whole of it.
        value: Box<str>,
    }
}

record! {
    /// Type 121. The session with the value -1 is the client's own.
    #[derive(Eq, Hash)]
    SessionId {
        /// The connection that it belongs to.
        connection_id: Box<str>,
        /// Its number there.
        value: i64,
    }
}

record! {
    /// Type 122.
    #[derive(Eq, Hash)]
    ConsumerId {
        /// The connection that it belongs to.
        connection_id: Box<str>,
        /// The session that it belongs to.
        session_id: i64,
        /// Its number there.
        value: i64,
    }
}

record! {
    /// Type 123.
    #[derive(Eq, Hash)]
    ProducerId {
        /// The connection that it belongs to.
        connection_id: Box<str>,
        /// Its number in its session.
        value: i64,
        /// The session that it belongs to.
        session_id: i64,
    }
}

record! {
    /// Type 124.
    #[derive(Eq, Hash)]
    BrokerId {
        /// The whole of it.
        value: Box<str>,
    }
}

record! {
    /// Type 110.
    #[derive(Eq, Hash, Default)]
    MessageId {
        /// An id given by somebody who does not number messages by producer; then the rest means nothing.
        text_view: Option<Box<str>> [since 10],
        /// Who sent it.
        producer_id: Option<Arc<ProducerId>> [cached],
        /// The how manieth of that producer it is.
        producer_sequence_id: i64,
        /// The broker's own number.
        broker_sequence_id: i64,
    }
}

record! {
    /// Type 111.
    #[derive(Eq, Hash)]
    LocalTransactionId {
        /// The how manieth of its connection it is.
        value: i64,
        /// The connection that it belongs to.
        connection_id: Option<Arc<ConnectionId>> [cached],
    }
}

record! {
    /// Type 112: an id of a distributed transaction.
    #[derive(Eq, Hash)]
    XaTransactionId {
        /// Who names its transactions in this manner.
        format_id: i32,
        /// The transaction.
        global_transaction_id: Box<[u8]>,
        /// The part of it.
        branch_qualifier: Box<[u8]>,
    }
}

nested!(MessageId = 110);

/// A transaction of either kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TransactionId {
    /// Within one connection.
    Local(LocalTransactionId),
    /// A branch of a distributed one.
    Xa(XaTransactionId),
}

impl TransactionId {
    /// Memory beside the enum itself.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            TransactionId::Local(_) => 0,
            TransactionId::Xa(id) => id.global_transaction_id.len() + id.branch_qualifier.len(),
        }
    }
}

/// What a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DestinationKind {
    /// Type 100.
    Queue,
    /// Type 101.
    Topic,
    /// Type 102.
    TempQueue,
    /// Type 103.
    TempTopic,
}

impl DestinationKind {
    fn code(self) -> u8 {
        match self {
            DestinationKind::Queue => 100,
            DestinationKind::Topic => 101,
            DestinationKind::TempQueue => 102,
            DestinationKind::TempTopic => 103,
        }
    }

    fn of_code(code: u8) -> Option<DestinationKind> {
        Some(match code {
            100 => DestinationKind::Queue,
            101 => DestinationKind::Topic,
            102 => DestinationKind::TempQueue,
            103 => DestinationKind::TempTopic,
            _ => return None,
        })
    }

    /// What stands before the name where destinations are written as text.
    pub fn prefix(self) -> &'static str {
        match self {
            DestinationKind::Queue => "queue://",
            DestinationKind::Topic => "topic://",
            DestinationKind::TempQueue => "temp-queue://",
            DestinationKind::TempTopic => "temp-topic://",
        }
    }
}

record! {
    /// Types 100 to 103: where messages go to and come from.
    #[derive(Eq, Hash)]
    Destination {
        /// What it is.
        kind: DestinationKind [code],
        /// Its name as the client wrote it: it may hold commas (several destinations) and end in options.
        physical_name: Box<str>,
    }
}

impl Destination {
    /// A destination of this kind and name.
    pub fn new(kind: DestinationKind, physical_name: &str) -> Destination {
        Destination { kind, physical_name: physical_name.into() }
    }
}

/// Ids of one type with a body from the table.
macro_rules! shared {
    ($name:ident = $code:literal, $variant:ident) => {
        impl Shared for $name {
            fn wrap(value: Arc<Self>) -> ObjectId {
                ObjectId::$variant(value)
            }

            #[inline]
            fn unwrap(value: &ObjectId) -> Option<&Arc<Self>> {
                match value {
                    ObjectId::$variant(value) => Some(value),
                    _ => None,
                }
            }

            fn shared_code(&self) -> u8 {
                $code
            }

            fn read_shared<const T: bool>(code: u8, r: &mut Reader<'_, T>) -> Result<Self, Error> {
                match code {
                    $code => Self::read_body(code, r),
                    _ => Err(r.unknown(code)),
                }
            }

            fn write_shared<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
                self.write_body(w)
            }
        }
    };
}

shared!(ConnectionId = 120, Connection);
shared!(SessionId = 121, Session);
shared!(ConsumerId = 122, Consumer);
shared!(ProducerId = 123, Producer);
shared!(BrokerId = 124, Broker);

impl Shared for Destination {
    fn wrap(value: Arc<Self>) -> ObjectId {
        ObjectId::Destination(value)
    }

    #[inline]
    fn unwrap(value: &ObjectId) -> Option<&Arc<Self>> {
        match value {
            ObjectId::Destination(value) => Some(value),
            _ => None,
        }
    }

    fn shared_code(&self) -> u8 {
        self.kind.code()
    }

    fn read_shared<const T: bool>(code: u8, r: &mut Reader<'_, T>) -> Result<Self, Error> {
        Self::read_body(code, r)
    }

    fn write_shared<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        self.write_body(w)
    }
}

impl Shared for TransactionId {
    fn wrap(value: Arc<Self>) -> ObjectId {
        ObjectId::Transaction(value)
    }

    #[inline]
    fn unwrap(value: &ObjectId) -> Option<&Arc<Self>> {
        match value {
            ObjectId::Transaction(value) => Some(value),
            _ => None,
        }
    }

    fn shared_code(&self) -> u8 {
        match self {
            TransactionId::Local(_) => 111,
            TransactionId::Xa(_) => 112,
        }
    }

    fn read_shared<const T: bool>(code: u8, r: &mut Reader<'_, T>) -> Result<Self, Error> {
        match code {
            111 => LocalTransactionId::read_body(code, r).map(TransactionId::Local),
            112 => XaTransactionId::read_body(code, r).map(TransactionId::Xa),
            _ => Err(r.unknown(code)),
        }
    }

    fn write_shared<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        match self {
            TransactionId::Local(id) => id.write_body(w),
            TransactionId::Xa(id) => id.write_body(w),
        }
    }
}

impl Nested for ObjectId {
    fn code(&self) -> u8 {
        match self {
            ObjectId::Connection(id) => id.shared_code(),
            ObjectId::Session(id) => id.shared_code(),
            ObjectId::Consumer(id) => id.shared_code(),
            ObjectId::Producer(id) => id.shared_code(),
            ObjectId::Broker(id) => id.shared_code(),
            ObjectId::Destination(id) => id.shared_code(),
            ObjectId::Transaction(id) => id.shared_code(),
        }
    }

    fn read<const T: bool>(code: u8, r: &mut Reader<'_, T>) -> Result<Self, Error> {
        Ok(match code {
            120 => ObjectId::Connection(Nested::read(code, r)?),
            121 => ObjectId::Session(Nested::read(code, r)?),
            122 => ObjectId::Consumer(Nested::read(code, r)?),
            123 => ObjectId::Producer(Nested::read(code, r)?),
            124 => ObjectId::Broker(Nested::read(code, r)?),
            100..=103 => ObjectId::Destination(Nested::read(code, r)?),
            111 | 112 => ObjectId::Transaction(Nested::read(code, r)?),
            _ => return Err(r.unknown(code)),
        })
    }

    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        match self {
            ObjectId::Connection(id) => id.write_shared(w),
            ObjectId::Session(id) => id.write_shared(w),
            ObjectId::Consumer(id) => id.write_shared(w),
            ObjectId::Producer(id) => id.write_shared(w),
            ObjectId::Broker(id) => id.write_shared(w),
            ObjectId::Destination(id) => id.write_shared(w),
            ObjectId::Transaction(id) => id.write_shared(w),
        }
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.value)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.connection_id, self.value)
    }
}

impl fmt::Display for ConsumerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.connection_id, self.session_id, self.value)
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.connection_id, self.session_id, self.value)
    }
}

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.value)
    }
}

/// As `JMSMessageID` has it.
impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.text_view, &self.producer_id) {
            (Some(text), _) if text.starts_with("ID:") => f.write_str(text),
            (Some(text), _) => write!(f, "ID:{text}"),
            (None, Some(producer)) => write!(f, "{producer}:{}", self.producer_sequence_id),
            (None, None) => write!(f, "{}", self.producer_sequence_id),
        }
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransactionId::Local(id) => match &id.connection_id {
                Some(connection) => write!(f, "TX:{connection}:{}", id.value),
                None => write!(f, "TX:{}", id.value),
            },
            TransactionId::Xa(id) => {
                let hex = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
                    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
                };
                write!(f, "XID:{}:", id.format_id)?;
                hex(f, &id.global_transaction_id)?;
                f.write_str(":")?;
                hex(f, &id.branch_qualifier)
            }
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind.prefix(), self.physical_name)
    }
}
