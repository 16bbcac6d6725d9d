// SPDX-License-Identifier: Apache-2.0
//! Faults that are put into the journal on purpose, to see that the tests catch them (`cargo xtask seeded`).
//!
//! Nothing but that task asks for the feature; without it every question here is answered by the compiler.

/// Whether this fault is in effect: the environment names it.
#[cfg(feature = "seeded-faults")]
pub fn seeded(fault: &str) -> bool {
    static NAME: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    NAME.get_or_init(|| std::env::var("SABIR_SEEDED_FAULT").ok()).as_deref() == Some(fault)
}

/// Never.
#[cfg(not(feature = "seeded-faults"))]
#[inline(always)]
pub const fn seeded(_fault: &str) -> bool {
    false
}
