// SPDX-License-Identifier: Apache-2.0
//! What OpenWire alone understands of a message: it travels in an annotation, as a frame of a message that has nothing but
//! that, in the version of [`VERSION`], tight, without a cache and a length in front.

use super::error::ConvertError;
use super::{ANNOTATION, message_id};
use crate::codec::{Command, DataStructure, Decoder, Encoder, Message, MessageKind, Options};
use bytes::Bytes;
use sabir_model::message::{HeadBuffer, HeadWriter};

/// The version in which it is written; the first byte of the annotation.
const VERSION: u8 = 12;

fn options() -> Options {
    Options {
        version: VERSION,
        tight: true,
        size_prefix: false,
        cache: 0,
        max_frame: u64::from(u16::MAX),
        ..Options::initial()
    }
}

/// Whether there is anything.
fn has_rest(message: &Message) -> bool {
    message.kind == MessageKind::Blob
        || message.transaction_id.is_some()
        || message.original_transaction_id.is_some()
        || message.original_destination.is_some()
        || message.data_structure.is_some()
        || message.target_consumer_id.is_some()
        || message.broker_path.is_some()
        || message.cluster.is_some()
        || message.received_by_df_bridge
        || message.droppable
        || !has_plain_id(message)
}

fn has_plain_id(message: &Message) -> bool {
    message
        .message_id
        .as_ref()
        .is_some_and(|id| message_id::is_native(id) && message.producer_id == id.producer_id)
}

/// Adds the annotation, if there is anything to say.
pub fn write<B: HeadBuffer>(
    message: &Message,
    frame: &[u8],
    head: &mut HeadWriter<'_, B>,
) -> Result<(), ConvertError> {
    if !has_rest(message) {
        return Ok(());
    }
    let is_blob = message.kind == MessageKind::Blob;
    let plain_id = has_plain_id(message);
    let rest = Message {
        kind: if is_blob { MessageKind::Blob } else { MessageKind::Plain },
        producer_id: if plain_id { None } else { message.producer_id.clone() },
        message_id: if plain_id { None } else { message.message_id.clone() },
        transaction_id: message.transaction_id.clone(),
        original_transaction_id: message.original_transaction_id.clone(),
        original_destination: message.original_destination.clone(),
        data_structure: message.data_structure.clone(),
        target_consumer_id: message.target_consumer_id.clone(),
        broker_path: message.broker_path.clone(),
        cluster: message.cluster.clone(),
        received_by_df_bridge: message.received_by_df_bridge,
        droppable: message.droppable,
        remote_blob: message.remote_blob.clone(),
        ..Message::default()
    };
    let mut bytes = vec![VERSION];
    Encoder::new(options()).encode_from(&Command::Message(Box::new(rest)), frame, &mut bytes)?;
    if head.annotation(ANNOTATION, &bytes) { Ok(()) } else { Err(super::publish::too_long("annotation")) }
}

/// What the annotation says. `None`: nothing that can be read.
pub fn read(annotation: &[u8]) -> Option<Message> {
    let (version, frame) = annotation.split_first()?;
    if *version != VERSION {
        return None;
    }
    let Ok(Command::Message(mut message)) = Decoder::new(options()).decode(frame) else { return None };
    if let Some(DataStructure::Command(command)) = &mut message.data_structure {
        detach(command, &Bytes::copy_from_slice(frame));
    }
    Some(*message)
}

/// Makes messages within messages independent of the annotation.
fn detach(command: &mut Command, frame: &Bytes) {
    let message = match command {
        Command::Message(message) => Some(message),
        Command::MessageDispatch(dispatch) => dispatch.message.as_mut(),
        _ => None,
    };
    let Some(message) = message else { return };
    message.detach(frame);
    if let Some(DataStructure::Command(command)) = &mut message.data_structure {
        detach(command, frame);
    }
}
