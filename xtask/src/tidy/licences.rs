// SPDX-License-Identifier: Apache-2.0
//! Licences, sources and duplicates of dependencies, by the rules of `deny.toml`.
//!
//! `cargo deny` reads the same file and looks at more; it takes longer to build than everything else together, so
//! that the tests run it only where it is installed. What must never slip through is checked here, always. The reason
//! is told in `docs/decisions/0002-licences-are-checked-by-tidy.md`.

use super::Finding;
use crate::workspace::{Metadata, Package};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The part of `deny.toml` that is read here.
#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    #[serde(default)]
    deny: Vec<Named>,
    #[serde(default)]
    skip: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(alias = "crate")]
    name: String,
}

/// Checks every crate that is built.
pub fn check(metadata: &Metadata, deny: &str) -> Result<Vec<Finding>> {
    let deny: Deny = toml::from_str(deny).context("cannot read deny.toml")?;
    let built: HashSet<&str> =
        metadata.resolve.iter().flat_map(|resolve| &resolve.nodes).map(|node| node.id.as_str()).collect();
    let packages: Vec<&Package> =
        metadata.packages.iter().filter(|package| built.contains(package.id.as_str())).collect();
    Ok(check_packages(&packages, &deny))
}

fn check_packages(packages: &[&Package], deny: &Deny) -> Vec<Finding> {
    let allowed: HashSet<&str> = deny.licenses.allow.iter().map(String::as_str).collect();
    let mut findings = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        let place = format!("{} {}", package.name, package.version);
        match package.license.as_deref() {
            Some(licence) if satisfied(licence, &allowed) => {}
            Some(licence) => {
                findings.push(Finding::new(
                    &place,
                    0,
                    format!("its licence {licence} is not one that deny.toml allows"),
                ));
            }
            None if package.license_file.is_some() => {
                findings.push(Finding::new(
                    &place,
                    0,
                    "it names no licence, only a file: read it and decide",
                ));
            }
            None => findings.push(Finding::new(&place, 0, "it names no licence")),
        }
        if package.source.as_deref().is_some_and(|source| !source.contains("crates.io")) {
            findings.push(Finding::new(&place, 0, "it does not come from crates.io"));
        }
        if deny.bans.deny.iter().any(|ban| ban.name == package.name) {
            findings.push(Finding::new(&place, 0, "deny.toml bans it"));
        }
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    for (name, versions) in versions {
        if versions.len() > 1 && !deny.bans.skip.iter().any(|skip| skip.name == name) {
            let list = versions.into_iter().collect::<Vec<_>>().join(", ");
            findings.push(Finding::new(name, 0, format!("it is built in several versions: {list}")));
        }
    }
    findings
}

/// Whether allowed licences satisfy an SPDX expression. `AND` binds closer than `OR`; `/` is an old way to say `OR`.
fn satisfied(expression: &str, allowed: &HashSet<&str>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    alternatives(&mut rest, allowed).unwrap_or(false) && rest.is_empty()
}

fn alternatives(words: &mut &[&str], allowed: &HashSet<&str>) -> Option<bool> {
    let mut any = all(words, allowed)?;
    while words.first() == Some(&"OR") {
        *words = &words[1..];
        any |= all(words, allowed)?;
    }
    Some(any)
}

fn all(words: &mut &[&str], allowed: &HashSet<&str>) -> Option<bool> {
    let mut every = one(words, allowed)?;
    while words.first() == Some(&"AND") {
        *words = &words[1..];
        every &= one(words, allowed)?;
    }
    Some(every)
}

fn one(words: &mut &[&str], allowed: &HashSet<&str>) -> Option<bool> {
    let (first, rest) = words.split_first()?;
    *words = rest;
    if *first == "(" {
        let inner = alternatives(words, allowed)?;
        *words = words.strip_prefix(&[")"])?;
        return Some(inner);
    }
    let mut name = (*first).to_owned();
    if let ["WITH", exception, rest @ ..] = *words {
        name = format!("{name} WITH {exception}");
        *words = rest;
    }
    Some(allowed.contains(name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, license: Option<&str>) -> Package {
        Package {
            id: format!("{name} {version}"),
            name: name.to_owned(),
            version: version.to_owned(),
            license: license.map(str::to_owned),
            license_file: None,
            source: Some("registry+https://github.com/rust-lang/crates.io-index".to_owned()),
            manifest_path: "Cargo.toml".into(),
            dependencies: Vec::new(),
            targets: Vec::new(),
        }
    }

    fn deny() -> Deny {
        toml::from_str("[licenses]\nallow = [\"MIT\"]\n[bans]\ndeny = [{ crate = \"bad\" }]\nskip = [{ crate = \"twice\" }]\n")
            .expect("a valid sample")
    }

    #[test]
    fn expressions_are_weighed_as_written() {
        let allowed = HashSet::from(["MIT", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"]);
        for (expression, expected) in [
            ("MIT", true),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
            ("Apache-2.0", false),
            ("MIT )", false),
            ("", false),
        ] {
            assert_eq!(satisfied(expression, &allowed), expected, "{expression}");
        }
    }

    #[test]
    fn a_dependency_with_a_licence_that_is_not_allowed_is_found() {
        assert_eq!(check_packages(&[&package("a", "1.0.0", Some("GPL-3.0"))], &deny()).len(), 1);
        assert_eq!(check_packages(&[&package("a", "1.0.0", None)], &deny()).len(), 1);
        assert_eq!(check_packages(&[&package("a", "1.0.0", Some("MIT"))], &deny()), []);
    }

    #[test]
    fn duplicates_bans_and_strange_sources_are_found() {
        let (one, two) = (package("a", "1.0.0", Some("MIT")), package("a", "2.0.0", Some("MIT")));
        assert_eq!(check_packages(&[&one, &two], &deny()).len(), 1);
        let (one, two) = (package("twice", "1.0.0", Some("MIT")), package("twice", "2.0.0", Some("MIT")));
        assert_eq!(check_packages(&[&one, &two], &deny()), []);
        assert_eq!(check_packages(&[&package("bad", "1.0.0", Some("MIT"))], &deny()).len(), 1);
        let mut strange = package("b", "1.0.0", Some("MIT"));
        strange.source = Some("git+https://example.org/b".to_owned());
        assert_eq!(check_packages(&[&strange], &deny()).len(), 1);
    }
}
