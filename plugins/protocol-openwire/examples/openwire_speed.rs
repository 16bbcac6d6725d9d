// SPDX-License-Identifier: Apache-2.0
//! How long the codec takes per frame.
//!
//! `cargo run --release -p sabir-protocol-openwire --no-default-features --example openwire_speed`

use sabir_protocol_openwire::codec::{
    Blob, Command, ConnectionId, ConsumerId, Decoder, Destination, DestinationKind, Encoder, Framed,
    LocalTransactionId, Message, MessageAck, MessageDispatch, MessageId, MessageKind, Options, ProducerId,
    Response, TransactionId, map, mutf8,
};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 1000;
/// Short runs, many of them: on a busy machine most are interrupted.
const REPEATS: usize = 301;

fn main() {
    println!("nanoseconds per frame, the lowest twentieth of {REPEATS} runs");
    let message = |len| Command::Message(Box::new(message(len)));
    for (name, command) in [
        ("Message, text of 100 B", message(100)),
        ("Message, text of 1 KiB", message(1024)),
        ("Message, text of 16 KiB", message(16 * 1024)),
        ("MessageDispatch, text of 1 KiB", dispatch(1024)),
        ("MessageAck", ack()),
        (
            "Response",
            Command::Response(Response { command_id: 7, correlation_id: 4711, ..Response::default() }),
        ),
    ] {
        for (encoding, tight) in [("tight", true), ("loose", false)] {
            let options =
                Options { tight, cache: 1024, stack_trace: true, max_frame: 1 << 30, ..Options::initial() };
            let decode = decode(&command, options);
            let encode = encode(&command, options);
            println!("{name:<32} {encoding}  decode {decode:7.1}  encode {encode:7.1}",);
            if command.message().is_some() {
                let split = split(&command, options);
                println!("{:<32} {encoding}  around its content {split:7.1}", "");
            }
        }
    }
    let text = vec![b'x'; 1024];
    let plain = measure(|| assert!(mutf8::is_plain(black_box(&text))));
    println!("whether 1 KiB is the same in UTF-8  {plain:7.1}");
}

fn producer() -> Arc<ProducerId> {
    let connection_id = "ID:host.example-40123-1700000000000-1:1".into();
    Arc::new(ProducerId { connection_id, value: 1, session_id: 1 })
}

fn message_id() -> Option<MessageId> {
    let producer_id = Some(producer());
    Some(MessageId { text_view: None, producer_id, producer_sequence_id: 70_000, broker_sequence_id: 0 })
}

fn message(len: usize) -> Message {
    let mut properties = Vec::new();
    let entries = [("region".into(), map::Value::Text("eu".into())), ("amount".into(), map::Value::Int(7))];
    map::write(Some(&entries), &mut properties).expect("short texts can be written");
    let content = [&(len as u32).to_be_bytes()[..], &vec![b'x'; len]].concat();
    Message {
        command_id: 4711,
        kind: MessageKind::Text,
        producer_id: Some(producer()),
        destination: Some(Arc::new(Destination::new(DestinationKind::Queue, "ORDERS.EU"))),
        message_id: message_id(),
        persistent: true,
        priority: 4,
        timestamp: 1_700_000_000_000,
        content: Some(content.into()),
        marshalled_properties: Some(Blob::from(properties)),
        ..Message::default()
    }
}

fn consumer() -> Option<Arc<ConsumerId>> {
    let connection_id = "ID:host.example-40123-1700000000000-1:2".into();
    Some(Arc::new(ConsumerId { connection_id, session_id: 1, value: 1 }))
}

fn dispatch(len: usize) -> Command {
    let message = message(len);
    let destination = message.destination.clone();
    let message = Some(Box::new(message));
    MessageDispatch { consumer_id: consumer(), destination, message, ..MessageDispatch::default() }.into()
}

fn ack() -> Command {
    let connection_id =
        Some(Arc::new(ConnectionId { value: "ID:host.example-40123-1700000000000-1:2".into() }));
    let transaction = TransactionId::Local(LocalTransactionId { value: 7, connection_id });
    MessageAck {
        command_id: 7,
        destination: message(0).destination,
        transaction_id: Some(Arc::new(transaction)),
        consumer_id: consumer(),
        ack_type: MessageAck::STANDARD,
        first_message_id: message_id(),
        last_message_id: message_id(),
        message_count: 100,
        ..MessageAck::default()
    }
    .into()
}

/// The frame when everything is in the cache, and a decoder that has the same.
fn warm(command: &Command, options: Options) -> (Vec<u8>, Decoder, Encoder) {
    let (mut decoder, mut encoder) = (Decoder::new(options), Encoder::new(options));
    let mut frame = Vec::new();
    for _ in 0..2 {
        frame.clear();
        encoder.encode(command, &mut frame).expect("the command can be written");
        decoder.decode(&frame[4..]).expect("what was written can be read");
    }
    (frame, decoder, encoder)
}

fn decode(command: &Command, options: Options) -> f64 {
    let (frame, mut decoder, _) = warm(command, options);
    measure(|| {
        let Ok(Framed::Whole { body, .. }) = decoder.frame(black_box(&frame)) else {
            panic!("a whole frame")
        };
        black_box(decoder.decode(&frame[body]).expect("what was written can be read"));
    })
}

fn encode(command: &Command, options: Options) -> f64 {
    let (_, _, mut encoder) = warm(command, options);
    let mut out = Vec::with_capacity(64 * 1024);
    measure(|| {
        out.clear();
        encoder.encode(black_box(command), &mut out).expect("the command can be written");
        black_box(&out);
    })
}

fn split(command: &Command, options: Options) -> f64 {
    let (_, _, mut encoder) = warm(command, options);
    let (mut before, mut after) = (Vec::with_capacity(1024), Vec::with_capacity(1024));
    measure(|| {
        before.clear();
        after.clear();
        encoder
            .encode_split(black_box(command), 1028, &mut before, &mut after)
            .expect("the command can be written");
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
