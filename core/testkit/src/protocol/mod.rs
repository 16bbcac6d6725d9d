// SPDX-License-Identifier: Apache-2.0
//! What every protocol must do, contract by contract, whoever wrote it and in whatever language.
//!
//! The suite drives sessions through the host alone, as the broker does: it knows no protocol. What a protocol's
//! peers say comes as [`Script`]s, which its author brings along; without any, the contracts that need them are
//! skipped, never failed. [`run`] gives a [`Report`](crate::Report) with one case per contract; the ids are stable.
//!
//! ```text
//!   script     what the two ends of a session say and do, as text
//!   drive      plays a script against one session, and writes down what the session did
//!   run        one contract after another
//!   feeding  garbage  answering  timing  standing     the contracts
//! ```

mod answering;
mod drive;
mod feeding;
mod garbage;
mod run;
mod script;
mod standing;
mod timing;

pub use drive::{Drive, Seen};
pub use run::{Subject, run};
pub use script::{Script, ScriptError, Step};
