// SPDX-License-Identifier: Apache-2.0
//! Generates `c-include/sabir_plugin.h` from `core/abi`, so that the C contract has one source.
//!
//! The types and their documentation come through cbindgen, any warning of which is an error: it may have dropped
//! something. What cbindgen cannot say is added here: constants in their types, the entry point, and the layout of
//! every struct as static assertions, from the golden file that the Rust tests check too.

use crate::workspace;
use anyhow::{Context, Result, bail};
use cbindgen::{Builder, Config, DocumentationLength, DocumentationStyle, Language, Style};
use log::{Level, LevelFilter, Log, Metadata, Record};
use regex::Regex;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

/// The header, from the repository's root.
const HEADER: &str = "c-include/sabir_plugin.h";
/// The layouts, from the repository's root.
const GOLDEN: &str = "core/abi/abi-v1.golden.txt";

const BANNER: &str = "\
/* SPDX-License-Identifier: Apache-2.0 */
/* Generated from core/abi by `cargo xtask headers`: do not edit. */
";

const ENTRY: &str = "
#if defined(_WIN32)
#define SABIR_PLUGIN_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define SABIR_PLUGIN_EXPORT __attribute__((visibility(\"default\")))
#else
#define SABIR_PLUGIN_EXPORT
#endif

#ifdef __cplusplus
extern \"C\" {
#endif

/**
 * The one symbol that a plugin exports: see `sabir_plugin_entry_v1_fn`. Since 1.0.
 */
SABIR_PLUGIN_EXPORT const sabir_plugin *sabir_plugin_entry_v1(uint32_t host_abi_major);

#ifdef __cplusplus
}
#endif
";

/// Writes the header; with `check` compares it with the committed one instead.
pub fn headers(check: bool) -> Result<()> {
    let root = workspace::root();
    let header = generate(&root)?;
    let path = root.join(HEADER);
    if !check {
        fs::create_dir_all(root.join("c-include"))?;
        return fs::write(&path, header).with_context(|| format!("writing {HEADER}"));
    }
    let committed = fs::read_to_string(&path).with_context(|| format!("reading {HEADER}"))?;
    if let Some(line) = first_difference(&header, &committed) {
        bail!(
            "{HEADER} differs from core/abi at line {line}: run `cargo xtask headers` and commit the result"
        );
    }
    Ok(())
}

fn first_difference(one: &str, two: &str) -> Option<usize> {
    if one == two {
        return None;
    }
    let same = one.lines().zip(two.lines()).take_while(|(one, two)| one == two).count();
    Some(same + 1)
}

fn generate(root: &Path) -> Result<String> {
    let sources = sources(root)?;
    let raw = bindings(root, &sources)?;
    let mut header = typed_constants(&raw, &sources)?;
    // Rustdoc's links say nothing in C.
    header = Regex::new(r"\[(`[^`\]]+`)\]")?.replace_all(&header, "$1").into_owned();
    let end = header.rfind("#endif").context("the header has a guard")?;
    header.insert_str(end, &format!("{}{}\n", ENTRY.trim_start(), assertions(root)?));
    Ok(header)
}

/// The contract's sources, joined.
fn sources(root: &Path) -> Result<String> {
    let mut paths: Vec<_> =
        fs::read_dir(root.join("core/abi/src"))?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    let mut joined = String::new();
    for path in paths {
        joined.push_str(&fs::read_to_string(&path)?);
    }
    Ok(joined)
}

/// What cbindgen makes of the contract.
fn bindings(root: &Path, sources: &str) -> Result<String> {
    let mut config = Config {
        language: Language::C,
        style: Style::Both,
        cpp_compat: true,
        include_guard: Some("SABIR_PLUGIN_H".into()),
        no_includes: true,
        sys_includes: vec!["stddef.h".into(), "stdint.h".into()],
        usize_is_size_t: true,
        documentation: true,
        documentation_style: DocumentationStyle::Doxy,
        documentation_length: DocumentationLength::Full,
        line_length: 110,
        tab_width: 4,
        header: Some(format!("{BANNER}\n{}", prologue(sources))),
        ..Config::default()
    };
    // No function of the contract mentions its types: it has none.
    let named = Regex::new(r"(?m)^pub (?:struct|union|type) (\w+)")?;
    config.export.include = named.captures_iter(sources).map(|found| found[1].to_owned()).collect();
    let warnings = Warnings::capture()?;
    let bindings = Builder::new().with_crate(root.join("core/abi")).with_config(config).generate()?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    let warnings = warnings.take();
    if !warnings.is_empty() {
        bail!("cbindgen warned, and may have left something out:\n{}", warnings.join("\n"));
    }
    Ok(String::from_utf8(text)?)
}

/// The crate's own documentation, as the header's.
fn prologue(sources: &str) -> String {
    let mut text = String::from("/**\n * @file\n");
    let start = sources.find("//! The contract between the broker").unwrap_or_default();
    for line in sources[start..].lines().map_while(|line| line.strip_prefix("//!")) {
        if !line.trim_start().starts_with("```") {
            let _ = writeln!(text, "{}", format!(" *{line}").trim_end());
        }
    }
    text + " */"
}

/// Constants as expressions of their own types: `1 << 63` is no `int`.
fn typed_constants(raw: &str, sources: &str) -> Result<String> {
    let declared = Regex::new(r"(?m)^pub const (SABIR_\w+): (\w+) =")?;
    let types: BTreeMap<_, _> =
        declared.captures_iter(sources).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
    let defined = Regex::new(r"(?m)^#define (SABIR_\w+) (.+)$")?;
    let mut seen = 0;
    let mut failure = None;
    let text = defined.replace_all(raw, |found: &regex::Captures<'_>| {
        let (name, value) = (&found[1], &found[2]);
        let Some(kind) = types.get(name) else { return found[0].to_owned() };
        seen += 1;
        match typed(kind, value) {
            Some(value) => format!("#define {name} {value}"),
            None => {
                failure =
                    Some(format!("the constant {name} of type {kind} is {value}: teach xtask to write it"));
                found[0].to_owned()
            }
        }
    });
    if let Some(failure) = failure {
        bail!(failure);
    }
    if seen != types.len() {
        bail!("core/abi has {} constants, and the header {seen}", types.len());
    }
    Ok(text.into_owned())
}

fn typed(kind: &str, value: &str) -> Option<String> {
    let wrap = match kind {
        "i64" => "INT64_C",
        "u64" => "UINT64_C",
        "u32" => "UINT32_C",
        "u16" => "UINT16_C",
        _ => return None,
    };
    let shifted = value.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')?.split_once(" << "));
    match shifted {
        Some((one, shift)) => Some(format!("({wrap}({one}) << {shift})")),
        None => value.parse::<i128>().ok().map(|value| format!("{wrap}({value})")),
    }
}

/// The golden layouts as static assertions.
fn assertions(root: &Path) -> Result<String> {
    let golden = fs::read_to_string(root.join(GOLDEN)).with_context(|| format!("reading {GOLDEN}"))?;
    let mut text = String::from(
        "\n/* The layout, as the host sees it: a compiler that lays structs out otherwise stops here. */\n\
         #if UINTPTR_MAX == UINT64_MAX\n\
         #ifdef __cplusplus\n\
         #define SABIR_ASSERT_(condition) static_assert(condition, #condition)\n\
         #else\n\
         #define SABIR_ASSERT_(condition) _Static_assert(condition, #condition)\n\
         #endif\n",
    );
    for line in golden.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            [name, "size", size, "align", _] => writeln!(text, "SABIR_ASSERT_(sizeof({name}) == {size});")?,
            [field, offset] => {
                let (name, field) = field.split_once('.').context("a field's line has a dot")?;
                writeln!(text, "SABIR_ASSERT_(offsetof({name}, {field}) == {offset});")?;
            }
            _ => bail!("{GOLDEN}: {line:?} is no layout"),
        }
    }
    text.push_str("#undef SABIR_ASSERT_\n#endif\n");
    Ok(text)
}

/// Collects what cbindgen logs at the level of warnings and above.
struct Warnings;

static CAPTURED: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Log for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            CAPTURED
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

impl Warnings {
    fn capture() -> Result<&'static Warnings> {
        // A second call in one process finds the logger of the first.
        let _ = log::set_logger(&Warnings);
        log::set_max_level(LevelFilter::Warn);
        CAPTURED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
        Ok(&Warnings)
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *CAPTURED.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_header_is_the_generated_one() {
        headers(true).unwrap();
    }

    #[test]
    fn a_constant_beyond_int_is_written_in_its_type() {
        assert_eq!(typed("u64", "(1 << 63)").unwrap(), "(UINT64_C(1) << 63)");
        assert_eq!(typed("i64", "-16").unwrap(), "INT64_C(-16)");
        assert_eq!(typed("f64", "1"), None);
    }
}
