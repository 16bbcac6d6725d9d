// SPDX-License-Identifier: Apache-2.0
//! Contracts: whatever the broker answers and delivers is taken.

use super::drive::{Drive, same};
use super::run::{Look, scripted};
use super::script::{Script, Step};
use crate::Report;
use sabir_host::Capacities;
use sabir_model::message::BodyKind;
use sabir_model::verb::{Answer, Reason, Refusal};

pub(super) fn check(look: &Look<'_>, report: &mut Report) {
    replies(look, report);
    deliveries(look, report);
    scripted(
        look,
        report,
        "protocol.flow",
        "That reading stops and resumes changes nothing that is written or asked.",
        |script| {
            let paused = |step: &Step| [Step::Pause(true), Step::Pause(false), step.clone()];
            let steps: Vec<Step> = script.steps.iter().flat_map(paused).collect();
            same(&play(look, &script.steps)?.seen, &play(look, &steps)?.seen)
        },
    );
}

fn replies(look: &Look<'_>, report: &mut Report) {
    scripted(
        look,
        report,
        "protocol.replies.one-by-one",
        "Answers that come one by one give the same as together.",
        |script| {
            let expected = play(look, &script.steps)?.seen;
            let mut drive = Drive::new(&look.protocol, Capacities::default())?;
            for step in &script.steps {
                if *step == Step::Answer {
                    for token in drive.take_open() {
                        drive.reply(vec![(token, Answer::Done)])?;
                    }
                }
                drive.step(step)?;
            }
            same(&expected, &drive.seen)
        },
    );
    scripted(
        look,
        report,
        "protocol.replies.refused",
        "Every refusal, for every reason, is survived.",
        |script| Reason::ALL.into_iter().try_for_each(|reason| refused(look, script, reason)),
    );
    scripted(
        look,
        report,
        "protocol.replies.unasked",
        "An answer to nothing, and an answer given twice, are survived.",
        |script| {
            let mut drive = play(look, &script.steps)?;
            if drive.seen.closed {
                return Ok(());
            }
            let tokens = [0, 1, 2, 3, u64::MAX, u64::MAX / 2];
            drive.reply(tokens.into_iter().map(|token| (token, Answer::Done)).collect())
        },
    );
}

fn deliveries(look: &Look<'_>, report: &mut Report) {
    scripted(
        look,
        report,
        "protocol.deliveries.unknown",
        "A delivery for a subscription that there is not is taken, and nothing of it is written.",
        |script| {
            let mut drive = play(look, &script.steps)?;
            if drive.seen.closed {
                return Ok(());
            }
            let written = drive.seen.output.len();
            let delivery = drive.delivery(u64::MAX, BodyKind::Bytes, b"SUITE");
            drive.deliver(vec![delivery])?;
            if drive.seen.output.len() == written { Ok(()) } else { Err("something was written".to_owned()) }
        },
    );
    scripted(
        look,
        report,
        "protocol.deliveries.same-in-pieces",
        "Deliveries that come one by one give the same as together.",
        |script| {
            let one_by_one = |step: &Step| match step {
                Step::Deliver(count, kind, body) => vec![Step::Deliver(1, *kind, body.clone()); *count],
                other => vec![other.clone()],
            };
            let steps: Vec<Step> = script.steps.iter().flat_map(one_by_one).collect();
            same(&play(look, &script.steps)?.seen, &play(look, &steps)?.seen)
        },
    );
}

fn play(look: &Look<'_>, steps: &[Step]) -> Result<Drive, String> {
    Drive::play(&look.protocol, Capacities::default(), steps)
}

fn refused(look: &Look<'_>, script: &Script, reason: Reason) -> Result<(), String> {
    for (at, step) in script.steps.iter().enumerate() {
        if *step != Step::Answer {
            continue;
        }
        let mut drive = play(look, script.steps.get(..at).unwrap_or_default())?;
        let refusal = Refusal::new(reason, "the suite refuses\r\n\r\n\0\u{1b}[31m: x\\");
        let refuse = |token| (token, Answer::Refused(Box::new(refusal.clone())));
        let answers = drive.take_open().into_iter().map(refuse).collect();
        drive.reply(answers).map_err(|what| format!("step {at}, {reason:?}: {what}"))?;
        // The byte by itself may be a length of a binary protocol.
        if drive.seen.output.windows(5).any(|bytes| bytes == b"\x1b[31m") {
            return Err(format!("step {at}: control characters of a reason reach the peer raw"));
        }
    }
    Ok(())
}
