// SPDX-License-Identifier: Apache-2.0
//! Says in the log what sessions ask and what is refused: nothing per message, nothing of a body, no password.
//!
//! `debug` shows rare verbs and refusals, `trace` a line per batch. A message's trace context is never touched.

mod layer;
mod service;

pub use layer::TraceLayer;
pub use service::Trace;
