// SPDX-License-Identifier: Apache-2.0
//! Code that reads bytes from outside must not panic on them.
//!
//! Such code may not `unwrap`, `expect` or `panic!`, and where the bytes come from a client it may not index either:
//! `get`, `split_at_checked`, `first_chunk` and patterns say the same and cannot fail by surprise.

use super::Finding;
use super::source::Source;
use regex::Regex;
use std::sync::LazyLock;

/// `expect` counts where it is given words: an own method of that name takes something else.
static PANICS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\.unwrap\(\)|\.expect\((?:\x22|$|&|[A-Z_]+\))|\.unwrap_err\(\)|\b(?:panic|unreachable|todo|unimplemented)!")
        .expect("a valid pattern")
});
/// A poisoned lock is a panic that has happened already; it does not come from the bytes.
static LOCKS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\.(?:lock|read|write|wait|wait_while|wait_timeout|wait_timeout_while|into_inner|get_mut)\((?:[^()]|\([^()]*\))*\)\s*\.(?:unwrap\(\)|expect\([^()]*\))")
        .expect("a valid pattern")
});
static INDEX: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[\w)\]?]\[[^\]]").expect("a valid pattern"));
/// What looks like an index that can panic and is none: words that may stand before a list, and the number of an
/// enum's variant, which is a constant.
static NO_INDEX: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:mut|in|return|else|dyn|const|ref|as|match|if)\[|\[[A-Z]\w*::\w+ as usize\]")
        .expect("a valid pattern")
});

/// Checks one file.
pub fn check(source: &Source) -> Vec<Finding> {
    let path = source.path.as_str();
    if !reads_untrusted(path) {
        return Vec::new();
    }
    let code = LOCKS.replace_all(&source.code, |found: &regex::Captures<'_>| {
        found[0].chars().map(|byte| if byte == '\n' { '\n' } else { ' ' }).collect::<String>()
    });
    let mut findings = Vec::new();
    for (index, line) in code.lines().enumerate() {
        if source.is_test(index) || source.is_allowed(index) {
            continue;
        }
        if let Some(found) = PANICS.find(line) {
            let text = format!("`{}` in code that reads bytes from outside", found.as_str());
            findings.push(Finding::new(path, index + 1, text));
        }
        if must_not_index(path) && INDEX.is_match(line) && !NO_INDEX.is_match(line) {
            findings.push(Finding::new(
                path,
                index + 1,
                "an index that can panic, in code that reads what clients send",
            ));
        }
    }
    findings
}

fn reads_untrusted(path: &str) -> bool {
    path.starts_with("plugins/") && path.contains("/src/") || must_not_index(path)
}

fn must_not_index(path: &str) -> bool {
    path.starts_with("plugins/protocol-") && path.contains("/src/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Source::new(path, text.to_owned())).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn panics_where_bytes_come_from_outside_are_found() {
        let text = "a.unwrap();\nb.expect(\"c\");\npanic!();\nd.unwrap_or(1);\nself.expect(meta);\n";
        assert_eq!(lines("plugins/store-x/src/a.rs", text), [1, 2, 3]);
        assert!(lines("core/server/src/a.rs", text).is_empty());
    }

    #[test]
    fn indexing_what_clients_send_is_found() {
        let text = "let a = bytes[1..];\nlet b: [u8; 4] = [0; 4];\n#[inline]\nf()[0];\nvec![1];\n";
        assert_eq!(lines("plugins/protocol-x/src/a.rs", text), [1, 4]);
        assert!(lines("plugins/store-x/src/a.rs", text).is_empty());
    }

    #[test]
    fn tests_locks_and_allowed_lines_may() {
        let text = "#[cfg(test)]\nmod tests {\n  a.unwrap();\n}\nx.lock().unwrap();\ny.lock().expect(\"unpoisoned\");\n\
                    // tidy: allow(the length was checked above)\nz[1];\n";
        assert!(lines("plugins/protocol-x/src/a.rs", text).is_empty());
    }
}
