// SPDX-License-Identifier: Apache-2.0
//! A bit of a file has changed while the broker was down. Whatever a client then reads is what was sent; what is missing
//! is named, and it is what was hit; or the broker refuses to start and names the file.

use crate::machine::Scene;
use sabir_tests::process::Options;
use sabir_tests::random::Random;
use sabir_tests::stomp::{Client, Frame};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const QUEUE: &str = "/queue/flips";
/// Messages that are sent, and how many of them are acknowledged.
const SENT: u64 = 60;
const ACKNOWLEDGED: u64 = 20;
const MARKER: &str = "marker";

fn body(number: u64) -> String {
    format!("{number} {}", "what was sent ".repeat(1 + (number * 7 % 40) as usize))
}

/// What a broker left behind, and how it ended.
struct Subject {
    folder: PathBuf,
    // Bits of the files that mean something.
    bits: BTreeMap<PathBuf, u64>,
}

impl Subject {
    fn make(scene: &mut Scene, killed: bool) -> Subject {
        let folder = scene.fresh().join("data");
        let mut broker = scene.broker(&folder).start();
        let mut client = Client::connect(broker.address).expect("the broker is there");
        for number in 0..SENT {
            client.publish(QUEUE, body(number).as_bytes()).expect("a receipt");
        }
        client.subscribe("0", QUEUE, "client-individual", 1).expect("a subscription");
        for _ in 0..ACKNOWLEDGED {
            let frame = client.receive().expect("a message");
            let ack = frame.header("ack").expect("an ack header").to_owned();
            client.send(&Frame::new("ACK", &[("id", &ack)])).expect("a living connection");
        }
        // The message after them shows that the last acknowledgement has come; a receipt, that it is kept.
        client.receive().expect("the first that is left");
        client.publish("/queue/other", b"x").expect("a receipt");
        if killed {
            broker.kill();
        } else {
            broker.terminate();
            assert!(broker.wait().success(), "{}", broker.log());
        }
        let bits = files(&folder).into_iter().map(|file| {
            let bytes = std::fs::read(folder.join(&file)).expect("it can be read");
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
            (file, used * 8)
        });
        let bits = bits.filter(|(_, bits)| *bits > 0).collect();
        Subject { folder, bits }
    }

    /// Some bit: in half of the cases of the file that has most.
    fn choose(&self, random: &mut Random) -> (&Path, u64) {
        let (file, bits) = match random.below(2) {
            0 => self.bits.iter().max_by_key(|(_, bits)| **bits),
            _ => self.bits.iter().nth(random.below(self.bits.len() as u64) as usize),
        }
        .expect("there are files");
        (file, random.below(*bits))
    }
}

// The files of the journal that a start reads; what the lock file says is for people alone.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder.join("journal")).expect("the journal is there").flatten() {
        if entry.file_name() != "lock" {
            found.push(Path::new("journal").join(entry.file_name()));
        }
    }
    found.sort();
    found
}

/// What became of a flip.
#[derive(Default)]
struct Counts {
    refused: u32,
    lost: u32,
    came_again: u32,
    harmless: u32,
}

pub fn anywhere(scene: &mut Scene, count: u32) -> String {
    let subjects = [Subject::make(scene, true), Subject::make(scene, false)];
    let mut counts = Counts::default();
    for round in 0..count {
        let subject = &subjects[(round % 2) as usize];
        let (file, bit) = subject.choose(&mut scene.random);
        let data = scene.folder.join("flipped");
        copy(&subject.folder, &data);
        let path = data.join(file);
        let mut bytes = std::fs::read(&path).expect("it can be read");
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        std::fs::write(&path, bytes).expect("it can be written");
        look(&scene.broker(&data), file, &mut counts)
            .unwrap_or_else(|text| panic!("bit {bit} of {}: {text}", file.display()));
        std::fs::remove_dir_all(&data).expect("it can be removed");
    }
    let Counts { refused, lost, came_again, harmless } = counts;
    format!(
        "0 silent: {harmless} harmless, {lost} cost a message, {came_again} brought some again, {refused} refused by name"
    )
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("journal")).expect("a folder can be made");
    for file in files(from) {
        std::fs::copy(from.join(&file), to.join(&file)).expect("it can be copied");
    }
}

fn look(options: &Options, file: &Path, counts: &mut Counts) -> Result<(), String> {
    let broker = match options.try_start() {
        Ok(broker) => broker,
        Err(refusal) => {
            counts.refused += 1;
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            // 5: a store that does not open.
            return match refusal.status.code() {
                Some(5) if refusal.words.contains(&name) || refusal.words.contains("missing") => Ok(()),
                _ => Err(format!("it does not say what is damaged: {refusal}")),
            };
        }
    };
    let mut client = Client::connect(broker.address).map_err(|error| error.to_string())?;
    client.publish(QUEUE, MARKER.as_bytes()).map_err(|error| format!("{error}; {}", broker.log()))?;
    client
        .subscribe("0", QUEUE, "client-individual", 2 * SENT as usize)
        .map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    loop {
        let frame = client.receive_within(Duration::from_secs(10)).map_err(|error| error.to_string())?;
        let Some(frame) = frame else { return Err(format!("the queue stands still; {}", broker.log())) };
        let text = frame.text();
        if text == MARKER {
            break;
        }
        let number = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(u64::MAX);
        if body(number) != text {
            return Err(format!("nobody sent {text:?}"));
        }
        found.push(number);
    }
    let missing: Vec<u64> = (ACKNOWLEDGED..SENT).filter(|number| !found.contains(number)).collect();
    let again: Vec<u64> = found.into_iter().filter(|number| *number < ACKNOWLEDGED).collect();
    let log = broker.log();
    let named = log.contains("damaged") || log.contains("is cut") || log.contains("was cut");
    if (!missing.is_empty() || !again.is_empty()) && !named {
        return Err(format!("{missing:?} are missing and {again:?} came again, and nothing is said; {log}"));
    }
    if missing.len() > 1 {
        return Err(format!("one flip cost {missing:?}; {log}"));
    }
    counts.lost += u32::from(!missing.is_empty());
    counts.came_again += u32::from(!again.is_empty());
    counts.harmless += u32::from(missing.is_empty() && again.is_empty());
    Ok(())
}
