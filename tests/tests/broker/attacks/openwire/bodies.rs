// SPDX-License-Identifier: Apache-2.0
//! What lies in wait in a message for who consumes it.

use super::client::{Client, Wire};
use super::{MIB, check_log, witness_beside};
use crate::data;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use sabir_protocol_openwire::codec::DestinationKind::Queue;
use sabir_protocol_openwire::codec::{Command, MessageKind};
use sabir_tests::process::{Broker, Options};
use sabir_tests::stomp;
use std::io::Write;

/// So many bytes of NUL, compressed.
fn bomb(size: u64) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let block = vec![0; 1 << 20];
    for _ in 0..size / MIB {
        encoder.write_all(&block).expect("memory");
    }
    encoder.finish().expect("memory")
}

#[test]
fn a_compressed_body_that_grows_beyond_the_limit_goes_to_the_dead_letters_and_takes_no_memory() {
    let (_folder, data) = data();
    let broker = Options::new(&data).set("protocols.stomp.max_inflated_bytes", "1048576").start();
    let mut witness = witness_beside(&broker);
    let bomb = bomb(1024 * MIB);
    let mut producer = Client::log_in(&broker, Wire::TIGHT);
    producer.produce(1, None).expect("a producer");
    let with_length = |length: i32| [&length.to_be_bytes()[..], &bomb].concat();
    let bodies = [
        (MessageKind::Text, bomb.clone()),
        (MessageKind::Map, bomb.clone()),
        (MessageKind::Stream, bomb.clone()),
        (MessageKind::Bytes, with_length(i32::MAX)),
        (MessageKind::Bytes, with_length(-1)),
        (MessageKind::Bytes, with_length(3)),
        (MessageKind::Text, b"\x78\x9c no zlib at all".to_vec()),
        (MessageKind::Bytes, b"\x00\x00".to_vec()),
    ];
    witness.during("decompression bombs are sent and consumed over STOMP", 24 * MIB, || {
        for (kind, content) in bodies {
            let mut message = producer.message(kind, Queue, "bombs", content);
            message.compressed = true;
            producer.ask(Command::Message(Box::new(message))).expect("nobody has looked into it");
        }
        producer.publish(Queue, "bombs", "behind them").expect("a message is taken");
        let mut consumer = stomp::Client::connect(broker.address).expect("the broker is there");
        consumer.subscribe("0", "/queue/bombs", "client", 100).expect("a subscription");
        // Of one that says it is shorter, so much is given.
        assert_eq!(consumer.receive().expect("a message").text(), "\0\0\0");
        assert_eq!(consumer.receive().expect("the message behind them").text(), "behind them");
    });
    check_log(&broker, 60);
}

#[test]
fn bodies_that_are_not_what_they_say_reach_no_parser_that_could_be_hurt() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut witness = witness_beside(&broker);
    let mut producer = Client::log_in(&broker, Wire::TIGHT);
    producer.produce(1, None).expect("a producer");
    let deep_map = [&[0, 0, 0, 1][..], &[0, 1, b'a', 11, 0, 0, 0, 1].repeat(100_000)].concat();
    let deep_list = [12, 0, 0, 0, 1].repeat(100_000);
    // The stream of a Java object of a class that nobody should make anything of.
    let object =
        b"\xac\xed\x00\x05sr\x00\x11evil.Klass\x00\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00xp".to_vec();
    let bodies = [
        (MessageKind::Map, vec![0x7f, 0xff, 0xff, 0xff]),
        (MessageKind::Map, vec![0x80, 0, 0, 0]),
        (MessageKind::Map, deep_map),
        (MessageKind::Stream, deep_list),
        (MessageKind::Stream, vec![10, 0x7f, 0xff, 0xff, 0xff]),
        (MessageKind::Stream, vec![99]),
        (MessageKind::Text, vec![0x7f, 0xff, 0xff, 0xff, b'x']),
        (MessageKind::Text, vec![0xff, 0xff, 0xff, 0xff]),
        (MessageKind::Text, vec![0, 0, 0, 2, 0xc0, 0x00]),
        (MessageKind::Text, vec![0]),
        (MessageKind::Object, object),
        (MessageKind::Plain, vec![1; 100]),
        (MessageKind::Blob, vec![1; 100]),
    ];
    witness.during("bodies that lie, consumed over STOMP and OpenWire", 16 * MIB, || {
        for (kind, content) in bodies {
            for queue in ["lies-stomp", "lies-openwire"] {
                let message = producer.message(kind, Queue, queue, content.clone());
                producer.ask(Command::Message(Box::new(message))).expect("nobody has looked into it");
            }
        }
        for queue in ["lies-stomp", "lies-openwire"] {
            producer.publish(Queue, queue, "behind them").expect("a message is taken");
        }
        let mut consumer = stomp::Client::connect(broker.address).expect("the broker is there");
        consumer.subscribe("0", "/queue/lies-stomp", "client", 100).expect("a subscription");
        while consumer.receive().expect("a message").text() != "behind them" {}
        let mut consumer = Client::log_in(&broker, Wire::TIGHT);
        consumer.consume(1, Queue, "lies-openwire", 100).expect("a consumer");
        for _ in 0..14 {
            consumer.receive_message();
        }
    });
    check_log(&broker, 60);
}
