// SPDX-License-Identifier: Apache-2.0
//! SIGKILL when some thread of the broker comes to its n-th write, sync, rename or removal of a file.

use crate::machine::{Scene, words};
use sabir_tests::load::Load;
use sabir_tests::random::Random;

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
