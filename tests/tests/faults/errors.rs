// SPDX-License-Identifier: Apache-2.0
//! Writes and syncs that fail: nothing is confirmed any more, nothing is tried again, and a restart finds all that was
//! confirmed before.

use crate::kills::{choose, injecting};
use crate::machine::{Kind, Medium, Scene, Volume};
use sabir_tests::load::Load;
use sabir_tests::process::Broker;

/// The medium under a file system is full: what the file system has taken cannot be written, and a sync says so once. A
/// second one would say that all is well.
pub fn real(scene: &mut Scene, count: u32) -> String {
    let mut confirmed = 0;
    for _ in 0..count {
        let folder = scene.fresh();
        let medium = Medium::make(&folder, 8 + scene.random.below(12));
        let volume = Volume::above(&medium.folder, &folder, Kind::Ext4, 300);
        let options = scene.broker(&volume.mount.join("data"));
        let mut load = Load::default();
        load.longest_bytes = 20_000;
        let mut broker = options.start();
        let steps = scene.random.below(4000);
        load.live(broker.address, steps, || {
            medium.fill_while(|| broker.is_alive());
            must_have_stopped(&mut broker);
        });
        volume.detach();
        medium.grow(600);
        volume.repair();
        volume.attach();
        let broker = options.start();
        let outcome = load.drain(broker.address);
        outcome.must_be_good();
        confirmed += outcome.confirmed;
        broker.kill();
    }
    format!("{confirmed} confirmed, none lost")
}

/// The broker has ended by itself, and has said why.
fn must_have_stopped(broker: &mut Broker) {
    let status = broker.wait();
    let log = broker.log();
    assert!(!status.success() && log.contains("has stopped"), "{status}; it wrote: {log}");
}

pub fn injected(scene: &mut Scene, count: u32) -> String {
    let folder = scene.fresh();
    let trace = folder.join("trace");
    let mut options = scene.broker(&folder.join("data"));
    let plain = options.under.clone();
    let mut load = Load::default();
    let mut hits = 0;
    while hits < count {
        let (call, nth) = choose(&mut scene.random);
        if !["pwritev", "fdatasync"].contains(&call) {
            continue;
        }
        options.under = injecting(call, nth, "error=EIO", &trace.display().to_string());
        let started = options.try_start();
        if let Ok(broker) = started {
            load.live(broker.address, 1500, || broker.kill());
        }
        let calls = std::fs::read_to_string(&trace).expect("strace has written");
        let Some(failed) = Failed::find(&calls) else { continue };
        hits += 1;
        failed.must_not_be_tried_again();
    }
    options.under = plain;
    let broker = options.start();
    let outcome = load.drain(broker.address);
    outcome.must_be_good();
    format!("{} confirmed, none lost; no failed call was tried again", outcome.confirmed)
}

/// A call that was made to fail, and what was called afterwards.
struct Failed<'a> {
    line: &'a str,
    later: Vec<&'a str>,
}

impl<'a> Failed<'a> {
    fn find(calls: &'a str) -> Option<Failed<'a>> {
        let mut lines = calls.lines();
        let line = lines.find(|line| line.contains("(INJECTED)"))?;
        Some(Failed { line, later: lines.collect() })
    }

    /// The file, as strace writes it.
    fn file(&self) -> Option<&'a str> {
        let from = self.line.find('<')?;
        let to = self.line[from..].find('>')?;
        Some(&self.line[from..=from + to])
    }

    /// The file that could not be written or synced is left alone from then on: a second sync can succeed without having
    /// written anything.
    fn must_not_be_tried_again(&self) {
        let Some(file) = self.file() else { return };
        // Other threads may have been at it, so that their calls end after this one has.
        let again = self.later.iter().filter(|line| line.contains(file) && !line.contains("resumed"));
        let again: Vec<_> =
            again.filter(|line| line.contains("fdatasync") || line.contains("pwritev")).collect();
        assert!(again.is_empty(), "after {} came {again:?}", self.line);
    }
}
