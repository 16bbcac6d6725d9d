// SPDX-License-Identifier: Apache-2.0
//! Lines that every file has or must not have, and names that say nothing.

use super::Finding;
use super::source::{Source, is_test_path};
use regex::Regex;
use std::sync::LazyLock;

const SPDX: &str = "SPDX-License-Identifier: Apache-2.0";
/// Endings of files that carry the licence line.
const LICENSED: [&str; 12] = ["rs", "c", "h", "hpp", "cpp", "py", "toml", "sh", "js", "mjs", "ts", "go"];
/// Names that tell a reader nothing about what is inside.
const NAMELESS: [&str; 6] = ["util", "utils", "common", "helper", "helpers", "misc"];
/// The lines at a file's top among which the licence must be: a `#!` line may stand above it.
const TOP_LINES: usize = 2;

/// Rooms that must not know how clients speak.
const NEUTRAL: [&str; 2] = ["core/engine/src/", "core/stack/src/"];
static WIRE_NAMES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)stomp|openwire|amqp|mqtt|kafka|rabbit").expect("a valid pattern"));
/// Folders of one machine. Spelled in pieces, or this line would find itself.
static MACHINE_PATHS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(r#"(?:^|[\s"'`=(:])/"#, r"(?:home|root|work|Users)/[\w.]")).expect("a valid pattern")
});
static SLEEPS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:thread::sleep|time::sleep|time\.sleep|sleep)\s*\(").expect("a valid pattern")
});
static FIXED_PORTS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?:bind|connect|listen)\w*\s*\(\s*(?:format!\()?["(][^)\n]*(?:127\.0\.0\.1|localhost|0\.0\.0\.0)["']?\s*[:,]\s*[1-9]\d{2,4}\b"#)
        .expect("a valid pattern")
});

/// Checks a file's name.
pub fn check_name(path: &str) -> Option<Finding> {
    let nameless = path.split('/').any(|part| {
        let stem = part.split_once('.').map_or(part, |(stem, _)| stem);
        NAMELESS.contains(&stem.to_lowercase().as_str())
    });
    nameless.then(|| Finding::new(path, 0, "its name does not say what is in it"))
}

/// Checks what every kind of file must keep to.
pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    let licensed = LICENSED.contains(&ending) || text.starts_with("#!/");
    if licensed && !text.is_empty() && !text.lines().take(TOP_LINES).any(|line| line.contains(SPDX)) {
        findings.push(Finding::new(path, 1, format!("the first line is not `{SPDX}` in a comment")));
    }
    for (index, line) in text.lines().enumerate() {
        if MACHINE_PATHS.is_match(line) {
            findings.push(Finding::new(path, index + 1, "a path of one machine"));
        }
        if is_test_path(path) && !path.ends_with(".rs") && is_code(ending) && !line.contains("tidy: allow(") {
            findings.extend(test_line(path, index, line));
        }
    }
    findings
}

fn is_code(ending: &str) -> bool {
    matches!(ending, "py" | "js" | "mjs" | "go" | "sh")
}

/// Checks what Rust files must keep to beside that.
pub fn check_rust(source: &Source) -> Vec<Finding> {
    let path = source.path.as_str();
    let mut findings = Vec::new();
    let opening = source.text.lines().skip(1).find(|line| !line.trim().is_empty());
    if !opening.is_some_and(|line| line.starts_with("//! ")) {
        findings.push(Finding::new(path, 2, "it does not open with a `//!` line that says what it is for"));
    }
    for (index, line) in source.uncommented.lines().enumerate() {
        if source.is_allowed(index) {
            continue;
        }
        if NEUTRAL.iter().any(|room| path.starts_with(room)) && WIRE_NAMES.is_match(line) {
            findings.push(Finding::new(
                path,
                index + 1,
                "the name of a wire protocol in a room that knows none",
            ));
        }
        if source.is_test(index) {
            findings.extend(test_line(path, index, line));
        }
    }
    findings
}

/// Tests wait for what they wait for, and take the port that is free.
fn test_line(path: &str, index: usize, line: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if SLEEPS.is_match(line) {
        findings.push(Finding::new(path, index + 1, "a test that sleeps: wait for the thing itself"));
    }
    if FIXED_PORTS.is_match(line) {
        findings.push(Finding::new(path, index + 1, "a test with a fixed port: ask for port 0"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rust(path: &str, body: &str) -> Vec<String> {
        let text = format!("// {SPDX}\n//! A module.\n{body}\n");
        check_rust(&Source::new(path, text)).into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn a_source_without_the_licence_line_is_found() {
        assert_eq!(check("a/b.rs", "//! x\n").len(), 1);
        assert_eq!(check("a/b", "#!/bin/sh\necho\n").len(), 1);
        assert_eq!(check("a/b.py", &format!("#!/usr/bin/env python3\n# {SPDX}\n")), []);
        assert_eq!(check("README.md", "words\n"), []);
    }

    #[test]
    fn a_name_that_says_nothing_is_found() {
        for path in ["core/x/src/util.rs", "tests/helpers/x.rs", "a/common.py"] {
            assert!(check_name(path).is_some(), "{path}");
        }
        assert!(check_name("core/model/src/message.rs").is_none());
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        let path = ["", "home", "me", "x"].join("/");
        assert_eq!(check("README.md", &format!("see {path}\n")).len(), 1);
        assert_eq!(check("README.md", "see docs/home/x and https://example.org/work/x\n"), []);
    }

    #[test]
    fn a_module_without_its_opening_line_is_found() {
        let text = format!("// {SPDX}\nuse x;\n");
        assert_eq!(check_rust(&Source::new("a.rs", text)).len(), 1);
        assert!(rust("a.rs", "").is_empty());
    }

    #[test]
    fn a_wire_protocol_in_a_neutral_room_is_found_outside_of_comments() {
        assert_eq!(rust("core/engine/src/a.rs", "const A: &str = \"stomp\";").len(), 1);
        assert_eq!(rust("core/stack/src/a.rs", "fn is_mqtt() {}").len(), 1);
        assert!(rust("core/engine/src/a.rs", "// as in AMQP").is_empty());
        assert!(rust("plugins/protocol-stomp/src/a.rs", "fn stomp() {}").is_empty());
    }

    #[test]
    fn a_test_that_sleeps_or_fixes_a_port_is_found() {
        let sleep = ["std::thread::sl", "eep(second)"].concat();
        assert_eq!(rust("tests/tests/a.rs", &sleep).len(), 1);
        assert!(rust("core/x/src/a.rs", &sleep).is_empty());
        let port = ["TcpListener::bi", "nd(\"127.0.0.1:61613\")"].concat();
        assert_eq!(rust("tests/tests/a.rs", &port).len(), 1);
        assert!(rust("tests/tests/a.rs", "TcpListener::bind(\"127.0.0.1:0\")").is_empty());
        assert_eq!(check("tests/python/a.py", &format!("# {SPDX}\ntime.sl{}", "eep(1)\n")).len(), 1);
    }
}
