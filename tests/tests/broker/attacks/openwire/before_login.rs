// SPDX-License-Identifier: Apache-2.0
//! One client that has not logged in.

use super::client::{Client, Wire};
use super::{Attack, End, MIB, check_log, frame, once, witness_beside};
use crate::data;
use sabir_protocol_openwire::codec::map::{self, Value};
use sabir_protocol_openwire::codec::{
    BrokerInfo, Command, ConnectionControl, ConnectionError, ControlCommand, ExceptionResponse,
    KeepAliveInfo, RemoveInfo, SessionInfo, ShutdownInfo, Throwable, WireFormatInfo,
};
use sabir_tests::process::Broker;
use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// What all of a connection may cost before its log-in.
const MEMORY_BOUND: u64 = MIB;

#[test]
fn first_frames_that_no_client_sends_are_refused() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut witness = witness_beside(&broker);
    for attack in first_frames() {
        let what = attack.what;
        let client = Client::link(&broker);
        witness.during(what, MEMORY_BOUND, || attack.run(client));
    }
    check_log(&broker, 60);
}

/// A first frame with this version and these bytes for properties.
fn first(version: i32, properties: &[u8]) -> Vec<u8> {
    let mut body = b"\x01ActiveMQ".to_vec();
    body.extend_from_slice(&version.to_be_bytes());
    body.extend_from_slice(properties);
    frame(&body)
}

/// A first frame with this many bytes for properties, which are there.
fn first_with(map: &[u8]) -> Vec<u8> {
    first(12, &[&[1][..], &(map.len() as u32).to_be_bytes(), map].concat())
}

fn first_of(properties: &[(&str, Value)]) -> Vec<u8> {
    let entries: map::Map = properties.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
    let mut bytes = Vec::new();
    map::write(Some(&entries), &mut bytes).expect("a map can be written");
    first_with(&bytes)
}

fn first_frames() -> Vec<Attack> {
    let nested = {
        // A map in a map in a map.
        let mut bytes = vec![0, 0, 0, 1];
        (0..5000).for_each(|_| bytes.extend_from_slice(&[0, 1, b'a', 11, 0, 0, 0, 1]));
        bytes
    };
    let many: Vec<(String, Value)> =
        (0..3000).map(|number| (format!("p{number}"), Value::Boolean(true))).collect();
    let many: Vec<(&str, Value)> = many.iter().map(|(name, value)| (&**name, value.clone())).collect();
    let plain = |size: u32| [&size.to_be_bytes()[..], b"\x01ActiveMQ\0\0\0\x0c\0"].concat();
    let mut attacks = vec![
        // Nobody can tell what these are: there is nobody to answer.
        once("a frame of 2 GiB", [0x7f, 0xff, 0xff, 0xff], "").but(End::Closed),
        once("a negative frame", [0xff; 4], "").but(End::Closed),
        once("an empty frame", [0; 64], "").but(End::Closed),
        once("a frame of one byte", frame(&[1]), "").but(End::Closed),
        once("a wrong magic", frame(b"\x01ActiveMX\0\0\0\x0c\0"), "").but(End::Closed),
        once("another command first", frame(&[10, 0, 0, 0, 1, 0]), "").but(End::Closed),
        // These begin as OpenWire does.
        once("a first frame of no bytes", plain(0), "a length of 0"),
        once("a first frame of one byte", plain(1), "the frame ends within it"),
        once("a first frame that ends within its magic", plain(5), "").but(End::Closed),
        once("a first frame of 65,535 bytes and then silence", plain(65_535), "").but(End::Closed),
        once("a property map of 2 GiB", first(12, &[1, 0x7f, 0xff, 0xff, 0xff]), "the frame ends within it"),
        once(
            "a property map of less than nothing",
            first(12, &[1, 0xff, 0xff, 0xff, 0xfe]),
            "a length of -2",
        ),
        once("2^31 - 1 properties", first_with(&[0x7f, 0xff, 0xff, 0xff]), "cannot be read"),
        once("properties of a negative number", first_with(&[0x80, 0, 0, 0]), "cannot be read"),
        once("3,000 properties", first_of(&many), "cannot be read"),
        once("properties nested 5,000 deep", first_with(&nested), "cannot be read"),
        once(
            "a list among the properties",
            first_with(&[0, 0, 0, 1, 0, 1, b'a', 12, 0x7f, 0xff, 0xff, 0xff]),
            "cannot be read",
        ),
        once("a huge value", first_of(&[("Host", Value::Text("x".repeat(30_000).into()))]), "more than 512"),
        once(
            "bytes of 2 GiB among the properties",
            first_with(&[0, 0, 0, 1, 0, 1, b'a', 10, 0x7f, 0xff, 0xff, 0xff]),
            "cannot be read",
        ),
        once(
            "a long text of 2 GiB among the properties",
            first_with(&[0, 0, 0, 1, 0, 1, b'a', 13, 0x7f, 0xff, 0xff, 0xff]),
            "cannot be read",
        ),
        once("a value of no type", first_with(&[0, 0, 0, 1, 0, 1, b'a', 99]), "no value of type 99"),
        once("a name that is not UTF-8", first_with(&[0, 0, 0, 1, 0, 2, 0xc0, 0x00, 1, 1]), "modified UTF-8"),
        once("bytes behind the properties", first(12, &[0, 1, 2, 3]), "bytes follow"),
        once(
            "a cache of 2^31 - 1",
            first_of(&[("CacheEnabled", Value::Boolean(true)), ("CacheSize", Value::Int(-5))]),
            "CacheSize",
        ),
    ];
    for (what, version) in [("version 0", 0), ("version -1", -1), ("version -2^31", i32::MIN)] {
        attacks.push(once(what, first(version, &[0]), "there is no version"));
    }
    attacks
}

#[test]
fn versions_beyond_ours_and_numbers_beyond_reason_are_met_with_our_own() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut witness = witness_beside(&broker);
    witness.during("numbers beyond reason", MEMORY_BOUND, || {
        let mut client = Client::link(&broker);
        let mut info = WireFormatInfo { version: i32::MAX, ..WireFormatInfo::preferred() };
        info.set("CacheSize", Value::Int(i32::MAX));
        info.set("MaxFrameSize", Value::Long(i64::MAX));
        info.set("MaxInactivityDuration", Value::Long(i64::MAX));
        info.set("MaxInactivityDurationInitalDelay", Value::Long(i64::MIN));
        client.send(Command::WireFormatInfo(Box::new(info))).expect("a living connection");
        let Command::WireFormatInfo(theirs) = client.receive() else { panic!("no WireFormatInfo") };
        assert_eq!(theirs.version, 12);
    });
    // A peer that wants a sign of life each millisecond makes us busy at our own pace.
    let mut hasty = Client::log_in(&broker, Wire { inactivity_ms: 1, ..Wire::LOOSE });
    let (start, mut signs) = (Instant::now(), 0);
    while let Ok(Some(command)) = hasty.receive_within(Duration::from_millis(500)) {
        signs += u32::from(matches!(command, Command::KeepAliveInfo(_)));
        if start.elapsed() > Duration::from_millis(1000) {
            break;
        }
    }
    assert!(signs <= 15, "{signs} signs of life in {:?}", start.elapsed());
}

#[test]
fn what_comes_between_the_first_frame_and_the_log_in_is_refused() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut witness = witness_beside(&broker);
    // Frames are made by one connection and sent by another: nothing may stand in a cache.
    for wire in [Wire::LOOSE, Wire { cache: false, ..Wire::TIGHT }] {
        for attack in before_log_in(&broker, wire) {
            let what = attack.what;
            let client = Client::negotiated(&broker, wire);
            witness.during(what, MEMORY_BOUND, || attack.run(client));
        }
    }
    check_log(&broker, 60);
}

fn before_log_in(broker: &Broker, wire: Wire) -> Vec<Attack> {
    let mut encoder = Client::negotiated(broker, wire);
    let mut frame_of = |command: Command| encoder.frame(command).1;
    let spring = "org.springframework.context.support.ClassPathXmlApplicationContext";
    let thrown = || Some(Box::new(Throwable::new(spring, "http://127.0.0.1:1/x")));
    let early = "before log-in";
    let commands = [
        (
            "ExceptionResponse",
            Command::ExceptionResponse(ExceptionResponse {
                exception: thrown(),
                ..ExceptionResponse::default()
            }),
        ),
        (
            "ConnectionError",
            Command::ConnectionError(ConnectionError { exception: thrown(), ..ConnectionError::default() }),
        ),
        ("SessionInfo", Command::SessionInfo(SessionInfo::default())),
        ("ConsumerInfo", Command::ConsumerInfo(Box::default())),
        ("RemoveInfo", Command::RemoveInfo(RemoveInfo::default())),
        (
            "ControlCommand",
            Command::ControlCommand(ControlCommand {
                command: Some("shutdown".into()),
                ..ControlCommand::default()
            }),
        ),
    ];
    let mut attacks: Vec<Attack> =
        commands.map(|(what, command)| once(what, frame_of(command), early)).into();
    let broker_info = frame_of(Command::BrokerInfo(Box::new(BrokerInfo {
        broker_name: Some("x".repeat(200).into()),
        network_connection: true,
        ..BrokerInfo::default()
    })));
    let wire_format = frame_of(Command::WireFormatInfo(Box::new(wire.info())));
    let keep_alive = |response_required| {
        Command::KeepAliveInfo(KeepAliveInfo { response_required, ..KeepAliveInfo::default() })
    };
    let control = ConnectionControl {
        connected_brokers: Some("x".repeat(5000).into()),
        ..ConnectionControl::default()
    };
    attacks.extend([
        once("a frame of 2 GiB once versions are agreed", [0x7f, 0xff, 0xff, 0xff], "is more than"),
        once("a negative frame once versions are agreed", [0xff; 4], "a length of -1"),
        once("an empty frame once versions are agreed", [0; 4], "a length of 0"),
        once("a frame of 1 MiB before log-in", [0, 16, 0, 0], "login_frame_bytes"),
        once("half a frame and then silence", [0, 0, 0, 20, 3, 0], "handshake_timeout_ms"),
        once("silence", b"", "handshake_timeout_ms"),
        once("a type that does not exist", frame(&[0x7e, 0, 0, 0, 1, 0, 0]), "type 126"),
        once("a second first frame", wire_format, "agreed before"),
        Attack::flood("100,000 introductions as a broker", &broker_info, 100_000, "max_broker_infos"),
        Attack::flood(
            "signs of life without end",
            &frame_of(keep_alive(false)),
            10_000_000,
            "max_login_commands",
        ),
        Attack::flood("signs of life that nobody reads", &frame_of(keep_alive(true)), 10_000_000, ""),
        Attack::flood(
            "connection controls without end",
            &frame_of(control.into()),
            1_000_000,
            "max_login_commands",
        ),
        once("a farewell", frame_of(Command::ShutdownInfo(ShutdownInfo::default())), "").but(End::Closed),
    ]);
    attacks
}

#[test]
fn a_class_that_a_client_names_is_neither_looked_up_nor_connected_to() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let lure = TcpListener::bind("127.0.0.1:0").expect("a port");
    lure.set_nonblocking(true).expect("a socket");
    let url = format!("http://{}/poc.xml", lure.local_addr().expect("an address"));
    for class in ["org.springframework.context.support.ClassPathXmlApplicationContext", "java.lang.Throwable"]
    {
        let response = ExceptionResponse {
            exception: Some(Box::new(Throwable::new(class, &url))),
            ..ExceptionResponse::default()
        };
        // A stranger's ends the connection; of a client it says nothing that anybody asked.
        let mut stranger = Client::negotiated(&broker, Wire::TIGHT);
        stranger.send(Command::ExceptionResponse(response.clone())).expect("a living connection");
        let refusal = super::last_words(&mut stranger, class).expect("a word");
        assert!(!refusal.text.contains(&url) && !refusal.class.contains("spring"), "{refusal:?}");
        let mut client = Client::log_in(&broker, Wire::TIGHT);
        client.send(Command::ExceptionResponse(response)).expect("a living connection");
        assert!(client.is_alive());
    }
    assert!(lure.accept().is_err(), "the broker has connected to what a client named");
    assert!(!broker.log().contains("poc.xml"));
}

#[test]
fn a_wrong_password_ends_the_connection_and_opens_nothing() {
    let (_folder, data) = data();
    let broker = super::rights::with_users(&data, &["ann"], "").start();
    let mut client = Client::negotiated(&broker, Wire::TIGHT);
    let refusal = client.introduce(Some("ann"), Some("wrong")).expect_err("the password is wrong");
    assert_eq!(refusal.class, "java.lang.SecurityException", "{refusal:?}");
    // Whatever comes now is refused, and in the time of a log-in the connection ends.
    let mut again = client.connection_info(Some("ann"), None);
    again.response_required = true;
    let again = Command::ConnectionInfo(Box::new(again));
    let start = Instant::now();
    let mut passed = Vec::new();
    let _gone = client.send(again);
    while let Ok(Some(command)) = client.receive_within(Duration::from_secs(10)) {
        passed.push(command);
    }
    assert!(start.elapsed() < super::TIME_BOUND + super::BUSY_MACHINE, "open for {:?}", start.elapsed());
    assert!(!passed.iter().any(|command| matches!(command, Command::Response(_))), "let in: {passed:?}");
}

#[test]
fn a_login_that_comes_byte_by_byte_is_a_login() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut client = Client::link(&broker);
    let (_, first) = client.frame(Command::WireFormatInfo(Box::new(Wire::LOOSE.info())));
    for byte in first {
        client.write(&[byte]).expect("a living connection");
    }
    let mut stream = client.stream();
    let mut head = [0; 13];
    stream.read_exact(&mut head).expect("the broker's first frame");
    assert_eq!(&head[4..], b"\x01ActiveMQ");
}
