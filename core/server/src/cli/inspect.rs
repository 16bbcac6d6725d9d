// SPDX-License-Identifier: Apache-2.0
//! What a shared library says of itself, found out in a child process of the same program, so that one which crashes
//! takes nothing else with it.

use super::{Exit, out};
use crate::plugins::{Libraries, PluginsError};
use sabir_host::describe::Kind;
use sabir_host::{Description, Registry};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// This program again, with a file as its last argument.
pub fn child(arguments: &[&str], file: &Path) -> Result<Output, String> {
    let exe = std::env::current_exe().map_err(|error| format!("finding this program: {error}"))?;
    let mut command = Command::new(exe);
    command.args(arguments).arg("--").arg(file).stdin(Stdio::null());
    command.output().map_err(|error| format!("starting a child process: {error}"))
}

/// Loads the file in a child, which prints what it finds as JSON.
pub fn describe(file: &Path) -> Result<Description, String> {
    let output = child(&["plugin", "inspect", "--here"], file)?;
    if output.status.success() {
        return serde_json::from_slice(&output.stdout).map_err(|error| {
            format!("{} printed something of its own while it was loaded: {error}", file.display())
        });
    }
    if output.status.code().is_none() {
        return Err(format!("{} crashes when it is loaded ({})", file.display(), output.status));
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(words.trim().strip_prefix("error: ").unwrap_or(words.trim()).to_owned())
}

/// The child's part.
pub fn here(file: &Path) -> Exit {
    match Registry::inspect(file) {
        Ok(description) => {
            out::line(&serde_json::json!(description).to_string());
            Exit::Success
        }
        Err(error) => {
            eprintln!("error: {error}");
            Exit::Plugin
        }
    }
}

/// Libraries that were only looked at.
#[derive(Debug, Default)]
pub struct Inspected(pub Vec<Description>);

impl Inspected {
    /// Whether only this machine or process can reach a transport's listeners.
    pub fn is_local_only(&self, scheme: &str) -> bool {
        let mut components = self.0.iter().flat_map(|plugin| &plugin.components);
        components.any(|component| {
            component.kind == Kind::Transport
                && component.name == scheme
                && component.capabilities.iter().any(|name| name == "local_only")
        })
    }
}

impl Libraries for Inspected {
    fn has(&self, kind: Kind, name: &str) -> bool {
        let mut components = self.0.iter().flat_map(|plugin| &plugin.components);
        components.any(|component| component.kind == kind && component.name == name)
    }

    fn take(&mut self, path: &Path, what: &str) -> Result<(), PluginsError> {
        match describe(path) {
            Ok(description) => {
                self.0.push(description);
                Ok(())
            }
            Err(problem) => Err(PluginsError::Refused { what: what.to_owned(), problem }),
        }
    }
}
