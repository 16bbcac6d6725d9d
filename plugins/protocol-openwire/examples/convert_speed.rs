// SPDX-License-Identifier: Apache-2.0
//! How long it takes to turn OpenWire's messages into the canonical form and back.
//!
//! `cargo run --release -p sabir-protocol-openwire --example convert_speed`

use sabir_model::Now;
use sabir_model::delivery::{Delivery, DeliveryKind};
use sabir_model::message::Message as Canonical;
use sabir_protocol_openwire::codec::{
    Command, ConnectionId, Decoder, Destination, DestinationKind, Encoder, LocalTransactionId, Message,
    MessageDispatch, MessageId, MessageKind, Options, ProducerId, TransactionId, map,
};
use sabir_protocol_openwire::convert::{BodyPlace, Names, to_message, to_publish};
use sabir_sdk::protocol::{DeliveryArray, DeliveryRef};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 1000;
/// Short runs, many of them: on a busy machine most are interrupted.
const REPEATS: usize = 301;
/// What OpenWire alone understands is written and read too.
const IN_TRANSACTION: &str = "text of 1 KiB, in a transaction";
const NOW: Now = Now { monotonic_ms: 1, unix_ms: 1_700_000_000_000 };

fn main() {
    println!("nanoseconds per message, the lowest twentieth of {REPEATS} runs");
    for (name, kind, text) in [
        ("text of 100 B", MessageKind::Text, "x".repeat(100)),
        ("text of 1 KiB", MessageKind::Text, "x".repeat(1024)),
        ("text of 1 KiB, not all ASCII", MessageKind::Text, "\u{e9}x".repeat(342)),
        ("text of 1 KiB with an emoji", MessageKind::Text, format!("{}\u{1f600}", "x".repeat(1020))),
        ("bytes of 1 KiB", MessageKind::Bytes, "x".repeat(1024)),
        ("text of 64 KiB", MessageKind::Text, "x".repeat(65_536)),
        (IN_TRANSACTION, MessageKind::Text, "x".repeat(1024)),
    ] {
        let (frame, mut message) = decoded(kind, &text);
        if name == IN_TRANSACTION {
            let connection = ConnectionId { value: "ID:host.example-40123-1700000000000-1:1".into() };
            let id = LocalTransactionId { value: 7, connection_id: Some(Arc::new(connection)) };
            message.transaction_id = Some(Arc::new(TransactionId::Local(id)));
        }
        let publish = publish(&frame, &message);
        let mut head = Vec::new();
        let place = to_publish(&message, &frame, NOW, &mut head).expect("it can be published");
        let body = match place {
            BodyPlace::None => &[][..],
            BodyPlace::Frame(range) => &frame[range],
            BodyPlace::Owned(_) => panic!("the body stays in the frame"),
        };
        let canonical = Canonical::split(head.into(), bytes::Bytes::copy_from_slice(body)).expect("a head");
        let deliveries = [delivery(canonical)];
        let array = DeliveryArray::of(&deliveries);
        let delivery = array.lend().get(0).expect("one delivery");
        println!(
            "{name:<32} to_publish {publish:7.1}  to_message {:7.1}  and its frame {:7.1}",
            dispatch(&delivery),
            written(&delivery)
        );
    }
}

fn decoded(kind: MessageKind, text: &str) -> (Vec<u8>, Message) {
    let producer = Arc::new(ProducerId {
        connection_id: "ID:host.example-40123-1700000000000-1:1".into(),
        value: 1,
        session_id: 1,
    });
    let entries = [
        ("region".into(), map::Value::Text("eu".into())),
        ("amount".into(), map::Value::Int(7)),
        ("customer".into(), map::Value::Text("4711-0815".into())),
    ];
    let mut properties = Vec::new();
    map::write(Some(&entries), &mut properties).expect("short texts can be written");
    let content = match kind {
        MessageKind::Bytes => text.as_bytes().to_vec(),
        _ => {
            let mut content =
                (sabir_protocol_openwire::codec::mutf8::encoded_len(text) as u32).to_be_bytes().to_vec();
            sabir_protocol_openwire::codec::mutf8::encode(text, &mut content);
            content
        }
    };
    let message = Message {
        kind,
        producer_id: Some(producer.clone()),
        destination: Some(Arc::new(Destination::new(DestinationKind::Queue, "ORDERS.EU"))),
        message_id: Some(MessageId {
            producer_id: Some(producer),
            producer_sequence_id: 70_000,
            ..MessageId::default()
        }),
        persistent: true,
        priority: 4,
        timestamp: 1_700_000_000_000,
        content: Some(content.into()),
        marshalled_properties: Some(properties.into()),
        ..Message::default()
    };
    let options = Options { max_frame: 1 << 30, tight: true, cache: 1024, ..Options::initial() };
    let mut frame = Vec::new();
    let command = Command::Message(Box::new(message));
    Encoder::new(options).encode(&command, &mut frame).expect("it can be written");
    let frame = frame.split_off(4);
    match Decoder::new(options).decode(&frame).expect("it can be read") {
        Command::Message(message) => (frame, *message),
        _ => panic!("a message"),
    }
}

fn delivery(message: Canonical) -> Delivery {
    let kind = DeliveryKind::Message {
        message,
        label: bytes::Bytes::new(),
        redelivery_count: 0,
        redelivered: false,
        group_first: false,
        auto_accept: false,
    };
    Delivery { subscription: 1, tag: 1, kind }
}

fn publish(frame: &[u8], message: &Message) -> f64 {
    let mut head = Vec::with_capacity(64 * 1024);
    measure(|| {
        head.clear();
        black_box(
            to_publish(black_box(message), black_box(frame), NOW, &mut head).expect("it can be published"),
        );
    })
}

fn dispatch(delivery: &DeliveryRef<'_>) -> f64 {
    let mut names = Names::new(64);
    measure(|| {
        black_box(to_message(black_box(delivery), None, &[], &mut names).expect("it can be delivered"));
    })
}

/// With what stands before and after the body, as the session does it.
fn written(delivery: &DeliveryRef<'_>) -> f64 {
    let mut names = Names::new(64);
    let options = Options { max_frame: 1 << 30, tight: true, cache: 1024, ..Options::initial() };
    let mut encoder = Encoder::new(options);
    let (mut before, mut after) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    let dispatch = MessageDispatch { message: Some(Box::default()), ..MessageDispatch::default() };
    let mut command = Command::MessageDispatch(Box::new(dispatch));
    measure(|| {
        let (message, _) =
            to_message(black_box(delivery), None, &[], &mut names).expect("it can be delivered");
        if let Command::MessageDispatch(dispatch) = &mut command
            && let Some(place) = &mut dispatch.message
        {
            **place = message;
        }
        before.clear();
        after.clear();
        let (head, len) = (delivery.head.as_bytes(), delivery.body.len() + 4);
        encoder.encode_split_from(&command, head, len, &mut before, &mut after).expect("it can be written");
        black_box((&before, &after));
    })
}

/// Nanoseconds of one call.
fn measure(mut run: impl FnMut()) -> f64 {
    run();
    let mut times: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..ROUNDS {
                run();
            }
            start.elapsed().as_nanos() as f64 / ROUNDS as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[REPEATS / 20]
}
