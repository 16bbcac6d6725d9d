// SPDX-License-Identifier: Apache-2.0
//! The power goes while the broker works: the file system forgets all that was not synced.

use crate::machine::{Kind, Scene};
use sabir_tests::load::Load;

pub fn cuts(scene: &mut Scene, kind: Kind, count: u32) -> String {
    let volume = scene.volume(kind, 320);
    let options = scene.broker(&volume.mount.join("data"));
    let mut load = Load::default();
    for _ in 0..count {
        let mut broker = options.start();
        let steps = 1 + scene.random.below(600);
        let by_itself = scene.random.below(2) == 0;
        load.live(broker.address, steps, || {
            volume.cut();
            // A broker whose medium is gone says so and ends; in the other half of the cuts the whole machine is gone.
            if by_itself {
                let status = broker.wait();
                assert!(!status.success(), "it ended as if nothing had happened; it wrote: {}", broker.log());
            }
            broker.kill();
        });
        volume.detach();
        volume.attach();
    }
    let broker = options.start();
    let outcome = load.drain(broker.address);
    outcome.must_be_good();
    format!("{} confirmed, none lost", outcome.confirmed)
}
