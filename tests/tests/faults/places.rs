// SPDX-License-Identifier: Apache-2.0
//! Places in which a broker cannot write, or not any more, or not alone.

use crate::machine::{Kind, Scene, Volume, must};
use sabir_tests::load::Load;
use sabir_tests::process::{Options, Refusal};
use sabir_tests::stomp::{Client, message};
use std::time::{Duration, Instant};

/// The exit code of a store that does not open.
const STORE_OPEN: i32 = 5;

pub fn read_only_at_the_start(scene: &mut Scene, count: u32) -> String {
    let volume = scene.volume(Kind::Ext4, 64);
    let options = scene.broker(&volume.mount.join("data"));
    let mut load = Load::default();
    for _ in 0..count {
        let broker = options.start();
        load.live(broker.address, 300, || broker.kill());
        remount(&volume, "remount,ro");
        let refusal = options.try_start().expect_err("nothing can be written there");
        let words = refusal.words.to_lowercase();
        assert!(words.contains("read-only"), "{refusal}");
        assert!(words.contains(&volume.mount.display().to_string().to_lowercase()), "{refusal}");
        remount(&volume, "remount,rw");
    }
    let broker = options.start();
    load.drain(broker.address).must_be_good();
    "refused with the reason, nothing lost".to_owned()
}

fn remount(volume: &Volume, how: &str) {
    must("mount", &["-o", how, &volume.mount.display().to_string()]);
}

/// The file system finds an error in itself and goes read-only, as ext4 does.
pub fn read_only_while_it_runs(scene: &mut Scene, count: u32) -> String {
    let volume = scene.volume(Kind::Ext4, 64);
    let options = scene.broker(&volume.mount.join("data"));
    let mut load = Load::default();
    for _ in 0..count {
        let mut broker = options.start();
        let steps = 1 + scene.random.below(600);
        load.live(broker.address, steps, || {
            // That it has found an error is what this command reports.
            let _ = std::process::Command::new("mount")
                .args(["-o", "remount,abort"])
                .arg(&volume.mount)
                .output()
                .expect("mount starts");
            let status = broker.wait();
            let log = broker.log();
            assert!(!status.success() && log.contains("has stopped"), "{status}; it wrote: {log}");
        });
        volume.detach();
        volume.repair();
        volume.attach();
    }
    let broker = options.start();
    let outcome = load.drain(broker.address);
    outcome.must_be_good();
    format!("{} confirmed, none lost; it ends and says why", outcome.confirmed)
}

/// Connections take all descriptors; the store needs one more for its next file.
pub fn no_descriptors(scene: &mut Scene, count: u32) -> String {
    let folder = scene.fresh();
    let mut options = scene.broker(&folder.join("data")).set("stores.journal.file_bytes", "65536");
    options.under.extend(["prlimit", "--nofile=96:96"].map(str::to_owned));
    let broker = options.start();
    let mut producer = Client::connect(broker.address).expect("the broker is there");
    let mut consumer = Client::connect(broker.address).expect("the broker is there");
    let mut number = 0;
    for _ in 0..count {
        let crowd = take_all(&broker.address);
        let until = number + 50;
        let mut confirmed = number;
        while number < until {
            number += 1;
            let mut body = format!("{number} ").into_bytes();
            body.resize(10_000, b'x');
            let frame = message("/queue/narrow", &body).with("receipt", &number.to_string());
            producer.send(&frame).expect("a living connection");
        }
        // Some may be held; none fails.
        while confirmed < until {
            let Some(answer) = producer.receive_within(Duration::from_secs(2)).expect("a living connection")
            else {
                break;
            };
            assert_eq!(answer.command, "RECEIPT", "{answer:?}");
            confirmed += 1;
        }
        drop(crowd);
        while confirmed < until {
            let answer = producer.receive().expect("producers go on when there are descriptors again");
            assert_eq!(answer.command, "RECEIPT", "{answer:?}");
            confirmed += 1;
        }
    }
    consumer.subscribe("0", "/queue/narrow", "auto", 100).expect("a subscription");
    for expected in 1..=number {
        let text = consumer.receive().expect("a message").text();
        assert!(text.starts_with(&format!("{expected} ")), "{expected} was expected and {text:.20} came");
    }
    format!("{number} confirmed, none lost; producers were held at the most")
}

/// Connects until the broker accepts no more.
fn take_all(address: &std::net::SocketAddr) -> Vec<Client> {
    let mut crowd = Vec::new();
    // Those that the system has taken and the broker has not get no answer.
    while let Ok(mut client) = Client::raw(*address) {
        let connect =
            sabir_tests::stomp::Frame::new("CONNECT", &[("accept-version", "1.2"), ("host", "localhost")]);
        let answered = client.send(&connect).and_then(|()| client.receive_within(Duration::from_millis(500)));
        let end = !matches!(answered, Ok(Some(_)));
        crowd.push(client);
        if end {
            break;
        }
        assert!(crowd.len() < 200, "the limit does not bite");
    }
    crowd
}

/// A second broker is refused at once, also when the lock file was removed; the first is not harmed by the attempt.
pub fn lock_file(scene: &mut Scene, count: u32) -> String {
    let folder = scene.fresh();
    let options = scene.broker(&folder.join("data"));
    let mut load = Load::default();
    for _ in 0..count {
        let mut broker = options.start();
        let steps = load.steps();
        load.live(broker.address, 400, || {
            must_be_refused(&options);
            assert!(broker.is_alive(), "a second opener harmed it: {}", broker.log());
            std::fs::remove_file(folder.join("data/journal/lock")).expect("it is there");
            match options.try_start() {
                Err(refusal) => must_be_a_refusal(&refusal),
                // The first noticed before that, and had ended.
                Ok(second) => {
                    second.kill();
                    assert!(!broker.is_alive(), "two brokers have one journal");
                }
            }
            // It notices within seconds, and ends rather than write where another may write.
            let status = broker.wait();
            let log = broker.log();
            assert!(!status.success() && log.contains("lock"), "{status}; it wrote: {log}");
        });
        assert!(load.steps() > steps);
    }
    let broker = options.start();
    let outcome = load.drain(broker.address);
    outcome.must_be_good();
    format!("refused at once, with and without the file; {} confirmed, none lost", outcome.confirmed)
}

fn must_be_refused(options: &Options) {
    let began = Instant::now();
    let refusal = options.try_start().expect_err("there is one already");
    must_be_a_refusal(&refusal);
    // Loading its plugins is most of it.
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
}

fn must_be_a_refusal(refusal: &Refusal) {
    assert_eq!(refusal.status.code(), Some(STORE_OPEN), "{refusal}");
    assert!(refusal.words.contains("is in use by"), "{refusal}");
}
