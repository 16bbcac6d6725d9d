// SPDX-License-Identifier: Apache-2.0
//! What an operator can ask of a journal besides what it does by itself.

mod compact;

pub use compact::Compacted;
