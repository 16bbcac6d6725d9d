// SPDX-License-Identifier: Apache-2.0
//! The programs that the tests need. One that is missing is installed where this may be done, and otherwise fails
//! the run by its name: a test that cannot run is never passed over in silence.

use anyhow::{Result, bail};
use std::process::{Command, Stdio};

/// A program and where Debian has it.
struct Tool {
    /// As people call it.
    name: &'static str,
    program: &'static str,
    /// Arguments with which it succeeds if it is usable, without doing anything.
    probe: &'static [&'static str],
    /// Debian packages that bring it; empty: apt cannot help.
    packages: &'static [&'static str],
    /// What else a person can do.
    hint: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "rustfmt",
        program: "cargo",
        probe: &["fmt", "--version"],
        packages: &[],
        hint: "rustup component add rustfmt",
    },
    Tool {
        name: "clippy",
        program: "cargo",
        probe: &["clippy", "--version"],
        packages: &[],
        hint: "rustup component add clippy",
    },
    Tool { name: "git", program: "git", probe: &["--version"], packages: &["git"], hint: "install git" },
    Tool {
        name: "a C compiler",
        program: "cc",
        probe: &["--version"],
        packages: &["gcc", "libc6-dev"],
        hint: "install gcc or clang",
    },
    Tool {
        name: "python3 with venv",
        program: "python3",
        probe: &["-c", "import ensurepip, venv"],
        packages: &["python3", "python3-venv"],
        hint: "install Python 3 with its venv module",
    },
    Tool {
        name: "node",
        program: "node",
        probe: &["--version"],
        packages: &["nodejs"],
        hint: "install Node.js",
    },
    Tool { name: "npm", program: "npm", probe: &["--version"], packages: &["npm"], hint: "install npm" },
    Tool { name: "go", program: "go", probe: &["version"], packages: &["golang-go"], hint: "install Go" },
    Tool {
        name: "a JDK",
        program: "javac",
        probe: &["-version"],
        packages: &["openjdk-17-jdk-headless"],
        hint: "install a JDK, 17 or newer",
    },
    Tool {
        name: "Maven",
        program: "mvn",
        probe: &["--version"],
        packages: &["maven"],
        hint: "install Maven, 3.8 or newer",
    },
];

/// What single rows of the tests of faulty media need, which say themselves what they miss, and fail where `CI` is set.
const WISHED: &[Tool] = &[
    Tool { name: "strace", program: "strace", probe: &["-V"], packages: &["strace"], hint: "install strace" },
    Tool {
        name: "mkfs.ext4",
        program: "mkfs.ext4",
        probe: &["-V"],
        packages: &["e2fsprogs"],
        hint: "install e2fsprogs",
    },
    Tool {
        name: "mkfs.xfs",
        program: "mkfs.xfs",
        probe: &["-V"],
        packages: &["xfsprogs"],
        hint: "install xfsprogs",
    },
    Tool {
        name: "losetup and unshare",
        program: "sh",
        probe: &["-c", "losetup --version && unshare --version && setpriv --version && findmnt --version"],
        packages: &["util-linux", "mount"],
        hint: "install util-linux",
    },
    Tool {
        name: "libfaketime",
        program: "sh",
        probe: &["-c", "ls /usr/lib/*/faketime/libfaketime.so.1"],
        packages: &["libfaketime"],
        hint: "install libfaketime",
    },
];

/// Whether a program starts and succeeds.
pub fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Looks for every tool, installs what is missing where that is possible, and fails if something still is.
pub fn check() -> Result<()> {
    let mut missing = find_missing(TOOLS);
    let mut wished = find_missing(WISHED);
    let packages: Vec<&str> = missing.iter().chain(&wished).flat_map(|tool| tool.packages).copied().collect();
    if !packages.is_empty() && rustix::process::geteuid().is_root() && runs("apt-get", &["--version"]) {
        println!("installing {}", packages.join(" "));
        install(&packages);
        missing = find_missing(TOOLS);
        wished = find_missing(WISHED);
    }
    for tool in wished {
        println!("{} is missing ({}): some rows of the test `faults` cannot be done", tool.name, tool.hint);
    }
    report(&missing)
}

fn find_missing(tools: &'static [Tool]) -> Vec<&'static Tool> {
    tools.iter().filter(|tool| !runs(tool.program, tool.probe)).collect()
}

/// What fails here shows as a tool that is still missing.
fn install(packages: &[&str]) {
    for arguments in [&["update", "--quiet"][..], &["install", "--yes", "--quiet", "--no-install-recommends"]]
    {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments).stdin(Stdio::null());
        if arguments[0] == "install" {
            command.args(packages);
        }
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(status) => println!("apt-get {}: {status}", arguments[0]),
            Err(error) => println!("apt-get {}: {error}", arguments[0]),
        }
    }
}

fn report(missing: &[&Tool]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = missing.iter().map(|tool| format!("{} ({})", tool.name, tool.hint)).collect();
    bail!("missing: {}", lines.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named() {
        static ABSENT: &[Tool] = &[Tool {
            name: "a tool nobody has",
            program: "sabir-no-such-program",
            probe: &[],
            packages: &[],
            hint: "build it",
        }];
        let error = report(&find_missing(ABSENT)).expect_err("it is missing");
        assert_eq!(error.to_string(), "missing: a tool nobody has (build it)");
    }
}
