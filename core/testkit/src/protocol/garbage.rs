// SPDX-License-Identifier: Apache-2.0
//! Contracts: whatever a peer sends, in whatever state, is survived within the limits.

use super::drive::{Drive, MAX_HEAD_BYTES};
use super::run::{Look, scripted};
use super::script::{Script, Step};
use crate::Report;
use sabir_host::{Capacities, Match};

/// Most bytes that a session may write in answer to garbage.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

pub(super) fn check(look: &Look<'_>, report: &mut Report) {
    report.check(
        "protocol.garbage.first",
        "Garbage as the first bytes is survived within the limits.",
        || {
            let nothing = Script { name: "the begin".to_owned(), steps: Vec::new() };
            garbage_after(look, &nothing, 0)
        },
    );
    scripted(
        look,
        report,
        "protocol.garbage.anywhere",
        "Garbage in any state, also in the midst of a frame, is survived within the limits.",
        |script| (0..=script.steps.len()).try_for_each(|at| garbage_after(look, script, at)),
    );
    scripted(
        look,
        report,
        "protocol.flipped",
        "Input with any one byte changed is survived within the limits.",
        |script| flipped(look, script),
    );
    scripted(
        look,
        report,
        "protocol.truncated",
        "A peer that leaves at any byte leaves nothing behind.",
        |script| truncated(look, script),
    );
    scripted(
        look,
        report,
        "protocol.endless",
        "Input without end is consumed or refused: no more than the longest head is ever held.",
        |script| (0..=script.steps.len()).try_for_each(|at| endless_after(look, script, at)),
    );
    detection(look, report);
}

/// Garbage of several kinds, always the same.
fn garbages() -> Vec<Vec<u8>> {
    let mut all = vec![
        vec![0; 64],
        vec![0xff; 64],
        vec![b'\n'; 300],
        b"\x7f\xff\xff\xff\x00\x00\x00\x00".to_vec(),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"AMQP\x00\x00\x09\x01".to_vec(),
        b"\x00\x00\x00\x12\x01ActiveMQ\x00\x00\x00\x0c\x01\x7f\xff\xff\xff".to_vec(),
        "\u{202e}\u{0000}\u{fffd}".repeat(30).into_bytes(),
        b"\xc0\x80\xed\xa0\x80\xf8\x88\x80\x80\x80".to_vec(),
    ];
    let mut random = Random(0x5eed);
    all.extend((0..32).map(|_| (0..200).map(|_| random.next().to_be_bytes()[0]).collect()));
    all
}

/// Numbers that look random and are always the same (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn garbage_after(look: &Look<'_>, script: &Script, at: usize) -> Result<(), String> {
    let before = script.steps.get(..at).unwrap_or_default();
    for garbage in garbages() {
        // Alone, and behind the first half of what the peer would have sent.
        let half = match script.steps.get(at) {
            Some(Step::Send(bytes)) => bytes.get(..bytes.len() / 2).unwrap_or_default(),
            _ => &[],
        };
        for begin in [&[][..], half] {
            let mut drive = Drive::play(&look.protocol, Capacities::default(), before)?;
            let written = drive.seen.output.len();
            let sent = drive.send(begin).and_then(|()| drive.send(&garbage));
            let sent =
                sent.and_then(|()| drive.step(&Step::Answer)).and_then(|()| drive.close("the suite ends"));
            sent.map_err(|what| format!("step {at}, {:?}: {what}", String::from_utf8_lossy(&garbage)))?;
            let answer = drive.seen.output.len() - written;
            if answer > MAX_ANSWER_BYTES {
                return Err(format!("it answers garbage with {answer} bytes"));
            }
        }
    }
    Ok(())
}

/// Long inputs are not changed at every byte: the suite must end.
const MAX_FLIPS: usize = 300;

fn flipped(look: &Look<'_>, script: &Script) -> Result<(), String> {
    for (at, step) in script.steps.iter().enumerate() {
        let Step::Send(bytes) = step else { continue };
        let stride = bytes.len().div_ceil(MAX_FLIPS).max(1);
        for place in (0..bytes.len()).step_by(stride) {
            for change in [0x01, 0x20, 0x80, 0xff] {
                let mut steps = script.steps.clone();
                if let Some(Step::Send(bytes)) = steps.get_mut(at)
                    && let Some(byte) = bytes.get_mut(place)
                {
                    *byte ^= change;
                }
                steps.retain(|step| !matches!(step, Step::Expect { .. }));
                Drive::play(&look.protocol, Capacities::default(), &steps)
                    .map_err(|what| format!("step {at}, byte {place} ^ {change:#x}: {what}"))?;
            }
        }
    }
    Ok(())
}

fn truncated(look: &Look<'_>, script: &Script) -> Result<(), String> {
    for (at, step) in script.steps.iter().enumerate() {
        let Step::Send(bytes) = step else { continue };
        let stride = bytes.len().div_ceil(MAX_FLIPS).max(1);
        for cut in (0..bytes.len()).step_by(stride) {
            let before = script.steps.get(..at).unwrap_or_default();
            let mut drive = Drive::play(&look.protocol, Capacities::default(), before)?;
            drive.send(bytes.get(..cut).unwrap_or_default())?;
            if cut % 2 == 0 {
                // Every second one is told; the others are dropped as when the link is gone.
                drive.close("the suite ends")?;
            }
        }
    }
    Ok(())
}

fn endless_after(look: &Look<'_>, script: &Script, at: usize) -> Result<(), String> {
    let before = script.steps.get(..at).unwrap_or_default();
    for filler in [b'a', b'\n', 0, 0xff, b':'] {
        let mut drive = Drive::play(&look.protocol, Capacities::default(), before)?;
        let chunk = vec![filler; MAX_HEAD_BYTES / 4];
        for _ in 0..24 {
            // `send` fails when too much is held.
            drive.send(&chunk).map_err(|what| format!("step {at}, endless {filler:#04x}: {what}"))?;
        }
    }
    Ok(())
}

fn detection(look: &Look<'_>, report: &mut Report) {
    const ID: &str = "protocol.matches.own";
    const OWN: &str = "Its own first bytes are recognised, and no begin of them is turned away.";
    const FOREIGN: &str = "First bytes of other protocols are turned away.";
    if look.protocol.capabilities() & sabir_abi::SABIR_CAP_PROTOCOL_DETECT == 0 {
        report.skip(ID, OWN, "not claimed");
        report.skip("protocol.matches.foreign", FOREIGN, "not claimed");
        return;
    }
    scripted(look, report, ID, OWN, |script| {
        let bytes = script.first_bytes();
        for len in 0..bytes.len() {
            let begin = bytes.get(..len).unwrap_or_default();
            if look.protocol.matches(begin, &[]) == Match::No {
                return Err(format!("it turns away {:?}", String::from_utf8_lossy(begin)));
            }
        }
        match look.protocol.matches(bytes, &[]) {
            Match::Yes => Ok(()),
            other => Err(format!("all of its first bytes are answered with {other:?}")),
        }
    });
    report.check("protocol.matches.foreign", FOREIGN, || {
        // Nothing of what these begin with is the begin of any text: they are of binary protocols.
        for foreign in [&[0xff; 64][..], &[0; 64], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
            if look.protocol.matches(foreign, &[]) == Match::Yes {
                return Err(format!("it takes {foreign:?} for its own"));
            }
        }
        Ok(())
    });
}
