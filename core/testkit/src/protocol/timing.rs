// SPDX-License-Identifier: Apache-2.0
//! Contracts: timers come to an end.

use super::drive::{Drive, START, same};
use super::run::{Look, scripted};
use super::script::{Script, Step};
use crate::Report;
use sabir_host::Capacities;

/// A peer that says nothing before log-in is not kept longer.
const MAX_SILENCE_BEFORE_LOGIN_MS: u64 = 60_000;

pub(super) fn check(look: &Look<'_>, report: &mut Report) {
    report.check("protocol.timer.silent-peer", "A peer that never says anything is given up.", || {
        let mut drive = Drive::new(&look.protocol, Capacities::default())?;
        let Some(deadline) = drive.deadline_ms() else { return Err("there is no deadline".to_owned()) };
        let wait = deadline.saturating_sub(START.monotonic_ms);
        if wait > MAX_SILENCE_BEFORE_LOGIN_MS {
            return Err(format!("it waits {wait} ms"));
        }
        drive.step(&Step::Advance(wait))?;
        if drive.seen.closed { Ok(()) } else { Err(format!("the link is open after {wait} ms")) }
    });
    scripted(
        look,
        report,
        "protocol.timer.progress",
        "Whenever the timer is called at its deadline, the next deadline is later, or the link closes.",
        |script| (0..=script.steps.len()).try_for_each(|at| progress(look, script, at)),
    );
    scripted(
        look,
        report,
        "protocol.timer.early",
        "A timer that is called before its deadline changes nothing.",
        |script| {
            let expected = Drive::play(&look.protocol, Capacities::default(), &script.steps)?.seen;
            let mut drive = Drive::new(&look.protocol, Capacities::default())?;
            for step in &script.steps {
                if !drive.seen.closed {
                    drive.call_timer()?;
                }
                drive.step(step)?;
            }
            same(&expected, &drive.seen)
        },
    );
}

fn progress(look: &Look<'_>, script: &Script, at: usize) -> Result<(), String> {
    let steps = script.steps.get(..at).unwrap_or_default();
    let mut drive = Drive::play(&look.protocol, Capacities::default(), steps)?;
    for _ in 0..20 {
        let Some(deadline) = drive.deadline_ms().filter(|_| !drive.seen.closed) else { return Ok(()) };
        let wait = deadline.saturating_sub(drive.now().monotonic_ms);
        if wait == 0 {
            return Err(format!("after step {at} the deadline stays in the past"));
        }
        drive.step(&Step::Advance(wait))?;
    }
    Ok(())
}
