// SPDX-License-Identifier: Apache-2.0
//! A session that is fed arbitrary bytes, cut at arbitrary places, with a broker that confirms everything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sabir_model::verb::{Answer, Reply};
use sabir_protocol_stomp::Stomp;
use sabir_sdk::Host;
use sabir_sdk::protocol::{
    Attributes, BodyAssembler, Capacities, ChunkInfo, Framing, Input, Now, OutBuffers, Protocol, ReplyArray,
    Session, SessionParams,
};

const LOGINS: [&str; 4] =
    ["", "CONNECT\n\n\0", "CONNECT\naccept-version:1.1\n\n\0", "CONNECT\naccept-version:1.2\n\n\0"];

fuzz_target!(|data: &[u8]| {
    for login in LOGINS {
        session([login.as_bytes(), data].concat());
    }
});

fn session(bytes: Vec<u8>) {
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
    let mut buffers = OutBuffers::new(Capacities::default());
    let mut session = stomp.session(&params, now, &mut buffers.out()).unwrap();
    let mut assembler = BodyAssembler::new(1024 * 1024);
    let (mut kept, mut requests) = (Vec::new(), Vec::new());
    for chunk in bytes.chunks(cut) {
        kept.extend_from_slice(chunk);
        loop {
            buffers.reset();
            session.on_bytes(now, Input { bytes: &kept, info: ChunkInfo::default() }, &mut buffers.out());
            buffers.check(kept.len()).unwrap();
            let (consumed, full, closed) = (buffers.consumed(), buffers.full(), buffers.close());
            buffers.drain_requests(&kept, &mut assembler, &mut requests).unwrap();
            kept.drain(..consumed);
            if closed {
                return;
            }
            if !full {
                break;
            }
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
    }
}
