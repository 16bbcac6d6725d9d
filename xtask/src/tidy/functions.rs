// SPDX-License-Identifier: Apache-2.0
//! Functions over 70 lines may not increase in number; `xtask/tidy.toml` holds how many there are. A test may be a long
//! table of cases, and does not count.

use super::Finding;
use super::source::{Source, block_end};
use anyhow::{Context, Result};
use regex::Regex;
use serde::Deserialize;
use std::sync::LazyLock;

/// What fits on a screen.
const LONG_LINES: usize = 70;

static FUNCTION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bfn\s+(\w+)").expect("a valid pattern"));

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Baseline {
    long_functions: usize,
}

/// Checks all files together.
pub fn check(sources: &[Source], baseline: &str) -> Result<Vec<Finding>> {
    let baseline: Baseline = toml::from_str(baseline).context("cannot read xtask/tidy.toml")?;
    let long: Vec<Finding> = sources.iter().flat_map(long_functions).collect();
    if long.len() <= baseline.long_functions {
        if long.len() < baseline.long_functions {
            println!("tidy: only {} long functions are left; xtask/tidy.toml may say so", long.len());
        }
        return Ok(Vec::new());
    }
    Ok(long)
}

fn long_functions(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for function in FUNCTION.captures_iter(&source.code) {
        let whole = function.get(0).expect("the match itself");
        let Some(end) = block_end(&source.code, whole.start()) else { continue };
        let (first, last) = (source.line_of(whole.start()), source.line_of(end));
        let lines = last - first + 1;
        if lines > LONG_LINES && !source.is_test(first) {
            let text = format!("the function {} has {lines} lines, more than {LONG_LINES}", &function[1]);
            findings.push(Finding::new(&source.path, first + 1, text));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function_in(path: &str, lines: usize) -> Source {
        let text = format!("fn a(b: [u8; 4])\nwhere\n    B: C,\n{{{}}}\n", "\n".repeat(lines - 4));
        Source::new(path, text)
    }

    fn function(lines: usize) -> Source {
        function_in("core/x/src/a.rs", lines)
    }

    #[test]
    fn a_long_table_of_a_test_does_not_count() {
        assert_eq!(
            check(&[function_in("core/x/tests/a.rs", 90)], "long_functions = 0").expect("a valid baseline"),
            []
        );
    }

    #[test]
    fn one_long_function_more_than_before_is_found() {
        let findings = check(&[function(71)], "long_functions = 0").expect("a valid baseline");
        assert_eq!(findings.len(), 1);
        assert!(findings[0].text.contains("71 lines"), "{findings:?}");
        assert_eq!(check(&[function(71)], "long_functions = 1").expect("a valid baseline"), []);
        assert_eq!(check(&[function(70)], "long_functions = 0").expect("a valid baseline"), []);
    }
}
