// SPDX-License-Identifier: Apache-2.0
//! Many of everything, and what they leave behind.

use super::client::{Client, Wire};
use super::{BUSY_MACHINE, MIB, TIME_BOUND, check_log, last_words, witness_beside};
use crate::attacks::KIB;
use crate::data;
use sabir_protocol_openwire::codec::DestinationKind::{Queue, TempQueue, Topic};
use sabir_protocol_openwire::codec::{
    Command, Destination, DestinationInfo, KeepAliveInfo, MessageAck, MessageId, MessagePull, ProducerInfo,
    SessionId, SessionInfo, TransactionId, TransactionInfo,
};
use sabir_tests::process::{Broker, Options};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sends what `make` gives for each number, without waiting, and answers how many were refused by the time that the last
/// was answered.
fn send_many(client: &mut Client, count: i64, make: impl Fn(&Client, i64) -> Command) -> usize {
    let mut refused = 0;
    for number in 0..count {
        let command = make(client, number);
        client.send(command).expect("a living connection");
        // What was refused comes back at once: it must not fill the link.
        if number % 500 == 499 {
            refused += take_refusals(client);
        }
    }
    refused + take_refusals(client)
}

fn take_refusals(client: &mut Client) -> usize {
    let sign = KeepAliveInfo { response_required: true, ..KeepAliveInfo::default() };
    client.send(Command::KeepAliveInfo(sign)).expect("a living connection");
    let mut refused = 0;
    loop {
        match client.receive() {
            Command::KeepAliveInfo(_) => return refused,
            Command::ConnectionError(_) => refused += 1,
            _ => {}
        }
    }
}

#[test]
fn a_hundred_thousand_of_anything_end_at_their_limit_and_are_gone_with_their_connection() {
    let (_folder, data) = data();
    // One client has so many verbs at a time before those of the others: ten thousand take an unoptimised broker seconds
    // while other tests have the machine too.
    let broker = Options::new(&data).set("limits.max_in_flight", "1000").start();
    let mut witness = witness_beside(&broker);
    let session = |client: &Client, number| {
        let id = SessionId { connection_id: client.connection.value.clone(), value: number };
        Command::SessionInfo(SessionInfo { session_id: Some(Arc::new(id)), ..SessionInfo::default() })
    };
    let transaction = |client: &Client, number| {
        Command::TransactionInfo(TransactionInfo {
            transaction_id: Some(client.transaction_id(number)),
            kind: TransactionInfo::BEGIN,
            ..TransactionInfo::default()
        })
    };
    let producer = |client: &Client, number| {
        Command::ProducerInfo(ProducerInfo {
            producer_id: Some(client.producer_id(number)),
            destination: Some(Arc::new(Destination::new(Queue, "many"))),
            ..ProducerInfo::default()
        })
    };
    let consumer = |client: &Client, number| {
        Command::ConsumerInfo(Box::new(client.consumer_info(number, Topic, "many", i32::MAX)))
    };
    let temporary = |client: &Client, number| {
        let name = format!("{}:{number}", client.connection.value);
        Command::DestinationInfo(DestinationInfo {
            connection_id: Some(client.connection.clone()),
            destination: Some(Arc::new(Destination::new(TempQueue, &name))),
            operation_type: DestinationInfo::ADD,
            ..DestinationInfo::default()
        })
    };
    type Make<'m> = &'m dyn Fn(&Client, i64) -> Command;
    let kinds: [(&str, Make<'_>, usize, u64); 5] = [
        ("sessions", &session, 4096, 4 * MIB),
        ("transactions", &transaction, 1000, 4 * MIB),
        ("producers", &producer, 8192, 24 * MIB),
        ("consumers", &consumer, 10_000, 48 * MIB),
        ("temporary queues", &temporary, 10_000, 48 * MIB),
    ];
    for (what, make, limit, bound) in kinds {
        for (round, bound) in [("", bound), ("again", bound / 2)] {
            let mut client = Client::log_in(&broker, Wire::TIGHT);
            witness.during(&format!("100,000 {what} {round}"), bound, || {
                let refused = send_many(&mut client, 100_000, make);
                assert!(refused.abs_diff(100_000 - limit) <= 1, "{refused} {what} refused");
            });
        }
    }
    check_log(&broker, 100);
}

#[test]
fn names_that_are_as_long_as_they_can_be_are_not_kept_by_the_thousand() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut witness = witness_beside(&broker);
    let long = "x".repeat(30_000);
    let advisory = format!("ActiveMQ.Advisory.FULL.{long}");
    let options = format!("q?a={long}");
    let mut client = Client::log_in(&broker, Wire::LOOSE);
    witness.during("consumers of long names", 16 * MIB, || {
        for name in [&advisory, &options] {
            send_many(&mut client, 2000, |client, number| {
                Command::ConsumerInfo(Box::new(client.consumer_info(number, Topic, name, 1)))
            });
        }
    });
    witness.during("transactions of long names", 16 * MIB, || {
        send_many(&mut client, 2000, |client, number| {
            let connection =
                sabir_protocol_openwire::codec::ConnectionId { value: format!("{long}{number}").into() };
            let id = sabir_protocol_openwire::codec::LocalTransactionId {
                value: number,
                connection_id: Some(Arc::new(connection)),
            };
            let _ = client;
            Command::TransactionInfo(TransactionInfo {
                transaction_id: Some(Arc::new(TransactionId::Local(id))),
                kind: TransactionInfo::BEGIN,
                ..TransactionInfo::default()
            })
        });
    });
}

#[test]
fn listeners_that_do_not_read_are_not_told_of_everything_again_and_again() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut owner = Client::log_in(&broker, Wire::TIGHT);
    for number in 0..1000 {
        let name = format!("{}:{number}", owner.connection.value);
        owner.destination(DestinationInfo::ADD, TempQueue, &name).expect("a temporary queue");
    }
    let mut witness = witness_beside(&broker);
    let mut client = Client::log_in(&broker, Wire::TIGHT);
    witness.during("a thousand listeners to what a thousand temporary queues do", 24 * MIB, || {
        for number in 0..1000 {
            let info = client.consumer_info(number, Topic, "ActiveMQ.Advisory.TempQueue", 1);
            if client.send(Command::ConsumerInfo(Box::new(info))).is_err() {
                break;
            }
        }
        // The witness is given time: what the broker makes for listeners it makes now.
        let mut other = Client::log_in(&broker, Wire::TIGHT);
        other.produce(1, None).expect("a producer");
        for _ in 0..200 {
            other.publish(Queue, "beside", "x").expect("a message is taken");
        }
    });
}

#[test]
fn answers_that_nobody_reads_stop_the_reading_and_not_the_broker() {
    let (_folder, data) = data();
    // As above.
    let broker = Options::new(&data).set("limits.max_in_flight", "1000").start();
    let mut witness = witness_beside(&broker);
    let pull = |client: &Client| {
        Command::MessagePull(MessagePull {
            consumer_id: Some(client.consumer_id(1)),
            timeout: -1,
            ..MessagePull::default()
        })
    };
    let keep_alive = |_: &Client| {
        Command::KeepAliveInfo(KeepAliveInfo { response_required: true, ..KeepAliveInfo::default() })
    };
    let wrong = |client: &Client| {
        let mut info = client.consumer_info(2, Queue, "a", 1);
        info.selector = Some("a ==".into());
        Command::ConsumerInfo(Box::new(info))
    };
    type Make<'m> = &'m dyn Fn(&Client) -> Command;
    let kinds: [(&str, Make<'_>); 3] =
        [("signs of life", &keep_alive), ("requests for messages", &pull), ("refusals", &wrong)];
    for (what, make) in kinds {
        let mut client = Client::log_in(&broker, Wire::TIGHT);
        client.consume(1, Queue, "empty", 0).expect("a consumer");
        let command = make(&client);
        let (_, piece) = client.frame(command);
        // The cache has all names by now, so that the same bytes mean the same again.
        let command = make(&client);
        let (_, again) = client.frame(command);
        witness.during(what, 8 * MIB, || {
            client.write(&piece).expect("a living connection");
            client.stream().set_nonblocking(true).expect("a socket");
            let block = again.repeat(1 + 16 * 1024 / again.len());
            let deadline = Instant::now() + Duration::from_secs(2);
            let mut stuck = 0;
            while Instant::now() < deadline && stuck < 50 {
                match client.write(&block) {
                    Ok(()) => stuck = 0,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        stuck += 1;
                        std::thread::park_timeout(Duration::from_millis(10));
                    }
                    Err(_) => break,
                }
            }
        });
    }
}

#[test]
fn credit_that_is_asked_for_again_and_again_is_not_given_without_end() {
    const MESSAGES: usize = 3000;
    let (_folder, data) = data();
    let broker = Options::new(&data)
        .set("limits.max_unsettled_per_session", "1000")
        .set("limits.max_credit", "1000000")
        .start();
    let mut producer = Client::log_in(&broker, Wire::TIGHT);
    producer.produce(1, Some((Queue, "credit"))).expect("a producer");
    for number in 0..MESSAGES {
        let message = producer.text(Queue, "credit", "x");
        match number % 500 {
            499 => producer.ask(Command::Message(Box::new(message))).expect("a message is taken"),
            _ => producer.send(Command::Message(Box::new(message))).map(|_| ()).expect("a living connection"),
        }
    }
    let mut witness = witness_beside(&broker);
    for prefetch in [i32::MAX, 100] {
        let mut client = Client::log_in(&broker, Wire::TIGHT);
        let mut got = 0;
        witness.during("credit for messages that are never settled", 8 * MIB, || {
            client.consume(1, Queue, "credit", prefetch).expect("a consumer");
            let mut last: Option<MessageId> = None;
            while let Some(command) = client.receive_within(Duration::from_millis(700)).expect("living") {
                let Command::MessageDispatch(dispatch) = command else { continue };
                got += 1;
                last = dispatch.message.and_then(|message| message.message_id).or(last);
                if got % 20 == 0 {
                    let delivered = MessageAck {
                        consumer_id: Some(client.consumer_id(1)),
                        ack_type: MessageAck::DELIVERED,
                        last_message_id: last.clone(),
                        message_count: i32::MAX,
                        ..MessageAck::default()
                    };
                    client.send(Command::MessageAck(Box::new(delivered))).expect("a living connection");
                }
            }
        });
        assert!(got <= 1000, "{got} unsettled messages");
        assert!(got >= 100, "{got} messages only");
    }
    // A prefetch below nothing is none: such a consumer asks for each.
    let mut client = Client::log_in(&broker, Wire::TIGHT);
    client.consume(1, Queue, "credit", -1).expect("a consumer");
    let nothing = client.receive_within(Duration::from_millis(200)).expect("a living connection");
    assert!(!matches!(nothing, Some(Command::MessageDispatch(_))), "{nothing:?}");
}

#[test]
fn hundreds_of_half_logins_cost_little_and_end_in_time() {
    const COUNT: u64 = 300;
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut witness = witness_beside(&broker);
    let wave = || {
        let start = Instant::now();
        let mut clients: Vec<Client> = Vec::new();
        for _ in 0..COUNT {
            let mut client = Client::negotiated(&broker, Wire::TIGHT);
            // Half of the longest frame that may come before a log-in.
            client.write(&[&[0, 0, 0xff, 0, 3][..], &[0; 30_000]].concat()).expect("a living connection");
            clients.push(client);
        }
        for client in &mut clients {
            last_words(client, "half a login");
        }
        assert!(start.elapsed() < TIME_BOUND + BUSY_MACHINE * 2, "they ended after {:?}", start.elapsed());
    };
    witness.during("half logins", COUNT * 160 * KIB, wave);
    witness.during("half logins again", COUNT * 96 * KIB, wave);
    check_log(&broker, 60);
}

#[test]
fn lengths_that_are_promised_reserve_nothing() {
    const COUNT: u64 = 100;
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut witness = witness_beside(&broker);
    let mut clients: Vec<Client> = (0..COUNT).map(|_| Client::log_in(&broker, Wire::LOOSE)).collect();
    witness.during("promised frames of 100 MiB", COUNT * 256 * KIB, || {
        for client in &mut clients {
            client.write(&[&(100u32 << 20).to_be_bytes()[..], &[28; 16 * 1024]].concat()).expect("living");
        }
    });
}

#[test]
fn a_thousand_bad_clients_leave_no_flood_in_the_log_and_no_memory_behind() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut witness = witness_beside(&broker);
    witness.during("a thousand bad clients", 6 * MIB, || {
        for number in 0..1000 {
            let mut client = match number % 2 {
                0 => Client::negotiated(&broker, Wire::LOOSE),
                _ => Client::log_in(&broker, Wire::LOOSE),
            };
            client
                .write(&[0, 0, 0, 9, 0x7e, 0x1b, b'[', b'3', b'1', b'm', b'r', b'e', b'd'])
                .expect("living");
            last_words(&mut client, "a bad client");
        }
    });
    check_log(&broker, 200);
}
