// SPDX-License-Identifier: Apache-2.0
//! The two clocks, as arguments.

/// The time, as an argument: nothing below the server reads a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never goes back; its origin has no meaning. For time-outs and delays.
    pub monotonic_ms: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z. May jump. For timestamps and expirations.
    pub unix_ms: i64,
}
