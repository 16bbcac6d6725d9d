// SPDX-License-Identifier: Apache-2.0
//! What the fuzzer starts from and what it has found, replayed; and as much again that nobody wrote.

mod check;

use proptest::prelude::*;
use sabir_model::pattern::Pattern;
use std::fs;
use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/model/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        check(&fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0, "{} is empty", directory.display());
}

#[test]
fn the_corpora_of_the_fuzzer_are_replayed() {
    replay("selector", check::selector);
    replay("message", check::message);
    replay("pattern", check::pattern);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn bytes_of_any_kind_are_a_message_or_an_error(data in prop::collection::vec(any::<u8>(), 0..200)) {
        check::message(&data);
        let mut almost = vec![1, 1, 4, 1, 0, 0, 0, 0, 40, 0, 0, 0];
        almost.extend_from_slice(&data);
        let len = (almost.len() as u32).to_le_bytes();
        almost[4..8].copy_from_slice(&len);
        check::message(&almost);
    }

    #[test]
    fn covering_says_what_matching_does(data in "[ab*#.]{1,9}\n[ab*#.]{1,9}\n[abc.]{0,9}") {
        check::pattern(data.as_bytes());
    }

    #[test]
    fn a_pattern_covers_exactly_what_it_matches_all_of(wide in "[ab*#](\\.[ab*#]){0,2}", narrow in "[ab*#](\\.[ab*#]){0,2}") {
        let (wide, narrow) = (Pattern::parse(&wide).unwrap(), Pattern::parse(&narrow).unwrap());
        let all = names(6).filter(|name| narrow.matches(name)).all(|name| wide.matches(&name));
        prop_assert_eq!(wide.covers(&narrow), all, "{} covers {}", wide, narrow);
    }
}

/// All names of up to `words` words, each `a`, `b` or one that stands in no pattern.
fn names(words: u32) -> impl Iterator<Item = String> {
    (1..=words).flat_map(|count| {
        (0..3usize.pow(count)).map(move |number| {
            let word = |at: u32| ["a", "b", "z"][number / 3usize.pow(at) % 3];
            (0..count).map(word).collect::<Vec<_>>().join(".")
        })
    })
}
