// SPDX-License-Identifier: Apache-2.0
//! What is read and written for each message takes next to no memory once the cache is warm.

use crate::counting::count;
use crate::frames::encode;
use sabir_protocol_openwire::codec::{
    Command, ConsumerId, Decoder, Destination, DestinationKind, Encoder, Message, MessageAck,
    MessageDispatch, MessageId, MessageKind, Options, ProducerId, Response,
};
use std::sync::Arc;

const CONNECTION: &str = "ID:host.example-40123-1700000000000-1:1";

fn id(sequence: i64) -> MessageId {
    let producer_id =
        Some(Arc::new(ProducerId { connection_id: CONNECTION.into(), value: 1, session_id: 1 }));
    MessageId { text_view: None, producer_id, producer_sequence_id: sequence, broker_sequence_id: 0 }
}

fn destination() -> Option<Arc<Destination>> {
    Some(Arc::new(Destination::new(DestinationKind::Queue, "ORDERS.EU")))
}

fn consumer() -> Option<Arc<ConsumerId>> {
    Some(Arc::new(ConsumerId { connection_id: CONNECTION.into(), session_id: 1, value: 1 }))
}

fn message() -> Message {
    Message {
        kind: MessageKind::Text,
        producer_id: id(0).producer_id,
        destination: destination(),
        message_id: Some(id(7)),
        content: Some(vec![b'x'; 1024].into()),
        marshalled_properties: Some(vec![0; 4].into()),
        ..Message::default()
    }
}

/// Allocations for reading and for writing, once the cache is warm.
fn allocations(command: &Command, tight: bool) -> (usize, usize) {
    let options = Options { tight, cache: 1024, ..Options::initial() };
    let (mut encoder, mut decoder) = (Encoder::new(options), Decoder::new(options));
    for _ in 0..2 {
        decoder.decode(&encode(&mut encoder, command)[4..]).unwrap();
    }
    let mut out = Vec::with_capacity(4096);
    let ((), written) = count(|| encoder.encode(command, &mut out).unwrap());
    let (read, taken) = count(|| decoder.decode(&out[4..]).unwrap());
    assert_eq!(read.code(), command.code());
    (taken.times, written.times)
}

#[test]
fn a_message_costs_its_box_and_an_acknowledgement_too_and_a_response_nothing() {
    let message = Command::Message(Box::new(message()));
    let dispatch = MessageDispatch {
        consumer_id: consumer(),
        destination: destination(),
        message: Some(Box::new(self::message())),
        ..MessageDispatch::default()
    };
    let ack = MessageAck {
        destination: destination(),
        consumer_id: consumer(),
        ack_type: MessageAck::STANDARD,
        first_message_id: Some(id(1)),
        last_message_id: Some(id(9)),
        ..MessageAck::default()
    };
    for tight in [false, true] {
        assert_eq!(allocations(&message, tight), (1, 0));
        assert_eq!(allocations(&dispatch.clone().into(), tight), (2, 0));
        assert_eq!(allocations(&ack.clone().into(), tight), (1, 0));
        assert_eq!(allocations(&Response::default().into(), tight), (0, 0));
    }
}

#[test]
fn what_comes_from_the_cache_is_the_same_object() {
    let options = Options { tight: true, cache: 1024, ..Options::initial() };
    let (mut encoder, mut decoder) = (Encoder::new(options), Decoder::new(options));
    let command = Command::Message(Box::new(message()));
    let mut destination = || {
        let frame = encode(&mut encoder, &command);
        let Command::Message(message) = decoder.decode(&frame[4..]).unwrap() else { panic!("a message") };
        message.destination.unwrap()
    };
    let (first, second) = (destination(), destination());
    assert!(Arc::ptr_eq(&first, &second));
}

/// Equal values in other places of memory take turns, and places are used again for other values.
#[test]
fn a_value_is_written_as_itself_wherever_it_is_in_memory() {
    let options = Options { tight: true, cache: 64, ..Options::initial() };
    let (mut encoder, mut decoder) = (Encoder::new(options), Decoder::new(options));
    for round in 0..2000 {
        let mut message = Message::default();
        let name = format!("queue-{}", (round * 7 + round / 11) % 90);
        message.destination = Some(Arc::new(Destination::new(DestinationKind::Queue, &name)));
        let command = Command::Message(Box::new(message));
        let frame = encode(&mut encoder, &command);
        assert_eq!(decoder.decode(&frame[4..]).unwrap(), command, "round {round}");
    }
}
