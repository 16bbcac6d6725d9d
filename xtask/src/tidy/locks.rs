// SPDX-License-Identifier: Apache-2.0
//! Lock files of workspaces beside this one follow the crates that they use: an example is built with `--locked`, as a
//! third party would, and a dependency added to a crate here makes its lock file stale.

use super::Finding;
use crate::workspace::{cargo, root};
use anyhow::{Context, Result};
use std::process::Output;

/// Checks every lock file but the root's, which cargo has checked by now.
pub fn check(files: &[String]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for lock in files {
        let Some(folder) = folder_of(lock) else { continue };
        let manifest = format!("{folder}/Cargo.toml");
        let asked = cargo()
            .args(["metadata", "--locked", "--format-version", "1", "--manifest-path"])
            .arg(root().join(&manifest))
            .output()
            .context("cannot start `cargo metadata`")?;
        findings.extend(judge(lock, &manifest, &asked));
    }
    Ok(findings)
}

/// The folder of a lock file that is not the root's.
fn folder_of(path: &str) -> Option<&str> {
    path.strip_suffix("/Cargo.lock")
}

fn judge(lock: &str, manifest: &str, asked: &Output) -> Option<Finding> {
    if asked.status.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&asked.stderr);
    if said.contains("--locked") {
        let text = format!(
            "does not follow the crates that it uses any more: run `cargo update --workspace --manifest-path \
             {manifest}` and commit it with the change that made it stale"
        );
        return Some(Finding::new(lock, 0, text));
    }
    Some(Finding::new(lock, 0, format!("cargo cannot read the workspace: {}", said.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace beside ours that uses a crate with one dependency more than its lock file knows.
    #[test]
    fn a_stale_lock_file_is_named_with_the_command_that_mends_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, content: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("in a folder")).expect("made");
            std::fs::write(path, content).expect("written");
        };
        let package = |name: &str, rest: &str| {
            format!(
                "[workspace]\n[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n{rest}"
            )
        };
        let ask = || {
            let mut command = cargo();
            command.args(["metadata", "--locked", "--offline", "--format-version", "1", "--manifest-path"]);
            command.arg(folder.path().join("example/Cargo.toml")).output().expect("cargo starts")
        };
        write("example/Cargo.toml", &package("example", "[dependencies]\nsdk = { path = \"../sdk\" }\n"));
        write("example/src/lib.rs", "");
        write("sdk/Cargo.toml", &package("sdk", ""));
        write("sdk/src/lib.rs", "");
        write("more/Cargo.toml", &package("more", ""));
        write("more/src/lib.rs", "");
        let lock = "version = 4\n\n[[package]]\nname = \"example\"\nversion = \"1.0.0\"\ndependencies = [\n \"sdk\",\n]\n\n\
                    [[package]]\nname = \"sdk\"\nversion = \"1.0.0\"\n";
        write("example/Cargo.lock", lock);
        assert_eq!(judge("example/Cargo.lock", "example/Cargo.toml", &ask()), None);

        write("sdk/Cargo.toml", &package("sdk", "[dependencies]\nmore = { path = \"../more\" }\n"));
        let finding = judge("example/Cargo.lock", "example/Cargo.toml", &ask()).expect("it is stale");
        assert_eq!(finding.place, "example/Cargo.lock");
        let mend = "cargo update --workspace --manifest-path example/Cargo.toml";
        assert!(finding.text.contains(mend), "{}", finding.text);

        write("example/Cargo.toml", "nonsense");
        let finding = judge("example/Cargo.lock", "example/Cargo.toml", &ask()).expect("it cannot be read");
        assert!(finding.text.contains("cannot read the workspace"), "{}", finding.text);
    }

    #[test]
    fn the_lock_file_of_the_root_is_not_looked_at_twice() {
        assert_eq!(folder_of("Cargo.lock"), None);
        assert_eq!(
            folder_of("examples/03-transport-in-rust/Cargo.lock"),
            Some("examples/03-transport-in-rust")
        );
    }
}
