// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask tidy`: the rules of this repository that no compiler checks.
//!
//! Each rule is a function from what it looks at to findings, with a sample that it must refuse among its tests. A
//! rule that checks lines can be told that a line is right by a comment `tidy: allow(reason)` on it or above it.
//!
//! ```text
//!   imports     which crate may know which
//!   licences    licences and duplicates of dependencies, by deny.toml
//!   locks       lock files of other workspaces here follow what they use
//!   links       links in documents lead to what they name
//!   text        lines every file has or must not have, names of files
//!   panics      no unwrap and no panicking index where bytes come from outside
//!   unsafety    where `unsafe` may stand
//!   functions   long functions may not grow in number
//!   source      Rust source with its comments and strings told apart
//! ```

mod functions;
mod imports;
mod licences;
mod links;
mod locks;
mod panics;
mod source;
mod text;
mod unsafety;

use crate::workspace::{Metadata, files, root};
use anyhow::{Context, Result, bail};
use source::Source;

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, relative to the root, or the crate.
    pub place: String,
    /// The line, from 1; 0: the whole file.
    pub line: usize,
    /// What is wrong, and what to do.
    pub text: String,
}

impl Finding {
    fn new(place: &str, line: usize, text: impl Into<String>) -> Finding {
        Finding { place: place.to_owned(), line, text: text.into() }
    }
}

/// Checks everything; prints what was found, or that nothing was.
pub fn tidy() -> Result<()> {
    let metadata = Metadata::read()?;
    let mut findings = imports::check(&metadata);
    findings.extend(licences::check(&metadata, &read("deny.toml")?)?);
    let mut sources = Vec::new();
    let files = files()?;
    findings.extend(locks::check(&files)?);
    for path in &files {
        findings.extend(text::check_name(path));
        // What is not text is nobody's source.
        let Ok(content) = std::fs::read_to_string(root().join(path)) else { continue };
        findings.extend(text::check(path, &content));
        if path.ends_with(".md") {
            findings.extend(links::check(path, &content, read_target));
        }
        if path.ends_with(".rs") {
            sources.push(Source::new(path, content));
        }
    }
    for source in &sources {
        findings.extend(text::check_rust(source));
        findings.extend(panics::check(source));
        findings.extend(unsafety::check(source));
    }
    findings.extend(functions::check(&sources, &read("xtask/tidy.toml")?)?);
    findings.sort();
    for finding in &findings {
        match finding.line {
            0 => println!("{}: {}", finding.place, finding.text),
            line => println!("{}:{line}: {}", finding.place, finding.text),
        }
    }
    if !findings.is_empty() {
        bail!("tidy: {} findings", findings.len());
    }
    println!("tidy: {} files, nothing to say", files.len());
    Ok(())
}

/// What a link leads to; folders read as nothing.
fn read_target(path: &str) -> Option<String> {
    let path = root().join(path);
    if path.is_dir() { Some(String::new()) } else { std::fs::read_to_string(path).ok() }
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {path}"))
}
