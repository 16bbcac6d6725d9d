// SPDX-License-Identifier: Apache-2.0
//! SIGKILL while `sabir store compact` moves what lives: at each of its writes, syncs, renames and removals in turn.
//!
//! However often it was interrupted, the store opens, and has what it had.

use crate::kills::{calls_in, injecting, must_be_killed, pick};
use crate::machine::Scene;
use sabir_tests::process::Options;
use sabir_tests::stomp::{Client, Frame};
use std::path::{Path, PathBuf};

const QUEUE: &str = "/queue/sparse";
const SENT: u64 = 600;
/// One in so many is left.
const LEFT: u64 = 10;
const MARKER: &str = "marker";

fn body(number: u64) -> String {
    format!("{number} {}", "what was sent ".repeat(50 + (number * 7 % 200) as usize))
}

/// A store in which little lives, spread over all of its files.
fn sparse(scene: &mut Scene) -> PathBuf {
    let folder = scene.fresh().join("data");
    // The broker leaves the work to those who come.
    let mut broker = scene.broker(&folder).set("stores.journal.move_below_percent", "0").start();
    let mut client = Client::connect(broker.address).expect("the broker is there");
    for number in 0..SENT {
        client.publish(QUEUE, body(number).as_bytes()).expect("a receipt");
    }
    client.subscribe("0", QUEUE, "client-individual", SENT as usize).expect("a subscription");
    for number in 0..SENT {
        let frame = client.receive().expect("a message");
        if number % LEFT != 0 {
            let ack = frame.header("ack").expect("an ack header").to_owned();
            client.send(&Frame::new("ACK", &[("id", &ack)])).expect("a living connection");
        }
    }
    // What is stored after the acknowledgements shows that they are.
    client.publish("/queue/other", b"x").expect("a receipt");
    drop(client);
    broker.terminate();
    assert!(broker.wait().success(), "{}", broker.log());
    folder
}

pub fn killed(scene: &mut Scene, count: u32) -> String {
    let subject = sparse(scene);
    let trace = scene.folder.join("trace").display().to_string();
    let data = scene.folder.join("compacted");
    let mut options = scene.broker(&data);
    let plain = options.under.clone();
    copy(&subject, &data);
    let before = used_bytes(&data);
    options.under = injecting("unlink", u64::from(u16::MAX), "signal=KILL", &trace);
    must_do(&options, "compact");
    let calls = calls_in(&trace);
    let used = used_bytes(&data);
    assert!(used < before, "compacting has freed nothing: {before} bytes before, {used} after");
    look(&options, &plain, "not interrupted");
    let mut killed = 0;
    while killed < count {
        std::fs::remove_dir_all(&data).expect("it can be removed");
        copy(&subject, &data);
        let mut story = Vec::new();
        for again in 0..1 + scene.random.below(3) {
            let (call, nth) = pick(&calls, &mut scene.random);
            story.push(format!("{call} {nth}"));
            options.under = injecting(&call, nth, "signal=KILL", &trace);
            let output = options.store(&["compact"]);
            // What was begun before has less to do the next time.
            if again > 0 && output.status.success() {
                continue;
            }
            must_be_killed(output.status, &String::from_utf8_lossy(&output.stderr));
            killed += 1;
        }
        options.under.clone_from(&plain);
        if scene.random.below(2) == 0 {
            must_do(&options, "compact");
        }
        look(&options, &plain, &story.join(", "));
    }
    format!("{} messages each time; {before} bytes were {used} where nobody interrupted", SENT / LEFT)
}

fn must_do(options: &Options, verb: &str) {
    let output = options.store(&[verb]);
    assert!(output.status.success(), "{verb}: {output:?}");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("journal")).expect("a folder can be made");
    for entry in std::fs::read_dir(from.join("journal")).expect("the journal is there").flatten() {
        std::fs::copy(entry.path(), to.join("journal").join(entry.file_name())).expect("it can be copied");
    }
}

fn used_bytes(data: &Path) -> u64 {
    let files = std::fs::read_dir(data.join("journal")).expect("the journal is there").flatten();
    files.map(|entry| entry.metadata().expect("a file").len()).sum()
}

/// All that was left is there, in order, and nothing else.
fn look(options: &Options, plain: &[String], story: &str) {
    let options = Options { under: plain.to_vec(), ..options.clone() };
    must_do(&options, "check");
    let broker = options.start();
    let mut client = Client::connect(broker.address).expect("the broker is there");
    client.publish(QUEUE, MARKER.as_bytes()).expect("a receipt");
    client.subscribe("0", QUEUE, "client-individual", SENT as usize).expect("a subscription");
    let mut found = Vec::new();
    loop {
        let text = client.receive().expect("a message").text();
        if text == MARKER {
            break;
        }
        let number = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(u64::MAX);
        assert!(body(number) == text, "{story}: nobody sent {text:?}");
        found.push(number);
    }
    let expected: Vec<u64> = (0..SENT).step_by(LEFT as usize).collect();
    assert_eq!(found, expected, "killed at {story}; the broker wrote: {}", broker.log());
}
