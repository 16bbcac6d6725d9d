// SPDX-License-Identifier: Apache-2.0
//! The table of all commands: their types, and their fields in the order on the wire, with the version that brought each.

use super::blob::Blob;
use super::cache::ObjectId;
use super::error::{Error, Place};
use super::field::{Body, CachedField, Field, Nested};
use super::id::{
    BrokerId, ConnectionId, ConsumerId, Destination, MessageId, ProducerId, SessionId, TransactionId,
};
use super::message::Message;
use super::reader::Reader;
use super::structure::{DataStructure, NetworkBridgeFilter};
use super::table::{commands, nested, read_field, record, slot, write_field};
use super::throwable::Throwable;
use super::wire_format_info::WireFormatInfo;
use super::writer::Writer;
use std::sync::Arc;

commands! {
    /// Who a broker is; also what a bridge introduces itself with.
    BrokerInfo = 2 boxed {
        /// Its id, unlike any other broker's.
        broker_id: Option<Arc<BrokerId>> [cached],
        /// Where it is.
        broker_url: Option<Box<str>>,
        /// The brokers that it is connected to.
        peer_broker_infos: Option<Vec<BrokerInfo>>,
        /// Its name.
        broker_name: Option<Box<str>>,
        /// Whether it is a slave.
        slave_broker: bool,
        /// Whether it is a master.
        master_broker: bool,
        /// Whether clients must expect that it fails over.
        fault_tolerant_configuration: bool,
        /// Whether a bridge works in both directions.
        duplex_connection: bool [since 2],
        /// Whether the connection is a bridge.
        network_connection: bool [since 2],
        /// The number of the connection.
        connection_id: i64 [since 2],
        /// Where bodies can be put.
        broker_upload_url: Option<Box<str>> [since 3],
        /// The bridge's settings, as Java's property files have them.
        network_properties: Option<Box<str>> [since 3],
    }

    /// A connection begins.
    ConnectionInfo = 3 boxed {
        /// Its id.
        connection_id: Option<Arc<ConnectionId>> [cached],
        /// The client's name, for durable subscriptions.
        client_id: Option<Box<str>>,
        /// The password.
        password: Option<Box<str>>,
        /// The user's name.
        user_name: Option<Box<str>>,
        /// The brokers that it has passed.
        broker_path: Option<Vec<Arc<BrokerId>>>,
        /// Whether a slave connects to its master.
        broker_master_connector: bool,
        /// Whether it understands [`ConnectionControl`] and [`ConsumerControl`].
        manageable: bool,
        /// Whether it is a connection of a client.
        client_master: bool [since 2 else true],
        /// Whether it follows a broker that fails over.
        fault_tolerant: bool [since 6],
        /// Whether it was there before and comes back.
        failover_reconnect: bool [since 6],
        /// Where it comes from; set by the broker.
        client_ip: Option<Box<str>> [since 8],
    }

    /// A session begins.
    SessionInfo = 4 inline {
        /// Its id.
        session_id: Option<Arc<SessionId>> [cached],
    }

    /// A consumer begins.
    ConsumerInfo = 5 boxed {
        /// Its id.
        consumer_id: Option<Arc<ConsumerId>> [cached],
        /// Whether it only looks.
        browser: bool,
        /// What it reads.
        destination: Option<Arc<Destination>> [cached],
        /// How many messages it takes before it acknowledges; 0: it asks for each.
        prefetch_size: i32,
        /// How many messages of a topic may wait for it beyond that.
        maximum_pending_message_limit: i32,
        /// Whether the broker may send to it from another thread.
        dispatch_async: bool,
        /// Which messages.
        selector: Option<Box<str>>,
        /// Whose durable subscription it is.
        client_id: Option<Box<str>> [since 10],
        /// The name of its durable subscription.
        subscription_name: Option<Box<str>>,
        /// Whether it leaves out what its own connection sends.
        no_local: bool,
        /// Whether nobody else may read while it does.
        exclusive: bool,
        /// Whether it wants messages from before.
        retroactive: bool,
        /// Higher ones are served first.
        priority: i8,
        /// The brokers that it has passed.
        broker_path: Option<Vec<Arc<BrokerId>>>,
        /// What a bridge lets pass.
        additional_predicate: Option<Box<NetworkBridgeFilter>>,
        /// Whether it is a bridge.
        network_subscription: bool,
        /// Whether it acknowledges in bulk.
        optimized_acknowledge: bool,
        /// Whether it acknowledges each message alone.
        no_range_acks: bool,
        /// The consumers for which a bridge stands.
        network_consumer_path: Option<Vec<Arc<ConsumerId>>> [since 4],
    }

    /// A producer begins.
    ProducerInfo = 6 inline {
        /// Its id.
        producer_id: Option<Arc<ProducerId>> [cached],
        /// Where it sends; none: it says so with each message.
        destination: Option<Arc<Destination>> [cached],
        /// The brokers that it has passed.
        broker_path: Option<Vec<Arc<BrokerId>>>,
        /// Whether the broker may send its messages on from another thread.
        dispatch_async: bool [since 2],
        /// How many bytes it sends before it waits for a [`ProducerAck`]; 0: it does not.
        window_size: i32 [since 3],
    }

    /// A step of a transaction.
    TransactionInfo = 7 inline {
        /// Whose it is.
        connection_id: Option<Arc<ConnectionId>> [cached],
        /// Which one.
        transaction_id: Option<Arc<TransactionId>> [cached],
        /// The step: [`TransactionInfo::BEGIN`] and so on.
        kind: u8,
    }

    /// A destination is made or removed.
    DestinationInfo = 8 inline {
        /// Whose it is.
        connection_id: Option<Arc<ConnectionId>> [cached],
        /// Which one.
        destination: Option<Arc<Destination>> [cached],
        /// [`DestinationInfo::ADD`] or [`DestinationInfo::REMOVE`].
        operation_type: u8,
        /// How long a removal waits for consumers to go, in milliseconds.
        timeout: i64,
        /// The brokers that it has passed.
        broker_path: Option<Vec<Arc<BrokerId>>>,
    }

    /// A durable subscription ends.
    RemoveSubscriptionInfo = 9 inline {
        /// Who ends it.
        connection_id: Option<Arc<ConnectionId>> [cached],
        /// Its name. (The protocol's documents spell it `subcriptionName`.)
        subscription_name: Option<Box<str>>,
        /// Whose it is.
        client_id: Option<Box<str>>,
    }

    /// A sign of life.
    KeepAliveInfo = 10 inline {}

    /// The sender is about to close the connection.
    ShutdownInfo = 11 inline {}

    /// A connection, session, consumer or producer ends.
    RemoveInfo = 12 inline {
        /// Which one.
        object_id: Option<ObjectId> [cached],
        /// The broker's number of the last message that reached the application; [`RemoveInfo::NONE_DELIVERED`],
        /// [`RemoveInfo::DELIVERED_UNKNOWN`].
        last_delivered_sequence_id: i64 [since 5 else RemoveInfo::DELIVERED_UNKNOWN],
    }

    /// An order to a broker.
    ControlCommand = 14 inline {
        /// What to do.
        command: Option<Box<str>>,
    }

    /// Everything before is to be answered.
    FlushCommand = 15 inline {}

    /// Something went wrong that no response can tell.
    ConnectionError = 16 inline {
        /// What.
        exception: Option<Box<Throwable>>,
        /// Where.
        connection_id: Option<Arc<ConnectionId>>,
    }

    /// The broker tells a consumer, or a consumer the broker, how to go on.
    ConsumerControl = 17 inline {
        /// What it reads.
        destination: Option<Arc<Destination>> [since 6],
        /// Whether it ends.
        close: bool,
        /// Which one.
        consumer_id: Option<Arc<ConsumerId>>,
        /// Its new prefetch.
        prefetch: i32,
        /// Whether it gives back what it has not delivered.
        flush: bool [since 2],
        /// Whether it begins.
        start: bool [since 2],
        /// Whether it pauses.
        stop: bool [since 2],
    }

    /// The broker tells a connection how to go on.
    ConnectionControl = 18 inline {
        /// Whether it ends.
        close: bool,
        /// Whether the client ends.
        exit: bool,
        /// Whether it must expect that the broker fails over.
        fault_tolerant: bool,
        /// Whether it goes on.
        resume: bool,
        /// Whether it pauses.
        suspend: bool,
        /// Which brokers there are, by their URLs.
        connected_brokers: Option<Box<str>> [since 6 else Some(Box::default())],
        /// Where it is to connect to instead.
        reconnect_to: Option<Box<str>> [since 6 else Some(Box::default())],
        /// Whether connections are to be spread over the brokers.
        rebalance_connection: bool [since 6],
        /// Unused by anybody known.
        token: Option<Box<[u8]>> [since 8],
    }

    /// The broker took what a producer sent.
    ProducerAck = 19 [since 3] inline {
        /// Whose.
        producer_id: Option<Arc<ProducerId>>,
        /// How many bytes.
        size: i32,
    }

    /// A consumer without prefetch asks for a message.
    MessagePull = 20 [since 2] inline {
        /// Which one.
        consumer_id: Option<Arc<ConsumerId>> [cached],
        /// What it reads.
        destination: Option<Arc<Destination>> [cached],
        /// How long it waits, in milliseconds; 0: for ever, -1: not at all.
        timeout: i64,
        /// For whom.
        correlation_id: Option<Box<str>> [since 3],
        /// Which message.
        message_id: Option<MessageId> [since 3],
    }

    /// A message on its way to a consumer.
    MessageDispatch = 21 boxed {
        /// Which one.
        consumer_id: Option<Arc<ConsumerId>> [cached],
        /// Where the message came from.
        destination: Option<Arc<Destination>> [cached],
        /// None: there is no message, or no more.
        message: Option<Box<Message>>,
        /// How often it was delivered before.
        redelivery_counter: i32,
    }

    /// What became of messages.
    MessageAck = 22 boxed {
        /// Where they came from.
        destination: Option<Arc<Destination>> [cached],
        /// The transaction that this is part of.
        transaction_id: Option<Arc<TransactionId>> [cached],
        /// Who had them.
        consumer_id: Option<Arc<ConsumerId>> [cached],
        /// [`MessageAck::DELIVERED`] and so on.
        ack_type: u8,
        /// None: from the first that is not acknowledged.
        first_message_id: Option<MessageId>,
        /// The last of them.
        last_message_id: Option<MessageId>,
        /// How many.
        message_count: i32,
        /// Why the application could not take it, for [`MessageAck::POISON`].
        poison_cause: Option<Box<Throwable>> [since 7],
    }

    /// It is done.
    Response = 30 inline {
        /// What: the number of the command.
        correlation_id: i32,
    }

    /// It is not done.
    ExceptionResponse = 31 inline {
        /// What: the number of the command.
        correlation_id: i32,
        /// Why.
        exception: Option<Box<Throwable>>,
    }

    /// It is done, and this is the result.
    DataResponse = 32 inline {
        /// What: the number of the command.
        correlation_id: i32,
        /// The result.
        data: Option<DataStructure>,
    }

    /// It is done, and these are the results.
    DataArrayResponse = 33 inline {
        /// What: the number of the command.
        correlation_id: i32,
        /// The results.
        data: Option<Vec<DataStructure>>,
    }

    /// It is done, and this is the result.
    IntegerResponse = 34 inline {
        /// What: the number of the command.
        correlation_id: i32,
        /// The result.
        result: i32,
    }

    /// Datagrams were lost.
    ReplayCommand = 65 inline {
        /// The first one.
        first_nak_number: i32,
        /// The last one.
        last_nak_number: i32,
    }

    /// A master tells its slave what it has sent.
    MessageDispatchNotification = 90 inline {
        /// To whom.
        consumer_id: Option<Arc<ConsumerId>> [cached],
        /// Where the message came from.
        destination: Option<Arc<Destination>> [cached],
        /// The how manieth it is.
        delivery_sequence_id: i64,
        /// Which message.
        message_id: Option<MessageId>,
    }

    /// The durable subscriptions of a broker, for the other end of a bridge.
    BrokerSubscriptionInfo = 92 [since 12] inline {
        /// The broker.
        broker_id: Option<Arc<BrokerId>>,
        /// Its name.
        broker_name: Option<Box<str>>,
        /// Its subscriptions.
        subscription_infos: Option<Vec<ConsumerInfo>>,
    }
}

record! {
    /// Type 60: a piece of a frame that is too long for a datagram.
    #[derive(Default)]
    PartialCommand {
        /// The number of the command that was cut.
        command_id: i32,
        /// The piece.
        data: Option<Blob>,
    }
}

record! {
    /// Type 61: the last piece.
    #[derive(Default)]
    LastPartialCommand {
        /// The number of the command that was cut.
        command_id: i32,
        /// The piece.
        data: Option<Blob>,
    }
}

nested!(PartialCommand = 60);
nested!(LastPartialCommand = 61);

impl TransactionInfo {
    /// It begins.
    pub const BEGIN: u8 = 0;
    /// It is asked whether it can be committed.
    pub const PREPARE: u8 = 1;
    /// It is committed without having been asked.
    pub const COMMIT_ONE_PHASE: u8 = 2;
    /// It is committed after having been prepared.
    pub const COMMIT_TWO_PHASE: u8 = 3;
    /// It is undone.
    pub const ROLLBACK: u8 = 4;
    /// The prepared ones are asked for.
    pub const RECOVER: u8 = 5;
    /// It was decided without us.
    pub const FORGET: u8 = 6;
    /// The connection has done its part.
    pub const END: u8 = 7;
}

impl RemoveInfo {
    /// No message reached the application.
    pub const NONE_DELIVERED: i64 = -1;
    /// The client does not say which.
    pub const DELIVERED_UNKNOWN: i64 = -2;
}

impl DestinationInfo {
    /// It is made.
    pub const ADD: u8 = 0;
    /// It is removed.
    pub const REMOVE: u8 = 1;
}

impl MessageAck {
    /// They reached the client; more may be sent.
    pub const DELIVERED: u8 = 0;
    /// The application cannot take them.
    pub const POISON: u8 = 1;
    /// They are done: all from the first to the last.
    pub const STANDARD: u8 = 2;
    /// They are delivered again, by the client.
    pub const REDELIVERED: u8 = 3;
    /// This one is done.
    pub const INDIVIDUAL: u8 = 4;
    /// The selector did not match.
    pub const UNMATCHED: u8 = 5;
    /// They had expired.
    pub const EXPIRED: u8 = 6;
}

impl Command {
    /// The message in it, as far as it has one.
    pub fn message(&self) -> Option<&Message> {
        match self {
            Command::Message(message) => Some(message),
            Command::MessageDispatch(dispatch) => dispatch.message.as_deref(),
            _ => None,
        }
    }
}
