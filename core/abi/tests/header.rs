// SPDX-License-Identifier: Apache-2.0
//! The C header compiles strictly, in C and in C++, and lays everything out as Rust does; and the header of version 1.0,
//! kept as it was, is still true: what it promises may grow, but never move.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Both headers: today's, and the first one.
fn headers() -> [PathBuf; 2] {
    [here("../../c-include/sabir_plugin.h"), here("tests/frozen/sabir_plugin-1.0.h")]
}

fn compile(compiler: &str, arguments: &[&str], header: &Path) {
    let strict = ["-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"];
    let output = Command::new(compiler)
        .args(arguments)
        .args(strict)
        .arg("-include")
        .arg(header)
        .arg("/dev/null")
        .output()
        .unwrap_or_else(|error| panic!("{compiler} is needed to check the header: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler} {}:\n{said}", header.display());
}

// The static assertions at the header's end are what is tested here, beside its syntax.
#[test]
fn the_headers_compile_strictly_as_c_and_as_cpp_with_rusts_layout() {
    for header in headers() {
        compile("gcc", &["-std=c11", "-x", "c"], &header);
        compile("g++", &["-std=c++17", "-x", "c++"], &header);
    }
}

/// The header's assertions about layout: sizes by struct, offsets by field.
fn layout(header: &Path) -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(header).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("SABIR_ASSERT_(")?.strip_suffix(");")?.split_once(" == "))
        .map(|(what, number)| (what.to_owned(), number.parse().unwrap()))
        .collect()
}

/// The header's constants.
fn constants(header: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(header).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("#define SABIR_")?.split_once(' '))
        .filter(|(name, _)| !name.starts_with("ASSERT_") && !name.starts_with("PLUGIN_EXPORT"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn nothing_that_version_1_0_promised_has_moved_changed_or_gone() {
    let [today, first] = headers();
    let (now, then) = (layout(&today), layout(&first));
    assert!(then.len() > 300, "the frozen header has lost its assertions");
    for (what, number) in then {
        let found = now.get(&what).unwrap_or_else(|| panic!("{what} has gone"));
        if what.starts_with("sizeof") {
            assert!(*found >= number, "{what} was {number} and is {found}: structs only grow");
        } else {
            assert_eq!(*found, number, "{what} has moved");
        }
    }
    let (now, then) = (constants(&today), constants(&first));
    assert!(then.len() > 100, "the frozen header has lost its constants");
    for (name, value) in then.iter().filter(|(name, _)| *name != "ABI_MINOR") {
        assert_eq!(now.get(name), Some(value), "SABIR_{name}");
    }
}
