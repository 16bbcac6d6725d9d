// SPDX-License-Identifier: Apache-2.0
//! Branches of distributed transactions.

use crate::peer::{Peer, ack, producer_info, text_delivery, text_message};
use sabir_model::fields::{self, flag, number};
use sabir_model::verb::{Outcome, Query, Reason, Request, Settle, SettleRange, Verb};
use sabir_model::{Branch, BranchAct};
use sabir_protocol_openwire::codec::{
    Command, DataStructure, Message, MessageAck, MessageDispatch, ObjectId, TransactionId, TransactionInfo,
    XaTransactionId,
};
use std::sync::Arc;

fn xid(number: u8) -> Arc<TransactionId> {
    Arc::new(TransactionId::Xa(XaTransactionId {
        format_id: 131_077,
        global_transaction_id: [1, 2].into(),
        branch_qualifier: [number].into(),
    }))
}

fn branch(number: u8) -> Branch {
    Branch::new(131_077, &[1, 2], &[number]).unwrap()
}

fn step(id: &Arc<TransactionId>, kind: u8) -> Command {
    Command::TransactionInfo(TransactionInfo {
        transaction_id: Some(id.clone()),
        kind,
        ..TransactionInfo::default()
    })
}

/// The next thing that the broker was asked for, other than credit.
fn next(peer: &mut Peer) -> Request {
    peer.requests.retain(|request| !matches!(request.verb, Verb::Credit { .. }));
    peer.take()
}

/// Whether the broker was asked for nothing but credit.
fn is_quiet(peer: &Peer) -> bool {
    peer.requests.iter().all(|request| matches!(request.verb, Verb::Credit { .. }))
}

/// The step that the broker was asked for, and in which transaction.
fn taken(peer: &mut Peer) -> (Request, BranchAct, Branch) {
    let request = next(peer);
    let Verb::Branch(step) = &request.verb else { panic!("{request:?}") };
    let (act, branch) = (step.act, step.branch.clone());
    assert!(!step.operator);
    (request, act, branch)
}

/// A consumer with three messages, and a branch that has begun.
fn begun() -> (Peer, Vec<MessageDispatch>, Arc<TransactionId>) {
    let mut peer = Peer::connected();
    peer.consumer(1, "Q", 10);
    peer.deliver(&(1..=3).map(|tag| text_delivery(1, tag)).collect::<Vec<_>>());
    let sent = (0..3).map(|_| peer.take_dispatch()).collect();
    let id = xid(1);
    peer.send(step(&id, TransactionInfo::BEGIN));
    let (request, act, of) = taken(&mut peer);
    assert_eq!((request.transaction, act, of), (1, BranchAct::Begin, branch(1)));
    (peer, sent, id)
}

fn acked_in(peer: &mut Peer, id: &Arc<TransactionId>, sent: &[&MessageDispatch]) {
    let ack = MessageAck { transaction_id: Some(id.clone()), ..ack(MessageAck::STANDARD, sent) };
    peer.send(Command::MessageAck(Box::new(ack)));
}

/// Does this step and takes what the broker is asked for.
fn asked(peer: &mut Peer, id: &Arc<TransactionId>, kind: u8) -> (i32, Request, BranchAct) {
    let command = peer.ask(step(id, kind));
    let (request, act, of) = taken(peer);
    assert_eq!(of, branch(1));
    (command, request, act)
}

fn ended(peer: &mut Peer, id: &Arc<TransactionId>) {
    let command = peer.ask(step(id, TransactionInfo::END));
    assert_eq!(peer.take_response(), command);
}

fn prepared(peer: &mut Peer, id: &Arc<TransactionId>) {
    let (command, request, act) = asked(peer, id, TransactionInfo::PREPARE);
    assert_eq!((act, request.transaction), (BranchAct::Prepare, 1));
    peer.done(&request);
    assert_eq!(result(peer), (command, 0));
}

fn result(peer: &mut Peer) -> (i32, i32) {
    match peer.take_command() {
        Command::IntegerResponse(response) => (response.correlation_id, response.result),
        other => panic!("{other:?}"),
    }
}

fn settled(request: &Request) -> (u64, SettleRange) {
    match &request.verb {
        Verb::Settle(Settle { range, outcome: Outcome::Accept }) => (request.transaction, *range),
        other => panic!("{other:?}"),
    }
}

fn flags(value: u64) -> Vec<u8> {
    let mut told = Vec::new();
    fields::put(&mut told, number::FLAGS, &value.to_le_bytes());
    told
}

/// A refusal, and the code at its end as Java clients read it.
fn refusal(peer: &mut Peer) -> (Option<i32>, i32) {
    let (command, class, text) = peer.take_exception();
    assert_eq!(class, "javax.transaction.xa.XAException");
    let (_, code) = text.rsplit_once("xaErrorCode:").expect("a code");
    (command, code.parse().expect("nothing behind the code"))
}

#[test]
fn what_was_acknowledged_is_settled_when_the_client_has_done_its_part_and_is_gone_with_the_commit() {
    let (mut peer, sent, id) = begun();
    acked_in(&mut peer, &id, &[&sent[1]]);
    assert!(is_quiet(&peer));
    ended(&mut peer, &id);
    assert_eq!(settled(&next(&mut peer)), (1, SettleRange::Tags { first: 1, last: 2 }));
    let (awaiting, act, _) = taken(&mut peer);
    assert_eq!((awaiting.transaction, act), (1, BranchAct::Await));
    prepared(&mut peer, &id);
    let (command, request, act) = asked(&mut peer, &id, TransactionInfo::COMMIT_TWO_PHASE);
    assert_eq!(act, BranchAct::Commit);
    assert_eq!(peer.next_command(), None);
    peer.done(&request);
    assert_eq!(peer.take_response(), command);
    peer.told(&awaiting, flags(flag::BRANCH_COMMITTED));
    peer.ack(MessageAck::STANDARD, &[&sent[2]]);
    assert_eq!(settled(&next(&mut peer)), (0, SettleRange::Tags { first: 3, last: 3 }));
}

#[test]
fn rolled_back_over_this_connection_or_another_the_messages_are_still_their_consumers() {
    for elsewhere in [false, true] {
        for prepare in [false, true] {
            let (mut peer, sent, id) = begun();
            acked_in(&mut peer, &id, &[&sent[1]]);
            ended(&mut peer, &id);
            next(&mut peer);
            let (awaiting, ..) = taken(&mut peer);
            if prepare {
                prepared(&mut peer, &id);
            }
            // Until then nothing of it can be acknowledged once more.
            peer.ack(MessageAck::STANDARD, &[&sent[1]]);
            assert!(is_quiet(&peer));
            if elsewhere {
                peer.told(&awaiting, flags(flag::BRANCH_RESTORED));
            } else {
                let (command, request, act) = asked(&mut peer, &id, TransactionInfo::ROLLBACK);
                assert_eq!(act, BranchAct::Rollback);
                peer.done(&request);
                assert_eq!(peer.take_commands().len(), 1, "{command}");
            }
            peer.ack(MessageAck::STANDARD, &[&sent[1]]);
            assert_eq!(settled(&next(&mut peer)), (0, SettleRange::Tags { first: 1, last: 2 }));
        }
    }
}

#[test]
fn a_branch_goes_on_after_it_was_suspended() {
    let (mut peer, sent, id) = begun();
    acked_in(&mut peer, &id, &[&sent[0]]);
    ended(&mut peer, &id);
    peer.requests.clear();
    peer.send(step(&id, TransactionInfo::BEGIN));
    assert!(is_quiet(&peer));
    acked_in(&mut peer, &id, &[&sent[1]]);
    ended(&mut peer, &id);
    assert_eq!(settled(&next(&mut peer)), (1, SettleRange::Tags { first: 2, last: 2 }));
    assert!(is_quiet(&peer), "it is waited for once");
    let (command, request, act) = asked(&mut peer, &id, TransactionInfo::COMMIT_ONE_PHASE);
    assert_eq!(act, BranchAct::CommitOnePhase);
    peer.done(&request);
    assert_eq!(peer.take_response(), command);
}

#[test]
fn several_branches_are_open_at_once_in_one_connection() {
    let (mut peer, sent, first) = begun();
    let second = xid(2);
    ended(&mut peer, &first);
    peer.send(step(&second, TransactionInfo::BEGIN));
    let (request, act, of) = taken(&mut peer);
    assert_eq!((request.transaction, act, of), (2, BranchAct::Begin, branch(2)));
    acked_in(&mut peer, &second, &[&sent[0]]);
    ended(&mut peer, &second);
    assert_eq!(settled(&next(&mut peer)).0, 2);
    taken(&mut peer);
    let (command, request, _) = asked(&mut peer, &first, TransactionInfo::ROLLBACK);
    assert_eq!(request.transaction, 1);
    peer.done(&request);
    assert_eq!(peer.take_response(), command);
    peer.ask(step(&second, TransactionInfo::PREPARE));
    let (request, act, of) = taken(&mut peer);
    assert_eq!((request.transaction, act, of), (2, BranchAct::Prepare, branch(2)));
}

#[test]
fn the_end_of_a_part_waits_for_the_answers_to_its_messages_and_a_refused_one_rolls_the_branch_back() {
    for refused in [false, true] {
        let (mut peer, _, id) = begun();
        peer.ask(Command::ProducerInfo(producer_info(1, Some("Q"))));
        let attach = next(&mut peer);
        peer.done(&attach);
        peer.take_response();
        let message = text_message(1, 1, "Q", "x");
        peer.send(Command::Message(Box::new(Message { transaction_id: Some(id.clone()), ..message })));
        let publish = next(&mut peer);
        assert_eq!(publish.transaction, 1);
        let end = peer.ask(step(&id, TransactionInfo::END));
        assert_eq!(peer.next_command(), None);
        if !refused {
            peer.done(&publish);
            assert_eq!(peer.take_response(), end);
            prepared(&mut peer, &id);
            continue;
        }
        peer.refuse(&publish, Reason::Full, "no room");
        assert_eq!(peer.take_commands().len(), 2, "the refusal, and the response to the end");
        let (_, act, _) = taken(&mut peer);
        assert_eq!(act, BranchAct::Rollback);
        let command = peer.ask(step(&id, TransactionInfo::PREPARE));
        let (_, act, _) = taken(&mut peer);
        assert_eq!(act, BranchAct::Rollback);
        assert_eq!(refusal(&mut peer), (Some(command), 100));
        let again = peer.ask(step(&id, TransactionInfo::END));
        assert_eq!(refusal(&mut peer), (Some(again), -4));
    }
}

#[test]
fn a_branch_that_did_nothing_is_told_to_be_read_only_and_may_be_ended_nevertheless() {
    for kind in [TransactionInfo::COMMIT_TWO_PHASE, TransactionInfo::ROLLBACK] {
        let (mut peer, _, id) = begun();
        ended(&mut peer, &id);
        let (command, request, _) = asked(&mut peer, &id, TransactionInfo::PREPARE);
        peer.told(&request, flags(flag::BRANCH_READ_ONLY));
        assert_eq!(result(&mut peer), (command, 3));
        let command = peer.ask(step(&id, kind));
        assert_eq!(peer.take_response(), command);
        assert!(is_quiet(&peer));
        let (_, request, _) = asked(&mut peer, &id, kind);
        assert_eq!(request.transaction, 0);
    }
}

#[test]
fn a_connection_that_took_no_part_recovers_and_ends_what_is_prepared() {
    let mut peer = Peer::connected();
    let recover = Command::TransactionInfo(TransactionInfo {
        transaction_id: None,
        kind: TransactionInfo::RECOVER,
        ..TransactionInfo::default()
    });
    let command = peer.ask(recover);
    let request = next(&mut peer);
    let Verb::Query(query) = &request.verb else { panic!("{request:?}") };
    assert_eq!(**query, Query::Prepared { all: false });
    let mut told = Vec::new();
    for number in [1, 2] {
        fields::put(&mut told, fields::number::BRANCH, &branch(number).to_bytes());
        fields::put(&mut told, fields::number::COUNT, &[0; 8]);
    }
    peer.told(&request, told);
    let Command::DataArrayResponse(response) = peer.take_command() else { panic!("no list") };
    let id = |number| DataStructure::Id(ObjectId::Transaction(xid(number)));
    assert_eq!((response.correlation_id, response.data), (command, Some(vec![id(1), id(2)])));
    for (kind, expected) in [
        (TransactionInfo::COMMIT_TWO_PHASE, BranchAct::Commit),
        (TransactionInfo::ROLLBACK, BranchAct::Rollback),
        (TransactionInfo::FORGET, BranchAct::Rollback),
        (TransactionInfo::COMMIT_ONE_PHASE, BranchAct::CommitOnePhase),
    ] {
        let (command, request, act) = asked(&mut peer, &xid(1), kind);
        assert_eq!((act, request.transaction), (expected, 0));
        peer.done(&request);
        assert_eq!(peer.take_response(), command);
    }
}

#[test]
fn every_refusal_has_a_code_that_transaction_managers_know_at_the_very_end_of_its_text() {
    for reason in Reason::ALL {
        let expected = match reason {
            Reason::RolledBack => 100,
            Reason::NotFound => -4,
            Reason::Invalid => -6,
            Reason::Conflict => -8,
            Reason::Store | Reason::Stopping => -7,
            _ => -3,
        };
        let (mut peer, _, id) = begun();
        ended(&mut peer, &id);
        let (command, request, _) = asked(&mut peer, &id, TransactionInfo::PREPARE);
        peer.refuse(&request, reason, &"long ".repeat(1_000));
        assert_eq!(refusal(&mut peer), (Some(command), expected), "{reason:?}");
    }
}

#[test]
fn an_id_that_no_transaction_manager_makes_is_refused() {
    let mut peer = Peer::connected();
    let id = Arc::new(TransactionId::Xa(XaTransactionId {
        format_id: 1,
        global_transaction_id: [0; 65].into(),
        branch_qualifier: [].into(),
    }));
    for kind in (0..=7).filter(|kind| *kind != TransactionInfo::RECOVER) {
        let command = peer.ask(step(&id, kind));
        assert_eq!(refusal(&mut peer), (Some(command), -5));
    }
    assert!(is_quiet(&peer));
}

#[test]
fn what_is_prepared_is_not_begun_again() {
    let (mut peer, _, id) = begun();
    ended(&mut peer, &id);
    prepared(&mut peer, &id);
    let command = peer.ask(step(&id, TransactionInfo::BEGIN));
    assert_eq!(refusal(&mut peer), (Some(command), -8));
}
