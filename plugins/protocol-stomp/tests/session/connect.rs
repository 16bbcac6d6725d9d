// SPDX-License-Identifier: Apache-2.0
//! Versions, log-in, the end.

use crate::peer::Peer;
use sabir_model::verb::{Reason, Verb};
use sabir_sdk::protocol::{Attributes, Match, Protocol};

fn connect(peer: &mut Peer) -> sabir_model::verb::Connect {
    match peer.take().verb {
        Verb::Connect(connect) => *connect,
        other => panic!("{other:?}"),
    }
}

#[test]
fn connected_names_version_session_server_and_heart_beat() {
    let mut peer = Peer::new();
    peer.send(
        "CONNECT\naccept-version:1.0,1.1,1.2\nhost:h\nlogin:ann\npasscode:pass:word\nclient-id:desk\n\n\0",
    );
    assert_eq!(peer.text(), "");
    peer.answer_all();
    assert_eq!(
        peer.text(),
        "CONNECTED\nversion:1.2\nsession:c1\nserver:sabir/0.1.0\nheart-beat:1000,1000\n\n^@"
    );
    let connect = connect(&mut peer);
    assert_eq!(connect.user.as_deref(), Some("ann"));
    assert_eq!(connect.password.as_deref(), Some(&b"pass:word"[..]));
    assert_eq!(connect.client_id.as_deref(), Some("desk"));
    assert_eq!(connect.virtual_host, None);
    assert_eq!(connect.protocol, "stomp/1.2");
}

#[test]
fn without_accept_version_it_is_1_0_and_blanks_are_trimmed() {
    let mut peer = Peer::new();
    peer.send("CONNECT\nlogin: ann\npasscode: secret\n\n\0");
    peer.answer_all();
    assert_eq!(peer.text(), "CONNECTED\nversion:1.0\nsession:c1\nserver:sabir/0.1.0\n\n^@");
    let connect = connect(&mut peer);
    assert_eq!((connect.user.as_deref(), connect.password.as_deref()), (Some("ann"), Some(&b"secret"[..])));
}

#[test]
fn stomp_says_the_same_as_connect_and_lines_may_end_with_crlf() {
    let mut peer = Peer::new();
    peer.send("\r\nSTOMP\r\naccept-version:1.2\r\nhost:h\r\nlogin: ann \r\n\r\n\0");
    peer.answer_all();
    assert!(peer.text().contains("version:1.2\n"));
    assert_eq!(connect(&mut peer).user.as_deref(), Some(" ann "));
}

#[test]
fn connect_is_not_unescaped() {
    let mut peer = Peer::new();
    peer.send("CONNECT\naccept-version:1.2\nhost:h\nlogin:a\\nb\\\n\n\0");
    assert_eq!(connect(&mut peer).user.as_deref(), Some("a\\nb\\"));
}

#[test]
fn no_version_in_common_is_answered_with_the_supported_ones() {
    let mut peer = Peer::new();
    peer.send("CONNECT\naccept-version:9.9\nhost:h\n\n\0");
    let error = peer.expect_error("version:1.0,1.1,1.2\n");
    assert!(error.contains("supported versions are 1.0,1.1,1.2"));
    assert!(peer.requests.is_empty());
}

#[test]
fn a_refused_log_in_is_told_and_the_link_closes() {
    let mut peer = Peer::new();
    peer.send("CONNECT\naccept-version:1.2\nhost:h\n\n\0");
    let token = peer.take().token;
    peer.refuse(token, Reason::Unauthenticated, "wrong user name or password");
    peer.expect_error("message:wrong user name or password\n");
}

#[test]
fn a_second_connect_is_refused() {
    let mut peer = Peer::connected("1.2");
    peer.send("CONNECT\naccept-version:1.2\nhost:h\n\n\0");
    peer.expect_error("sent CONNECT before");
}

#[test]
fn the_host_header_chooses_the_virtual_host_only_if_the_setting_says_so() {
    for (config, host, wanted) in [
        ("{}", "tenant", None),
        (r#"{"host_header":"virtual-host"}"#, "tenant", Some("tenant")),
        (r#"{"host_header":"virtual-host"}"#, "/", None),
    ] {
        let mut peer = Peer::with(config, Default::default());
        peer.send(format!("CONNECT\naccept-version:1.2\nhost:{host}\n\n\0"));
        assert_eq!(connect(&mut peer).virtual_host.as_deref(), wanted);
    }
}

#[test]
fn frames_right_behind_connect_are_taken_up_to_a_limit_and_the_rest_after_log_in() {
    let mut peer = Peer::with(r#"{"login_pipeline_bytes": 100}"#, Default::default());
    peer.send("CONNECT\naccept-version:1.2\nhost:h\n\n\0");
    let frame = format!("SEND\ndestination:/queue/q\n\n{}\0", "x".repeat(40));
    for _ in 0..4 {
        peer.send(&frame);
    }
    assert_eq!(peer.requests.len(), 3, "{:?}", peer.requests);
    assert_eq!(peer.waiting(), frame.len() * 3);
    peer.answer_all();
    assert_eq!(peer.waiting(), 0);
    assert_eq!(peer.requests.len(), 6);
}

#[test]
fn disconnect_is_answered_when_all_before_it_was() {
    let mut peer = Peer::connected("1.2");
    peer.send("SEND\ndestination:/queue/q\npersistent:true\n\nx\0DISCONNECT\nreceipt:bye\n\n\0SEND\n\n\0");
    let _ = peer.take();
    let publish = peer.take();
    let disconnect = peer.take();
    assert!(matches!(disconnect.verb, Verb::Disconnect));
    assert!(peer.requests.is_empty());
    peer.done(disconnect.token);
    assert_eq!(peer.text(), "");
    assert!(!peer.closed);
    peer.done(publish.token);
    assert_eq!(peer.text(), "RECEIPT\nreceipt-id:bye\n\n^@");
    assert!(peer.closed);
}

#[test]
fn disconnect_without_receipt_closes_the_link() {
    let mut peer = Peer::connected("1.1");
    peer.send("DISCONNECT\n\n\0");
    peer.answer_all();
    assert_eq!(peer.text(), "");
    assert!(peer.closed);
}

#[test]
fn the_broker_can_end_a_session_with_a_reason() {
    let mut peer = Peer::connected("1.2");
    peer.close("the broker is stopping");
    peer.expect_error("the broker is stopping");
}

#[test]
fn stomp_is_recognised_by_its_first_line() {
    let stomp = sabir_protocol_stomp::Stomp::open(sabir_sdk::Host::none(), "{}").unwrap();
    let matches = |bytes: &[u8]| stomp.matches(bytes, Attributes::none());
    assert_eq!(matches(b"CONNECT\n"), Match::Yes);
    assert_eq!(matches(b"\n\r\nSTOMP\r\nx"), Match::Yes);
    assert_eq!(matches(b"SEND\n"), Match::Yes);
    assert_eq!(matches(b""), Match::NeedMore);
    assert_eq!(matches(b"CONN"), Match::NeedMore);
    assert_eq!(matches(b"CONNECT\r"), Match::NeedMore);
    assert_eq!(matches(b"CONNECT x HTTP/1.1"), Match::No);
    assert_eq!(matches(b"GET / HTTP/1.1\r\n"), Match::No);
    assert_eq!(matches(b"MESSAGE\n"), Match::No);
    assert_eq!(matches(&[b'\n'; 100]), Match::No);
    assert_eq!(matches(b"\0\0\0\x12\x01ActiveMQ"), Match::No);
    assert_eq!(matches(b"AMQP\0\0\x09\x01"), Match::No);
}
