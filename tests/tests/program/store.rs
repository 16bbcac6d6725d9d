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
