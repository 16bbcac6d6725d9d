// SPDX-License-Identifier: Apache-2.0
//! Messages through the two functions, as the session calls them.

use bytes::Bytes;
use sabir_model::Now;
use sabir_model::delivery::{Delivery, DeliveryKind};
use sabir_model::message::Message as Canonical;
use sabir_protocol_openwire::codec::{
    Blob, Command, Destination, DestinationKind, Encoder, Message, MessageDispatch, MessageId, MessageKind,
    Options, ProducerId,
};
use sabir_protocol_openwire::convert::{BodyPlace, ContentPlan, ConvertError, Names, to_message, to_publish};
use sabir_sdk::protocol::DeliveryArray;
use std::sync::Arc;

pub const NOW: Now = Now { monotonic_ms: 5, unix_ms: 1_800_000_000_000 };
pub const TAG: u64 = 4711;

/// A text message as Java sends it, with nothing set that need not be.
pub fn message(kind: MessageKind, content: Option<&[u8]>) -> Message {
    let producer = Arc::new(ProducerId {
        connection_id: "ID:host.example-40123-1700000000000-1:1".into(),
        value: 2,
        session_id: 1,
    });
    Message {
        kind,
        producer_id: Some(producer.clone()),
        destination: Some(Arc::new(Destination::new(DestinationKind::Queue, "ORDERS.EU"))),
        message_id: Some(MessageId {
            text_view: None,
            producer_id: Some(producer),
            producer_sequence_id: 7,
            broker_sequence_id: 0,
        }),
        persistent: true,
        priority: 4,
        timestamp: 1_700_000_000_000,
        content: content.map(|content| Blob::Own(Bytes::copy_from_slice(content))),
        ..Message::default()
    }
}

pub fn text(text: &str) -> Message {
    let content = [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat();
    message(MessageKind::Text, Some(&content))
}

/// The message in the canonical form, checked as the host checks it.
pub fn published_from(message: &Message, frame: &Bytes) -> Result<Canonical, ConvertError> {
    let mut head = Vec::new();
    let body = match to_publish(message, frame, NOW, &mut head)? {
        BodyPlace::None => Bytes::new(),
        BodyPlace::Frame(range) => frame.slice(range),
        BodyPlace::Owned(bytes) => bytes,
    };
    Ok(Canonical::split(head.into(), body).expect("a head that the host takes"))
}

pub fn published(message: &Message) -> Canonical {
    published_from(message, &Bytes::new()).expect("the message can be published")
}

pub fn delivery(message: &Canonical) -> Delivery {
    Delivery {
        subscription: 3,
        tag: TAG,
        kind: DeliveryKind::Message {
            message: message.clone(),
            label: Bytes::new(),
            redelivery_count: 0,
            redelivered: false,
            group_first: false,
            auto_accept: false,
        },
    }
}

/// What a client is sent, with spans resolved and its content in its place.
pub fn dispatched_from(
    delivery: &Delivery,
    from: Option<&Arc<Destination>>,
    names: &mut Names,
) -> Result<Message, ConvertError> {
    let deliveries = [delivery.clone()];
    let array = DeliveryArray::of(&deliveries);
    let delivery = array.lend().get(0).expect("one delivery");
    let (mut message, plan) = to_message(&delivery, from, &[], names)?;
    message.detach(&Bytes::copy_from_slice(delivery.head.as_bytes()));
    message.content = match plan {
        ContentPlan::Null => None,
        ContentPlan::Body(None) => Some(Blob::from(delivery.body.to_vec())),
        ContentPlan::Body(Some(length)) => Some(Blob::from([&length, delivery.body].concat())),
        ContentPlan::Owned(content) => Some(Blob::from(content)),
    };
    Ok(message)
}

pub fn dispatched(message: &Canonical) -> Message {
    dispatched_from(&delivery(message), None, &mut Names::new(16)).expect("the message can be delivered")
}

/// To the broker and back.
pub fn there_and_back(message: &Message) -> Message {
    dispatched(&published(message))
}

/// The bytes of a frame with the message, as the session writes it: around a body that lies elsewhere.
pub fn written(delivery: &Delivery, options: Options) -> Vec<u8> {
    let deliveries = [delivery.clone()];
    let array = DeliveryArray::of(&deliveries);
    let delivery = array.lend().get(0).expect("one delivery");
    let (message, plan) = to_message(&delivery, None, &[], &mut Names::new(16)).expect("it can be delivered");
    let command = dispatch(message);
    let (mut encoder, head) = (Encoder::new(options), delivery.head.as_bytes());
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let content = match plan {
        ContentPlan::Null => {
            encoder.encode_from(&command, head, &mut before).expect("it can be written");
            return before;
        }
        ContentPlan::Body(None) => delivery.body.to_vec(),
        ContentPlan::Body(Some(length)) => [&length, delivery.body].concat(),
        ContentPlan::Owned(content) => content,
    };
    let split = encoder.encode_split_from(&command, head, content.len(), &mut before, &mut after);
    split.expect("it can be written");
    [before, content, after].concat()
}

pub fn dispatch(message: Message) -> Command {
    let dispatch = MessageDispatch { message: Some(Box::new(message)), ..MessageDispatch::default() };
    Command::MessageDispatch(Box::new(dispatch))
}

pub fn bytes(blob: Option<&Blob>) -> Option<&[u8]> {
    blob.map(|blob| blob.bytes(&[]).expect("bytes of its own"))
}

/// What a client says that only the broker may say, as the broker says it.
pub fn with_the_brokers_own(mut message: Message) -> Message {
    message.command_id = 0;
    message.response_required = false;
    message.redelivery_counter = 0;
    message.arrival = 0;
    message.broker_in_time = 0;
    message.broker_out_time = 0;
    message.jmsx_group_first_for_consumer = false;
    if let Some(id) = &mut message.message_id {
        id.broker_sequence_id = TAG as i64;
    }
    message
}
