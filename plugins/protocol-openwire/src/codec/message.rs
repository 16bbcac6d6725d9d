// SPDX-License-Identifier: Apache-2.0
//! Types 23 to 29: messages.

use super::blob::Blob;
use super::error::{Error, Place};
use super::field::{Body, CachedField, Field, Nested};
use super::id::{BrokerId, ConsumerId, Destination, MessageId, ProducerId, TransactionId};
use super::reader::Reader;
use super::structure::DataStructure;
use super::table::{read_field, record, write_field};
use super::writer::Writer;
use bytes::Bytes;
use std::sync::Arc;

/// Which body a message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MessageKind {
    /// Type 23: none.
    #[default]
    Plain,
    /// Type 24: bytes. Compressed: their inflated length in 4 bytes, then zlib.
    Bytes,
    /// Type 25: a primitive map.
    Map,
    /// Type 26: Java's serialisation of an object, which nobody here looks into.
    Object,
    /// Type 27: a primitive stream.
    Stream,
    /// Type 28: a length in 4 bytes, then modified UTF-8.
    Text,
    /// Type 29: elsewhere, at a URL; from version 3 on.
    Blob,
}

impl MessageKind {
    fn code(self) -> u8 {
        match self {
            MessageKind::Plain => 23,
            MessageKind::Bytes => 24,
            MessageKind::Map => 25,
            MessageKind::Object => 26,
            MessageKind::Stream => 27,
            MessageKind::Text => 28,
            MessageKind::Blob => 29,
        }
    }

    fn of_code(code: u8) -> Option<MessageKind> {
        Some(match code {
            23 => MessageKind::Plain,
            24 => MessageKind::Bytes,
            25 => MessageKind::Map,
            26 => MessageKind::Object,
            27 => MessageKind::Stream,
            28 => MessageKind::Text,
            29 => MessageKind::Blob,
            _ => return None,
        })
    }

    /// Its name, as the protocol's documents have it.
    pub fn name(self) -> &'static str {
        match self {
            MessageKind::Plain => "ActiveMQMessage",
            MessageKind::Bytes => "ActiveMQBytesMessage",
            MessageKind::Map => "ActiveMQMapMessage",
            MessageKind::Object => "ActiveMQObjectMessage",
            MessageKind::Stream => "ActiveMQStreamMessage",
            MessageKind::Text => "ActiveMQTextMessage",
            MessageKind::Blob => "ActiveMQBlobMessage",
        }
    }
}

record! {
    /// A message.
    #[derive(Default)]
    Message {
        /// The number that a response refers to.
        command_id: i32,
        /// Whether the sender waits for a response.
        response_required: bool,
        /// Which body it has.
        kind: MessageKind [code],
        /// Who sent it.
        producer_id: Option<Arc<ProducerId>> [cached],
        /// Where it goes.
        destination: Option<Arc<Destination>> [cached],
        /// The transaction that it is part of.
        transaction_id: Option<Arc<TransactionId>> [cached],
        /// Where it went before it came here.
        original_destination: Option<Arc<Destination>> [cached],
        /// Its name.
        message_id: Option<MessageId>,
        /// The transaction that it was part of before it came here.
        original_transaction_id: Option<Arc<TransactionId>> [cached],
        /// `JMSXGroupID`.
        group_id: Option<Box<str>>,
        /// `JMSXGroupSeq`.
        group_sequence: i32,
        /// `JMSCorrelationID`.
        correlation_id: Option<Box<str>>,
        /// Whether it outlives the broker.
        persistent: bool,
        /// When it expires, in milliseconds since 1970; 0: never.
        expiration: i64,
        /// 0 to 9.
        priority: i8,
        /// Where an answer goes.
        reply_to: Option<Arc<Destination>>,
        /// When it was sent, in milliseconds since 1970.
        timestamp: i64,
        /// `JMSType`.
        message_type: Option<Box<str>>,
        /// The body, in the form of its kind.
        content: Option<Blob> [content],
        /// The properties: a primitive map.
        marshalled_properties: Option<Blob>,
        /// A command, in advisories.
        data_structure: Option<DataStructure>,
        /// Who alone may have it.
        target_consumer_id: Option<Arc<ConsumerId>> [cached],
        /// Whether the body is compressed with zlib.
        compressed: bool,
        /// How often it was delivered before.
        redelivery_counter: i32,
        /// The brokers that it has passed.
        broker_path: Option<Vec<Arc<BrokerId>>>,
        /// When it came to the broker, in milliseconds since 1970.
        arrival: i64,
        /// `JMSXUserID`.
        user_id: Option<Box<str>>,
        /// Whether it came through a bridge that follows demand.
        received_by_df_bridge: bool,
        /// Whether it may be dropped.
        droppable: bool [since 2],
        /// The brokers of a cluster that have it.
        cluster: Option<Vec<Arc<BrokerId>>> [since 3],
        /// When it came to the broker, in milliseconds since 1970.
        broker_in_time: i64 [since 3],
        /// When it left the broker, in milliseconds since 1970.
        broker_out_time: i64 [since 3],
        /// `JMSXGroupFirstForConsumer`.
        jmsx_group_first_for_consumer: bool [since 10],
        /// Where the body is, for [`MessageKind::Blob`] alone.
        remote_blob: Option<Box<RemoteBlob>> [tail],
    }
}

impl Message {
    /// Makes content and properties independent of the frame that they were read from.
    pub fn detach(&mut self, frame: &Bytes) {
        for blob in [&mut self.content, &mut self.marshalled_properties].into_iter().flatten() {
            blob.detach(frame);
        }
    }
}

record! {
    /// Where the body of a blob message is.
    #[derive(Default)]
    RemoteBlob {
        /// The URL of the body.
        remote_blob_url: Option<Box<str>>,
        /// What it is.
        mime_type: Option<Box<str>>,
        /// Whether the broker deletes it.
        deleted_by_broker: bool,
    }
}

/// Fields that only some of the types have that share a struct; [`Message`] itself writes them.
trait Tail: Sized {
    fn read_tail<const T: bool>(code: u8, r: &mut Reader<'_, T>) -> Result<Self, Error>;
}

impl Tail for Option<Box<RemoteBlob>> {
    #[inline]
    fn read_tail<const T: bool>(code: u8, r: &mut Reader<'_, T>) -> Result<Self, Error> {
        match MessageKind::of_code(code) {
            Some(MessageKind::Blob) => RemoteBlob::read_body(code, r).map(Box::new).map(Some),
            _ => Ok(None),
        }
    }
}

impl Nested for Message {
    #[inline]
    fn code(&self) -> u8 {
        self.kind.code()
    }

    #[inline]
    fn read<const T: bool>(code: u8, r: &mut Reader<'_, T>) -> Result<Self, Error> {
        if MessageKind::of_code(code).is_none_or(|kind| kind == MessageKind::Blob && r.version < 3) {
            return Err(r.unknown(code));
        }
        Self::read_body(code, r)
    }

    #[inline]
    fn write<const T: bool>(&self, w: &mut Writer<'_, T>) -> Result<(), Error> {
        if self.kind != MessageKind::Blob {
            return self.write_body(w);
        }
        if w.version < 3 {
            return Err(Error::NotInVersion { command: self.kind.name(), version: w.version });
        }
        self.write_body(w)?;
        match &self.remote_blob {
            Some(blob) => blob.write_body(w),
            // The fields are part of the type: they are empty, not absent.
            None => RemoteBlob::default().write_body(w),
        }
    }
}
