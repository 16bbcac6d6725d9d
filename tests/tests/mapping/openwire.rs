// SPDX-License-Identifier: Apache-2.0
//! What an OpenWire client sends as messages, and messages as what it reads.

use crate::stomp::{NOW, delivery};
use bytes::Bytes;
use sabir_model::Delivery;
use sabir_model::message::Message as Canonical;
use sabir_protocol_openwire::codec::{
    Blob, Destination, DestinationKind, Message, MessageId, MessageKind, ProducerId, map, mutf8,
};
use sabir_protocol_openwire::convert::{BodyPlace, ContentPlan, Names, to_message, to_publish};
use sabir_sdk::protocol::DeliveryArray;
use std::sync::Arc;

pub const ID: &str = "ID:host.example-40123-1700000000000-1:1:1:2:7";

/// A message to the queue `Q`, as Java sends it, with nothing set that need not be.
pub fn message(kind: MessageKind, content: Option<Vec<u8>>) -> Message {
    let producer = Arc::new(ProducerId {
        connection_id: "ID:host.example-40123-1700000000000-1:1".into(),
        value: 2,
        session_id: 1,
    });
    let id =
        MessageId { producer_id: Some(producer.clone()), producer_sequence_id: 7, ..MessageId::default() };
    Message {
        kind,
        producer_id: Some(producer),
        destination: queue("Q"),
        message_id: Some(id),
        priority: 4,
        timestamp: 1_700_000_000_000,
        content: content.map(Blob::from),
        ..Message::default()
    }
}

pub fn queue(name: &str) -> Option<Arc<Destination>> {
    Some(Arc::new(Destination::new(DestinationKind::Queue, name)))
}

pub fn text(text: &str) -> Message {
    let mut content = (mutf8::encoded_len(text) as u32).to_be_bytes().to_vec();
    mutf8::encode(text, &mut content);
    message(MessageKind::Text, Some(content))
}

pub fn with_properties(mut message: Message, entries: &[(&str, map::Value)]) -> Message {
    let entries: Vec<_> = entries.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
    let mut bytes = Vec::new();
    map::write(Some(&entries), &mut bytes).expect("properties");
    message.marshalled_properties = Some(bytes.into());
    message
}

/// The message in the canonical form.
pub fn published(message: &Message) -> Canonical {
    let mut head = Vec::new();
    let body = match to_publish(message, &[], NOW, &mut head).expect("it can be published") {
        BodyPlace::None => Bytes::new(),
        BodyPlace::Frame(range) => panic!("{range:?} of no frame"),
        BodyPlace::Owned(bytes) => bytes,
    };
    Canonical::split(head.into(), body).expect("a head that the host takes")
}

/// What a client of the queue `Q` reads.
pub struct Read {
    pub message: Message,
    pub properties: map::Map,
    pub content: Option<Vec<u8>>,
}

pub fn read(message: &Canonical) -> Read {
    read_delivery(&delivery(message))
}

pub fn read_delivery(delivery: &Delivery) -> Read {
    let array = DeliveryArray::of(std::slice::from_ref(delivery));
    let delivery = array.lend().get(0).expect("one delivery");
    let (message, plan) =
        to_message(&delivery, queue("Q").as_ref(), &[], &mut Names::new(16)).expect("it can be delivered");
    let head = delivery.head.as_bytes();
    let properties = message.marshalled_properties.as_ref().and_then(|blob| blob.bytes(head)).map(|bytes| {
        map::read(bytes, map::Limits::default()).expect("properties that Java reads").unwrap_or_default()
    });
    let content = match plan {
        ContentPlan::Null => None,
        ContentPlan::Body(None) => Some(delivery.body.to_vec()),
        ContentPlan::Body(Some(length)) => Some([&length, delivery.body].concat()),
        ContentPlan::Owned(content) => Some(content),
    };
    Read { properties: properties.unwrap_or_default(), message, content }
}

impl Read {
    /// `getText`
    pub fn text(&self) -> Option<String> {
        assert_eq!(self.message.kind, MessageKind::Text);
        let content = self.content.as_ref()?;
        let (length, text) = content.split_first_chunk().expect("a length");
        assert_eq!(u32::from_be_bytes(*length) as usize, text.len());
        Some(mutf8::decode(text).expect("modified UTF-8").into_owned())
    }

    /// `getObjectProperty`
    pub fn property(&self, name: &str) -> Option<&map::Value> {
        self.properties.iter().find(|(other, _)| **other == *name).map(|(_, value)| value)
    }

    /// `getJMSMessageID`
    pub fn id(&self) -> String {
        self.message.message_id.as_ref().expect("an id").to_string()
    }
}
