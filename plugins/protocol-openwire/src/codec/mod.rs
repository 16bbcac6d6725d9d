// SPDX-License-Identifier: Apache-2.0
//! The codec of OpenWire, versions 1 to 12: bytes to commands, and back. It does no I/O and knows nothing else.
//!
//! ```text
//!   bytes ─▶ Decoder::frame ─▶ Decoder::decode ─▶ Command
//!   Command ─▶ Encoder::encode ─▶ bytes
//!
//!   command, message, structure, id   the table: every struct with its fields in wire order
//!   table                             what the table's language means
//!   field, throwable                  what each type of field is on the wire
//!   reader, writer                    loose and tight, one frame at a time
//!   cache                             ids and destinations by index
//!   options, wire_format_info         what two peers agree on
//!   mutf8, map, blob                  Java's texts, primitive maps, bytes nobody looks into
//! ```
//!
//! A tight frame is `[length] type, booleans of the whole frame, everything else`; a loose one is `[length] type,
//! everything as it comes`. Bodies and properties of messages are never looked into: they are places in the frame.
//!
//! What is read is checked before anything is taken for it: each length against what is there, the memory that a frame
//! makes us take against a budget, depth against a limit ([`Options`]).

mod blob;
mod cache;
mod command;
mod cursor;
mod decoder;
mod encoder;
mod error;
mod field;
mod id;
pub mod map;
mod message;
pub mod mutf8;
mod options;
mod reader;
mod structure;
mod table;
mod throwable;
mod wire_format_info;
mod writer;

pub use blob::Blob;
pub use cache::ObjectId;
pub use command::{
    BrokerInfo, BrokerSubscriptionInfo, Command, ConnectionControl, ConnectionError, ConnectionInfo,
    ConsumerControl, ConsumerInfo, ControlCommand, DataArrayResponse, DataResponse, DestinationInfo,
    ExceptionResponse, FlushCommand, IntegerResponse, KeepAliveInfo, LastPartialCommand, MessageAck,
    MessageDispatch, MessageDispatchNotification, MessagePull, PartialCommand, ProducerAck, ProducerInfo,
    RemoveInfo, RemoveSubscriptionInfo, ReplayCommand, Response, SessionInfo, ShutdownInfo, TransactionInfo,
};
pub use decoder::{Decoder, Framed, Located};
pub use encoder::Encoder;
pub use error::{Error, Place};
pub use id::{
    BrokerId, ConnectionId, ConsumerId, Destination, DestinationKind, LocalTransactionId, MessageId,
    ProducerId, SessionId, TransactionId, XaTransactionId,
};
pub use message::{Message, MessageKind, RemoteBlob};
pub use options::{NEWEST_VERSION, Options};
pub use structure::{
    DataStructure, DiscoveryEvent, JournalQueueAck, JournalTopicAck, JournalTrace, JournalTransaction,
    NetworkBridgeFilter, SubscriptionInfo,
};
pub use throwable::{StackFrame, Throwable};
pub use wire_format_info::WireFormatInfo;
