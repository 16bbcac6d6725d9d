// SPDX-License-Identifier: Apache-2.0
//! The end of a world: everything that is left comes out.

use super::World;
use super::acts::plain_subscribe;
use crate::client::{From, Taken};
use crate::ledger::{DEAD_LETTERS, Place};
use crate::scene::{DEAD_LETTER_QUEUE, DESKS, QUEUES};
use sabir_model::Destination;
use sabir_model::verb::Subscribe;

/// The place of each queue, and of the dead letters.
const PLACES: [[Place; 1]; 5] = [[0], [1], [2], [3], [DEAD_LETTERS]];

impl World {
    /// Takes out all that is left, through new consumers, and accepts nothing but what must make room.
    pub(super) fn drain(&mut self) {
        // Whatever fault still waits goes with the power; half of the worlds end without any.
        if self.armed || self.random.chance(50) {
            self.crash("the end of the world");
        }
        for client in 0..self.clients.len() {
            self.lose(client);
        }
        let done = self.free_disk();
        self.after(done);
        let done = self.with_broker(|broker, random| broker.settle_down(random));
        self.after(done);
        self.draining = true;
        // However far the clock went back, every delay ends within what follows.
        self.now.unix_ms = self.now.unix_ms.max(self.latest_unix_ms);
        self.open(0);
        for tx in self.in_doubt.keys().copied().collect::<Vec<_>>() {
            self.end_prepared(0, tx);
        }
        for (name, places) in QUEUES.iter().chain([&DEAD_LETTER_QUEUE]).zip(&PLACES) {
            let destinations = Destination::queue(name).map(|one| vec![one]);
            let subscribe = Subscribe { credit: 1_000_000, ..plain_subscribe(destinations) };
            self.make_subscription(0, Taken { from: From::Places(places), parity: None }, subscribe);
        }
        for client in 0..DESKS.len() {
            if client > 0 {
                self.open(client);
            }
            self.subscribe_durable(client);
        }
        // Long enough for every delay and every sweep.
        for _ in 0..400 {
            let done = self.with_broker(|broker, random| broker.settle_down(random));
            self.after(done);
            let done = self.advance(40_000);
            self.after(done);
        }
    }
}
