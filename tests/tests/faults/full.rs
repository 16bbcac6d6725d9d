// SPDX-License-Identifier: Apache-2.0
//! The file system is full: producers are held, consumers go on, and when there is room again so do the producers.

use crate::machine::{Kind, Scene};
use sabir_tests::stomp::{Client, Frame, message};
use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const QUEUE: &str = "/queue/full";
const BODY_BYTES: usize = 16 * 1024;
/// A receipt that takes longer is held back.
const HELD: Duration = Duration::from_secs(2);
/// Messages that are consumed while producers are held.
const CONSUMED: usize = 20;

pub fn again_and_again(scene: &mut Scene, count: u32) -> String {
    let volume = scene.volume(Kind::Ext4, 32);
    let broker = scene.broker(&volume.mount.join("data")).start();
    let mut test = Test::new(broker.address);
    for _ in 0..count {
        let left_bytes = (2 << 20) + scene.random.below(4 << 20);
        let ballast = fill(&volume.mount, left_bytes);
        test.publish_until_held();
        test.consume(CONSUMED);
        std::fs::remove_file(ballast).expect("it can be removed");
        // Without a restart, and without a word from anybody.
        test.receipt(sabir_tests::process::PATIENCE).expect("the receipt that was held");
        test.consume_all();
    }
    format!("{} confirmed and consumed, none lost, no restart", test.sent)
}

/// Takes all room but so much.
fn fill(folder: &Path, left_bytes: u64) -> std::path::PathBuf {
    let stat = rustix::fs::statvfs(folder).expect("it is mounted");
    let take = (stat.f_bavail * stat.f_frsize).saturating_sub(left_bytes);
    let path = folder.join("ballast");
    let mut file = File::create(&path).expect("it can be made");
    let block = vec![1; 64 * 1024];
    for _ in 0..take / block.len() as u64 {
        file.write_all(&block).expect("there is room");
    }
    file.sync_all().expect("it can be synced");
    path
}

struct Test {
    producer: Client,
    consumer: Client,
    sent: u64,
    /// What was confirmed and has not come yet.
    open: BTreeSet<u64>,
    /// What was sent and not confirmed.
    held: Option<u64>,
    /// Messages that came while something else was awaited.
    waiting: VecDeque<Frame>,
}

impl Test {
    fn new(address: SocketAddr) -> Test {
        let producer = Client::connect(address).expect("the broker is there");
        let mut consumer = Client::connect(address).expect("the broker is there");
        consumer.subscribe("0", QUEUE, "client-individual", 1).expect("a subscription");
        Test { producer, consumer, sent: 0, open: BTreeSet::new(), held: None, waiting: VecDeque::new() }
    }

    fn publish_until_held(&mut self) {
        loop {
            self.sent += 1;
            let mut body = format!("{} ", self.sent).into_bytes();
            body.resize(BODY_BYTES, b'x');
            let frame = message(QUEUE, &body).with("receipt", &self.sent.to_string());
            self.producer.send(&frame).expect("a living connection");
            self.held = Some(self.sent);
            if self.receipt(HELD).is_none() {
                return;
            }
            assert!(
                self.open.len() < 32 * 1024 * 1024 / BODY_BYTES,
                "more was confirmed than the disk holds"
            );
        }
    }

    /// Takes the receipt of what was sent last, if it comes in time.
    fn receipt(&mut self, patience: Duration) -> Option<()> {
        let answer = self.producer.receive_within(patience).expect("a living connection")?;
        assert_eq!(answer.command, "RECEIPT", "{answer:?}");
        self.open.extend(self.held.take());
        Some(())
    }

    /// Receives and acknowledges with a receipt. What is held may come once it is stored, receipt or not.
    fn consume(&mut self, most: usize) {
        for round in 0..most {
            let frame = match self.waiting.pop_front() {
                Some(frame) => frame,
                None => self.consumer.receive().expect("consumers go on"),
            };
            let number = frame.text().split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
            assert!(
                self.open.remove(&number) || self.held == Some(number),
                "{number} was not sent, or came before"
            );
            let ack = frame.header("ack").expect("an ack header").to_owned();
            let receipt = format!("{number}/{round}");
            let acknowledge = Frame::new("ACK", &[("id", &ack), ("receipt", &receipt)]);
            self.consumer.send(&acknowledge).expect("a living connection");
            // The next message may come before it.
            loop {
                let answer = self.consumer.receive().expect("consumers go on");
                if answer.command == "RECEIPT" {
                    break;
                }
                self.waiting.push_back(answer);
            }
        }
    }

    fn consume_all(&mut self) {
        self.consume(self.open.len());
        assert!(self.open.is_empty(), "{:?} are missing", self.open);
    }
}
