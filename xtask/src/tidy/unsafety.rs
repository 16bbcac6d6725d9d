// SPDX-License-Identifier: Apache-2.0
//! `unsafe` stands where the boundary to C or to the operating system is, and nowhere else; each with its reason.

use super::Finding;
use super::source::Source;
use regex::Regex;
use std::sync::LazyLock;

static UNSAFE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\bunsafe\s*(?:\{|impl\b)").expect("a valid pattern"));
static ANY_UNSAFE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bunsafe\b").expect("a valid pattern"));
/// Lines above a block among which its reason must begin.
const REASON_LINES: usize = 8;

/// Checks one file.
pub fn check(source: &Source) -> Vec<Finding> {
    let path = source.path.as_str();
    let lines: Vec<&str> = source.text.lines().collect();
    let mut findings = Vec::new();
    for (index, line) in source.code.lines().enumerate() {
        if !ANY_UNSAFE.is_match(line) {
            continue;
        }
        if !may_be_unsafe(path) && !source.is_test(index) {
            findings.push(Finding::new(path, index + 1, "`unsafe` outside of the places that may have it"));
        } else if UNSAFE.is_match(line) && !has_reason(&lines, index) {
            findings.push(Finding::new(path, index + 1, "`unsafe` without a `SAFETY:` comment"));
        }
    }
    findings
}

fn has_reason(lines: &[&str], index: usize) -> bool {
    lines[index.saturating_sub(REASON_LINES)..=index]
        .iter()
        .any(|line| line.contains("SAFETY:") || line.contains("# Safety"))
}

fn may_be_unsafe(path: &str) -> bool {
    let rooms = ["core/abi/", "core/boundary/", "core/sdk/", "core/host/", "bindings/c/", "examples/"];
    let exports = path.starts_with("plugins/") && path.contains("/dylib/");
    let systems = path.ends_with("/src/sys.rs") || path.contains("/src/sys/");
    exports || systems || rooms.iter().any(|room| path.starts_with(room))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&Source::new(path, text.to_owned())).len()
    }

    #[test]
    fn unsafe_outside_of_its_places_is_found() {
        let text = "// SAFETY: x\nunsafe { a() }\n";
        assert_eq!(count("core/engine/src/a.rs", text), 1);
        assert_eq!(count("plugins/store-x/src/a.rs", "unsafe fn a() {}\n"), 1);
        assert_eq!(count("plugins/store-x/src/sys.rs", text), 0);
        assert_eq!(count("core/host/src/a.rs", text), 0);
        assert_eq!(count("core/engine/src/a.rs", "// unsafe\nlet a = \"unsafe\";\n"), 0);
    }

    #[test]
    fn unsafe_without_a_reason_is_found() {
        assert_eq!(count("core/host/src/a.rs", "unsafe { a() }\n"), 1);
        assert_eq!(count("core/host/src/a.rs", "unsafe impl Send for A {}\n"), 1);
    }
}
