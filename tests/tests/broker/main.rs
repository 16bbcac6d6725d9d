// SPDX-License-Identifier: Apache-2.0
//! The broker as a process, met by clients over TCP: what an operator and a client rely on.
//!
//! ```text
//!   survival    what is confirmed outlives kill -9, under load and again and again
//!   overload    slow consumers, deep backlogs, many connections
//!   large       messages that come and go in pieces
//!   peak        more than consumers take, for a while
//!   operation   start, stop, two brokers on one store, wrong configurations, missing plugins
//!   attacks     bytes that no honest client sends
//! ```

mod attacks;
mod large;
mod operation;
mod overload;
mod peak;
mod survival;

use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder for one test, and the data folder in it.
fn data() -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder can be made");
    let data = folder.path().join("data");
    (folder, data)
}

/// Copies a flat folder.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("the file can be copied");
    }
}
