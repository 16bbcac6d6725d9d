// SPDX-License-Identifier: Apache-2.0
//! Agreeing, logging in, leaving.

use crate::peer::{CONNECTION, Peer, connection_info, consumer_info, session_info};
use sabir_model::verb::{Reason, Verb};
use sabir_protocol_openwire::codec::{
    Command, ConnectionControl, ConnectionId, ConnectionInfo, DestinationKind, FlushCommand, KeepAliveInfo,
    ObjectId, RemoveInfo, SessionId, ShutdownInfo,
};
use sabir_sdk::protocol::Capacities;
use std::sync::Arc;

fn login(info: ConnectionInfo) -> Command {
    Command::ConnectionInfo(Box::new(info))
}

#[test]
fn both_ends_say_at_once_what_they_speak_and_the_broker_then_who_it_is() {
    let mut peer = Peer::new();
    let Command::WireFormatInfo(info) = peer.take_command() else { panic!("no WireFormatInfo") };
    assert_eq!((info.version, info.tight_encoding_enabled(), info.cache_size()), (12, true, 1024));
    assert_eq!(peer.next_command(), None);
    for version in 1..=12 {
        let mut peer = Peer::negotiated("{}", version, Capacities::default());
        assert_eq!(peer.next_command(), None);
        peer.ask(login(connection_info()));
        let Verb::Connect(connect) = peer.take().verb else { panic!("no log-in") };
        assert_eq!(connect.protocol, format!("openwire/{version}"));
        assert_eq!(connect.client_id.as_deref(), Some("desk"));
        assert_eq!(connect.password.as_deref(), Some(&b"secret"[..]));
        assert!(connect.exclusive_client_id && !connect.take_over);
    }
}

#[test]
fn a_client_that_comes_back_takes_its_name_over_and_is_told_how_connections_are_managed() {
    let mut peer = Peer::negotiated("{}", 12, Capacities::default());
    peer.send(Command::ConnectionControl(ConnectionControl {
        fault_tolerant: true,
        ..ConnectionControl::default()
    }));
    let info = ConnectionInfo { failover_reconnect: true, manageable: true, ..connection_info() };
    let id = peer.ask(login(info));
    let request = peer.take();
    assert!(matches!(&request.verb, Verb::Connect(connect) if connect.take_over));
    peer.done(&request);
    assert_eq!(peer.take_response(), id);
    assert!(matches!(peer.take_command(), Command::ConnectionControl(_)));
}

#[test]
fn clients_that_follow_several_brokers_are_told_where_this_one_is_only_if_so_configured() {
    for (config, told) in [("{}", false), (r#"{"update_cluster_clients": true}"#, true)] {
        let mut peer = Peer::with(config, Capacities::default());
        let Command::WireFormatInfo(theirs) = peer.take_command() else { panic!("no WireFormatInfo") };
        peer.agree(12, &theirs);
        let Command::BrokerInfo(broker) = peer.take_command() else { panic!("no BrokerInfo") };
        let id = peer.ask(login(ConnectionInfo { manageable: true, ..connection_info() }));
        let request = peer.take();
        peer.done(&request);
        assert_eq!(peer.take_response(), id);
        let Command::ConnectionControl(control) = peer.take_command() else { panic!("no ConnectionControl") };
        let expected = if told { broker.broker_url.unwrap() } else { Box::default() };
        assert_eq!(control.connected_brokers, Some(expected));
    }
}

#[test]
fn a_refused_log_in_is_told_with_the_exception_that_clients_look_for() {
    for (reason, class) in [
        (Reason::Unauthenticated, "java.lang.SecurityException"),
        (Reason::Conflict, "javax.jms.InvalidClientIDException"),
    ] {
        let mut peer = Peer::negotiated("{}", 12, Capacities::default());
        let id = peer.ask(login(connection_info()));
        let request = peer.take();
        peer.refuse(&request, reason, "no");
        assert_eq!(peer.take_exception(), (Some(id), class.to_owned(), "no".to_owned()));
    }
}

#[test]
fn what_comes_before_log_in_is_refused_and_ends_the_link() {
    for command in [
        Command::FlushCommand(FlushCommand::default()),
        session_info(1),
        Command::ConsumerInfo(Box::new(consumer_info(1, DestinationKind::Queue, "Q", 1))),
    ] {
        let mut peer = Peer::negotiated("{}", 12, Capacities::default());
        let id = peer.ask(command);
        let (told, class, _) = peer.take_exception();
        assert_eq!((told, &*class), (Some(id), "java.lang.SecurityException"));
        assert!(peer.closed && peer.requests.is_empty());
    }
}

#[test]
fn a_stranger_that_says_it_shuts_down_shuts_its_own_link() {
    let mut peer = Peer::negotiated("{}", 12, Capacities::default());
    peer.send(Command::ShutdownInfo(ShutdownInfo::default()));
    assert!(peer.closed && peer.requests.is_empty());
}

#[test]
fn signs_of_life_are_answered_if_asked_for() {
    let mut peer = Peer::connected();
    peer.send(Command::KeepAliveInfo(KeepAliveInfo::default()));
    assert_eq!(peer.next_command(), None);
    peer.ask(Command::KeepAliveInfo(KeepAliveInfo::default()));
    assert!(matches!(peer.take_command(), Command::KeepAliveInfo(info) if !info.response_required));
}

#[test]
fn what_belongs_to_no_session_of_this_link_is_refused() {
    let mut peer = Peer::connected();
    for (connection, session) in [("ID:other-1:1", 1), (CONNECTION, 2)] {
        let mut info = consumer_info(1, DestinationKind::Queue, "Q", 1);
        let id = Arc::make_mut(info.consumer_id.as_mut().unwrap());
        id.connection_id = connection.into();
        id.session_id = session;
        peer.ask(Command::ConsumerInfo(Box::new(info)));
        assert_eq!(peer.take_exception().1, "javax.jms.IllegalStateException");
        assert!(peer.requests.is_empty() && !peer.closed);
    }
}

#[test]
fn a_client_leaves_in_order_and_the_link_waits_for_its_farewell() {
    let mut peer = Peer::connected();
    peer.consumer(1, "Q", 10);
    let connection = ObjectId::Connection(Arc::new(ConnectionId { value: CONNECTION.into() }));
    let remove = RemoveInfo {
        object_id: Some(connection),
        last_delivered_sequence_id: RemoveInfo::NONE_DELIVERED,
        ..RemoveInfo::default()
    };
    let id = peer.ask(Command::RemoveInfo(remove));
    let verbs: Vec<_> = peer.requests.iter().map(|request| &request.verb).collect();
    assert!(matches!(verbs[..], [Verb::Settle(_), Verb::Unsubscribe { forget: false }, Verb::Disconnect]));
    peer.done_all();
    assert_eq!(peer.take_response(), id);
    assert!(!peer.closed);
    peer.send(session_info(2));
    assert_eq!(peer.take_exception().1, "javax.jms.IllegalStateException");
    peer.send(Command::ShutdownInfo(ShutdownInfo::default()));
    assert!(peer.closed && peer.requests.is_empty());
}

#[test]
fn a_link_whose_client_has_left_does_not_stay_for_ever() {
    let mut peer = Peer::connected();
    let connection = ObjectId::Connection(Arc::new(ConnectionId { value: CONNECTION.into() }));
    peer.ask(Command::RemoveInfo(RemoveInfo { object_id: Some(connection), ..RemoveInfo::default() }));
    peer.done_all();
    peer.advance(10_000);
    assert!(peer.closed);
}

#[test]
fn the_end_of_a_session_ends_what_it_has() {
    let mut peer = Peer::connected();
    peer.consumer(1, "Q", 10);
    peer.consumer(2, "R", 10);
    let id = SessionId { connection_id: CONNECTION.into(), value: 1 };
    let remove = RemoveInfo { object_id: Some(ObjectId::Session(Arc::new(id))), ..RemoveInfo::default() };
    let command = peer.ask(Command::RemoveInfo(remove));
    let ended: Vec<u64> = peer
        .requests
        .iter()
        .filter(|request| matches!(request.verb, Verb::Unsubscribe { .. }))
        .map(|request| request.id)
        .collect();
    assert_eq!(ended, [1, 2]);
    assert_eq!(peer.take_response(), command);
}

#[test]
fn the_broker_ends_a_session_with_words() {
    let mut peer = Peer::connected();
    peer.close("the broker is stopping\r\n");
    let (_, _, text) = peer.take_exception();
    assert_eq!(text, "the broker closes the connection: the broker is stopping\u{fffd}\u{fffd}");
    assert!(peer.closed);
}

#[test]
fn what_is_sent_behind_the_log_in_is_taken_up_to_a_limit_and_the_rest_when_it_was_answered() {
    let mut peer = Peer::negotiated(r#"{"login_pipeline_bytes": 60}"#, 12, Capacities::default());
    peer.ask(login(connection_info()));
    for session in 1..10 {
        peer.send(session_info(session));
    }
    assert!(peer.waiting() > 0);
    let request = peer.take();
    peer.done(&request);
    assert_eq!(peer.waiting(), 0);
}

#[test]
fn a_client_without_an_id_of_its_own_asks_for_none_that_is_nobody_elses() {
    for failover_reconnect in [false, true] {
        let mut peer = Peer::negotiated("{}", 12, Capacities::default());
        let info = ConnectionInfo { client_id: None, failover_reconnect, ..connection_info() };
        peer.send(login(info));
        let Verb::Connect(connect) = peer.take().verb else { panic!("no log-in") };
        assert!(!connect.exclusive_client_id && !connect.take_over && connect.client_id.is_none());
    }
}

#[test]
fn whoever_was_refused_is_a_stranger_and_may_try_again() {
    let mut peer = Peer::negotiated("{}", 12, Capacities::default());
    let wrong = peer.ask(login(connection_info()));
    // Not known yet: nothing is confirmed.
    let again = peer.ask(login(connection_info()));
    assert_eq!(peer.take_exception().0, Some(again));
    let request = peer.take();
    peer.refuse(&request, Reason::Unauthenticated, "no");
    assert_eq!(peer.take_exception().0, Some(wrong));
    let right = peer.ask(login(connection_info()));
    let request = peer.take();
    assert!(matches!(request.verb, Verb::Connect(_)));
    peer.done(&request);
    assert_eq!(peer.take_response(), right);
    let again = peer.ask(login(connection_info()));
    assert_eq!(peer.take_response(), again);
    assert!(peer.requests.is_empty());
    let mut peer = Peer::negotiated("{}", 12, Capacities::default());
    peer.ask(login(connection_info()));
    let request = peer.take();
    peer.refuse(&request, Reason::Unauthenticated, "no");
    peer.take_exception();
    peer.send(session_info(1));
    assert!(peer.take_exception().2.contains("before log-in") && peer.closed);
}

#[test]
fn a_long_frame_behind_a_log_in_that_is_refused_is_gathered_no_further() {
    let mut peer = Peer::negotiated("{}", 12, Capacities::default());
    peer.ask(login(connection_info()));
    let request = peer.take();
    peer.send_bytes(&[&(5u32 << 20).to_be_bytes()[..], &[28; 100_000]].concat());
    assert_eq!(peer.waiting(), 0);
    peer.refuse(&request, Reason::Unauthenticated, "no");
    peer.take_exception();
    peer.send_bytes(&[28; 1000]);
    assert!(peer.take_exception().2.contains("login_frame_bytes") && peer.closed);
}

#[test]
fn a_stranger_has_few_words() {
    let mut peer = Peer::negotiated(r#"{"max_login_commands": 3}"#, 12, Capacities::default());
    for _ in 0..3 {
        peer.ask(Command::KeepAliveInfo(KeepAliveInfo::default()));
        assert!(matches!(peer.take_command(), Command::KeepAliveInfo(_)));
    }
    peer.send(Command::KeepAliveInfo(KeepAliveInfo::default()));
    assert!(peer.take_exception().2.contains("max_login_commands, which is 3"));
    assert!(peer.closed);
}
