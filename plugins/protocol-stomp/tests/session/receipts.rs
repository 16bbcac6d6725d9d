// SPDX-License-Identifier: Apache-2.0
//! Receipts: when, and in which order.

use crate::peer::Peer;
use sabir_model::verb::{Reason, Verb};

#[test]
fn a_receipt_is_sent_when_the_broker_has_confirmed_and_not_before() {
    let mut peer = Peer::connected("1.2");
    peer.send("SEND\ndestination:/queue/q\nreceipt:a\\n1\n\n\0");
    assert!(!peer.take().confirm);
    let publish = peer.take();
    assert!(publish.confirm);
    assert_eq!(peer.text(), "");
    peer.done(publish.token);
    assert_eq!(peer.text(), "RECEIPT\nreceipt-id:a\\n1\n\n^@");
}

#[test]
fn receipts_leave_in_the_order_of_frames_whatever_the_order_of_replies() {
    let mut peer = Peer::connected("1.2");
    for name in ["1", "2", "3"] {
        peer.send(format!("SEND\ndestination:/queue/q\nreceipt:{name}\n\n\0"));
    }
    let tokens: Vec<u64> =
        peer.requests.iter().filter(|request| request.confirm).map(|request| request.token).collect();
    peer.done(tokens[2]);
    peer.done(tokens[1]);
    assert_eq!(peer.text(), "");
    peer.done(tokens[0]);
    assert_eq!(
        peer.text(),
        "RECEIPT\nreceipt-id:1\n\n^@RECEIPT\nreceipt-id:2\n\n^@RECEIPT\nreceipt-id:3\n\n^@"
    );
}

#[test]
fn a_receipt_covers_persistent_messages_sent_before_without_one() {
    let mut peer = Peer::connected("1.2");
    peer.send("SEND\ndestination:/queue/q\npersistent:true\n\n\0BEGIN\ntransaction:t\nreceipt:r\n\n\0");
    let _ = peer.take();
    let publish = peer.take();
    let begin = peer.take();
    assert!(publish.confirm && begin.confirm);
    peer.done(begin.token);
    assert_eq!(peer.text(), "");
    peer.done(publish.token);
    assert_eq!(peer.text(), "RECEIPT\nreceipt-id:r\n\n^@");
}

#[test]
fn messages_that_nothing_waits_for_are_not_confirmed() {
    let mut peer = Peer::connected("1.2");
    peer.send("SEND\ndestination:/queue/q\n\n\0BEGIN\ntransaction:t\n\n\0");
    peer.send("SEND\ndestination:/queue/q\npersistent:true\ntransaction:t\n\n\0");
    assert!(peer.requests.iter().all(|request| !request.confirm));
}

#[test]
fn a_receipt_covers_a_commit_before_it_that_asked_for_none() {
    let mut peer = Peer::connected("1.2");
    peer.send("BEGIN\ntransaction:t\n\n\0COMMIT\ntransaction:t\n\n\0BEGIN\ntransaction:u\nreceipt:r\n\n\0");
    let _ = peer.take();
    let (commit, begin) = (peer.take(), peer.take());
    peer.done(begin.token);
    assert_eq!(peer.text(), "");
    peer.done(commit.token);
    assert_eq!(peer.text(), "RECEIPT\nreceipt-id:r\n\n^@");
}

#[test]
fn every_command_can_have_a_receipt() {
    let mut peer = Peer::connected("1.2");
    for frame in [
        "SUBSCRIBE\nid:1\ndestination:/queue/q\nack:client\nreceipt:r\n\n\0",
        "BEGIN\ntransaction:t\nreceipt:r\n\n\0",
        "ACK\nid:1-1\nreceipt:r\n\n\0",
        "NACK\nid:1-2\nreceipt:r\n\n\0",
        "COMMIT\ntransaction:t\nreceipt:r\n\n\0",
        "BEGIN\ntransaction:t\nreceipt:r\n\n\0",
        "ABORT\ntransaction:t\nreceipt:r\n\n\0",
        "UNSUBSCRIBE\nid:1\nreceipt:r\n\n\0",
        "DISCONNECT\nreceipt:r\n\n\0",
    ] {
        peer.send(frame);
        let request = peer.take();
        assert!(request.confirm, "{frame}");
        assert_eq!(peer.text(), "", "{frame}");
        peer.done(request.token);
        assert_eq!(peer.text(), "RECEIPT\nreceipt-id:r\n\n^@", "{frame}");
    }
}

#[test]
fn too_many_receipts_at_once_are_refused() {
    let mut peer = Peer::logged_in("1.2", "", r#"{"max_pending_receipts": 3}"#);
    for name in 0..4 {
        peer.send(format!("SEND\ndestination:/queue/q\nreceipt:{name}\n\n\0"));
    }
    let error = peer.expect_error("max_pending_receipts is 3");
    assert!(error.contains("receipt-id:3\n"));
    assert_eq!(peer.requests.iter().filter(|request| matches!(request.verb, Verb::Publish(_))).count(), 3);
}

#[test]
fn after_an_error_nothing_more_is_written_or_asked() {
    let mut peer = Peer::connected("1.2");
    peer.send("SEND\ndestination:/queue/q\nreceipt:1\n\n\0SEND\ndestination:/queue/q\nreceipt:2\n\n\0");
    let tokens: Vec<u64> =
        peer.requests.drain(..).filter(|request| request.confirm).map(|request| request.token).collect();
    peer.refuse(tokens[0], Reason::Full, "queue://q is full");
    peer.expect_error("receipt-id:1\n");
    peer.done(tokens[1]);
    peer.send("SEND\ndestination:/queue/q\nreceipt:3\n\n\0");
    assert_eq!(peer.text(), "");
    assert!(peer.requests.is_empty());
    assert_eq!(peer.waiting(), 0);
}
