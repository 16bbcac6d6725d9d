// SPDX-License-Identifier: Apache-2.0
//! How long a session takes per frame, without broker, link and plugin boundary.
//!
//! `cargo run --release -p sabir-protocol-stomp --example stomp_speed`

use bytes::Bytes;
use sabir_model::Delivery;
use sabir_model::delivery::DeliveryKind;
use sabir_model::message::{BodyKind, Field, Fixed, HeadWriter, Message};
use sabir_model::property::Value;
use sabir_model::verb::{Answer, Reply};
use sabir_protocol_stomp::{Stomp, StompSession};
use sabir_sdk::Host;
use sabir_sdk::protocol::{
    Attributes, Capacities, ChunkInfo, DeliveryArray, Framing, Input, Now, OutBuffers, Protocol, ReplyArray,
    Session, SessionParams,
};
use std::hint::black_box;
use std::time::Instant;

const NOW: Now = Now { monotonic_ms: 1_000_000, unix_ms: 1_700_000_000_000 };
const BATCH: usize = 64;
/// Short runs, many of them: on a busy machine most are interrupted.
const ROUNDS: usize = 50;
const REPEATS: usize = 301;

fn main() {
    println!("nanoseconds per frame, the lowest twentieth of {REPEATS} runs, in batches of {BATCH}");
    for (name, body) in [("100 B", 100), ("1 KiB", 1024), ("16 KiB", 16 * 1024)] {
        println!(
            "publish {name}, counted, receipt     {:7.1}",
            publish(body, true, "persistent:true\nreceipt:4711\n")
        );
        println!("publish {name}, counted, no receipt  {:7.1}", publish(body, true, ""));
        println!("publish {name}, up to NUL            {:7.1}", publish(body, false, ""));
        println!("deliver {name}, 1.2, client          {:7.1}", deliver(body, "1.2", "client", false));
        println!("deliver {name}, 1.1, client          {:7.1}", deliver(body, "1.1", "client", false));
        println!("deliver {name}, 1.2, auto, 5 headers {:7.1}", deliver(body, "1.2", "auto", true));
    }
    println!("acknowledge, 1.2                   {:7.1}", acknowledge());
}

fn session(version: &str, buffers: &mut OutBuffers) -> StompSession {
    let stomp = Stomp::open(Host::none(), "{}").expect("the default configuration is one");
    let params = SessionParams {
        session_id: 1,
        connection_id: "5f1c2d3e-1",
        broker: "sabir/0.1.0",
        framing: Framing::Stream,
        attributes: Attributes::none(),
        max_head_bytes: 64 * 1024,
        max_message_bytes: 100 * 1024 * 1024,
    };
    let mut session = stomp.session(&params, NOW, &mut buffers.out()).expect("a session opens");
    feed(&mut session, format!("CONNECT\naccept-version:{version}\nhost:x\n\n\0").as_bytes(), buffers);
    answer(&mut session, 1, 1, buffers);
    session
}

fn feed(session: &mut StompSession, bytes: &[u8], buffers: &mut OutBuffers) {
    buffers.reset();
    session.on_bytes(NOW, Input { bytes, info: ChunkInfo::default() }, &mut buffers.out());
    assert_eq!(buffers.consumed(), bytes.len());
    assert!(!buffers.close(), "{:?}", String::from_utf8_lossy(&buffers.output(&[])));
}

fn answer(session: &mut StompSession, first: u64, count: usize, buffers: &mut OutBuffers) {
    let replies: Vec<Reply> =
        (0..count as u64).map(|at| Reply { token: first + at, answer: Answer::Done }).collect();
    buffers.reset();
    session.on_replies(NOW, ReplyArray::of(&replies).lend(), &mut buffers.out());
}

fn measure(mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let begin = Instant::now();
            for _ in 0..ROUNDS {
                run();
            }
            begin.elapsed().as_nanos() as f64 / (ROUNDS * BATCH) as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[REPEATS / 20]
}

fn buffers() -> OutBuffers {
    OutBuffers::new(Capacities { arena_bytes: 4 << 20, ..Capacities::default() })
}

/// Includes the answers, where the session waits for them.
fn publish(body: usize, counted: bool, headers: &str) -> f64 {
    let mut buffers = buffers();
    let mut session = session("1.2", &mut buffers);
    let length = if counted { format!("content-length:{body}\n") } else { String::new() };
    let frame = format!("SEND\ndestination:/queue/bench\n{headers}{length}\n{}\0", "x".repeat(body));
    let batch = frame.repeat(BATCH);
    let confirmed = !headers.is_empty();
    let mut token = 2;
    measure(|| {
        feed(&mut session, black_box(batch.as_bytes()), &mut buffers);
        if confirmed {
            answer(&mut session, token, BATCH, &mut buffers);
            token += BATCH as u64;
        }
        black_box(&buffers);
    })
}

fn message(body: usize, with_properties: bool) -> Message {
    let mut head = Vec::new();
    let fixed =
        Fixed { body_kind: BodyKind::Bytes, timestamp_ms: NOW.unix_ms, persistent: true, ..Fixed::default() };
    let mut writer = HeadWriter::new(&mut head, &fixed);
    let _ = writer.field(Field::Id, b"5f1c2d3e-1-123456");
    let _ = writer.field(Field::Destination, b"queue://bench");
    if with_properties {
        for name in ["region", "customer", "order", "kind", "trace"] {
            let _ = writer.property(name, &Value::Text("a-value-of-some-length"));
        }
    }
    writer.finish();
    Message::split(Bytes::from(head), Bytes::from(vec![b'x'; body])).expect("a head was written")
}

fn deliver(body: usize, version: &str, ack: &str, with_properties: bool) -> f64 {
    let mut buffers = buffers();
    let mut session = session(version, &mut buffers);
    feed(
        &mut session,
        format!("SUBSCRIBE\nid:0\ndestination:/queue/bench\nack:{ack}\n\n\0").as_bytes(),
        &mut buffers,
    );
    let message = message(body, with_properties);
    let delivery = |tag| Delivery {
        subscription: 1,
        tag,
        kind: DeliveryKind::Message {
            message: message.clone(),
            label: Bytes::new(),
            redelivery_count: 0,
            redelivered: false,
            group_first: false,
            auto_accept: false,
        },
    };
    let deliveries: Vec<Delivery> = (1..=BATCH as u64).map(delivery).collect();
    let array = DeliveryArray::of(&deliveries);
    measure(|| {
        buffers.reset();
        let taken = session.on_deliveries(NOW, array.lend(), &mut buffers.out());
        assert_eq!(taken, BATCH);
        black_box(&buffers);
    })
}

fn acknowledge() -> f64 {
    let mut buffers = buffers();
    let mut session = session("1.2", &mut buffers);
    feed(
        &mut session,
        b"SUBSCRIBE\nid:0\ndestination:/queue/bench\nack:client-individual\n\n\0",
        &mut buffers,
    );
    let batch: String = (1..=BATCH).map(|tag| format!("ACK\nid:1-{tag}\n\n\0")).collect();
    measure(|| feed(&mut session, black_box(batch.as_bytes()), &mut buffers))
}
