// SPDX-License-Identifier: Apache-2.0
//! Contracts: configuration, the end of sessions, and what an idle one costs.

use super::drive::Drive;
use super::run::{Look, Subject, scripted};
use crate::Report;
use sabir_host::Capacities;

/// Sessions over which memory is measured.
const SESSIONS: usize = 2000;

pub(super) fn configuration(subject: &Subject, report: &mut Report) {
    const REFUSED: &str = "A configuration that is no JSON object, or sets what there is not, is refused.";
    report.check("protocol.config.refused", REFUSED, || {
        for config in ["[]", "{", "7", "{\"no-such-setting-of-any-protocol\": 1}"] {
            if subject.component.open_protocol(config).is_ok() {
                return Err(format!("{config} is accepted"));
            }
        }
        Ok(())
    });
}

pub(super) fn check(look: &Look<'_>, report: &mut Report) {
    scripted(
        look,
        report,
        "protocol.close",
        "The broker can end a session at any time, and the link then closes.",
        |script| {
            for at in 0..=script.steps.len() {
                let steps = script.steps.get(..at).unwrap_or_default();
                let mut drive = Drive::play(&look.protocol, Capacities::default(), steps)?;
                drive.close("the suite\r\n\0ends")?;
                if !drive.seen.closed {
                    return Err(format!("after step {at} the link stays open"));
                }
            }
            Ok(())
        },
    );
    scripted(
        look,
        report,
        "protocol.close.silent",
        "Once the link is to be closed, nothing more is asked or written.",
        |script| {
            let mut drive = Drive::play(&look.protocol, Capacities::default(), &script.steps)?;
            drive.close("the suite ends")?;
            let before = drive.seen.clone();
            drive.seen.closed = false;
            drive.send(script.first_bytes())?;
            let after = drive.seen.clone();
            if (after.requests.len(), after.output.len()) == (before.requests.len(), before.output.len()) {
                Ok(())
            } else {
                Err("it goes on after the end".to_owned())
            }
        },
    );
}

/// Run first: memory that others have given back would be used again, unseen.
pub(super) fn memory(look: &Look<'_>, report: &mut Report) {
    const ID: &str = "protocol.idle-memory";
    const LITTLE: &str = "Sessions that have logged in and are idle hold little memory.";
    let Some(script) = look.subject.scripts.first() else {
        return report.skip(ID, LITTLE, "no scripts were given");
    };
    let Some(before) = resident_bytes() else {
        return report.skip(ID, LITTLE, "this system does not tell how much memory a process has");
    };
    report.check(ID, LITTLE, || {
        let mut sessions = Vec::with_capacity(SESSIONS);
        for _ in 0..SESSIONS {
            let drive = Drive::play(&look.protocol, look.subject.least, &script.steps)?;
            sessions.push(drive.into_session());
        }
        let after = resident_bytes().unwrap_or(before);
        let each = after.saturating_sub(before) / SESSIONS;
        drop(sessions);
        if each <= look.subject.idle_bytes {
            Ok(())
        } else {
            Err(format!("each holds {each} bytes, more than {}", look.subject.idle_bytes))
        }
    });
}

/// Memory of this process.
fn resident_bytes() -> Option<usize> {
    const PAGE_BYTES: usize = 4096;
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}
