// SPDX-License-Identifier: Apache-2.0
//! Contracts: it makes no difference how bytes are cut, how they are joined, and how little room there is.

use super::drive::{Drive, same};
use super::run::{Look, scripted};
use super::script::{Script, Step};
use crate::Report;
use sabir_host::Capacities;

pub(super) fn check(look: &Look<'_>, report: &mut Report) {
    let whole = |script: &Script| Ok(play(look, &script.steps)?.seen);
    scripted(look, report, "protocol.script", "Every script is played to its end.", |script| {
        whole(script).map(|_| ())
    });
    scripted(look, report, "protocol.repeat", "The same bytes and answers give the same twice.", |script| {
        same(&whole(script)?, &whole(script)?)
    });
    scripted(
        look,
        report,
        "protocol.split.every-byte",
        "Input cut in two at any byte gives the same as whole.",
        |script| {
            let expected = whole(script)?;
            split_everywhere(script, |steps| same(&expected, &play(look, &steps)?.seen))
        },
    );
    scripted(
        look,
        report,
        "protocol.split.single-bytes",
        "Input that comes byte by byte gives the same as whole.",
        |script| {
            let steps: Vec<Step> = script.steps.iter().flat_map(single_bytes).collect();
            same(&whole(script)?, &play(look, &steps)?.seen)
        },
    );
    scripted(
        look,
        report,
        "protocol.pipelined",
        "What a peer sends without waiting gives the same in one read as in several.",
        |script| same(&whole(script)?, &play(look, &script.joined().steps)?.seen),
    );
    scripted(
        look,
        report,
        "protocol.out-full",
        "With hardly any room for output the same comes out, over several calls.",
        |script| {
            let found = Drive::play(&look.protocol, look.subject.least, &script.steps)?;
            same(&whole(script)?, &found.seen)
        },
    );
    scripted(look, report, "protocol.empty-input", "A call without bytes changes nothing.", |script| {
        let empty = |step: &Step| [step.clone(), Step::Send(Vec::new())];
        let steps: Vec<Step> = script.steps.iter().flat_map(empty).collect();
        same(&whole(script)?, &play(look, &steps)?.seen)
    });
    scripted(
        look,
        report,
        "protocol.sessions-apart",
        "Sessions that take turns do not notice each other.",
        |script| {
            let expected = whole(script)?;
            let mut drives = Vec::new();
            for _ in 0..3 {
                drives.push(Drive::new(&look.protocol, Capacities::default())?);
            }
            for step in &script.steps {
                for drive in &mut drives {
                    drive.step(step)?;
                }
            }
            drives.iter().try_for_each(|drive| same(&expected, &drive.seen))
        },
    );
}

fn play(look: &Look<'_>, steps: &[Step]) -> Result<Drive, String> {
    Drive::play(&look.protocol, Capacities::default(), steps)
}

fn single_bytes(step: &Step) -> Vec<Step> {
    match step {
        Step::Send(bytes) => bytes.iter().map(|byte| Step::Send(vec![*byte])).collect(),
        other => vec![other.clone()],
    }
}

/// Long inputs are not cut at every byte: the suite must end.
const MAX_CUTS: usize = 2000;

fn split_everywhere(
    script: &Script,
    mut check: impl FnMut(Vec<Step>) -> Result<(), String>,
) -> Result<(), String> {
    for (at, step) in script.steps.iter().enumerate() {
        let Step::Send(bytes) = step else { continue };
        let stride = bytes.len().div_ceil(MAX_CUTS).max(1);
        for cut in (1..bytes.len()).step_by(stride) {
            let (first, second) = bytes.split_at(cut);
            let mut steps = script.steps.clone();
            steps.splice(at..=at, [Step::Send(first.to_vec()), Step::Send(second.to_vec())]);
            check(steps).map_err(|what| format!("step {}, cut at byte {cut}: {what}", at + 1))?;
        }
    }
    Ok(())
}
