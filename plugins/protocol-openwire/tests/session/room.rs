// SPDX-License-Identifier: Apache-2.0
//! Little room: nothing is lost, and nothing done twice.

use crate::peer::{Peer, producer_info, text_delivery, text_message};
use sabir_model::Delivery;
use sabir_model::verb::Verb;
use sabir_protocol_openwire::codec::{Command, MessageAck};
use sabir_sdk::protocol::Capacities;

fn cramped() -> Capacities {
    Capacities { verbs: 2, arena_bytes: 700, segments: 3, owned: 1 }
}

#[test]
fn whatever_the_room_the_same_is_written_and_asked() {
    let mut seen = Vec::new();
    for capacities in [Capacities::default(), cramped()] {
        let mut peer = Peer::logged_in("{}", 12, capacities);
        peer.consumer(1, "Q", 100);
        peer.ask(Command::ProducerInfo(producer_info(1, None)));
        for sequence in 0..20 {
            peer.send(Command::Message(Box::new(text_message(
                1,
                sequence,
                &format!("Q{}", sequence % 3),
                "x",
            ))));
        }
        let all: Vec<Delivery> = (1..=20).map(|tag| text_delivery(1, tag)).collect();
        let mut rest = &all[..];
        while !rest.is_empty() {
            let taken = peer.deliver(rest);
            rest = &rest[taken..];
            peer.advance(0);
        }
        let commands = peer.take_commands();
        let Some(Command::MessageDispatch(last)) = commands.last() else { panic!("no dispatch") };
        peer.ack(MessageAck::STANDARD, &[last]);
        let asked: Vec<String> = peer.requests.iter().map(|request| format!("{:?}", request.verb)).collect();
        assert!(matches!(peer.requests.last().unwrap().verb, Verb::Credit { amount: 20, .. }));
        seen.push((commands, asked));
    }
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn a_body_larger_than_the_room_is_handed_over() {
    let mut peer = Peer::logged_in("{}", 12, cramped());
    peer.consumer(1, "Q", 10);
    let body = vec![7; 100_000];
    let message = crate::peer::sample(1, sabir_model::message::BodyKind::Bytes, &body);
    assert_eq!(peer.deliver(&[crate::peer::delivery(1, 1, message)]), 1);
    peer.advance(0);
    let content = peer.take_dispatch().message.unwrap().content.unwrap();
    assert_eq!(content.bytes(&[]), Some(&body[..]));
}
