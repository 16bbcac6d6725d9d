// SPDX-License-Identifier: Apache-2.0
//! Heart-beats and time-outs, in virtual time.

use crate::peer::Peer;

#[test]
fn without_heart_beats_a_connection_may_be_silent_for_ever() {
    let mut peer = Peer::connected("1.2");
    assert_eq!(peer.deadline_ms(), None);
    peer.advance(100_000_000);
    assert_eq!(peer.text(), "");
}

#[test]
fn a_line_end_is_sent_when_nothing_else_was_within_the_interval() {
    let mut peer = Peer::logged_in("1.2", "heart-beat:0,4000\n", "{}");
    assert_eq!(peer.deadline_ms(), Some(3000));
    peer.advance(2999);
    assert_eq!(peer.text(), "");
    peer.advance(1);
    assert_eq!(peer.text(), "\n");
    assert_eq!(peer.deadline_ms(), Some(6000));
    peer.advance(2000);
    peer.send("BEGIN\ntransaction:t\nreceipt:r\n\n\0");
    peer.answer_all();
    assert_eq!(peer.text(), "RECEIPT\nreceipt-id:r\n\n^@");
    assert_eq!(peer.deadline_ms(), Some(8000));
}

#[test]
fn a_client_that_promised_heart_beats_and_falls_silent_is_gone() {
    let mut peer = Peer::logged_in("1.2", "heart-beat:5000,0\n", "{}");
    peer.advance(9999);
    peer.send("\n");
    peer.advance(9999);
    assert_eq!(peer.text(), "");
    peer.advance(1);
    peer.expect_error("nothing came from the client");
}

#[test]
fn the_interval_is_never_shorter_than_the_setting() {
    let peer = Peer::logged_in("1.1", "heart-beat:1,1\n", r#"{"heartbeat_min_ms": 2000}"#);
    assert_eq!(peer.deadline_ms(), Some(1500));
}

#[test]
fn silence_is_not_held_against_a_client_while_nothing_is_read_from_it() {
    let mut peer = Peer::logged_in("1.2", "heart-beat:5000,0\n", "{}");
    peer.advance(4000);
    peer.flow(true);
    assert_eq!(peer.deadline_ms(), None);
    peer.advance(60_000);
    assert_eq!(peer.text(), "");
    peer.flow(false);
    assert_eq!(peer.deadline_ms(), Some(74_000));
    peer.advance(10_000);
    peer.expect_error("nothing came from the client");
}

#[test]
fn half_a_frame_and_then_silence_ends_the_connection() {
    for half in ["SEND\ndestination:/queue/q", "SEND\ndestination:/queue/q\n\nabc", "S"] {
        let mut peer = Peer::connected("1.2");
        peer.send(half);
        peer.advance(29_999);
        assert_eq!(peer.text(), "");
        peer.advance(1);
        peer.expect_error("frame_timeout_ms");
    }
}

#[test]
fn half_a_body_in_pieces_and_then_silence_ends_the_connection() {
    let mut peer = Peer::connected("1.2");
    peer.send("SEND\ndestination:/queue/q\ncontent-length:200000\n\n");
    peer.send([b'x'; 100_000]);
    peer.advance(30_000);
    peer.expect_error("frame_timeout_ms");
}

#[test]
fn a_client_that_does_not_log_in_in_time_is_closed_whatever_it_sends() {
    let mut peer = Peer::new();
    assert_eq!(peer.deadline_ms(), Some(2000));
    for _ in 0..19 {
        peer.advance(100);
        peer.send("\n");
    }
    peer.send("CONNECT\nhost:");
    assert_eq!(peer.text(), "");
    peer.advance(100);
    peer.expect_error("connect_timeout_ms");
    assert_eq!(peer.deadline_ms(), None);
}

#[test]
fn heart_beats_count_only_once_the_log_in_is_answered() {
    let mut peer = Peer::new();
    peer.send("CONNECT\naccept-version:1.2\nhost:h\nheart-beat:1000,1000\n\n\0");
    peer.advance(5000);
    assert_eq!(peer.text(), "");
    peer.answer_all();
    assert!(peer.text().starts_with("CONNECTED\n"));
    // Both intervals begin now, however long the log-in took.
    assert_eq!(peer.deadline_ms(), Some(5750));
    peer.advance(1999);
    assert_eq!(peer.text(), "\n");
    peer.advance(1);
    peer.expect_error("nothing came from the client");
}

#[test]
fn a_client_whose_connect_is_not_read_is_not_given_up() {
    let mut peer = Peer::new();
    peer.flow(true);
    assert_eq!(peer.deadline_ms(), None);
    peer.flow(false);
    assert_eq!(peer.deadline_ms(), Some(2000));
}

#[test]
fn a_session_that_has_ended_waits_for_nothing() {
    let mut peer = Peer::logged_in("1.2", "heart-beat:1000,1000\n", "{}");
    peer.send("DISCONNECT\nreceipt:r\n\n\0");
    peer.answer_all();
    assert_eq!(peer.text(), "RECEIPT\nreceipt-id:r\n\n^@");
    assert_eq!(peer.deadline_ms(), None);
    peer.close("too late");
    assert_eq!(peer.text(), "");
}
