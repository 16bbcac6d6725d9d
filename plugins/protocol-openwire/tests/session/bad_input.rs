// SPDX-License-Identifier: Apache-2.0
//! What peers must not send.

use crate::peer::{Peer, connection_info};
use proptest::prelude::*;
use sabir_protocol_openwire::codec::{
    BrokerInfo, Command, ControlCommand, MessageDispatchNotification, PartialCommand, ReplayCommand,
    WireFormatInfo,
};
use sabir_sdk::protocol::Capacities;

#[test]
fn what_is_not_openwire_ends_the_link() {
    let info = |bytes: &[u8]| {
        let mut frame = (bytes.len() as u32 + 1).to_be_bytes().to_vec();
        frame.push(1);
        frame.extend_from_slice(bytes);
        frame
    };
    for bytes in [
        info(b"ActiveXX\0\0\0\x0c\0"),
        info(b"ActiveMQ\0\0\0\0\0"),
        info(b"ActiveMQ\0\0\0\x0c\x01\x7f\xff\xff\xff"),
        vec![0xff; 20],
        vec![0, 0, 0, 0],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        let mut peer = Peer::new();
        peer.take_command();
        peer.send_bytes(&bytes);
        assert!(peer.closed, "{bytes:?}");
        assert!(peer.requests.is_empty());
    }
}

#[test]
fn a_long_frame_before_log_in_ends_the_link() {
    for mut peer in [Peer::new(), Peer::negotiated("{}", 12, Capacities::default())] {
        peer.take_commands();
        peer.send_bytes(&100_000u32.to_be_bytes());
        assert!(peer.closed);
    }
}

#[test]
fn the_wire_format_is_agreed_once() {
    let mut peer = Peer::connected();
    peer.send(Command::WireFormatInfo(Box::new(WireFormatInfo::preferred())));
    assert!(peer.closed);
}

#[test]
fn a_flood_of_introductions_ends_the_link_before_and_after_log_in() {
    for mut peer in [Peer::negotiated("{}", 12, Capacities::default()), Peer::connected()] {
        for _ in 0..17 {
            assert!(!peer.closed);
            peer.send(Command::BrokerInfo(Box::default()));
        }
        assert!(peer.closed);
        assert!(peer.requests.is_empty());
    }
}

#[test]
fn orders_and_messages_of_other_brokers_are_answered_with_a_refusal() {
    // Its half of a bridge is wanted before the log-in or not at all.
    let duplex = BrokerInfo { network_connection: true, duplex_connection: true, ..BrokerInfo::default() };
    for command in [
        Command::ControlCommand(ControlCommand { command: Some("shutdown".into()), ..Default::default() }),
        Command::MessageDispatch(Box::default()),
        Command::MessageDispatchNotification(MessageDispatchNotification::default()),
        Command::BrokerInfo(Box::new(duplex)),
    ] {
        let mut peer = Peer::connected();
        let id = peer.ask(command);
        assert_eq!(peer.take_exception().0, Some(id));
        assert!(!peer.closed && peer.requests.is_empty());
    }
}

#[test]
fn what_is_for_datagrams_ends_the_link() {
    for command in
        [Command::ReplayCommand(ReplayCommand::default()), Command::PartialCommand(PartialCommand::default())]
    {
        let mut peer = Peer::connected();
        peer.send(command);
        assert!(peer.closed);
    }
}

#[test]
fn a_second_connection_on_a_link_is_refused() {
    let mut peer = Peer::connected();
    let again = peer.ask(Command::ConnectionInfo(Box::new(connection_info())));
    assert_eq!(peer.take_response(), again);
    let mut other = connection_info();
    std::sync::Arc::make_mut(other.connection_id.as_mut().unwrap()).value = "ID:other".into();
    peer.ask(Command::ConnectionInfo(Box::new(other)));
    peer.take_exception();
    assert!(!peer.closed && peer.requests.is_empty());
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300), logged_in: bool) {
        let mut peer = if logged_in { Peer::connected() } else { Peer::new() };
        let mut frame = (bytes.len() as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(&bytes);
        peer.send_bytes(&frame);
    }

    #[test]
    fn any_type_of_command_with_any_body_is_survived(
        code in 0u8..=130,
        bits in proptest::collection::vec(any::<u8>(), 0..8),
        bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..120),
    ) {
        let mut peer = Peer::connected();
        let mut body = vec![code, bits.len() as u8];
        body.extend_from_slice(&bits);
        body.extend_from_slice(&bytes);
        let mut frame = (body.len() as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(&body);
        peer.send_bytes(&frame);
    }
}
