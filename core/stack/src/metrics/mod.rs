// SPDX-License-Identifier: Apache-2.0
//! Counts what sessions ask, what they are answered and what they are sent, per protocol.

mod counters;
mod layer;
mod service;

pub use counters::{Metrics, ProtocolMetrics};
pub use layer::MetricsLayer;
pub use service::Count;
