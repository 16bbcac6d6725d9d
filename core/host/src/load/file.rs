// SPDX-License-Identifier: Apache-2.0
//! The files that plugins come from.

use super::{ENTRY_SYMBOL, LoadError};
use crate::describe::Origin;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use sabir_abi::{SABIR_ABI_MAJOR, sabir_plugin, sabir_plugin_entry_v1_fn};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// `RTLD_NODELETE` of this system's C library.
#[cfg(target_os = "linux")]
const RTLD_NODELETE: i32 = 0x1000;
#[cfg(target_os = "macos")]
const RTLD_NODELETE: i32 = 0x80;
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
const RTLD_NODELETE: i32 = 0;

/// Checks that nobody but its owner can change the file or directory.
pub fn may_load(path: &Path, expected: &'static str) -> Result<(), LoadError> {
    let metadata =
        fs::symlink_metadata(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    if metadata.is_symlink() {
        return Err(LoadError::Symlink { path: path.to_owned() });
    }
    let right = if expected == DIRECTORY { metadata.is_dir() } else { metadata.is_file() };
    if !right {
        return Err(LoadError::FileKind { path: path.to_owned(), expected });
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(LoadError::Writable { path: path.to_owned(), mode });
    }
    Ok(())
}

/// What a directory is called in errors.
pub(super) const DIRECTORY: &str = "a directory";
/// What a file is called in errors.
pub(super) const FILE: &str = "a regular file";

/// The shared libraries of a directory, by name.
pub fn libraries_in(directory: &Path) -> Result<Vec<PathBuf>, LoadError> {
    may_load(directory, DIRECTORY)?;
    let unreadable = |source| LoadError::Read { path: directory.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "so" || extension == "dylib") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Opens a library and asks for its descriptor. The library stays mapped until the process ends.
pub(crate) fn open(path: &Path) -> Result<*const sabir_plugin, LoadError> {
    may_load(path, FILE)?;
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        may_load(directory, DIRECTORY)?;
    }
    // A path without a slash would be looked for in the system's directories.
    let absolute =
        fs::canonicalize(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    #[cfg(target_os = "linux")]
    match super::elf::find_cut(&absolute) {
        Ok(None) => {}
        Ok(Some(super::elf::CutShort { expected, found })) => {
            return Err(LoadError::CutShort { path: path.to_owned(), expected, found });
        }
        Err(source) => return Err(LoadError::Read { path: path.to_owned(), source }),
    }
    // SAFETY: the library's constructors run. The operator named its directory; a plugin has the process's rights.
    let library = unsafe { Library::open(Some(&absolute), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) };
    let library = library
        .map_err(|error| LoadError::Open { path: path.to_owned(), detail: detail_of(&error, &absolute) })?;
    // SAFETY: a library that exports this name promises this type.
    let entry = unsafe { library.get::<sabir_plugin_entry_v1_fn>(ENTRY_SYMBOL) };
    let Ok(entry) = entry else {
        let found = other_entry(&library);
        return Err(LoadError::MissingSymbol { path: path.to_owned(), found });
    };
    // SAFETY: the contract of the entry point: any thread, with the host's major version.
    let descriptor = unsafe { entry(SABIR_ABI_MAJOR) };
    // Never unloaded: threads, thread-locals and wakers of it may live on.
    std::mem::forget(library);
    if descriptor.is_null() {
        let origin = Origin::File(path.to_owned());
        return Err(LoadError::NoDescriptor { origin, expected: SABIR_ABI_MAJOR });
    }
    Ok(descriptor)
}

/// What the loader said, without the path, which the error names already.
fn detail_of(error: &libloading::Error, path: &Path) -> String {
    let text = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let text = text.replace(&format!("{}: ", path.display()), "");
    text.trim().to_owned()
}

/// What a library without our entry point has instead.
fn other_entry(library: &Library) -> String {
    let other = (2..=9).map(|major| format!("sabir_plugin_entry_v{major}")).find(|symbol| {
        // SAFETY: the symbol is only looked for, never used.
        unsafe { library.get::<*const u8>(symbol.as_str()) }.is_ok()
    });
    match other {
        Some(symbol) => format!("{symbol}: it is a plugin for another major version of the ABI"),
        None => String::from("no entry point: it is no Sabir plugin"),
    }
}
