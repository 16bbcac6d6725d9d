// SPDX-License-Identifier: Apache-2.0
//! Local transactions.

use crate::peer::{CONNECTION, Peer, ack, producer_info, text_delivery, text_message};
use sabir_model::verb::{Outcome, Reason, Settle, SettleRange, Transact, Verb};
use sabir_protocol_openwire::codec::{
    Command, ConnectionId, LocalTransactionId, Message, MessageAck, MessageDispatch, ObjectId, RemoveInfo,
    TransactionId, TransactionInfo,
};
use std::sync::Arc;

fn local(value: i64) -> Arc<TransactionId> {
    let connection_id = Some(Arc::new(ConnectionId { value: CONNECTION.into() }));
    Arc::new(TransactionId::Local(LocalTransactionId { value, connection_id }))
}

fn step(id: &Arc<TransactionId>, kind: u8) -> Command {
    Command::TransactionInfo(TransactionInfo {
        transaction_id: Some(id.clone()),
        kind,
        ..TransactionInfo::default()
    })
}

/// A consumer with three messages, and a transaction that has begun.
fn begun() -> (Peer, Vec<MessageDispatch>, Arc<TransactionId>) {
    let mut peer = Peer::connected();
    peer.consumer(1, "Q", 10);
    peer.deliver(&(1..=3).map(|tag| text_delivery(1, tag)).collect::<Vec<_>>());
    let sent = (0..3).map(|_| peer.take_dispatch()).collect();
    let id = local(1);
    peer.send(step(&id, TransactionInfo::BEGIN));
    let request = peer.take();
    assert!(matches!((request.transaction, request.verb), (1, Verb::Transact(Transact::Begin))));
    (peer, sent, id)
}

fn acked_in(peer: &mut Peer, id: &Arc<TransactionId>, sent: &[&MessageDispatch]) {
    let ack = MessageAck { transaction_id: Some(id.clone()), ..ack(MessageAck::STANDARD, sent) };
    peer.send(Command::MessageAck(Box::new(ack)));
}

fn settles(peer: &mut Peer) -> Vec<(u64, SettleRange)> {
    let requests = std::mem::take(&mut peer.requests);
    requests
        .into_iter()
        .filter_map(|request| match request.verb {
            Verb::Settle(Settle { range, outcome: Outcome::Accept }) => Some((request.transaction, range)),
            _ => None,
        })
        .collect()
}

#[test]
fn acknowledgements_reach_the_broker_with_the_commit() {
    let (mut peer, sent, id) = begun();
    acked_in(&mut peer, &id, &[&sent[1]]);
    assert_eq!(settles(&mut peer), []);
    let command = peer.ask(step(&id, TransactionInfo::COMMIT_ONE_PHASE));
    let commit = peer.requests.last().unwrap().clone();
    assert!(matches!((commit.transaction, &commit.verb), (1, Verb::Transact(Transact::Commit))));
    assert_eq!(settles(&mut peer), [(1, SettleRange::Tags { first: 1, last: 2 })]);
    peer.done(&commit);
    assert_eq!(peer.take_response(), command);
    peer.ack(MessageAck::STANDARD, &[&sent[2]]);
    assert_eq!(settles(&mut peer), [(0, SettleRange::Tags { first: 3, last: 3 })]);
}

#[test]
fn after_a_roll_back_the_messages_are_still_their_consumers() {
    let (mut peer, sent, id) = begun();
    acked_in(&mut peer, &id, &[&sent[1]]);
    peer.requests.clear();
    let command = peer.ask(step(&id, TransactionInfo::ROLLBACK));
    let request = peer.take();
    assert!(matches!(request.verb, Verb::Transact(Transact::Rollback)));
    peer.done(&request);
    assert_eq!(peer.take_response(), command);
    peer.ack(MessageAck::STANDARD, &[&sent[1]]);
    assert_eq!(settles(&mut peer), [(0, SettleRange::Tags { first: 1, last: 2 })]);
}

#[test]
fn a_consumer_that_goes_leaves_what_it_has_acknowledged_to_the_transaction() {
    let (mut peer, sent, id) = begun();
    acked_in(&mut peer, &id, &[&sent[0]]);
    peer.requests.clear();
    let consumer = sent[0].consumer_id.clone().unwrap();
    peer.send(Command::RemoveInfo(RemoveInfo {
        object_id: Some(ObjectId::Consumer(consumer)),
        last_delivered_sequence_id: 1,
        ..RemoveInfo::default()
    }));
    assert_eq!(settles(&mut peer), [(1, SettleRange::Tags { first: 1, last: 1 })]);
    peer.send(step(&id, TransactionInfo::COMMIT_ONE_PHASE));
    assert!(matches!(peer.take().verb, Verb::Transact(Transact::Commit)));
}

#[test]
fn messages_are_sent_in_their_transaction_and_a_refused_commit_was_rolled_back() {
    let (mut peer, publish, command) = committing(text_message(1, 1, "Q", "x"));
    assert_eq!(publish.transaction, 1);
    peer.done(&publish);
    let request = peer.take();
    peer.refuse(&request, Reason::RolledBack, "no room");
    let class = "javax.jms.TransactionRolledBackException".to_owned();
    assert_eq!(peer.take_exception(), (Some(command), class, "no room".to_owned()));
}

#[test]
fn what_has_not_begun_cannot_go_on() {
    let (mut peer, sent, _) = begun();
    let other = local(9);
    peer.ask(step(&other, TransactionInfo::COMMIT_ONE_PHASE));
    let (_, class, text) = peer.take_exception();
    assert_eq!(class, "javax.jms.JMSException");
    assert_eq!(text, format!("Transaction '{other}' has not been started."));
    acked_in(&mut peer, &other, &[&sent[0]]);
    assert_eq!(peer.take_exception().0, None);
}

#[test]
fn poison_is_no_part_of_a_transaction() {
    let (mut peer, sent, id) = begun();
    let ack = MessageAck { transaction_id: Some(id), ..ack(MessageAck::POISON, &[&sent[0]]) };
    peer.send(Command::MessageAck(Box::new(ack)));
    assert!(peer.take_exception().2.contains("poison"));
}

/// A transaction with a message that has yet to be answered, and its commit.
fn committing(message: Message) -> (Peer, sabir_model::Request, i32) {
    let (mut peer, _, id) = begun();
    peer.ask(Command::ProducerInfo(producer_info(1, Some("Q"))));
    peer.done_all();
    peer.take_commands();
    peer.send(Command::Message(Box::new(Message { transaction_id: Some(id.clone()), ..message })));
    let publish = peer.take();
    assert!(publish.confirm && matches!(publish.verb, Verb::Publish(_)));
    let command = peer.ask(step(&id, TransactionInfo::COMMIT_ONE_PHASE));
    assert!(peer.requests.is_empty(), "the commit did not wait");
    (peer, publish, command)
}

#[test]
fn a_commit_waits_until_it_is_known_that_nothing_of_it_was_refused() {
    let (mut peer, publish, command) = committing(text_message(1, 1, "Q", "x"));
    peer.done(&publish);
    let commit = peer.take();
    assert!(matches!((commit.transaction, &commit.verb), (1, Verb::Transact(Transact::Commit))));
    peer.done(&commit);
    assert_eq!(peer.take_response(), command);
}

#[test]
fn a_transaction_of_which_a_part_was_refused_is_rolled_back() {
    let (mut peer, publish, command) = committing(text_message(1, 1, "Q", "x"));
    peer.refuse(&publish, Reason::Forbidden, "bob may not write queue://Q");
    assert!(matches!(peer.take().verb, Verb::Transact(Transact::Rollback)));
    assert_eq!(peer.take_exception().0, None);
    let (told, class, text) = peer.take_exception();
    assert_eq!((told, &*class), (Some(command), "javax.jms.TransactionRolledBackException"));
    assert!(text.contains("bob may not write queue://Q"), "{text}");
}

#[test]
fn a_transaction_of_which_the_session_has_refused_a_part_is_rolled_back_too() {
    let (mut peer, sent, id) = begun();
    acked_in(&mut peer, &id, &[&sent[1]]);
    let bad = Message { transaction_id: Some(id.clone()), message_id: None, ..text_message(1, 1, "Q", "x") };
    peer.send(Command::Message(Box::new(bad)));
    peer.done_all();
    assert_eq!(peer.take_exception().0, None);
    let command = peer.ask(step(&id, TransactionInfo::COMMIT_ONE_PHASE));
    assert!(matches!(peer.take().verb, Verb::Transact(Transact::Rollback)));
    assert_eq!(peer.take_exception().0, Some(command));
    // What was acknowledged in it is its consumer's again.
    peer.ack(MessageAck::STANDARD, &[&sent[1]]);
    assert_eq!(settles(&mut peer), [(0, SettleRange::Tags { first: 1, last: 2 })]);
}

#[test]
fn a_transaction_is_begun_by_its_own_connection_alone() {
    let mut peer = Peer::connected();
    let other = Some(Arc::new(ConnectionId { value: "ID:other-1:1".into() }));
    for connection_id in [other, None] {
        let id = Arc::new(TransactionId::Local(LocalTransactionId { value: 1, connection_id }));
        peer.ask(step(&id, TransactionInfo::BEGIN));
        assert_eq!(peer.take_exception().1, "javax.jms.IllegalStateException");
        assert!(peer.requests.is_empty() && !peer.closed);
    }
}

#[test]
fn a_client_that_leaves_in_the_midst_of_a_commit_does_not_undo_it() {
    let (mut peer, publish, command) = committing(text_message(1, 1, "Q", "x"));
    let connection = ObjectId::Connection(Arc::new(ConnectionId { value: CONNECTION.into() }));
    peer.ask(Command::RemoveInfo(RemoveInfo { object_id: Some(connection), ..RemoveInfo::default() }));
    assert!(peer.requests.is_empty() && peer.waiting() > 0);
    peer.done(&publish);
    let commit = peer.take();
    assert!(matches!(commit.verb, Verb::Transact(Transact::Commit)));
    assert!(matches!(peer.requests.last().unwrap().verb, Verb::Disconnect));
    assert_eq!(peer.waiting(), 0);
    peer.done(&commit);
    assert_eq!(peer.take_response(), command);
}
