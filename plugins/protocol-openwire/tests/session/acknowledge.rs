// SPDX-License-Identifier: Apache-2.0
//! What clients say of the messages that they were sent.

use crate::peer::{Peer, ack, text_delivery};
use sabir_model::verb::{Outcome, Settle, SettleRange, Verb};
use sabir_protocol_openwire::codec::{Command, MessageAck, MessageDispatch, Throwable};

fn five() -> (Peer, Vec<MessageDispatch>) {
    let mut peer = Peer::connected();
    peer.consumer(1, "Q", 10);
    peer.deliver(&(11..=15).map(|tag| text_delivery(1, tag)).collect::<Vec<_>>());
    let sent = (0..5).map(|_| peer.take_dispatch()).collect();
    (peer, sent)
}

fn settled(peer: &mut Peer) -> Vec<Settle> {
    let requests = std::mem::take(&mut peer.requests);
    requests
        .into_iter()
        .filter_map(|request| match request.verb {
            Verb::Settle(settle) => Some(settle),
            _ => None,
        })
        .collect()
}

fn tags(first: u64, last: u64, outcome: Outcome) -> Settle {
    Settle { range: SettleRange::Tags { first, last }, outcome }
}

#[test]
fn acknowledgements_settle_what_they_name() {
    let (mut peer, sent) = five();
    peer.ack(MessageAck::STANDARD, &[&sent[1]]);
    assert_eq!(settled(&mut peer), [tags(11, 12, Outcome::Accept)]);
    peer.ack(MessageAck::INDIVIDUAL, &[&sent[3]]);
    assert_eq!(settled(&mut peer), [tags(14, 14, Outcome::Accept)]);
    peer.ack(MessageAck::STANDARD, &[&sent[2], &sent[4]]);
    assert_eq!(settled(&mut peer), [tags(13, 15, Outcome::Accept)]);
    peer.ack(MessageAck::STANDARD, &[&sent[4]]);
    assert_eq!(settled(&mut peer), []);
}

#[test]
fn poison_goes_to_the_dead_letters_with_its_cause_and_what_expired_comes_again_to_expire_here() {
    let (mut peer, sent) = five();
    let cause = Throwable::new("java.lang.Throwable", "Delivery[7] exceeds redelivery policy limit");
    let poison = MessageAck { poison_cause: Some(Box::new(cause)), ..ack(MessageAck::POISON, &[&sent[0]]) };
    peer.send(Command::MessageAck(Box::new(poison)));
    let reason = "java.lang.Throwable: Delivery[7] exceeds redelivery policy limit".to_owned();
    assert_eq!(settled(&mut peer), [tags(11, 11, Outcome::Reject { reason })]);
    peer.ack(MessageAck::EXPIRED, &[&sent[1]]);
    assert_eq!(settled(&mut peer), [tags(12, 12, Outcome::Release { delay_ms: Some(1000) })]);
    peer.ack(MessageAck::REDELIVERED, &[&sent[2]]);
    assert_eq!(settled(&mut peer), []);
    peer.ack(MessageAck::UNMATCHED, &[&sent[2]]);
    assert_eq!(settled(&mut peer), [tags(13, 13, Outcome::Accept)]);
}

#[test]
fn a_message_known_from_another_connection_is_found_by_its_id() {
    let (mut peer, sent) = five();
    let mut earlier = sent[1].clone();
    earlier.message.as_mut().unwrap().message_id.as_mut().unwrap().broker_sequence_id = 9_000;
    peer.ack(MessageAck::INDIVIDUAL, &[&earlier]);
    assert_eq!(settled(&mut peer), [tags(12, 12, Outcome::Accept)]);
}

#[test]
fn acknowledgements_of_what_was_never_sent_are_let_pass() {
    let (mut peer, sent) = five();
    let mut unknown = sent[1].clone();
    let id = unknown.message.as_mut().unwrap().message_id.as_mut().unwrap();
    (id.producer_sequence_id, id.broker_sequence_id) = (77, 12);
    let command = Command::MessageAck(Box::new(ack(MessageAck::STANDARD, &[&unknown])));
    let id = peer.ask(command);
    assert_eq!(peer.take_response(), id);
    assert_eq!(settled(&mut peer), []);
}

#[test]
fn the_response_to_an_acknowledgement_waits_for_the_broker() {
    let (mut peer, sent) = five();
    let id = peer.ask(Command::MessageAck(Box::new(ack(MessageAck::STANDARD, &[&sent[4]]))));
    assert_eq!(peer.next_command(), None);
    let request = peer.take();
    assert!(request.confirm);
    peer.done(&request);
    assert_eq!(peer.take_response(), id);
}
