// SPDX-License-Identifier: Apache-2.0
//! Many at once, and what they leave behind.

use super::witness::Witness;
use super::{BUSY_MACHINE, KIB, MIB, TIME_BOUND, log_in, refusal};
use crate::data;
use sabir_tests::process::{Broker, Options};
use sabir_tests::stomp::{Client, message};
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

#[test]
fn hundreds_of_half_logins_cost_little_and_end_in_time() {
    const COUNT: u64 = 400;
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut witness = Witness::beside(&broker);
    let half = format!("CONNECT\naccept-version:1.2\nhost:{}", "x".repeat(8000));
    let wave = || {
        let start = Instant::now();
        let mut clients: Vec<Client> = Vec::new();
        for _ in 0..COUNT {
            let mut client = Client::raw(broker.address).expect("a link");
            client.write(half.as_bytes()).expect("a living connection");
            clients.push(client);
        }
        for client in &mut clients {
            let error = refusal(client, "half a login").expect("an ERROR frame");
            assert!(error.text().contains("timeout_ms"), "{error:?}");
        }
        assert!(start.elapsed() < TIME_BOUND + BUSY_MACHINE, "they ended after {:?} only", start.elapsed());
    };
    witness.during("half logins", COUNT * 64 * KIB, wave);
    // What they took is there for the next ones.
    witness.during("half logins again", COUNT * 16 * KIB, wave);
}

#[test]
fn clients_that_send_on_before_their_password_was_checked_hold_less_than_a_mebibyte_each() {
    const COUNT: u64 = 40;
    let (folder, data) = data();
    let users = folder.path().join("users");
    // No password fits this hash: what is measured is what waits while it is checked.
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    std::fs::write(&users, format!("ann:{hash}\n")).expect("the users can be written");
    let broker = Options::new(&data)
        .set("security.authentication", "users")
        .set("security.users_file", users.to_str().expect("a path"))
        .set("security.allow_anonymous", "false")
        .set("security.password_checks", "2")
        .start();
    broker.forget_peak_memory();
    let (before, _) = broker.memory_bytes();
    let mut clients = Vec::new();
    for _ in 0..COUNT {
        let mut client = Client::raw(broker.address).expect("a link");
        client
            .write(b"CONNECT\naccept-version:1.2\nhost:x\nlogin:ann\npasscode:wrong\n\n\0")
            .expect("a living connection");
        // It sends on until the broker takes no more.
        client.stream().set_nonblocking(true).expect("a socket");
        let frame = message("/queue/early", &[b'x'; 4000]).encode();
        for _ in 0..1000 {
            if client.write(&frame).is_err() {
                break;
            }
        }
        client.stream().set_nonblocking(false).expect("a socket");
        clients.push(client);
    }
    for client in &mut clients {
        if let Some(error) = refusal(client, "a wrong password") {
            assert_eq!(error.header("message"), Some("wrong user name or password"), "{error:?}");
        }
    }
    let (_, peak) = broker.memory_bytes();
    // A check takes 19 MiB by itself, and there are two at once.
    let bound = COUNT * MIB + 2 * 20 * MIB;
    assert!(peak - before < bound, "{COUNT} clients took {} bytes", peak - before);
}

#[test]
fn lengths_that_are_promised_reserve_nothing() {
    const COUNT: u64 = 100;
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut witness = Witness::beside(&broker);
    let mut clients: Vec<Client> = (0..COUNT).map(|_| log_in(&broker)).collect();
    witness.during("promised bodies of 100 MiB", COUNT * 256 * KIB, || {
        for client in &mut clients {
            client
                .write(b"SEND\ndestination:/queue/a\ncontent-length:104857600\n\n")
                .expect("a living connection");
            client.write(&[b'x'; 16 * 1024]).expect("a living connection");
        }
    });
}

#[test]
fn a_thousand_bad_clients_leave_no_flood_in_the_log_and_no_memory_behind() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut witness = Witness::beside(&broker);
    witness.during("a thousand bad clients", 4 * MIB, || {
        for _ in 0..1000 {
            let mut client = Client::raw(broker.address).expect("a link");
            let sent = client.write(b"SEND\ndestination:/queue/\x1b[31mred\n\nx\0");
            assert!(sent.is_ok() || sent.is_err_and(|error| error.kind() != ErrorKind::TimedOut));
            while let Ok(Some(_)) = client.receive_within(Duration::from_secs(10)) {}
        }
    });
    let log = broker.log();
    assert!(!log.contains('\u{1b}'), "the log carries control characters of a client");
    assert!(log.lines().count() < 2500, "{} lines for a thousand bad clients", log.lines().count());
}

#[test]
fn a_client_that_takes_nothing_of_what_it_asked_for_is_left_in_the_end_and_harms_nobody() {
    let (_folder, data) = data();
    let broker = Options::new(&data).set("limits.write_stall_timeout_ms", "1000").start();
    let mut stuck = Client::connect(broker.address).expect("the broker is there");
    stuck.subscribe("0", "/queue/flood", "auto", 1_000_000).expect("a subscription");
    let mut producer = Client::connect(broker.address).expect("the broker is there");
    let body = vec![b'x'; 64 * 1024];
    for _ in 0..400 {
        producer.publish("/queue/flood", &body).expect("a receipt");
    }
    // What it has not taken is not lost: another consumer gets all that the sockets do not hold.
    let mut other = Client::connect(broker.address).expect("the broker is there");
    other.subscribe("0", "/queue/flood", "client-individual", 10).expect("a subscription");
    assert_eq!(other.receive().expect("a message that the stuck one never took").command, "MESSAGE");
    let mut rest = Vec::new();
    let mut stream = stuck.stream();
    stream.write_all(b"\n").or_else(closed).expect("closed, or still open");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
    stream.read_to_end(&mut rest).map(|_| ()).or_else(closed).expect("the broker has closed the connection");
}

fn closed(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Ok(()),
        _ => Err(error),
    }
}
