// SPDX-License-Identifier: Apache-2.0
//! Records in an append-only journal with group commit.
//!
//! A store as the contract has it, over files that are written strictly in sequence. It knows logs, numbers, labels
//! and keys, and nothing of what they mean. The files are specified byte by byte in `docs/journal-format.md`.
//!
//! ```text
//!   submit ──▶ plan ──▶ writer ──▶ pending buffer ──▶ data files ◀── reader ◀── read
//!                          │                              ▲
//!                          ▼                              │
//!                        index ──── pieces ───▶ keeper ───┘   checkpoints, files made ahead and given back
//!                          ▲
//!                       recovery ◀── data files
//! ```
//!
//! [`format`] is the bytes, [`index`] is what replaying them yields; both are pure. [`journal`] ties the rest
//! together. Only [`sys`] calls the operating system; everything else sees a `Disk`.

pub mod config;
pub mod files;
pub mod format;
pub mod index;
pub mod journal;
pub mod keeper;
pub mod maintain;
mod mover;
mod plan;
mod reader;
pub mod recovery;
mod say;
mod seeded;
pub mod shared;
mod space;
pub mod sys;
mod walk;
pub mod writer;

pub use config::{Options, SyncPolicy};
pub use journal::Journal;

sabir_sdk::plugin! {
    pub static PLUGIN:
    name = "store-journal",
    description = "Records in an append-only journal with group commit",
    transports = [], protocols = [], stores = [Journal], codecs = []
}
