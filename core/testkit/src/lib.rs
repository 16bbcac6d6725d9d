// SPDX-License-Identifier: Apache-2.0
//! The suites a plugin must pass; simulated disk and clock.

pub mod disk;
pub mod protocol;
pub mod report;
pub mod store;
pub mod transport;

pub use report::Report;
