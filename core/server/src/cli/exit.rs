// SPDX-License-Identifier: Apache-2.0
//! How the program ends, as a number for scripts. `docs/configuration.md` lists them.

use std::process::ExitCode;

/// Shown at the end of `--help`.
pub const HELP: &str = "Exit codes: 0 success; 1 failure, or a contract that a plugin breaks; 2 wrong command line; \
                        3 wrong configuration; 4 a plugin is missing or was refused; 5 the store cannot be opened; \
                        6 the store failed while the broker ran; 7 a listener cannot be opened";

/// How the program ends. The numbers are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well.
    Success = 0,
    /// Something failed that no other code names.
    Failure = 1,
    /// The configuration is wrong.
    Configuration = 3,
    /// A plugin is missing or was refused.
    Plugin = 4,
    /// The store cannot be opened.
    StoreOpen = 5,
    /// The store failed while the broker ran.
    StoreFailed = 6,
    /// A listener cannot be opened.
    Listen = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
