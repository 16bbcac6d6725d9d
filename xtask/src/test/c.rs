// SPDX-License-Identifier: Apache-2.0
//! The headers compile as strict C11 and as C++, and every C file of the repository compiles against them.

use crate::workspace::{files, root, succeed};
use anyhow::Result;
use std::process::Command;

const STRICT: [&str; 5] = ["-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"];

/// Compiles, and keeps nothing.
pub fn check() -> Result<()> {
    for file in files()? {
        if file.starts_with("c-include/") && file.ends_with(".h") {
            // A header alone has a `#pragma once` that a compiler would remark on.
            succeed(compiler().args(["-std=c11", "-x", "c", "-include", &file, "/dev/null"]))?;
            succeed(compiler().args(["-std=c++17", "-x", "c++", "-include", &file, "/dev/null"]))?;
        } else if file.ends_with(".c") {
            succeed(compiler().args(["-std=c11", &file]))?;
        }
    }
    Ok(())
}

fn compiler() -> Command {
    let mut command = Command::new("cc");
    command.current_dir(root()).args(STRICT).args(["-I", "c-include"]);
    command
}
