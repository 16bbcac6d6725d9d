// SPDX-License-Identifier: Apache-2.0
//! What can stand in a field for «any data structure»: in advisories and responses, and in records of old stores.

use super::cache::ObjectId;
use super::command::{Command, MessageAck};
use super::error::{Error, Place};
use super::field::{Body, CachedField, Field, Nested};
use super::id::{BrokerId, Destination, MessageId, TransactionId};
use super::reader::Reader;
use super::table::{nested, read_field, record, write_field};
use super::writer::Writer;
use std::sync::Arc;

record! {
    /// Type 55: a durable subscription.
    #[derive(Default)]
    SubscriptionInfo {
        /// Whose it is.
        client_id: Option<Box<str>>,
        /// What it reads.
        destination: Option<Arc<Destination>> [cached],
        /// Which messages.
        selector: Option<Box<str>>,
        /// Its name.
        subscription_name: Option<Box<str>>,
        /// What was subscribed to, when that is a pattern.
        subscribed_destination: Option<Arc<Destination>> [since 3],
        /// Whether it leaves out what its own connection sends.
        no_local: bool [since 11],
    }
}

/// Type 91: what a bridge lets pass.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NetworkBridgeFilter {
    /// The broker at the other end.
    pub network_broker_id: Option<Arc<BrokerId>>,
    /// How many brokers a message may pass.
    pub message_ttl: i32,
    /// How many brokers a subscription may pass. Before version 10 there is one number for both.
    pub consumer_ttl: i32,
}

/// Not from the table: version 10 did not add to the fields but replaced them.
impl Body for NetworkBridgeFilter {
    fn read_body<const T: bool>(_: u8, r: &mut Reader<'_, T>) -> Result<Self, Error> {
        const WHAT: &Place = &Place { command: "NetworkBridgeFilter", field: "fields" };
        r.enter(WHAT);
        if r.version < 10 {
            let ttl = r.cursor.i32()?;
            return Ok(NetworkBridgeFilter {
                network_broker_id: r.cached()?,
                message_ttl: ttl,
                consumer_ttl: ttl,
            });
        }
        Ok(NetworkBridgeFilter {
            network_broker_id: r.cached()?,
            message_ttl: r.cursor.i32()?,
            consumer_ttl: r.cursor.i32()?,
        })
    }

    fn write_body<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        if w.version < 10 {
            self.message_ttl.write(w)?;
            return self.network_broker_id.write_cached(w);
        }
        self.network_broker_id.write_cached(w)?;
        self.message_ttl.write(w)?;
        self.consumer_ttl.write(w)
    }
}

record! {
    /// Type 40: a broker that was found.
    #[derive(Default)]
    DiscoveryEvent {
        /// Where it is.
        service_name: Option<Box<str>>,
        /// Its name.
        broker_name: Option<Box<str>>,
    }
}

record! {
    /// Type 50: a record of an old store.
    #[derive(Default)]
    JournalTopicAck {
        /// The topic.
        destination: Option<Arc<Destination>>,
        /// The message.
        message_id: Option<MessageId>,
        /// Its number in the store.
        message_sequence_id: i64,
        /// The subscription.
        subscription_name: Option<Box<str>>,
        /// Whose it is.
        client_id: Option<Box<str>>,
        /// The transaction.
        transaction_id: Option<Arc<TransactionId>>,
    }
}

record! {
    /// Type 52: a record of an old store.
    #[derive(Default)]
    JournalQueueAck {
        /// The queue.
        destination: Option<Arc<Destination>>,
        /// The acknowledgement.
        message_ack: Option<Box<MessageAck>>,
    }
}

record! {
    /// Type 53: a record of an old store.
    #[derive(Default)]
    JournalTrace {
        /// What happened.
        message: Option<Box<str>>,
    }
}

record! {
    /// Type 54: a record of an old store.
    #[derive(Default)]
    JournalTransaction {
        /// The transaction.
        transaction_id: Option<Arc<TransactionId>>,
        /// What became of it.
        kind: u8,
        /// Whether it had been prepared.
        was_prepared: bool,
    }
}

nested!(SubscriptionInfo = 55);
nested!(NetworkBridgeFilter = 91);
nested!(DiscoveryEvent = 40);
nested!(JournalTopicAck = 50);
nested!(JournalQueueAck = 52);
nested!(JournalTrace = 53);
nested!(JournalTransaction = 54);

/// Anything that has a type of its own.
#[derive(Debug, Clone, PartialEq)]
pub enum DataStructure {
    /// A command; never a [`WireFormatInfo`](super::WireFormatInfo).
    Command(Box<Command>),
    /// An id or a destination.
    Id(ObjectId),
    /// The name of a message.
    MessageId(Box<MessageId>),
    /// A durable subscription.
    SubscriptionInfo(Box<SubscriptionInfo>),
    /// What a bridge lets pass.
    NetworkBridgeFilter(Box<NetworkBridgeFilter>),
    /// A broker that was found.
    DiscoveryEvent(Box<DiscoveryEvent>),
    /// A record of an old store.
    JournalTopicAck(Box<JournalTopicAck>),
    /// A record of an old store.
    JournalQueueAck(Box<JournalQueueAck>),
    /// A record of an old store.
    JournalTrace(Box<JournalTrace>),
    /// A record of an old store.
    JournalTransaction(Box<JournalTransaction>),
}

impl Nested for DataStructure {
    fn code(&self) -> u8 {
        match self {
            DataStructure::Command(command) => Command::code(command),
            DataStructure::Id(id) => id.code(),
            DataStructure::MessageId(id) => id.code(),
            DataStructure::SubscriptionInfo(info) => info.code(),
            DataStructure::NetworkBridgeFilter(filter) => filter.code(),
            DataStructure::DiscoveryEvent(event) => event.code(),
            DataStructure::JournalTopicAck(ack) => ack.code(),
            DataStructure::JournalQueueAck(ack) => ack.code(),
            DataStructure::JournalTrace(trace) => trace.code(),
            DataStructure::JournalTransaction(transaction) => transaction.code(),
        }
    }

    fn read<const T: bool>(code: u8, r: &mut Reader<'_, T>) -> Result<Self, Error> {
        Ok(match code {
            100..=103 | 111 | 112 | 120..=124 => DataStructure::Id(Nested::read(code, r)?),
            110 => DataStructure::MessageId(Nested::read(code, r)?),
            55 => DataStructure::SubscriptionInfo(Nested::read(code, r)?),
            91 => DataStructure::NetworkBridgeFilter(Nested::read(code, r)?),
            40 => DataStructure::DiscoveryEvent(Nested::read(code, r)?),
            50 => DataStructure::JournalTopicAck(Nested::read(code, r)?),
            52 => DataStructure::JournalQueueAck(Nested::read(code, r)?),
            53 => DataStructure::JournalTrace(Nested::read(code, r)?),
            54 => DataStructure::JournalTransaction(Nested::read(code, r)?),
            _ => {
                let unknown = r.unknown(code);
                r.keep(size_of::<Command>())?;
                r.deeper()?;
                let command = Command::read_command(code, r)?.ok_or(unknown)?;
                r.back();
                DataStructure::Command(Box::new(command))
            }
        })
    }

    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        match self {
            DataStructure::Command(command) => command.write_command(w),
            DataStructure::Id(id) => id.write(w),
            DataStructure::MessageId(id) => id.write(w),
            DataStructure::SubscriptionInfo(info) => info.write(w),
            DataStructure::NetworkBridgeFilter(filter) => filter.write(w),
            DataStructure::DiscoveryEvent(event) => event.write(w),
            DataStructure::JournalTopicAck(ack) => ack.write(w),
            DataStructure::JournalQueueAck(ack) => ack.write(w),
            DataStructure::JournalTrace(trace) => trace.write(w),
            DataStructure::JournalTransaction(transaction) => transaction.write(w),
        }
    }
}

impl From<Command> for DataStructure {
    fn from(command: Command) -> DataStructure {
        DataStructure::Command(Box::new(command))
    }
}
