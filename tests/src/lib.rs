// SPDX-License-Identifier: Apache-2.0
//! What tests of the whole broker share: the program as a process, a raw STOMP client,
//! clients at work, and a checker of histories.
//!
//! Nothing here uses the broker's own crates: what would be wrong in both would not be found.

#![allow(missing_docs, reason = "the fields of what tests pass around are said by their types' first lines")]

pub mod history;
pub mod load;
pub mod process;
pub mod random;
pub mod stomp;
