// SPDX-License-Identifier: Apache-2.0
//! A journal on a real directory, with its keeper's thread.

mod model;

use bytes::Bytes;
use model::{Model, read_all, run, submit};
use sabir_model::store::{Batch, Level, Op};
use sabir_sdk::store::Store;
use sabir_sdk::{ErrorCode, Host};
use sabir_store_journal::Journal;
use sabir_testkit::disk::Dice;
use std::fs;
use std::path::{Path, PathBuf};

fn fresh(name: &str) -> PathBuf {
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("directory-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    path
}

fn open(path: &Path, more: &str) -> Result<Journal, sabir_sdk::Error> {
    Journal::open(Host::none(), &format!("{{\"path\":{:?}{more}}}", path.display().to_string()))
}

#[test]
fn a_second_opener_is_told_who_has_the_journal_even_if_the_lock_file_was_removed() {
    let path = fresh("lock");
    let first = open(&path, "").unwrap();
    let error = open(&path, "").err().unwrap();
    assert_eq!(error.code, ErrorCode::Locked);
    assert!(error.message.contains(&format!("process {}", std::process::id())), "{}", error.message);
    fs::remove_file(path.join("lock")).unwrap();
    assert_eq!(open(&path, "").err().unwrap().code, ErrorCode::Locked);
    drop(first);
    open(&path, "").unwrap().close().unwrap();
    fs::remove_dir_all(&path).unwrap();
}

#[test]
fn with_a_keeper_and_small_files_everything_stays_through_many_lives() {
    let path = fresh("lives");
    let small = ",\"file_bytes\":262144,\"first_file_bytes\":65536,\"checkpoint_bytes\":65536,\"reserve_bytes\":16384,\"direct_bytes\":16384,\"write_buffer_bytes\":8192";
    let (mut model, mut dice) = (Model::default(), Dice::new(3));
    for life in 0..6 {
        let store = open(&path, small).unwrap();
        model.compare(&store).unwrap_or_else(|text| panic!("life {life}: {text}"));
        assert_eq!(store.summaries(), model.summaries());
        assert_eq!(run(&store, &mut model, 60, &mut dice).error, None);
        model.compare(&store).unwrap_or_else(|text| panic!("end of life {life}: {text}"));
        if life % 2 == 0 {
            store.close().unwrap();
        } else {
            store.sync(60).unwrap();
            drop(store);
        }
        model = model.reopened();
    }
    fs::remove_dir_all(&path).unwrap();
}

#[test]
fn periodic_and_never_confirm_what_the_system_has_and_closing_syncs_it() {
    for policy in ["periodic", "never"] {
        let path = fresh(policy);
        let store = open(&path, &format!(",\"sync\":\"{policy}\",\"sync_interval_ms\":3600000")).unwrap();
        let syncs = store.stats().syncs;
        for seq in 0..50 {
            let record = [Bytes::from_static(b"x"), Bytes::new()];
            let op = Op::Append { log: 1, seq, span: 1, format: 0, label: Bytes::new(), record };
            let ticket = submit(&store, &Batch { ops: vec![op], level: Level::Durable }).unwrap();
            assert_eq!(store.sync(ticket).unwrap(), ticket);
        }
        assert_eq!(store.stats().syncs, syncs, "{policy}");
        store.close().unwrap();
        assert_eq!(read_all(&open(&path, "").unwrap(), 1).unwrap().len(), 50);
        fs::remove_dir_all(&path).unwrap();
    }
}

#[test]
fn one_sync_covers_every_batch_before_it() {
    let path = fresh("group");
    let store = open(&path, "").unwrap();
    let syncs = store.stats().syncs;
    let batch = |seq| {
        let record = [Bytes::from_static(b"x"), Bytes::new()];
        let op = Op::Append { log: 1, seq, span: 1, format: 0, label: Bytes::new(), record };
        Batch { ops: vec![op], level: Level::Durable }
    };
    let last = (0..100).fold(0, |_, seq| submit(&store, &batch(seq)).unwrap());
    assert_eq!(store.sync(last).unwrap(), 100);
    assert_eq!(store.stats().syncs, syncs + 1);
    assert_eq!(store.sync(40).unwrap(), 100);
    assert_eq!(store.stats().syncs, syncs + 1);
    drop(store);
    fs::remove_dir_all(&path).unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let path = fresh("file");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, b"I am a file").unwrap();
    let error = open(&path, "").err().unwrap();
    assert!(error.message.contains(&path.display().to_string()), "{}", error.message);
    fs::remove_file(&path).unwrap();
}
