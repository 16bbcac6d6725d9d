// SPDX-License-Identifier: Apache-2.0
//! SIGKILL when some thread of the broker comes to its n-th write, sync, rename or removal of a file.

use crate::machine::{Scene, words};
use sabir_tests::load::Load;
use sabir_tests::process::Options;
use sabir_tests::random::Random;
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// System calls that change files, as they are made at all, by how often they are chosen.
pub const CALLS: [&str; 10] = [
    "pwritev",
    "pwritev",
    "pwritev",
    "pwritev",
    "fdatasync",
    "fdatasync",
    "fdatasync",
    "fsync",
    "rename",
    "unlink",
];

/// Steps of clients in which the call comes, or does not.
const STEPS: u64 = 800;
/// Starts after one life that are interrupted, at most.
const MOST_INTERRUPTED: u32 = 3;

/// One of them, and the how manyeth time.
pub fn choose(random: &mut Random) -> (&'static str, u64) {
    let call = CALLS[random.below(CALLS.len() as u64) as usize];
    let most = match call {
        "pwritev" | "fdatasync" => 60,
        _ => 4,
    };
    (call, 1 + random.below(most))
}

/// What runs a broker to which something happens at such a call.
pub fn injecting(call: &str, nth: u64, what: &str, trace: &str) -> Vec<String> {
    let inject = format!("inject={call}:{what}:when={nth}");
    // The tracer is a grandchild, so that the child is the broker.
    let mut all =
        words(&["setpriv", "--pdeathsig", "KILL", "strace", "-D", "-f", "-y", "-s", "0", "-o", trace]);
    all.extend(words(&["-e", "trace=pwritev,fdatasync,fsync,rename,unlink", "-e", &inject]));
    if !what.starts_with("signal") {
        // Only what is traced stops, which is much faster; but then strace sends no signals.
        all.push("--seccomp-bpf".to_owned());
    }
    all
}

pub fn at_calls(scene: &mut Scene, count: u32) -> String {
    at_calls_of(scene, count, choose)
}

/// At those calls that are made when the journal goes on in another file, or makes a checkpoint.
pub fn at_another_file(scene: &mut Scene, count: u32) -> String {
    at_calls_of(scene, count, |random| {
        let call = ["fsync", "rename", "unlink"][random.below(3) as usize];
        (call, 1 + random.below(12))
    })
}

fn at_calls_of(scene: &mut Scene, count: u32, choose: fn(&mut Random) -> (&'static str, u64)) -> String {
    let folder = scene.fresh();
    let trace = folder.join("trace").display().to_string();
    let mut options = scene.broker(&folder.join("data"));
    let plain = options.under.clone();
    let mut load = Load::default();
    let (mut at_the_start, mut working) = (0, 0);
    while at_the_start + working < count {
        let (call, nth) = choose(&mut scene.random);
        options.under = injecting(call, nth, "signal=KILL", &trace);
        match options.try_start() {
            Ok(broker) => {
                let before = load.steps();
                load.live(broker.address, STEPS, || broker.kill());
                // Where the call was not made so often, the kill came from outside.
                working += u32::from(load.steps() < before + STEPS as usize);
            }
            Err(_) => at_the_start += 1,
        }
    }
    options.under = plain;
    let broker = options.start();
    let outcome = load.drain(broker.address);
    outcome.must_be_good();
    format!("{} confirmed, none lost; {at_the_start} of the kills while it started", outcome.confirmed)
}

/// While it recovers from a kill: a few times one after the other, until a start goes through.
pub fn while_it_recovers(scene: &mut Scene, count: u32) -> String {
    let folder = scene.fresh();
    let trace = folder.join("trace").display().to_string();
    let mut options = scene.broker(&folder.join("data"));
    let plain = options.under.clone();
    let mut load = Load::default();
    let (mut killed, mut lives) = (0, 0);
    while killed < count {
        let broker = options.start();
        let steps = 1 + scene.random.below(300);
        load.live(broker.address, steps, || broker.kill());
        lives += 1;
        let calls = calls_of_a_start(&mut options, &trace);
        for _ in 0..MOST_INTERRUPTED {
            let (call, nth) = pick(&calls, &mut scene.random);
            options.under = injecting(&call, nth, "signal=KILL", &trace);
            match options.try_start() {
                Err(refusal) => {
                    must_be_killed(refusal.status, &refusal.words);
                    killed += 1;
                }
                // What was interrupted before has less to do.
                Ok(broker) => broker.kill(),
            }
        }
        options.under.clone_from(&plain);
        assert!(lives <= 2 * count, "only {killed} of the starts after {lives} lives could be interrupted");
    }
    let broker = options.start();
    let outcome = load.drain(broker.address);
    outcome.must_be_good();
    format!("{} confirmed in {lives} lives, none lost", outcome.confirmed)
}

/// How often which calls are made by a thread that makes most of them, as a trace tells.
pub fn calls_in(trace: &str) -> Vec<(String, u64)> {
    let text = std::fs::read_to_string(trace).expect("strace has written it");
    let mut by_thread: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        if CALLS.contains(&call) {
            *by_thread.entry((call, thread)).or_default() += 1;
        }
    }
    let mut most: BTreeMap<&str, u64> = BTreeMap::new();
    for ((call, _), count) in by_thread {
        let known = most.entry(call).or_default();
        *known = count.max(*known);
    }
    most.into_iter().map(|(call, count)| (call.to_owned(), count)).collect()
}

/// One of so many calls.
pub fn pick(calls: &[(String, u64)], random: &mut Random) -> (String, u64) {
    let mut at = random.below(calls.iter().map(|(_, count)| count).sum());
    for (call, count) in calls {
        if at < *count {
            return (call.clone(), at + 1);
        }
        at -= count;
    }
    unreachable!("it is below the sum")
}

pub fn must_be_killed(status: ExitStatus, words: &str) {
    assert_eq!(status.signal(), Some(9), "it ended by itself: {status}; it wrote: {words}");
}

fn calls_of_a_start(options: &mut Options, trace: &str) -> Vec<(String, u64)> {
    // A start that is killed when it is ready, under a tracer that does nothing.
    options.under = injecting("unlink", u64::from(u16::MAX), "signal=KILL", trace);
    options.start().kill();
    calls_in(trace)
}
