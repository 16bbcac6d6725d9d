// SPDX-License-Identifier: Apache-2.0
//! A store as one file: out of one kind of store, into another, and back.

use super::registry;
use bytes::Bytes;
use sabir_host::Store;
use sabir_model::store::{Batch, Level, Op, Read, Record, Want};
use sabir_server::archive::{self, FrameError, ImportError, Reader, Totals, Writer};
use sabir_server::serve;
use std::path::Path;

fn memory() -> Store {
    registry().store("memory").unwrap().open_store("{}").unwrap()
}

fn journal(at: &Path) -> Store {
    let settings = serde_json::json!({ "path": at.display().to_string() });
    registry().store("journal").unwrap().open_store(&settings.to_string()).unwrap()
}

fn submit(store: &Store, ops: Vec<Op>) {
    let ticket = store.submit(&Batch { ops, level: Level::Durable }).unwrap();
    store.sync(ticket).unwrap();
}

fn append(log: u64, seq: u64, span: u64, len: usize) -> Op {
    let body: Vec<u8> = (0..len).map(|at| (at as u64 + log + seq) as u8).collect();
    let (label, format) = (Bytes::from(format!("label {seq}")), seq as u32 % 3);
    Op::Append { log, seq, span, format, label, record: [Bytes::from_static(b"head "), body.into()] }
}

fn link(log: u64, seq: u64, from_log: u64, from_seq: u64) -> Op {
    Op::Link { log, seq, from_log, from_seq, label: Bytes::from(format!("link {seq}")) }
}

/// Everything that a store can hold: links over logs, whose first entry has gone and has not; spans, gaps; records of many
/// pieces; a log whose last numbers, and one whose entries have all gone; keys.
fn fill(store: &Store) {
    submit(store, (0..3000).map(|seq| append(1, seq * 2, 1, seq as usize % 50)).collect());
    submit(store, (0..3000).map(|seq| link(2, seq, 1, seq * 2)).collect());
    submit(
        store,
        vec![append(3, 5, 10, 3_000_000), append(3, 20, 1, 0), link(4, 7, 3, 5), link(4, 17, 4, 7)],
    );
    submit(store, vec![append(5, 0, 1, 9), append(5, 1, 1, 9), append(6, 41, 1, 9)]);
    submit(
        store,
        vec![
            Op::Remove { log: 1, first: 100, last: 200 },
            Op::Remove { log: 5, first: 1, last: 1 },
            Op::Remove { log: 6, first: 0, last: 100 },
        ],
    );
    let key = |number: u32| Bytes::from(number.to_be_bytes().to_vec());
    submit(store, (1..2500).map(|number| Op::Put { key: key(number), value: key(number * 7) }).collect());
    submit(store, vec![Op::Put { key: Bytes::from_static(b"long"), value: vec![5; 2_500_000].into() }]);
}

type Held = (Vec<(u64, u64, Vec<Record>)>, Vec<(Bytes, Bytes)>);

fn held(store: &Store) -> Held {
    let all = |log| Read { log, from: 0, last: u64::MAX, max_records: 0, max_bytes: 0, want: Want::All };
    let logs = store.recover().unwrap();
    let logs = logs.into_iter().map(|log| (log.log, log.next_seq, store.read(&all(log.log)).unwrap()));
    (logs.collect(), store.scan(&[0], &[], 0).unwrap())
}

fn exported(store: &Store) -> (Vec<u8>, Totals) {
    archive::export(store, Vec::new(), &mut |_, _| {}).unwrap()
}

fn imported(store: &Store, file: &[u8]) -> Totals {
    archive::import(store, file, false, &mut |_| {}).unwrap()
}

#[test]
fn a_store_moves_to_another_kind_and_back_and_links_stay_links() {
    let folder = tempfile::tempdir().unwrap();
    let first = memory();
    fill(&first);
    let (file, totals) = exported(&first);
    assert_eq!((totals.records, totals.links), (3000 + 2 + 1, 3000 - 51 + 2));
    let second = journal(&folder.path().join("journal"));
    assert_eq!(imported(&second, &file), totals);
    assert!(held(&second) == held(&first), "nothing has changed on the way");
    assert_eq!(second.stats().unwrap().live_records, first.stats().unwrap().live_records);
    second.close().unwrap();
    let second = journal(&folder.path().join("journal"));
    assert!(exported(&second).0 == file, "the same file comes out of it");
    let third = memory();
    imported(&third, &file);
    assert!(held(&third) == held(&first));
    assert_eq!(third.stats().unwrap().live_bytes, first.stats().unwrap().live_bytes, "no link became a copy");
}

#[test]
fn only_an_empty_store_is_filled_unless_it_is_said_that_it_may_lose_what_it_holds() {
    let (first, second) = (memory(), memory());
    fill(&first);
    let (file, totals) = exported(&first);
    fill(&second);
    submit(&second, vec![append(9, 1, 1, 1)]);
    let refused = archive::import(&second, &file[..], false, &mut |_| {});
    assert!(matches!(refused, Err(ImportError::NotEmpty)));
    assert_eq!(archive::import(&second, &file[..], true, &mut |_| {}).unwrap(), totals);
    assert!(held(&second) == held(&first));
}

#[test]
fn a_store_that_was_filled_by_half_is_refused_until_it_is_filled_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let first = memory();
    fill(&first);
    let (file, totals) = exported(&first);
    let store = journal(&path);
    let cut = archive::import(&store, &file[..file.len() / 2], false, &mut |_| {});
    assert!(matches!(cut, Err(ImportError::Frame(FrameError::Cut(_)))), "{cut:?}");
    assert!(archive::export(&store, Vec::new(), &mut |_, _| {}).is_err());
    store.close().unwrap();
    let text = format!("listeners = []\nstore.kind = \"journal\"\nstores.journal.path = {path:?}\n");
    let settings = sabir_server::config::Config::from_toml(&text).unwrap();
    let error = serve(settings, registry()).err().expect("half a store is no store").to_string();
    assert!(error.contains("an import into it has not finished"), "{error}");
    let store = journal(&path);
    assert_eq!(archive::import(&store, &file[..], true, &mut |_| {}).unwrap(), totals);
    assert!(held(&store) == held(&first));
    assert!(!archive::is_unfinished(&store).unwrap());
}

#[test]
fn what_no_store_would_take_is_refused_and_not_taken_for_whole() {
    let file = {
        let mut writer = Writer::new(Vec::new()).unwrap();
        writer.entry(1, 1, 0, b"", 0, b"").unwrap();
        writer.finish().unwrap().0
    };
    assert!(matches!(archive::import(&memory(), &file[..], false, &mut |_| {}), Err(ImportError::NoLog)));
    let file = {
        let mut writer = Writer::new(Vec::new()).unwrap();
        writer.log(1, 1).unwrap();
        writer.link(0, 1, (7, 7), b"").unwrap();
        writer.finish().unwrap().0
    };
    let store = memory();
    assert!(matches!(archive::import(&store, &file[..], false, &mut |_| {}), Err(ImportError::Store(_))));
    assert!(archive::is_unfinished(&store).unwrap());
    assert!(Reader::new(&file[..10]).is_err());
}
