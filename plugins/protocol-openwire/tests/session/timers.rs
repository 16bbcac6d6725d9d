// SPDX-License-Identifier: Apache-2.0
//! Signs of life and time-outs.

use crate::peer::{Peer, text_message};
use sabir_protocol_openwire::codec::{Command, KeepAliveInfo};
use sabir_sdk::protocol::Capacities;

#[test]
fn who_does_not_log_in_in_time_is_told_and_left() {
    let mut peer = Peer::with(r#"{"connect_timeout_ms": 500}"#, Capacities::default());
    assert_eq!(peer.deadline_ms(), Some(500));
    peer.advance(499);
    assert!(!peer.closed);
    peer.advance(1);
    assert!(peer.closed);
    let mut peer = Peer::negotiated("{}", 12, Capacities::default());
    peer.advance(15_000);
    assert!(peer.closed);
}

#[test]
fn the_broker_gives_signs_of_life_while_it_has_nothing_else_to_say() {
    let mut peer = Peer::connected();
    peer.take_commands();
    assert_eq!(peer.deadline_ms(), Some(10_000));
    peer.advance(10_000);
    assert!(matches!(peer.take_command(), Command::KeepAliveInfo(info) if !info.response_required));
    assert_eq!(peer.deadline_ms(), Some(20_000));
}

#[test]
fn a_silent_peer_is_left_and_half_a_frame_is_no_silence() {
    let mut peer = Peer::connected();
    peer.advance(20_000);
    peer.send(Command::KeepAliveInfo(KeepAliveInfo::default()));
    peer.advance(20_000);
    assert!(!peer.closed);
    peer.send_bytes(&[0, 0]);
    peer.advance(29_999);
    assert!(!peer.closed);
    peer.advance(1);
    assert!(peer.closed);
}

#[test]
fn a_frame_that_is_begun_goes_on_or_the_link_ends() {
    let mut peer = Peer::logged_in(r#"{"frame_timeout_ms": 1000}"#, 12, Capacities::default());
    let message = text_message(1, 1, "Q", &"x".repeat(1_000_000));
    let frame = peer.frame(Command::Message(Box::new(message)));
    peer.send_bytes(&frame[..70_000]);
    peer.advance(999);
    peer.send_bytes(&[0; 10]);
    peer.advance(999);
    assert!(!peer.closed);
    peer.advance(1);
    assert!(peer.closed);
}

#[test]
fn while_we_hold_back_what_a_peer_sends_its_silence_says_nothing() {
    let mut peer = Peer::connected();
    peer.flow(true);
    peer.advance(100_000);
    assert!(!peer.closed);
    peer.flow(false);
    peer.advance(29_999);
    assert!(!peer.closed);
    peer.advance(1);
    assert!(peer.closed);
}
