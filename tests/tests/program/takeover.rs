// SPDX-License-Identifier: Apache-2.0
//! `sabir store import-kahadb`, killed where it hurts.

use super::store::{depth, json, store};
use sabir_protocol_openwire::codec::{
    Command, Destination, DestinationKind, Encoder, Message, MessageId, NEWEST_VERSION, Options, ProducerId,
};
use sabir_tests::process::{PATIENCE, plugins, program};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Instant;

/// More than two batches of the importer.
const MESSAGES: i64 = 1_200;

fn put_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_field(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_number(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// A record that says that this message was stored in the queue `orders`.
fn record(sequence: i64) -> Vec<u8> {
    let producer = Arc::new(ProducerId { connection_id: "ID:host-1".into(), value: 1, session_id: 1 });
    let message = Message {
        producer_id: Some(producer.clone()),
        destination: Some(Arc::new(Destination::new(DestinationKind::Queue, "orders"))),
        message_id: Some(MessageId {
            producer_id: Some(producer),
            producer_sequence_id: sequence,
            ..MessageId::default()
        }),
        persistent: true,
        priority: 4,
        ..Message::default()
    };
    let options = Options { version: NEWEST_VERSION, ..Options::initial() };
    let mut bytes = Vec::new();
    Encoder::new(options).encode(&Command::Message(Box::new(message)), &mut bytes).expect("encoded");
    // The kind of the destination, which is 0, and its name.
    let mut queue = vec![1 << 3, 0];
    put_field(&mut queue, 2, b"orders");
    let mut body = Vec::new();
    put_field(&mut body, 2, &queue);
    put_field(&mut body, 3, format!("ID:host-1:1:1:{sequence}").as_bytes());
    put_field(&mut body, 4, &bytes);
    let mut record = vec![1];
    put_number(&mut record, body.len());
    record.extend_from_slice(&body);
    record
}

/// A KahaDB with one batch of records, whose checksum 0 says that there is none.
fn write_kahadb(directory: &Path) {
    let mut records = Vec::new();
    for sequence in 1..=MESSAGES {
        let record = record(sequence);
        records.extend_from_slice(&(record.len() as i32 + 5).to_be_bytes());
        records.push(1);
        records.extend_from_slice(&record);
    }
    let mut bytes = b"\0\0\0\x1c\x02WRITE BATCH".to_vec();
    bytes.extend_from_slice(&(records.len() as i32).to_be_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&records);
    fs::create_dir_all(directory).expect("made");
    fs::write(directory.join("db-1.log"), bytes).expect("written");
}

/// Whether the importer has written that it has ended, in a folder that others cannot enter.
fn has_told(reports: &Path) -> bool {
    // The program takes the folder away meanwhile.
    let folders = fs::read_dir(reports).expect("a folder").flatten();
    let open = |folder: &fs::DirEntry| folder.metadata().is_ok_and(|about| about.mode() & 0o077 != 0);
    let told = |folder: fs::DirEntry| {
        assert!(!open(&folder), "others can enter {:?}", folder.file_name());
        let files = fs::read_dir(folder.path()).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_to_string(file.path()).ok()).any(|text| text.contains("\"report\""))
    };
    folders.into_iter().any(told)
}

/// An import that goes on, whose report is somewhere in that folder.
fn importing(kahadb: &Path, data: &Path, reports: &Path) -> Child {
    let mut command = std::process::Command::new(program());
    command.args(["store", "import-kahadb"]).arg(kahadb).arg("--plugins").arg(plugins());
    command.arg("--data").arg(data).env("TMPDIR", reports);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
}

/// Whether it was killed when it had told that all was sent. On a busy machine it may have ended before that is seen.
fn is_killed_when_it_has_told(child: &mut Child, reports: &Path) -> bool {
    let since = Instant::now();
    while !has_told(reports) && child.try_wait().expect("a child").is_none() {
        assert!(since.elapsed() < PATIENCE, "it does not end");
        std::thread::yield_now();
    }
    child.kill().expect("killed, or gone");
    let ended = child.wait().expect("ended");
    let was_killed = ended.signal().is_some();
    assert!(was_killed || ended.success(), "{ended}");
    for left in fs::read_dir(reports).expect("a folder").flatten() {
        fs::remove_dir_all(left.path()).expect("removed");
    }
    was_killed
}

/// Leaves a store as an import does that is killed so many times in a row, each time when all was sent.
fn interrupted(kahadb: &Path, data: &Path, reports: &Path, times: usize) {
    fs::create_dir(reports).expect("made");
    let once = || is_killed_when_it_has_told(&mut importing(kahadb, data, reports), reports);
    for _ in 0..20 {
        if (0..times).all(|_| once()) && !json(&["stats"], data)["broker_error"].is_null() {
            return;
        }
        fs::remove_dir_all(data).expect("removed");
    }
    panic!("it is never killed in time");
}

/// Of two imports into one store the first has to finish first.
#[test]
fn an_import_waits_for_the_one_that_was_interrupted() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let (first, second, data, reports) = (at("first"), at("second"), at("data"), at("reports"));
    write_kahadb(&first);
    write_kahadb(&second);
    let directory = |kahadb: &Path| kahadb.to_str().expect("text").to_owned();
    interrupted(&first, &data, &reports, 1);
    let refused = store(&["import-kahadb", &directory(&second), "--add"], &data);
    let problem = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && problem.contains("interrupted"), "{refused:?}");
    json(&["import-kahadb", &directory(&first)], &data);
    json(&["import-kahadb", &directory(&second), "--add"], &data);
    assert_eq!(json(&["stats"], &data)["broker"]["messages"], 2 * MESSAGES);
}

/// All was sent, and the command is killed before it has noted that in the store; and once more.
#[test]
fn an_import_that_is_killed_when_all_was_sent_does_not_begin_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let (kahadb, data, reports) = (at("kahadb"), at("data"), at("reports"));
    write_kahadb(&kahadb);
    let directory = kahadb.to_str().expect("text");
    interrupted(&kahadb, &data, &reports, 2);
    let told = json(&["import-kahadb", directory], &data);
    assert_eq!(told["queue_messages"], MESSAGES, "{told}");
    let stats = json(&["stats"], &data);
    assert_eq!(depth(&stats, "queue://orders", None), MESSAGES as u64, "{stats}");
    assert_eq!(stats["broker"]["messages"], MESSAGES, "no mark is left: {stats}");
    // Whoever is killed when all is noted, and before the program has ended, runs it again: nothing is added.
    for words in [&["import-kahadb", directory][..], &["import-kahadb", directory, "--add"]] {
        let again = json(words, &data);
        assert_eq!(again["queue_messages"], MESSAGES, "{again}");
        assert!(again["notes"].to_string().contains("nothing was added"), "{again}");
        assert_eq!(json(&["stats"], &data)["broker"]["messages"], MESSAGES);
    }
    // What is there now is something else.
    fs::copy(kahadb.join("db-1.log"), kahadb.join("db-2.log")).expect("copied");
    let more = store(&["import-kahadb", directory], &data);
    let problem = String::from_utf8_lossy(&more.stderr);
    assert!(!more.status.success() && problem.contains("has changed since"), "{more:?}");
}
