// SPDX-License-Identifier: Apache-2.0
//! A session that is fed arbitrary bytes, cut at arbitrary places, with much room or little in each call, and a broker
//! that confirms everything and delivers something.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sabir_model::delivery::{Delivery, DeliveryKind};
use sabir_model::message::{BodyKind, Field, Fixed, HeadWriter, Message};
use sabir_model::verb::{Answer, Reply};
use sabir_protocol_stomp::Stomp;
use sabir_sdk::Host;
use sabir_sdk::protocol::{
    Attributes, BodyAssembler, Capacities, ChunkInfo, DeliveryArray, Framing, Input, Now, OutBuffers, Protocol,
    ReplyArray, Session, SessionParams,
};

const LOGINS: [&str; 4] =
    ["", "CONNECT\n\n\0", "CONNECT\naccept-version:1.1\n\n\0", "CONNECT\naccept-version:1.2\n\n\0"];

fuzz_target!(|data: &[u8]| {
    for login in LOGINS {
        let bytes = [login.as_bytes(), data].concat();
        session(&bytes, Capacities::default());
        // Room for one step of most frames, so that many find none at first.
        session(&bytes, Capacities { verbs: 4, arena_bytes: 1500, segments: 3, owned: 1 });
    }
});

fn session(bytes: &[u8], room: Capacities) {
    // How the bytes are cut depends on how many there are.
    let cut = 1 + bytes.len() % 64;
    let now = Now { monotonic_ms: 1_000_000, unix_ms: 1_700_000_000_000 };
    let stomp = Stomp::open(Host::none(), "{}").unwrap();
    let params = SessionParams {
        session_id: 1,
        connection_id: "fuzz-1",
        broker: "sabir/0",
        framing: Framing::Stream,
        attributes: Attributes::none(),
        max_head_bytes: 64 * 1024,
        max_message_bytes: 1024 * 1024,
    };
    let mut buffers = OutBuffers::new(room);
    let mut session = stomp.session(&params, now, &mut buffers.out()).unwrap();
    let mut assembler = BodyAssembler::new(1024 * 1024);
    let (mut kept, mut requests) = (Vec::new(), Vec::new());
    let deliveries = [delivery()];
    for chunk in bytes.chunks(cut) {
        kept.extend_from_slice(chunk);
        loop {
            let before = requests.len();
            buffers.reset();
            session.on_bytes(now, Input { bytes: &kept, info: ChunkInfo::default() }, &mut buffers.out());
            buffers.check(kept.len()).unwrap();
            let (consumed, full, closed) = (buffers.consumed(), buffers.full(), buffers.close());
            buffers.drain_requests(&kept, &mut assembler, &mut requests).unwrap();
            let asked = requests.len();
            kept.drain(..consumed);
            if closed {
                return;
            }
            if !full {
                break;
            }
            assert!(consumed > 0 || asked > before, "it asks for room for ever");
        }
        assert!(kept.len() <= 64 * 1024 + 256);
        let replies: Vec<Reply> = requests
            .drain(..)
            .filter(|request| request.confirm)
            .map(|request| Reply { token: request.token, answer: Answer::Done })
            .collect();
        buffers.reset();
        session.on_replies(now, ReplyArray::of(&replies).lend(), &mut buffers.out());
        if buffers.close() {
            return;
        }
        buffers.reset();
        session.on_deliveries(now, DeliveryArray::of(&deliveries).lend(), &mut buffers.out());
        // What found no room is written when the deadline has passed, which is at once.
        while !buffers.close() && buffers.deadline().is_some_and(|deadline| deadline <= now.monotonic_ms) {
            buffers.reset();
            session.on_timer(now, &mut buffers.out());
        }
        if buffers.close() {
            return;
        }
    }
}

/// A text for the first subscription, if there is one.
fn delivery() -> Delivery {
    let mut head = Vec::new();
    let mut writer = HeadWriter::new(&mut head, &Fixed { body_kind: BodyKind::Text, ..Fixed::default() });
    assert!(writer.field(Field::Id, b"m-1") && writer.field(Field::Destination, b"queue://q"));
    writer.finish();
    let message = Message::split(head.into(), b"text".as_slice().into()).unwrap();
    let kind = DeliveryKind::Message {
        message,
        label: Default::default(),
        redelivery_count: 0,
        redelivered: false,
        group_first: false,
        auto_accept: false,
    };
    Delivery { subscription: 1, tag: 1, kind }
}
