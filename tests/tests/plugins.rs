// SPDX-License-Identifier: Apache-2.0
//! The program before libraries that it must not take: each is refused with an exit code and one line that says which
//! file, what was expected and what was found, and a good folder beside it is served.

use sabir_tests::process::{Options, plugins, program};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The exit code of a start that fails over a plugin.
const PLUGIN: i32 = 4;
const STORE: &str = "libsabir_store_journal_plugin.so";

/// A copy of the plugins, to be spoiled.
struct Spoiled {
    _folder: tempfile::TempDir,
    plugins: PathBuf,
    data: PathBuf,
}

impl Spoiled {
    fn new() -> Spoiled {
        let folder = tempfile::tempdir().expect("a folder");
        let copies = folder.path().join("plugins");
        fs::create_dir(&copies).expect("made");
        set_mode(&copies, 0o755);
        for entry in fs::read_dir(plugins()).expect("the plugins are there") {
            let entry = entry.expect("an entry");
            fs::copy(entry.path(), copies.join(entry.file_name())).expect("copied");
        }
        Spoiled { data: folder.path().join("data"), plugins: copies, _folder: folder }
    }

    fn store(&self) -> PathBuf {
        self.plugins.join(STORE)
    }

    /// Starts the broker, which must refuse: with these words on standard error, and nothing opened.
    fn assert_refused(&self, expected: &[&str]) {
        let mut options = Options::new(&self.data);
        options.plugins = self.plugins.clone();
        let refused = options.run_to_end();
        assert_eq!(refused.status.code(), Some(PLUGIN), "{refused:?}");
        let words = String::from_utf8_lossy(&refused.stderr);
        for expected in expected {
            assert!(words.contains(expected), "{expected:?} is not in {words}");
        }
        assert!(refused.stdout.is_empty(), "something was opened: {refused:?}");
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the file is ours");
}

/// Compiles C into a library at this place.
fn compile(source: &str, library: &Path) {
    let file = library.with_extension("c");
    fs::write(&file, source).expect("written");
    let mut compiler = Command::new("cc");
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("../c-include");
    compiler.args(["-std=c11", "-shared", "-fPIC", "-I"]).arg(header).arg("-o").args([library, &file]);
    let output = compiler.output().expect("a C compiler is needed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    set_mode(library, 0o755);
}

/// A descriptor with one thing wrong.
fn descriptor(change: &str) -> String {
    format!(
        "#include <sabir_plugin.h>\n\
         static const sabir_plugin plugin = {{ .magic = SABIR_PLUGIN_MAGIC, .struct_size = sizeof(sabir_plugin),\n\
         .abi_major = SABIR_ABI_MAJOR, .abi_minor = SABIR_ABI_MINOR, {change} }};\n\
         const sabir_plugin *sabir_plugin_entry_v1(uint32_t major) {{ (void)major; return &plugin; }}\n"
    )
}

fn inspect(library: &Path) -> Output {
    Command::new(program()).args(["plugin", "inspect"]).arg(library).output().expect("sabir starts")
}

#[test]
fn a_broker_names_the_plugin_that_is_gone_and_where_it_was_looked_for() {
    let spoiled = Spoiled::new();
    fs::remove_file(spoiled.store()).expect("it was there");
    let folder = spoiled.plugins.display().to_string();
    spoiled.assert_refused(&["the store \"journal\"", STORE, &folder]);
}

#[test]
fn a_library_that_was_copied_only_in_part_is_refused_by_a_process_that_lives() {
    let spoiled = Spoiled::new();
    let whole = fs::read(spoiled.store()).expect("it is there");
    for len in [100, whole.len() / 1000, whole.len() / 100] {
        fs::write(spoiled.store(), &whole[..len]).expect("written");
        spoiled.assert_refused(&[STORE, "the library is cut short"]);
        let refused = inspect(&spoiled.store());
        assert_eq!(refused.status.code(), Some(PLUGIN), "{refused:?}");
    }
}

#[test]
fn what_others_could_change_is_not_loaded() {
    let spoiled = Spoiled::new();
    set_mode(&spoiled.store(), 0o775);
    spoiled.assert_refused(&[STORE, "mode 0775", "chmod go-w"]);
    set_mode(&spoiled.store(), 0o755);
    set_mode(&spoiled.plugins, 0o775);
    spoiled.assert_refused(&["mode 0775", "chmod go-w"]);
}

#[test]
fn descriptors_that_break_the_rules_are_refused_with_what_was_expected_and_found() {
    let spoiled = Spoiled::new();
    for (source, expected) in [
        (descriptor(".magic = 7"), "expected the magic 0x52424153, found 0x00000007"),
        (descriptor(".struct_size = 20"), "the descriptor: expected at least"),
        (descriptor(".abi_major = 9, .abi_minor = 4"), "built for ABI 9.4; this host has 1."),
        ("int nothing;".to_owned(), "expected the symbol sabir_plugin_entry_v1, found no entry point"),
        ("void *sabir_plugin_entry_v1(unsigned major) { return 0; }".to_owned(), "it answered no descriptor"),
    ] {
        fs::remove_file(spoiled.store()).expect("it was there");
        compile(&source, &spoiled.store());
        spoiled.assert_refused(&[STORE, expected]);
        let refused = inspect(&spoiled.store());
        assert_eq!(refused.status.code(), Some(PLUGIN), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains(expected), "{refused:?}");
    }
}

#[test]
fn a_library_that_crashes_while_it_is_loaded_takes_only_the_child_that_inspects_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = folder.path().join("crashing.so");
    compile("__attribute__((constructor)) static void crash(void) { __builtin_trap(); }", &library);
    let refused = inspect(&library);
    assert_eq!(refused.status.code(), Some(PLUGIN), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("crashes when it is loaded"), "{refused:?}");
}

#[test]
fn the_list_names_kind_origin_and_capabilities_for_programs_too() {
    let mut list = Command::new(program());
    let output =
        list.args(["plugin", "list", "--json", "--plugins"]).arg(plugins()).output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let found = String::from_utf8_lossy(&output.stdout);
    for (kind, name) in [("transport", "tcp"), ("protocol", "stomp"), ("store", "journal")] {
        let component = format!("\"kind\":\"{kind}\",\"name\":\"{name}\"");
        let origin = format!("libsabir_{kind}_{name}_plugin.so\"}}");
        assert!(found.contains(&component) && found.contains(&origin), "{component} or {origin}: {found}");
    }
    for capability in ["\"send_file\"", "\"detect\"", "\"persistent\""] {
        assert!(found.contains(capability), "{capability}: {found}");
    }
}
