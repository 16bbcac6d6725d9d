// SPDX-License-Identifier: Apache-2.0
//! Logging in: many at once, too slowly, and not at all.

use crate::{Client, PATIENCE, config, registry};
use sabir_server::config::Config;
use sabir_server::{RunningBroker, serve};
use sabir_stack::policy::{hash_password, set_user};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const LOG_IN: &str = "CONNECT\naccept-version:1.2\nhost:default\nlogin:ann\npasscode:secret\n\n\0";

/// A broker whose only user is ann.
fn with_ann(folder: &Path, more: &str) -> RunningBroker {
    let file = folder.join("users");
    set_user(&file, "ann", &hash_password(b"secret").unwrap(), None).unwrap();
    let users = format!("security.users_file = {:?}\n{more}", file.display().to_string());
    serve(config(&users), registry()).unwrap_or_else(|error| panic!("{error}"))
}

/// So many clients that log in at the same time, the answers taken only then.
fn storm(broker: &RunningBroker, count: usize) -> Vec<String> {
    let mut clients: Vec<Client> = (0..count).map(|_| Client::connect(broker)).collect();
    clients.iter_mut().for_each(|client| client.send(LOG_IN));
    clients.iter_mut().map(Client::frame).collect()
}

#[test]
fn a_thousand_clients_that_come_back_at_once_are_all_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let broker = with_ann(folder.path(), "");
    let began = Instant::now();
    for _ in 0..4 {
        let answers = storm(&broker, 250);
        assert!(answers.iter().all(|answer| answer.starts_with("CONNECTED\n")), "{answers:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let mut wrong = Client::connect(&broker);
    wrong.send(&LOG_IN.replace("secret", "Secret"));
    assert!(wrong.frame().starts_with("ERROR\n"));
}

#[test]
fn the_time_that_a_password_waits_to_be_checked_does_not_count_against_its_client() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "security.remember_logins_ms = 0\nsecurity.password_checks = 1\n";
    let broker = with_ann(folder.path(), settings);
    let began = Instant::now();
    assert!(storm(&broker, 1)[0].starts_with("CONNECTED\n"));
    let one = began.elapsed();
    assert_eq!(broker.shutdown(PATIENCE), None);
    // The last of them waits for three times as long as anybody may take for a log-in.
    let limit = format!("{settings}limits.handshake_timeout_ms = {}\n", one.as_millis() * 10);
    let broker = with_ann(folder.path(), &limit);
    let answers = storm(&broker, 30);
    assert!(answers.iter().all(|answer| answer.starts_with("CONNECTED\n")), "{answers:?}");
}

/// What came until the broker ended the link, and how long that took.
fn until_closed(client: &mut Client, mut trickle: impl Iterator<Item = u8>) -> (String, Duration) {
    let (began, mut read) = (Instant::now(), Vec::new());
    client.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    loop {
        let mut bytes = [0; 4096];
        match client.stream.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => {
                read.extend_from_slice(&bytes[..count]);
                if read.contains(&0) {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                assert!(began.elapsed() < PATIENCE, "the link stays open");
                if let Some(byte) = trickle.next() {
                    let _ = client.stream.write_all(&[byte]);
                }
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    (String::from_utf8_lossy(&read).into_owned(), began.elapsed())
}

#[test]
fn whoever_does_not_log_in_is_left_within_two_seconds_however_busy_they_look() {
    // Where several protocols are spoken nobody knows in which of them to answer silence.
    let only_stomp =
        "listeners = [{ uri = \"tcp://127.0.0.1:0\", protocols = [\"stomp\"] }]\nstore.kind = \"memory\"\n";
    let broker =
        serve(Config::from_toml(only_stomp).unwrap(), registry()).unwrap_or_else(|error| panic!("{error}"));
    let silent = until_closed(&mut Client::connect(&broker), std::iter::empty());
    let mut half = Client::connect(&broker);
    half.send("CONNECT\naccept-ver");
    let half = until_closed(&mut half, std::iter::empty());
    let mut slow = Client::connect(&broker);
    slow.send("CONNECT\n");
    let slow = until_closed(&mut slow, std::iter::repeat(b'x'));
    for (what, (text, time)) in [("silence", silent), ("half a frame", half), ("a trickle", slow)] {
        assert!(text.starts_with("ERROR\n"), "{what}: {text}");
        assert!(time < Duration::from_secs(2), "{what}: {time:?}");
    }
}
