// SPDX-License-Identifier: Apache-2.0
//! `sabir store` as an operator types it: what is in a store, moving it, and what is said when something is wrong.

use super::text;
use sabir_tests::process::{Broker, Options, plugins, program};
use sabir_tests::stomp::{Client, Frame, message};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const CLEAN: Option<i32> = Some(0);
const DAMAGED: Option<i32> = Some(1);
/// The store cannot be opened.
const CLOSED: Option<i32> = Some(5);
const MISCONFIGURED: Option<i32> = Some(3);

pub fn store(words: &[&str], data: &Path) -> Output {
    let mut command = Command::new(program());
    command.arg("store").args(words).arg("--plugins").arg(plugins()).arg("--data").arg(data);
    command.output().expect("sabir starts")
}

pub fn json(words: &[&str], data: &Path) -> serde_json::Value {
    let output = store(&[words, &["--json"]].concat(), data);
    assert_eq!(output.status.code(), CLEAN, "{words:?}: {output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn stop(mut broker: Broker) {
    broker.terminate();
    assert!(broker.wait().success());
}

/// A queue with priorities, and two durable subscriptions of one topic, one of which has a message less.
fn filled(data: &Path) {
    let broker = Broker::start(data);
    let durable = |client_id: &str| {
        let mut client =
            Client::connect_with(broker.address, &[("client-id", client_id)]).expect("connected");
        let headers = [
            ("id", "s"),
            ("destination", "/topic/news"),
            ("ack", "client-individual"),
            ("durable", "true"),
            ("activemq.subscriptionName", "late"),
        ];
        client.confirm(Frame::new("SUBSCRIBE", &headers)).expect("subscribed");
        client
    };
    let mut first = durable("one");
    drop(durable("two"));
    let mut client = Client::connect(broker.address).expect("connected");
    for number in 0..50 {
        let priority = if number % 5 == 0 { "9" } else { "4" };
        let frame = message("/queue/orders", format!("order {number}").as_bytes()).with("priority", priority);
        client.confirm(frame).expect("stored");
        client.publish("/topic/news", &vec![b'a' + (number % 26) as u8; 3000]).expect("stored");
    }
    let one = first.receive().expect("a message");
    let id = one.header("ack").expect("it wants to be settled");
    first.send(&Frame::new("ACK", &[("id", id), ("receipt", "settled")])).expect("sent");
    // The others come meanwhile.
    while first.receive().expect("a frame").command != "RECEIPT" {}
    drop((first, client));
    stop(broker);
}

pub fn depth(stats: &serde_json::Value, destination: &str, subscription: Option<&str>) -> u64 {
    let all = stats["broker"]["destinations"].as_array().expect("a list");
    let found = all.iter().find(|one| {
        one["destination"] == destination
            && one["subscription"]
                .as_str()
                .is_none_or(|name| subscription.is_some_and(|wanted| name.starts_with(wanted)))
    });
    found.unwrap_or_else(|| panic!("{destination} is not in {stats}"))["messages"].as_u64().expect("a number")
}

#[test]
fn a_store_is_exported_and_what_is_imported_serves_the_same_messages() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, other) = (folder.path().join("data"), folder.path().join("other"));
    filled(&data);
    let stats = json(&["stats"], &data);
    assert_eq!(depth(&stats, "queue://orders", None), 50, "{stats}");
    assert_eq!(depth(&stats, "topic://news", Some("one")), 49, "{stats}");
    assert_eq!(depth(&stats, "topic://news", Some("two")), 50, "{stats}");
    let words = text(&store(&["stats"], &data).stdout);
    assert!(words.contains("queue://orders") && words.contains("entries"), "{words}");
    let file = folder.path().join("copy.sabir");
    let file = file.to_str().expect("text");
    let exported = json(&["export", file], &data);
    // What both subscriptions have is there once, and linked.
    assert_eq!(exported["totals"]["links"], 49, "{exported}");
    let refused = store(&["export", file], &data);
    assert!(text(&refused.stderr).contains("--force"), "{refused:?}");
    let imported = json(&["import", file], &other);
    assert_eq!(imported["totals"], exported["totals"]);
    let again = store(&["import", file], &other);
    assert_eq!(again.status.code(), DAMAGED);
    assert!(text(&again.stderr).contains("not empty"), "{again:?}");
    let piped = store(&["export", "-"], &other);
    assert_eq!(piped.status.code(), CLEAN, "{piped:?}");
    assert!(piped.stdout == fs::read(file).expect("there"), "the same comes out of the other store");
    let broker = Broker::start(&other);
    let mut client = Client::connect(broker.address).expect("connected");
    client.subscribe("s", "/queue/orders", "auto", 100).expect("subscribed");
    let bodies: Vec<String> = (0..50).map(|_| client.receive().expect("a message").text()).collect();
    let by_priority =
        (0..50).filter(|number| number % 5 == 0).chain((0..50).filter(|number| number % 5 != 0));
    let expected: Vec<String> = by_priority.map(|number| format!("order {number}")).collect();
    assert_eq!(bodies, expected);
}

#[test]
fn what_is_wrong_with_a_store_is_said_and_nothing_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let at = |path: &Path| path.to_str().expect("text").to_owned();
    let said = |words: &[&str], expected: &str| {
        let output = store(words, &data);
        assert!([CLOSED, MISCONFIGURED].contains(&output.status.code()), "{words:?}: {output:?}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains(expected), "{words:?}: {expected:?} is not in {stderr}");
    };
    let nowhere = at(&folder.path().join("nowhere"));
    for verb in ["check", "repair", "stats"] {
        said(&[verb, "--path", &nowhere], "no such directory");
    }
    assert!(!Path::new(&nowhere).exists(), "looking makes nothing");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("made");
    said(&["check", "--path", &at(&empty)], "it is empty");
    fs::write(empty.join("letter.txt"), "dear").expect("written");
    said(&["check", "--path", &at(&empty)], "is no journal");
    said(&["stats", "--path", &at(&empty.join("letter.txt"))], "it is no directory");
    let memory = store(&["check", "--store", "memory"], &data);
    assert!(text(&memory.stderr).contains("it has no files"), "{memory:?}");
    let unknown = store(&["check", "--store", "nothing"], &data);
    assert_eq!(unknown.status.code(), Some(4), "{unknown:?}");
}

#[test]
fn a_store_that_a_broker_has_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let broker = Broker::start(&data);
    for words in [&["check"][..], &["repair", "--accept-loss"], &["stats"], &["export", "-"], &["compact"]] {
        let output = store(words, &data);
        assert_eq!(output.status.code(), CLOSED, "{words:?}: {output:?}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains("in use by process") && stderr.contains("stop that"), "{words:?}: {stderr}");
    }
    stop(broker);
    let checked = json(&["check"], &data);
    assert_eq!(checked["good"], true, "{checked}");
}

#[test]
fn a_damaged_message_is_named_and_a_repair_costs_it_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    filled(&data);
    let journal = data.join("journal");
    let needle = b"order 17";
    let (file, at) = fs::read_dir(&journal)
        .expect("the journal is there")
        .map(|entry| entry.expect("an entry").path())
        .find_map(|path| {
            let bytes = fs::read(&path).ok()?;
            let at = bytes.windows(needle.len()).position(|window| window == needle)?;
            Some((path, at))
        })
        .expect("the message is there");
    let mut bytes = fs::read(&file).expect("read");
    bytes[at + 7] ^= 1;
    fs::write(&file, &bytes).expect("written");
    let checked = store(&["check"], &data);
    assert_eq!(checked.status.code(), DAMAGED, "{checked:?}");
    let words = text(&checked.stdout);
    assert!(words.contains("to queue://orders") && words.contains("that entry alone"), "{words}");
    let asked = store(&["repair"], &data);
    assert_eq!(asked.status.code(), DAMAGED, "{asked:?}");
    assert!(text(&asked.stdout).contains("would be lost"), "{asked:?}");
    let repaired = store(&["repair", "--accept-loss"], &data);
    assert_eq!(repaired.status.code(), CLEAN, "{repaired:?}");
    assert_eq!(json(&["check"], &data)["good"], true);
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    let kept = fs::read(journal.join(format!("damaged-{name}"))).expect("the damaged file is kept");
    assert!(kept == bytes);
    let broker = Options::new(&data).start();
    let mut client = Client::connect(broker.address).expect("connected");
    client.subscribe("s", "/queue/orders", "auto", 100).expect("subscribed");
    let bodies: Vec<String> = (0..49).map(|_| client.receive().expect("a message").text()).collect();
    assert!(!bodies.contains(&"order 17".to_owned()) && bodies.contains(&"order 18".to_owned()));
}

/// Bytes of the files of a journal.
fn used_bytes(data: &Path) -> u64 {
    let files = fs::read_dir(data.join("journal")).expect("the journal is there");
    files.map(|entry| entry.expect("an entry").metadata().expect("a file").len()).sum()
}

/// A durable subscription of `/topic/news`, made or taken up.
fn subscribed(broker: &Broker) -> Client {
    let mut client = Client::connect_with(broker.address, &[("client-id", "one")]).expect("connected");
    let headers = [
        ("id", "s"),
        ("destination", "/topic/news"),
        ("ack", "client-individual"),
        ("durable", "true"),
        ("activemq.subscriptionName", "late"),
        ("activemq.prefetchSize", "1000"),
    ];
    client.send(&Frame::new("SUBSCRIBE", &headers)).expect("sent");
    client
}

/// Receives what there is and acknowledges what `gone` says; then waits until that is stored.
fn consume(client: &mut Client, count: u64, gone: impl Fn(u64) -> bool) {
    for number in 0..count {
        let frame = client.receive().expect("a message");
        if gone(number) {
            let ack = frame.header("ack").expect("it wants to be settled");
            client.send(&Frame::new("ACK", &[("id", ack)])).expect("sent");
        }
    }
    client.publish("/queue/behind", b"x").expect("stored behind the acknowledgements");
}

/// The numbers at the beginning of the next messages.
fn received(client: &mut Client, count: usize) -> Vec<u64> {
    let number = |text: String| text.split(' ').next().and_then(|word| word.parse().ok());
    (0..count).map(|_| number(client.receive().expect("a message").text()).expect("a number")).collect()
}

#[test]
fn compacting_gives_back_what_was_consumed_and_leaves_the_rest_as_it_was() {
    const MESSAGES: u64 = 1_200;
    const LEFT: u64 = 20;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let options = Options::new(&data)
        .set("stores.journal.file_bytes", "1048576")
        .set("stores.journal.reserve_bytes", "65536")
        // All is left to the operator.
        .set("stores.journal.move_below_percent", "0");
    let mut broker = options.start();
    let mut late = subscribed(&broker);
    let mut client = Client::connect(broker.address).expect("connected");
    for number in 0..MESSAGES {
        let body = format!("{number} {}", "o".repeat(4_000));
        client.publish("/queue/orders", body.as_bytes()).expect("stored");
        client.publish("/topic/news", body.as_bytes()).expect("stored");
    }
    client.subscribe("s", "/queue/orders", "client-individual", MESSAGES as usize).expect("subscribed");
    let gone = |number: u64| !number.is_multiple_of(LEFT);
    consume(&mut client, MESSAGES, gone);
    consume(&mut late, MESSAGES, gone);
    drop((client, late));
    broker.terminate();
    assert!(broker.wait().success());
    let before = used_bytes(&data);
    let output = options.store(&["compact", "--json"]);
    assert_eq!(output.status.code(), CLEAN, "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let live = report["figures"]["live_bytes"].as_u64().expect("a number");
    let used = used_bytes(&data);
    assert!((2 * MESSAGES / LEFT * 4_000..before / 10).contains(&live), "{report}");
    // The files that are written to, and two reserves.
    assert!(used < live * 11 / 10 + 2 * 1_048_576 + 2 * 65_536, "{before} bytes became {used}: {report}");
    assert!(used < before / 2, "{before} bytes became {used}: {report}");
    assert_eq!(options.store(&["check"]).status.code(), CLEAN);
    let broker = options.start();
    let expected: Vec<u64> = (0..MESSAGES).filter(|number| !gone(*number)).collect();
    let mut client = Client::connect(broker.address).expect("connected");
    client.subscribe("s", "/queue/orders", "auto", MESSAGES as usize).expect("subscribed");
    assert_eq!(received(&mut client, expected.len()), expected);
    assert_eq!(received(&mut subscribed(&broker), expected.len()), expected);
}

#[test]
fn a_start_without_an_index_finds_everything_in_the_log_and_says_what_a_gib_takes() {
    const MESSAGES: u64 = 300;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    // No checkpoint is ever made.
    let options = Options::new(&data)
        .set("stores.journal.checkpoint_bytes", &(1u64 << 40).to_string())
        .set("stores.journal.checkpoint_interval_ms", "86400000");
    let broker = options.start();
    let mut late = subscribed(&broker);
    let mut client = Client::connect(broker.address).expect("connected");
    for number in 0..MESSAGES {
        let body = format!("{number} {}", "o".repeat(64_000));
        client.publish("/queue/orders", body.as_bytes()).expect("stored");
        client.publish("/topic/news", format!("{number}").as_bytes()).expect("stored");
    }
    let soon = message("/queue/soon", b"later").with("AMQ_SCHEDULED_DELAY", "2000");
    client.confirm(soon).expect("stored");
    let never = message("/queue/soon", b"much later").with("AMQ_SCHEDULED_DELAY", "36000000");
    client.confirm(never).expect("stored");
    consume(&mut late, MESSAGES, |number| number < 100);
    drop(late);
    broker.kill();
    // A broker that was killed has had no time for a checkpoint; if it had, this is what leads to it.
    let pointer = data.join("journal").join("checkpoint");
    assert!(!pointer.exists() || fs::remove_file(&pointer).is_ok());
    let broker = options.start();
    let log = broker.log();
    let line = log.lines().find(|line| line.contains("bytes of log were replayed")).expect("it is said");
    assert!(line.contains("without a checkpoint") && line.contains("seconds per GiB"), "{line}");
    let mut client = Client::connect(broker.address).expect("connected");
    client.subscribe("s", "/queue/orders", "auto", 1_000).expect("subscribed");
    assert_eq!(received(&mut client, MESSAGES as usize), (0..MESSAGES).collect::<Vec<_>>());
    assert_eq!(
        received(&mut subscribed(&broker), MESSAGES as usize - 100),
        (100..MESSAGES).collect::<Vec<_>>()
    );
    let mut client = Client::connect(broker.address).expect("connected");
    client.subscribe("s", "/queue/soon", "auto", 10).expect("subscribed");
    assert_eq!(client.receive().expect("when its time has come").text(), "later");
    drop(client);
    // What is consumed without a word is stored behind; an orderly end waits for that.
    stop(broker);
    let stats = json(&["stats"], &data);
    assert_eq!(stats["broker"]["delayed"], 1, "{stats}");
}
