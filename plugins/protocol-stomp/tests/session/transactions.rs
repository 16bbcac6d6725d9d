// SPDX-License-Identifier: Apache-2.0
//! `BEGIN`, `COMMIT`, `ABORT`.

use crate::peer::{Peer, Sample};
use sabir_model::verb::{Outcome, Reason, Settle, SettleRange, Transact, Verb};

#[test]
fn what_is_done_in_a_transaction_carries_its_number() {
    let mut peer = Peer::connected("1.2");
    peer.send("SUBSCRIBE\nid:s\ndestination:/queue/q\nack:client-individual\n\n\0");
    let _ = peer.take();
    peer.send("BEGIN\ntransaction:a\n\n\0BEGIN\ntransaction:b\n\n\0");
    assert_eq!((peer.take().transaction, peer.take().transaction), (1, 2));
    peer.deliver(&[Sample::text("x").to(1, 7)]);
    peer.send("ACK\nid:1-7\ntransaction:b\n\n\0SEND\ndestination:/queue/q\ntransaction:a\n\n\0");
    assert_eq!(peer.take().transaction, 2);
    assert_eq!(peer.take().transaction, 0);
    assert_eq!(peer.take().transaction, 1);
    peer.send("COMMIT\ntransaction:b\n\n\0ABORT\ntransaction:a\n\n\0");
    let commit = peer.take();
    assert!(matches!(commit.verb, Verb::Transact(Transact::Commit)) && commit.transaction == 2);
    let abort = peer.take();
    assert!(matches!(abort.verb, Verb::Transact(Transact::Rollback)) && abort.transaction == 1);
}

#[test]
fn a_name_can_be_used_again_once_its_transaction_has_ended() {
    let mut peer = Peer::connected("1.2");
    peer.send("BEGIN\ntransaction:t\n\n\0COMMIT\ntransaction:t\n\n\0BEGIN\ntransaction:t\n\n\0");
    let numbers: Vec<u64> = peer.requests.iter().map(|request| request.transaction).collect();
    assert_eq!(numbers, [1, 1, 2]);
}

#[test]
fn transactions_that_are_not_open_or_open_already_are_refused() {
    for (frames, words) in [
        ("COMMIT\ntransaction:t\nreceipt:r\n\n\0", "no such transaction"),
        ("ABORT\ntransaction:t\nreceipt:r\n\n\0", "no such transaction"),
        ("BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:t\nreceipt:r\n\n\0", "open already"),
        ("BEGIN\nreceipt:r\n\n\0", "no header transaction"),
        ("COMMIT\nreceipt:r\n\n\0", "no header transaction"),
    ] {
        let mut peer = Peer::connected("1.1");
        peer.send(frames);
        let error = peer.expect_error(words);
        assert!(error.contains("receipt-id:r\n"), "{error}");
    }
}

#[test]
fn a_commit_that_the_broker_rolled_back_is_told() {
    let mut peer = Peer::connected("1.2");
    peer.send("BEGIN\ntransaction:t\n\n\0COMMIT\ntransaction:t\nreceipt:r\n\n\0");
    let token = peer.requests[1].token;
    peer.refuse(token, Reason::RolledBack, "the store is full");
    let error = peer.expect_error("message:the transaction was rolled back\n");
    assert!(error.contains("receipt-id:r\n") && error.contains("the store is full"));
}

#[test]
fn what_an_aborted_transaction_acknowledged_can_be_acknowledged_again() {
    let mut peer = Peer::connected("1.1");
    peer.send("SUBSCRIBE\nid:s\ndestination:/queue/q\nack:client\n\n\0");
    peer.deliver(&[Sample::text("x").to(1, 7)]);
    peer.send("BEGIN\ntransaction:t\n\n\0ACK\nmessage-id:m-1\nsubscription:s\ntransaction:t\n\n\0");
    peer.send("ABORT\ntransaction:t\n\n\0");
    peer.requests.clear();
    peer.send("ACK\nmessage-id:m-1\nsubscription:s\n\n\0");
    let Verb::Settle(settle) = peer.take().verb else { panic!() };
    assert_eq!(settle, Settle { range: SettleRange::UpTo(7), outcome: Outcome::Accept });
}
