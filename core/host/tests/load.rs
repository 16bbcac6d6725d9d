// SPDX-License-Identifier: Apache-2.0
//! Every plugin that breaks a rule is refused with an error that says what was expected and what was found; plugins of
//! other ages load as far as the rules promise.

mod sample;

use ::sabir_host::describe::{Kind, Origin};
use ::sabir_host::{LoadError, Maintenance, Registry};
use sabir_abi::*;
use std::ffi::c_void;
use std::fs;
use std::mem::offset_of;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr;

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn slice(text: &'static str) -> sabir_slice {
    sabir_slice { ptr: text.as_ptr(), len: text.len() }
}

/// Copies of the sample plugin's descriptor and components, to be broken.
fn descriptor() -> sabir_plugin {
    // SAFETY: a descriptor is plain data.
    unsafe { ptr::read(&sample::PLUGIN) }
}

fn components() -> Vec<sabir_component> {
    (0..sample::PLUGIN.component_count as usize)
        // SAFETY: the array is as long as it says; components are plain data.
        .map(|index| unsafe { ptr::read(sample::PLUGIN.components.add(index)) })
        .collect()
}

fn with_components(components: Vec<sabir_component>) -> sabir_plugin {
    let components = components.leak();
    sabir_plugin { components: components.as_ptr(), component_count: components.len() as u32, ..descriptor() }
}

fn refusal(descriptor: sabir_plugin) -> LoadError {
    let mut registry = Registry::new();
    let error = registry.add(leak(descriptor)).expect_err("the plugin is broken");
    assert!(
        registry.plugins().is_empty() && registry.components().is_empty(),
        "a refused plugin left something"
    );
    error
}

/// One component of the sample with its table changed.
fn with_table<T: 'static>(kind: Kind, change: impl FnOnce(&mut T)) -> sabir_plugin {
    let mut component = components().into_iter().find(|component| component.kind == kind.number()).unwrap();
    // SAFETY: the sample's tables are of their kinds, and plain data.
    let mut table = unsafe { ptr::read(component.vtable.cast::<T>()) };
    change(&mut table);
    component.vtable = ptr::from_ref(leak(table)).cast();
    with_components(vec![component])
}

#[test]
fn a_good_plugin_is_taken_and_described() {
    let mut registry = Registry::new();
    let description = registry.add(&sample::PLUGIN).unwrap();
    assert_eq!((description.name.as_str(), description.origin), ("sample", Origin::Linked));
    assert_eq!((description.abi_major, description.abi_minor), (SABIR_ABI_MAJOR, SABIR_ABI_MINOR));
    assert_eq!(description.license, "Apache-2.0");
    let described: Vec<_> =
        description.components.iter().map(|component| (component.kind, component.name.as_str())).collect();
    let expected = [
        (Kind::Transport, "sample"),
        (Kind::Protocol, "sample"),
        (Kind::Store, "sample"),
        (Kind::Codec, "sample"),
    ];
    assert_eq!(described, expected);
    assert_eq!(
        description.components[0].capabilities,
        ["listen", "connect", "wrap_listener", "wrap_link", "send_file"]
    );
    assert_eq!(description.components[0].required_host_capabilities, ["reactor"]);
    assert!(registry.transport("sample").is_some() && registry.transport("other").is_none());
}

#[test]
fn a_wrong_magic_is_named() {
    let error = refusal(sabir_plugin { magic: 0xdead_beef, ..descriptor() });
    assert!(matches!(error, LoadError::Magic { expected: SABIR_PLUGIN_MAGIC, found: 0xdead_beef, .. }));
    assert!(error.to_string().contains("expected the magic 0x52424153, found 0xdeadbeef"), "{error}");
}

#[test]
fn another_major_version_is_named_with_both_versions_even_when_its_struct_is_shorter() {
    let error = refusal(sabir_plugin { abi_major: 2, abi_minor: 7, struct_size: 16, ..descriptor() });
    assert!(matches!(error, LoadError::Major { expected_major: 1, found_major: 2, found_minor: 7, .. }));
    let both = format!("built for ABI 2.7; this host has {SABIR_ABI_MAJOR}.{SABIR_ABI_MINOR}");
    assert!(error.to_string().contains(&both), "{error}");
}

#[test]
fn a_truncated_descriptor_is_refused_before_its_fields_are_read() {
    for struct_size in [0, 8, 15, 16, size_of::<sabir_plugin>() as u32 - 1] {
        // The components' pointer is poison: whoever reads it crashes.
        let broken = sabir_plugin { struct_size, components: ptr::dangling(), ..descriptor() };
        let error = refusal(broken);
        assert!(
            matches!(error, LoadError::Truncated { found, .. } if found == struct_size as usize),
            "{error}"
        );
    }
}

#[test]
fn bad_arrays_of_components_are_refused() {
    let none = refusal(sabir_plugin { component_count: 0, ..descriptor() });
    assert!(matches!(none, LoadError::ComponentCount { found: 0, .. }));
    let many = refusal(sabir_plugin { component_count: u32::MAX, ..descriptor() });
    assert!(matches!(many, LoadError::ComponentCount { found: u32::MAX, .. }));
    let null = refusal(sabir_plugin { components: ptr::null(), ..descriptor() });
    assert!(matches!(null, LoadError::Null { .. }));
    for stride in [0, size_of::<sabir_component>() as u32 - 8, size_of::<sabir_component>() as u32 + 1] {
        let error = refusal(sabir_plugin { component_stride: stride, ..descriptor() });
        assert!(matches!(error, LoadError::Stride { found, .. } if found == stride as usize), "{error}");
    }
}

#[test]
fn bad_names_are_refused_and_quoted() {
    let long = "x".repeat(65).leak();
    for name in ["", "Upper", "9lives", "with space", "umläut", long] {
        let error = refusal(sabir_plugin { name: slice(name), ..descriptor() });
        assert!(
            matches!(&error, LoadError::Name { what: "the plugin", found, .. } if found == name),
            "{error}"
        );
        let mut component = components().remove(0);
        component.name = slice(name);
        let error = refusal(with_components(vec![component]));
        assert!(
            matches!(&error, LoadError::Name { what: "a component", found, .. } if found == name),
            "{error}"
        );
    }
    let bytes: &'static [u8] = &[b'a', 0xff];
    let broken = sabir_slice { ptr: bytes.as_ptr(), len: 2 };
    assert!(matches!(refusal(sabir_plugin { vendor: broken, ..descriptor() }), LoadError::Text { .. }));
}

#[test]
fn a_missing_host_capability_is_named_by_bit_and_name_with_what_there_is() {
    let mut component = components().remove(0);
    component.required_host_capabilities = 1 << 40;
    let error = refusal(with_components(vec![component]));
    assert!(matches!(&error, LoadError::MissingHostCapability { bit: 40, name, .. } if name == "bit 40"));
    assert!(error.to_string().contains("reactor, timers, tasks, blocking, metrics"), "{error}");
}

#[test]
fn a_missing_function_is_named_with_who_needs_it() {
    let named = |descriptor, expected: &str| {
        let error = refusal(descriptor);
        let LoadError::MissingSlot { slot, .. } = &error else { panic!("{error}") };
        assert_eq!(*slot, expected);
        error.to_string()
    };
    type Transport = sabir_transport_vtable;
    named(with_table(Kind::Transport, |table: &mut Transport| table.open = None), "open");
    named(with_table(Kind::Transport, |table: &mut Transport| table.close = None), "close");
    let text = named(with_table(Kind::Transport, |table: &mut Transport| table.listen = None), "listen");
    assert!(text.contains("which its capability listen asks for"), "{text}");
    let text = named(
        with_table(Kind::Protocol, |table: &mut sabir_protocol_vtable| table.on_bytes = None),
        "on_bytes",
    );
    assert!(text.contains("which every protocol needs"), "{text}");
    named(with_table(Kind::Store, |table: &mut sabir_store_vtable| table.sync = None), "sync");
    named(with_table(Kind::Codec, |table: &mut sabir_codec_vtable| table.keys = None), "keys");
    type Store = sabir_store_vtable;
    named(with_table(Kind::Store, |table: &mut Store| table.lock_acquire = None), "lock_acquire");
    named(with_table(Kind::Store, |table: &mut Store| table.lock_keep = None), "lock_keep");
    named(with_table(Kind::Store, |table: &mut Store| table.region = None), "region");
    let text = named(with_table(Kind::Store, |table: &mut Store| table.unpin = None), "unpin");
    assert!(text.contains("which its capability region asks for"), "{text}");
    named(with_table(Kind::Store, |table: &mut Store| table.backup = None), "backup");
    named(with_table(Kind::Store, |table: &mut Store| table.maintain = None), "maintain");
}

#[test]
fn functions_that_nothing_asks_for_may_be_missing() {
    let mut component = components().remove(0);
    component.capabilities = 0;
    // SAFETY: the sample's first component is a transport; tables are plain data.
    let mut table = unsafe { ptr::read(component.vtable.cast::<sabir_transport_vtable>()) };
    (table.listen, table.connect, table.wrap_listener, table.wrap_link) = (None, None, None, None);
    component.vtable = ptr::from_ref(leak(table)).cast();
    let mut registry = Registry::new();
    registry.add(leak(with_components(vec![component]))).unwrap();
    let transport = registry.transport("sample").unwrap().open_transport("{}").unwrap();
    let error = transport.listen("sample://x").unwrap_err();
    assert_eq!(error.code, ::sabir_host::ErrorCode::Unsupported);
}

#[test]
fn optional_functions_of_a_protocol_may_be_missing_and_are_then_not_called() {
    let plugin = with_table(Kind::Protocol, |table: &mut sabir_protocol_vtable| {
        (table.on_flow, table.on_timer, table.on_close) = (None, None, None);
    });
    let mut registry = Registry::new();
    registry.add(leak(plugin)).unwrap();
    let protocol = registry.protocol("sample").unwrap().open_protocol("{}").unwrap();
    let mut out = ::sabir_host::OutBuffers::default();
    let mut session = sample::session(&protocol, &mut out).unwrap();
    let now = ::sabir_host::runtime::now();
    session.on_flow(now, ::sabir_host::Flow::default(), "", &mut out).unwrap();
    session.on_timer(now, &mut out).unwrap();
    assert_eq!(session.deadline(), None);
    session.on_close(now, "", &mut out).unwrap();
}

#[test]
fn tables_that_are_null_or_truncated_are_refused() {
    let mut component = components().remove(0);
    component.vtable = ptr::null();
    assert!(matches!(refusal(with_components(vec![component])), LoadError::Null { .. }));
    let first = offset_of!(sabir_store_vtable, maintain) as u32;
    let short = with_table(Kind::Store, |table: &mut sabir_store_vtable| table.struct_size = first - 8);
    let error = refusal(short);
    let LoadError::Truncated { what, expected, found, .. } = &error else { panic!("{error}") };
    assert_eq!((what.as_str(), *expected), ("the table of the store \"sample\"", first as usize));
    assert_eq!(*found, expected - 8);
}

#[test]
fn a_store_with_the_table_of_version_1_0_loads_and_what_it_lacks_is_absent() {
    let first = offset_of!(sabir_store_vtable, maintain);
    let mut component = components().remove(2);
    component.capabilities &= !SABIR_CAP_STORE_MAINTAIN;
    let mut table = vec![0_u64; first / size_of::<u64>()].into_boxed_slice();
    // SAFETY: both have at least so many bytes; nothing lies behind the shorter table that a reader could take for more.
    unsafe { ptr::copy_nonoverlapping(component.vtable.cast::<u8>(), table.as_mut_ptr().cast(), first) };
    // The size stands first.
    table[0] = first as u64;
    component.vtable = Box::leak(table).as_ptr().cast();
    let mut registry = Registry::new();
    registry.add(leak(with_components(vec![component]))).unwrap();
    let component = registry.store("sample").unwrap();
    assert_eq!(component.open_store("{}").unwrap().stats().unwrap().live_records, 7);
    let error = component.maintain_store("{}", Maintenance::Check, "", &mut |_, _, _| true).unwrap_err();
    assert_eq!(error.code, ::sabir_host::ErrorCode::Unsupported);
}

#[test]
fn a_newer_minor_version_with_longer_structs_loads() {
    #[repr(C)]
    struct NewerComponent {
        known: sabir_component,
        added: u64,
    }
    #[repr(C)]
    struct NewerPlugin {
        known: sabir_plugin,
        added: [u64; 4],
    }
    let newer: &'static mut [NewerComponent] =
        components().into_iter().map(|known| NewerComponent { known, added: 7 }).collect::<Vec<_>>().leak();
    let plugin = leak(NewerPlugin {
        known: sabir_plugin {
            struct_size: size_of::<NewerPlugin>() as u32,
            abi_minor: SABIR_ABI_MINOR + 9,
            components: newer.as_ptr().cast(),
            component_count: newer.len() as u32,
            component_stride: size_of::<NewerComponent>() as u32,
            ..descriptor()
        },
        added: [1; 4],
    });
    let description = Registry::new().add(&plugin.known).unwrap();
    assert_eq!((description.abi_minor, description.components.len()), (SABIR_ABI_MINOR + 9, 4));
}

#[test]
fn components_of_unknown_kinds_are_skipped_and_reported() {
    let mut all = components();
    let first = all.remove(0);
    all.push(sabir_component { kind: 77, name: slice("oracle"), vtable: ptr::null::<c_void>(), ..first });
    let mut registry = Registry::new();
    let description = registry.add(leak(with_components(all))).unwrap();
    assert_eq!(description.components.len(), 3);
    assert_eq!(description.skipped[0].to_string(), "\"oracle\" is of kind 77, which this host does not know");
    let only = sabir_component { kind: 77, ..components().remove(0) };
    assert!(matches!(refusal(with_components(vec![only])), LoadError::NothingKnown { .. }));
}

#[test]
fn a_name_that_is_taken_is_refused_with_who_has_it() {
    let mut registry = Registry::new();
    registry.add(&sample::PLUGIN).unwrap();
    let error = registry.add(&sample::PLUGIN).unwrap_err();
    assert!(matches!(&error, LoadError::Duplicate { other_plugin, .. } if other_plugin == "sample"));
    assert_eq!((registry.plugins().len(), registry.components().len()), (1, 4));
    let mut twice = components();
    twice.extend(components());
    assert!(matches!(refusal(with_components(twice)), LoadError::Duplicate { .. }));
}

#[test]
fn a_plugin_that_refuses_to_start_is_refused_with_its_own_words() {
    unsafe extern "C" fn init(_: *const sabir_host, error: *mut sabir_error) -> i64 {
        // SAFETY: the host passes a struct to fill.
        unsafe {
            sabir_boundary::Error::new(sabir_boundary::ErrorCode::Config, "no such key: x").write(error)
        }
    }
    let error = refusal(sabir_plugin { init: Some(init), ..descriptor() });
    assert!(
        matches!(&error, LoadError::Init { source, .. } if source.message == "no such key: x"),
        "{error}"
    );
}

/// A directory that only its owner may write to, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sabir-host-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Directory(path)
    }

    fn file(&self, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// Compiles C into a shared library.
    fn library(&self, name: &str, source: &str) -> PathBuf {
        let source = self.file(&format!("{name}.c"), source.as_bytes(), 0o644);
        let path = self.0.join(name);
        let output = Command::new("gcc").args(["-shared", "-fPIC", "-o"]).args([&path, &source]).output();
        let output = output.expect("gcc is needed to build plugins in C");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn load(path: &Path) -> LoadError {
    Registry::new().load(path).expect_err("the file is no plugin")
}

#[test]
fn a_file_that_is_missing_or_no_library_is_refused() {
    let directory = Directory::new("files");
    assert!(matches!(load(&directory.0.join("none.so")), LoadError::Read { .. }));
    let text = directory.file("text.so", b"not a library", 0o644);
    let error = load(&text);
    assert!(matches!(&error, LoadError::Open { .. }) && error.to_string().contains("text.so"), "{error}");
    assert!(matches!(load(&directory.0), LoadError::FileKind { expected: "a regular file", .. }));
}

/// The system's loader would end the process with SIGBUS at many of these lengths.
#[test]
fn a_library_that_was_copied_only_in_part_is_refused_wherever_it_ends() {
    let directory = Directory::new("cut");
    let whole = fs::read(directory.library("whole.so", "int x[3000] = {1};")).unwrap();
    let mut cuts = 0;
    for len in (1..whole.len()).step_by(509) {
        let part = directory.file(&format!("{len}.so"), &whole[..len], 0o644);
        match load(&part) {
            LoadError::CutShort { expected, found, .. } => {
                assert!(found == len as u64 && expected > found && expected <= whole.len() as u64);
                cuts += 1;
            }
            // No whole header, or nothing that the loader needs is missing.
            LoadError::Open { .. } | LoadError::MissingSymbol { .. } => {}
            other => panic!("{len} of {} bytes: {other}", whole.len()),
        }
    }
    assert!(cuts > 20, "only {cuts} of the lengths were found out");
    let error = load(&directory.file("half.so", &whole[..whole.len() / 2], 0o644));
    assert!(error.to_string().contains("the library is cut short: expected at least"), "{error}");
}

#[test]
fn a_library_without_the_entry_point_is_told_from_one_of_another_major_version() {
    let directory = Directory::new("symbols");
    let none = directory.library("none.so", "int x;");
    let error = load(&none);
    assert!(
        matches!(&error, LoadError::MissingSymbol { found, .. } if found.contains("no Sabir plugin")),
        "{error}"
    );
    let later = directory.library("later.so", "void *sabir_plugin_entry_v2(unsigned v) { return 0; }");
    let error = load(&later);
    assert!(
        matches!(&error, LoadError::MissingSymbol { found, .. } if found.contains("sabir_plugin_entry_v2"))
    );
    assert!(error.to_string().contains("expected the symbol sabir_plugin_entry_v1"), "{error}");
    let null = directory.library("null.so", "void *sabir_plugin_entry_v1(unsigned v) { return 0; }");
    assert!(matches!(load(&null), LoadError::NoDescriptor { expected: 1, .. }));
    let magic = directory
        .library("magic.so", "static unsigned d[64]; void *sabir_plugin_entry_v1(unsigned v) { return d; }");
    assert!(matches!(load(&magic), LoadError::Magic { found: 0, .. }));
    let needs = directory
        .library("needs.so", "extern int nobody_has_this(void); int f(void) { return nobody_has_this(); }");
    let error = load(&needs);
    assert!(
        matches!(&error, LoadError::Open { detail, .. } if detail.contains("nobody_has_this")),
        "{error}"
    );
}

#[test]
fn what_others_could_change_is_not_loaded() {
    let directory = Directory::new("permissions");
    for mode in [0o664, 0o646, 0o777] {
        let path = directory.file("loose.so", b"x", mode);
        let error = load(&path);
        assert!(matches!(error, LoadError::Writable { mode: found, .. } if found == mode), "{error}");
    }
    let good = directory.library("good.so", "int x;");
    let link = directory.0.join("link.so");
    symlink(&good, &link).unwrap();
    assert!(matches!(load(&link), LoadError::Symlink { .. }));
    fs::set_permissions(&directory.0, fs::Permissions::from_mode(0o775)).unwrap();
    let error = load(&good);
    assert!(matches!(&error, LoadError::Writable { path, mode: 0o775 } if *path == directory.0), "{error}");
    assert!(matches!(Registry::new().load_dir(&directory.0), Err(LoadError::Writable { .. })));
}

#[test]
fn a_directory_tells_of_every_library_in_it_what_became_of_it() {
    let directory = Directory::new("directory");
    directory.library("a.so", "int x;");
    directory.file("b.so", b"not a library", 0o644);
    directory.file("README", b"not looked at", 0o644);
    let mut registry = Registry::new();
    let loaded = registry.load_dir(&directory.0).unwrap();
    let names: Vec<_> = loaded.iter().map(|file| file.path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["a.so", "b.so"]);
    assert!(matches!(loaded[0].result, Err(LoadError::MissingSymbol { .. })));
    assert!(matches!(loaded[1].result, Err(LoadError::Open { .. })));
    let missing = directory.0.join("none");
    assert!(matches!(registry.load_dir(&missing), Err(LoadError::Read { path, .. }) if path == missing));
}

#[test]
fn a_plugin_in_c_built_from_the_header_of_version_1_0_loads_and_works_today() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = Directory::new("frozen");
    let path = directory.0.join("old_plugin.so");
    let header = here.join("../abi/tests/frozen/sabir_plugin-1.0.h").canonicalize().unwrap();
    let output = Command::new("gcc")
        .args(["-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror"])
        .args(["-shared", "-fPIC", "-fvisibility=hidden"])
        .arg(format!("-DFROZEN_HEADER=\"{}\"", header.display()))
        .arg("-o")
        .args([&path, &here.join("tests/frozen_plugin.c")])
        .output()
        .expect("gcc is needed to build plugins in C");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(Registry::inspect(&path).unwrap().name, "old-plugin");
    let mut registry = Registry::new();
    let description = registry.load(&path).unwrap();
    assert_eq!((description.abi_minor, description.origin), (0, Origin::File(path)));
    let transport = registry.transport("old").unwrap().open_transport("{}").unwrap();
    let mut link = transport.connect("old://x").unwrap();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let (mut buf, mut info) = ([0; 8], ::sabir_host::ChunkInfo::default());
    // What the table does not have is not called, and counts as done.
    assert!(matches!(link.poll_ready(&mut cx), std::task::Poll::Ready(Ok(()))));
    assert!(matches!(link.poll_flush(&mut cx), std::task::Poll::Ready(Ok(()))));
    assert!(link.attributes().is_empty());
    assert_eq!(link.poll_read(&mut cx, &mut buf, &mut info), std::task::Poll::Ready(Ok(3)));
    assert_eq!(&buf[..3], b"old");
    let written = link.poll_write(&mut cx, &[std::io::IoSlice::new(b"x")], info);
    assert!(matches!(written, std::task::Poll::Ready(Err(error)) if error.message == "this link only tells"));
}
