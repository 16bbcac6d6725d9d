// SPDX-License-Identifier: Apache-2.0
//! Entries, their labels and links, and how they go.

use super::subject::{
    Bench, Check, append, batch, bytes, commit, ensure, link, pattern, put, read, remove, same, seqs,
    summaries, texts, whole,
};
use super::{
    Contract,
    Needs::{NoReplace, Nothing, Replace},
    contract,
};
use bytes::Bytes;
use sabir_host::ErrorCode;
use sabir_model::store::{FORGET, Op, Read, TEMPORARY, Want};

pub(super) const CONTRACTS: &[Contract] = &[
    contract(
        "store.append.read-back",
        Nothing,
        "An entry is read as it was appended: number, span, format, label, joined pieces.",
        read_back,
    ),
    contract("store.label.length", Nothing, "A label of 65,535 bytes is kept.", label_length),
    contract(
        "store.link.body-lives",
        Nothing,
        "A linked record lives until its last entry is removed; each entry has its own label.",
        body_lives,
    ),
    contract(
        "store.link.of-link",
        Nothing,
        "A link may lead to a link, and into other logs, in later batches too.",
        of_link,
    ),
    contract(
        "store.link.identity",
        Nothing,
        "Entries of one record have the same identity and others not, if the store tells identities.",
        identity,
    ),
    contract("store.link.missing", Nothing, "A link to an entry that does not exist is refused.", missing),
    contract(
        "store.remove.ranges",
        Nothing,
        "Ranges are removed, those entries that exist; removing twice is nothing.",
        ranges,
    ),
    contract(
        "store.remove.scattered",
        Nothing,
        "Entries removed one by one in any order leave exactly the others.",
        scattered,
    ),
    contract("store.trim", Nothing, "Trimming removes what is below a number, and nothing else.", trim),
    contract(
        "store.log.forgotten",
        Nothing,
        "A log that is forgotten has no summary, and begins anew; links out of it stay.",
        forgotten,
    ),
    contract("store.span", Nothing, "Entries that cover several numbers keep their span.", spans),
    contract("store.replace", Replace, "A range is replaced by one record, or by nothing.", replace),
    contract(
        "store.replace.not-claimed",
        NoReplace,
        "A store that does not claim to replace refuses, without effect.",
        replace_refused,
    ),
    contract(
        "store.temporary",
        Nothing,
        "Temporary logs take entries, links to and from other logs, and removals.",
        temporary,
    ),
    contract("store.logs.many", Nothing, "Five thousand logs live side by side.", many_logs),
    contract("store.stats.entries", Nothing, "The figures count the entries that exist.", stats),
];

fn read_back(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    let entry = |seq, span, format, label: &str, head: &str, body: &str| Op::Append {
        log: 7,
        seq,
        span,
        format,
        label: bytes(label),
        record: [bytes(head), bytes(body)],
    };
    let ops = vec![
        entry(0, 1, 0, "", "", ""),
        entry(3, 1, 9, "label", "head", ""),
        entry(10, 5, u32::MAX, "", "", "body"),
        entry(u64::MAX / 2, 1, 1, "é\0", "head ", "and body"),
    ];
    commit(&store, ops)?;
    let found: Vec<_> = read(&store, &whole(7))?
        .into_iter()
        .map(|r| (r.seq, r.span, r.format, r.label.to_vec(), r.data.to_vec(), r.total_len))
        .collect();
    let row = |seq, span, format, label: &str, data: &str| {
        (seq, span, format, label.as_bytes().to_vec(), data.as_bytes().to_vec(), data.len() as u64)
    };
    let expected = vec![
        row(0, 1, 0, "", ""),
        row(3, 1, 9, "label", "head"),
        row(10, 5, u32::MAX, "", "body"),
        row(u64::MAX / 2, 1, 1, "é\0", "head and body"),
    ];
    same("entries", found, expected)
}

fn label_length(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    let label = pattern(1, 65_535);
    let record = [bytes("x"), Bytes::new()];
    commit(&store, vec![Op::Append { log: 1, seq: 0, span: 1, format: 0, label: label.clone(), record }])?;
    let found = read(&store, &whole(1))?;
    ensure!(found.first().is_some_and(|record| record.label == label), "the label is another");
    Ok(())
}

fn body_lives(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, vec![append(1, 0, "body"), link(2, 0, 1, 0, "two")])?;
    commit(&store, vec![link(3, 8, 1, 0, "three")])?;
    commit(&store, vec![remove(1, 0, 0)])?;
    same("log 1", seqs(&store, 1)?.len(), 0)?;
    for (log, seq, label) in [(2, 0, "two"), (3, 8, "three")] {
        let found = read(&store, &whole(log))?;
        let found: Vec<_> = found.iter().map(|r| (r.seq, r.label.to_vec(), r.data.to_vec())).collect();
        same("entry", found, vec![(seq, label.as_bytes().to_vec(), b"body".to_vec())])?;
    }
    commit(&store, vec![remove(2, 0, 9)])?;
    same("log 3", texts(&store, 3)?, vec!["body".to_owned()])?;
    commit(&store, vec![remove(3, 0, 9)])?;
    ensure!(store.submit(&batch(vec![link(4, 0, 3, 8, "")])).is_err(), "a link to a removed entry was taken");
    Ok(())
}

fn of_link(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, (0..100).map(|n| append(1, n, format!("r{n}"))).collect())?;
    commit(&store, (0..100).map(|n| link(2, n, 1, 99 - n, "")).collect())?;
    commit(&store, vec![Op::Trim { log: 1, before: 100 }])?;
    commit(&store, (0..100).map(|n| link(3, n, 2, n, "")).collect())?;
    commit(&store, vec![Op::Trim { log: 2, before: 100 }])?;
    same("log 3", texts(&store, 3)?, (0..100).map(|n| format!("r{}", 99 - n)).collect())
}

fn missing(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, vec![append(1, 5, "x")])?;
    for (log, seq) in [(1, 4), (1, 6), (2, 5)] {
        ensure!(
            store.submit(&batch(vec![link(3, 0, log, seq, "")])).is_err(),
            "a link to ({log}, {seq}) was taken"
        );
    }
    Ok(())
}

fn ranges(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, (0..100).map(|n| append(1, n * 2, n.to_string())).collect())?;
    commit(&store, vec![remove(1, 10, 19), remove(1, 10, 19), remove(1, 151, 151), remove(9, 0, 100)])?;
    commit(&store, vec![remove(1, 190, u64::MAX)])?;
    let expected: Vec<u64> = (0..95).map(|n| n * 2).filter(|seq| !(10..20).contains(seq)).collect();
    same("entries", seqs(&store, 1)?, expected)
}

fn scattered(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    const COUNT: u64 = 3000;
    for first in (0..COUNT).step_by(100) {
        commit(&store, (first..first + 100).map(|n| append(1, n, format!("{n}"))).collect())?;
    }
    // 7 and the count have no common factor: every number comes once.
    let order: Vec<u64> = (0..COUNT).map(|n| n * 7 % COUNT).collect();
    for part in order.chunks(500) {
        let ops = part.iter().filter(|seq| *seq % 3 != 0).map(|seq| remove(1, *seq, *seq)).collect();
        commit(&store, ops)?;
    }
    let expected: Vec<String> = (0..COUNT).filter(|n| n % 3 == 0).map(|n| n.to_string()).collect();
    same("records", texts(&store, 1)?, expected)
}

fn trim(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, (0..50).map(|n| append(1, n, "x")).collect())?;
    commit(&store, vec![Op::Trim { log: 1, before: 0 }])?;
    same("entries", seqs(&store, 1)?.len(), 50)?;
    commit(
        &store,
        vec![
            Op::Trim { log: 1, before: 20 },
            Op::Trim { log: 1, before: 10 },
            Op::Trim { log: 5, before: 9 },
        ],
    )?;
    same("entries", seqs(&store, 1)?, (20..50).collect())
}

fn forgotten(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, (0..20).map(|n| append(1, n, format!("old {n}"))).collect())?;
    commit(&store, vec![link(2, 0, 1, 0, ""), append(3, 0, "beside")])?;
    commit(&store, vec![Op::Trim { log: 1, before: FORGET }])?;
    same("entries", seqs(&store, 1)?.len(), 0)?;
    let told: Vec<u64> = summaries(&store)?.iter().map(|summary| summary.log).collect();
    same("logs", told, vec![2, 3])?;
    commit(&store, vec![append(1, 0, "new"), link(2, 1, 1, 0, "")])?;
    commit(&store, vec![append(1, 1, "gone"), Op::Trim { log: 1, before: FORGET }, append(1, 0, "newest")])?;
    commit(&store, vec![link(2, 2, 1, 0, "")])?;
    same("records", texts(&store, 1)?, vec!["newest".to_owned()])?;
    same("links", texts(&store, 2)?, ["old 0", "new", "newest"].map(str::to_owned).to_vec())
}

fn spans(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    let entry = |seq, span| Op::Append {
        log: 1,
        seq,
        span,
        format: 0,
        label: Bytes::new(),
        record: [bytes("x"), Bytes::new()],
    };
    commit(&store, vec![entry(0, 100), entry(100, 1), entry(101, 1 << 40)])?;
    let next = 101 + (1 << 40);
    ensure!(
        store.submit(&batch(vec![append(1, next - 1, "inside")])).is_err(),
        "an entry within a span was taken"
    );
    commit(&store, vec![append(1, next, "after"), remove(1, 100, 100)])?;
    let found: Vec<_> = read(&store, &whole(1))?.iter().map(|r| (r.seq, r.span)).collect();
    same("entries", found, vec![(0, 100), (101, 1 << 40), (next, 1)])
}

fn replace_op(first: u64, last: u64, record: Option<&str>) -> Op {
    Op::Replace { log: 1, first, last, span: last - first + 1, format: 4, record: record.map(bytes) }
}

fn replace(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, (0..30).map(|n| append(1, n, n.to_string())).collect())?;
    commit(&store, vec![replace_op(10, 19, Some("ten to nineteen")), replace_op(25, 26, None)])?;
    let found: Vec<_> = read(&store, &whole(1))?.iter().map(|r| (r.seq, r.span, r.format)).collect();
    let mut expected: Vec<_> = (0..10).chain(20..25).chain(27..30).map(|n| (n, 1, 0)).collect();
    expected.push((10, 10, 4));
    expected.sort_unstable();
    same("entries", found, expected)?;
    commit(&store, vec![replace_op(10, 19, Some("again")), append(1, 30, "thirty")])?;
    let text: Vec<String> =
        texts(&store, 1)?.into_iter().filter(|text| text == "again" || text == "thirty").collect();
    same("records", text, vec!["again".to_owned(), "thirty".to_owned()])
}

fn replace_refused(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, vec![append(1, 0, "zero")])?;
    match store.submit(&batch(vec![append(1, 1, "one"), replace_op(0, 0, None)])) {
        Err(error) => same("code", error.code, ErrorCode::Unsupported)?,
        Ok(_) => return Err("it was taken".to_owned()),
    }
    same("entries", seqs(&store, 1)?, vec![0])
}

fn temporary(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    let temp = TEMPORARY | 5;
    commit(&store, vec![append(temp, 0, "passing"), append(1, 0, "lasting"), put("k", "v")])?;
    commit(&store, vec![link(1, 1, temp, 0, "kept"), link(temp, 1, 1, 0, "seen")])?;
    commit(
        &store,
        vec![append(temp, 2, "both"), link(1, 2, temp, 2, ""), append(1, 3, "back"), link(temp, 3, 1, 3, "")],
    )?;
    let expected = |texts: [&str; 4]| texts.map(str::to_owned).to_vec();
    same("temporary", texts(&store, temp)?, expected(["passing", "lasting", "both", "back"]))?;
    commit(&store, vec![remove(temp, 0, 1), remove(1, 0, 0)])?;
    same("temporary", texts(&store, temp)?, vec!["both".to_owned(), "back".to_owned()])?;
    same("lasting", texts(&store, 1)?, vec!["passing".to_owned(), "both".to_owned(), "back".to_owned()])?;
    // More than any buffer for such logs.
    let large = pattern(3, 64 * 1024);
    for seq in 4..100 {
        commit(&store, vec![append(temp, seq, &large)])?;
    }
    let found = read(&store, &whole(temp))?;
    ensure!(
        found.len() == 98 && found.iter().skip(2).all(|record| record.data == large),
        "a large entry differs"
    );
    Ok(())
}

fn many_logs(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    const LOGS: u64 = 5000;
    for round in 0..2 {
        for first in (0..LOGS).step_by(500) {
            commit(
                &store,
                (first..first + 500).map(|log| append(log * 3, round, format!("{log}/{round}"))).collect(),
            )?;
        }
    }
    for log in (0..LOGS).step_by(97) {
        same("records", texts(&store, log * 3)?, vec![format!("{log}/0"), format!("{log}/1")])?;
    }
    same("another log", seqs(&store, 1)?.len(), 0)
}

fn stats(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, (0..40).map(|n| append(1, n, [7u8; 100])).collect())?;
    commit(&store, vec![remove(1, 0, 9)])?;
    let stats = store.stats().map_err(|error| error.to_string())?;
    same("entries", stats.live_records, 30)?;
    same("bytes", stats.live_bytes, 3000)
}

fn identity(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    let same_bytes = || [bytes("the same"), bytes(" bytes")];
    let append =
        |log, seq| Op::Append { log, seq, span: 1, format: 0, label: bytes(""), record: same_bytes() };
    let link = |log, seq, from_log, from_seq| Op::Link { log, seq, from_log, from_seq, label: bytes("l") };
    commit(&store, vec![append(1, 0), append(1, 1), link(2, 0, 1, 0)])?;
    commit(&store, vec![link(2, 1, 1, 1), link(3, 0, 2, 0)])?;
    let identities = |log| {
        let found = store.read(&Read { want: Want::Identity, ..whole(log) });
        found.map(|records| records.iter().map(|record| record.data.clone()).collect::<Vec<_>>())
    };
    let one = match identities(1) {
        Err(error) if error.code == ErrorCode::Unsupported => return Ok(()),
        other => other.map_err(|error| format!("reading identities failed: {error}"))?,
    };
    let failed = |error| format!("reading identities failed: {error}");
    let (two, three) = (identities(2).map_err(failed)?, identities(3).map_err(failed)?);
    let [first, second] = &one[..] else { return Err(format!("{} entries of two", one.len())) };
    ensure!(!first.is_empty() && first != second, "two records have one identity");
    same("the identities of links", two, one.clone())?;
    same("the identity of a link to a link", three, vec![first.clone()])
}
