// SPDX-License-Identifier: Apache-2.0
//! Links in documents lead somewhere: to a file that exists and, where the link's text is code, to a file that has it.

use super::Finding;
use regex::Regex;
use std::sync::LazyLock;

static LINK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\[([^\]\n]*(?:\n[^\]\n]*)?)\]\(([^)\s]+)\)").expect("a valid pattern"));
static CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^`(?:\w+::)*(\w+)`$").expect("a valid pattern"));

/// Checks one document. `read` gives the text of a file by its path from the root; a folder reads as nothing.
pub fn check(path: &str, text: &str, read: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for link in LINK.captures_iter(text) {
        let (label, target) = (link[1].trim(), link[2].split('#').next().unwrap_or_default());
        if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let line = text[..link.get(0).map_or(0, |whole| whole.start())].matches('\n').count() + 1;
        let Some(content) = read(&resolve(path, target)) else {
            findings.push(Finding::new(path, line, format!("the link {target} leads nowhere")));
            continue;
        };
        if let Some(name) = CODE.captures(label)
            && target.ends_with(".rs")
            && !defines(&content, &name[1])
        {
            findings.push(Finding::new(path, line, format!("{target} has no {}", &name[1])));
        }
    }
    findings
}

/// Whether a Rust file defines this name.
fn defines(content: &str, name: &str) -> bool {
    ["fn", "struct", "enum", "trait", "const", "static", "type", "mod"].iter().any(|kind| {
        content.match_indices(&format!("{kind} {name}")).any(|(at, found)| {
            !content[at + found.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_')
        })
    })
}

/// The path from the root that a link in the document `path` means.
fn resolve(path: &str, target: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let read = |path: &str| match path {
            "core/a.rs" => Some("pub fn go_on() {}\nstruct Here;".to_owned()),
            "docs" => Some(String::new()),
            _ => None,
        };
        check("docs/page.md", text, read).into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn a_link_to_a_file_that_is_not_there_is_found() {
        assert_eq!(findings("see [this](../core/b.rs)"), ["the link ../core/b.rs leads nowhere"]);
        assert!(
            findings("see [this](../core/a.rs#x), [that](https://example.org), [here](#there), [docs](./)")
                .is_empty()
        );
    }

    #[test]
    fn a_link_to_code_that_its_file_does_not_have_is_found() {
        assert_eq!(findings("[`Here::go`](../core/a.rs)"), ["../core/a.rs has no go"]);
        assert!(findings("[`Here::go_on`](../core/a.rs) and [`Here`](../core/a.rs)").is_empty());
    }
}
