// SPDX-License-Identifier: Apache-2.0
//! Counts what sessions ask, what they are answered and what they are sent, per protocol, and how long both
//! take.

mod counters;
mod histogram;
mod layer;
mod service;

pub use counters::{Metrics, ProtocolMetrics};
pub use histogram::{Histogram, Tally};
pub use layer::MetricsLayer;
pub use service::Count;
