// SPDX-License-Identifier: Apache-2.0
//! The session, driven without a broker: commands in, verbs and commands out.

mod acknowledge;
mod advisories;
mod bad_input;
mod branches;
mod bridge;
mod connect;
mod consume;
mod corpus;
mod deliver;
#[path = "../../../../fuzz/openwire/fuzz_targets/drive.rs"]
mod drive;
mod peer;
mod produce;
mod room;
mod timers;
mod transactions;
