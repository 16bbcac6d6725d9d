// SPDX-License-Identifier: Apache-2.0
//! The store is compacted between two lives of the broker, and the process or the power goes in the midst of it.

use super::World;
use sabir_sdk::store::Maintenance;
use sabir_sdk::{Error, Host};
use sabir_store_journal::maintain::{self, Wanted};
use sabir_testkit::disk::{Faults, SimDisk};
use std::sync::Arc;

impl World {
    /// Plays so many steps, lets the store be compacted, which is interrupted so often, plays on, drains and checks.
    pub fn play_compacted(&mut self, steps: usize, interruptions: u32, more: usize) {
        self.make_durable_subscriptions();
        for _ in 0..steps {
            self.step();
        }
        let stopped = self.stop();
        self.after(stopped);
        if !self.ledger.violations.is_empty() {
            return;
        }
        for _ in 0..interruptions {
            self.interrupt_compacting();
        }
        if self.random.chance(50)
            && let Err(error) = self.compact(&self.disk)
        {
            self.ledger.violations.push(format!("it cannot be compacted: {error}"));
        }
        self.start();
        for _ in 0..more {
            self.step();
        }
        if self.ledger.violations.is_empty() {
            self.drain();
            self.ledger.finish();
        }
    }

    fn interrupt_compacting(&mut self) {
        // Another one on a copy tells how many operations there are.
        let copy = self.disk.copy();
        match self.compact(&copy) {
            Ok(copied_bytes) => self.compacted_bytes += copied_bytes,
            Err(error) => self.ledger.violations.push(format!("it cannot be compacted: {error}")),
        }
        let at = 1 + self.random.below(copy.operations().all);
        self.note(format!("the store is compacted, until operation {at} of {}", copy.operations().all));
        self.disk.set_faults(Faults { power_at: Some(self.disk.operations().all + at), ..Faults::default() });
        // It may say that all is done: where only files that nobody needs any more could not be removed.
        let ended = self.compact(&self.disk);
        self.note(format!("the power went, and it says {ended:?}"));
        if !self.disk.is_off() {
            self.ledger
                .violations
                .push("the power should have gone while the store was compacted".to_owned());
        }
        self.crashes += 1;
        if self.fate.as_ref().is_some_and(|fate| fate.kill) {
            self.disk.kill();
        } else {
            self.disk.power_cut(&mut self.random);
        }
    }

    /// Answers how many bytes were copied.
    fn compact(&self, disk: &SimDisk) -> Result<u64, Error> {
        let (disk, wanted) = (Arc::new(disk.clone()), Wanted::default());
        let mut copied = 0;
        let mut progress = |_: &str, copied_bytes, _| {
            copied = copied_bytes;
            true
        };
        maintain::run(disk, self.options(), Host::none(), Maintenance::Compact, wanted, &mut progress)?;
        Ok(copied)
    }
}
