// SPDX-License-Identifier: Apache-2.0
//! One stored message: read in whichever version of OpenWire its broker wrote, and made ready to be sent.

use crate::kaha::replay::Name;
use bytes::Bytes;
use sabir_protocol_openwire::codec::map::{self, Limits, Value};
use sabir_protocol_openwire::codec::{
    Blob, Command, DataStructure, Decoder, Destination, DestinationKind, Message, NEWEST_VERSION, Options,
    SubscriptionInfo,
};
use std::sync::Arc;

/// What all properties of ActiveMQ's scheduler begin with.
const SCHEDULED: &str = "AMQ_SCHEDULED_";
/// How long a message waits, in milliseconds.
const DELAY: &str = "AMQ_SCHEDULED_DELAY";

/// Length in front of a frame.
const SIZE_BYTES: usize = 4;

/// Reads what a store has written. Which version that was only its index says, which may be gone: whatever fits counts, and
/// a message fits if its id is what the record says.
#[derive(Debug)]
pub struct StoredReader {
    version: u8,
}

impl Default for StoredReader {
    fn default() -> Self {
        StoredReader { version: NEWEST_VERSION }
    }
}

fn decoder(version: u8) -> Decoder {
    let options = Options {
        version,
        size_prefix: false,
        max_frame: i64::MAX as u64,
        budget_bytes: 64 << 20,
        ..Options::initial()
    };
    Decoder::new(options)
}

/// The frame without its length.
fn frame(bytes: &[u8]) -> &[u8] {
    match bytes.split_first_chunk::<SIZE_BYTES>() {
        Some((size, rest)) if usize::try_from(i32::from_be_bytes(*size)) == Ok(rest.len()) => rest,
        _ => bytes,
    }
}

impl StoredReader {
    /// The version that fitted last, then the others.
    fn versions(&self) -> impl Iterator<Item = u8> + use<> {
        let first = self.version;
        std::iter::once(first).chain((1..=NEWEST_VERSION).rev().filter(move |version| *version != first))
    }

    /// Reads a message, whose content and properties are then its own. `id`: what the record calls it.
    pub fn message(&mut self, bytes: &[u8], id: &str) -> Option<Message> {
        let frame = Bytes::copy_from_slice(frame(bytes));
        for version in self.versions() {
            let Ok(Command::Message(mut message)) = decoder(version).decode(&frame) else { continue };
            if key(&message).as_deref() != Some(id) && !id.is_empty() {
                continue;
            }
            message.detach(&frame);
            self.version = version;
            return Some(*message);
        }
        None
    }

    /// Reads what is known of a durable subscription.
    pub fn subscription(&mut self, bytes: &[u8]) -> Option<SubscriptionInfo> {
        // As the data of a response, which is a command: its numbers are all zero.
        let mut response = vec![32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        response.extend_from_slice(frame(bytes));
        for version in self.versions() {
            let Ok(Command::DataResponse(response)) = decoder(version).decode(&response) else { continue };
            if let Some(DataStructure::SubscriptionInfo(info)) = response.data {
                return Some(*info);
            }
        }
        None
    }
}

/// How KahaDB calls a message.
pub fn key(message: &Message) -> Option<String> {
    let id = message.message_id.as_ref()?;
    let producer = id.producer_id.as_ref()?;
    let (connection, session, value) = (&producer.connection_id, producer.session_id, producer.value);
    Some(format!("{connection}:{session}:{value}:{}", id.producer_sequence_id))
}

/// The destination of a name.
pub fn destination(name: &Name) -> Arc<Destination> {
    let kind = if name.is_topic() { DestinationKind::Topic } else { DestinationKind::Queue };
    Arc::new(Destination::new(kind, &name.name))
}

/// What was for the broker that has the message no longer is.
pub fn strip(message: &mut Message) {
    message.target_consumer_id = None;
    message.transaction_id = None;
    message.original_transaction_id = None;
    message.data_structure = None;
}

/// Takes off what asks a scheduler for something, and asks for a delay instead (0: none). `None`: the properties cannot be
/// read.
pub fn reschedule(message: &mut Message, delay_ms: i64) -> Option<()> {
    let bytes = match &message.marshalled_properties {
        Some(blob) => blob.bytes(&[])?.to_vec(),
        None => Vec::new(),
    };
    let mentions = bytes.windows(SCHEDULED.len()).any(|window| window == SCHEDULED.as_bytes());
    if !mentions && delay_ms == 0 {
        return Some(());
    }
    let read = if bytes.is_empty() { None } else { map::read(&bytes, Limits::default()).ok()? };
    let mut entries = read.unwrap_or_default();
    entries.retain(|(name, _)| !name.starts_with(SCHEDULED));
    if delay_ms > 0 {
        entries.push((DELAY.into(), Value::Long(delay_ms)));
    }
    let mut written = Vec::new();
    map::write(Some(&entries), &mut written).ok()?;
    message.marshalled_properties = Some(Blob::from(written));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sabir_protocol_openwire::codec::{Encoder, MessageId, MessageKind, ProducerId};

    fn sample() -> Message {
        let producer = Arc::new(ProducerId { connection_id: "ID:host-1".into(), value: 3, session_id: 2 });
        let mut properties = Vec::new();
        let entries = [("colour".into(), Value::Text("red".into())), (DELAY.into(), Value::Long(9))];
        map::write(Some(&entries), &mut properties).unwrap();
        Message {
            kind: MessageKind::Text,
            producer_id: Some(producer.clone()),
            destination: Some(Arc::new(Destination::new(DestinationKind::Queue, "q"))),
            message_id: Some(MessageId {
                producer_id: Some(producer),
                producer_sequence_id: 7,
                ..MessageId::default()
            }),
            content: Some(Blob::from(b"\0\0\0\x02hi".to_vec())),
            marshalled_properties: Some(Blob::from(properties)),
            priority: 7,
            redelivery_counter: 3,
            ..Message::default()
        }
    }

    fn written(version: u8, size_prefix: bool) -> Vec<u8> {
        let options = Options { version, size_prefix, ..Options::initial() };
        let mut out = Vec::new();
        Encoder::new(options).encode(&Command::Message(Box::new(sample())), &mut out).unwrap();
        out
    }

    #[test]
    fn a_message_is_read_in_whichever_version_it_was_written() {
        for version in 1..=NEWEST_VERSION {
            for size_prefix in [true, false] {
                let bytes = written(version, size_prefix);
                let message = StoredReader::default().message(&bytes, "ID:host-1:2:3:7").unwrap();
                assert_eq!((message.priority, message.redelivery_counter), (7, 3), "version {version}");
                assert_eq!(message.content, sample().content);
            }
        }
        assert!(StoredReader::default().message(&written(12, true), "ID:host-1:2:3:8").is_none());
        assert!(StoredReader::default().message(b"nothing of the kind", "").is_none());
    }

    #[test]
    fn a_subscription_is_read_as_it_was_written() {
        let info = SubscriptionInfo {
            client_id: Some("client".into()),
            destination: Some(Arc::new(Destination::new(DestinationKind::Topic, "t"))),
            selector: Some("colour = 'red'".into()),
            subscription_name: Some("name".into()),
            ..SubscriptionInfo::default()
        };
        // Type, client id, topic, selector, name, no destination beside it, and that it wants its own.
        let mut bytes = vec![55];
        let text = |bytes: &mut Vec<u8>, text: &str| {
            bytes.push(1);
            bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        };
        text(&mut bytes, "client");
        bytes.extend_from_slice(&[1, 101]);
        text(&mut bytes, "t");
        text(&mut bytes, "colour = 'red'");
        text(&mut bytes, "name");
        bytes.extend_from_slice(&[0, 0]);
        assert_eq!(StoredReader::default().subscription(&bytes), Some(info.clone()));
        let sized = [&(bytes.len() as i32).to_be_bytes()[..], &bytes].concat();
        assert_eq!(StoredReader::default().subscription(&sized), Some(info));
    }

    #[test]
    fn what_asks_a_scheduler_is_taken_off_and_a_delay_put_in_its_place() {
        let entries = |message: &Message| {
            let bytes = message.marshalled_properties.as_ref().unwrap().bytes(&[]).unwrap();
            map::read(bytes, Limits::default()).unwrap().unwrap()
        };
        let mut message = sample();
        reschedule(&mut message, 0).unwrap();
        assert_eq!(entries(&message), [("colour".into(), Value::Text("red".into()))]);
        reschedule(&mut message, 500).unwrap();
        assert_eq!(entries(&message)[1], (DELAY.into(), Value::Long(500)));
        let mut bare = Message { marshalled_properties: None, ..sample() };
        reschedule(&mut bare, 0).unwrap();
        assert!(bare.marshalled_properties.is_none());
    }
}
