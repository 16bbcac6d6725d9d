// SPDX-License-Identifier: Apache-2.0
//! Finding, opening and checking plugins. Nothing is believed before it is checked, and every refusal says what was
//! expected and what was found.
//!
//! A plugin has the process's rights, so libraries are taken only from files and directories that nobody but their
//! owner can change. A library is never unloaded.

mod check;
#[cfg(target_os = "linux")]
mod elf;
mod file;

pub(crate) use check::{Checked, Table, check};
pub(crate) use file::open;
pub use file::{libraries_in, may_load};

use crate::describe::{Kind, Origin};
use sabir_boundary::Error;
use std::io;
use std::path::PathBuf;

/// The one symbol that a plugin exports.
pub const ENTRY_SYMBOL: &str = "sabir_plugin_entry_v1";

/// Why a plugin was refused.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file or directory cannot be looked at.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A symbolic link: it could be turned elsewhere after the check.
    #[error("{}: is a symbolic link; plugins are loaded from real files and directories only", path.display())]
    Symlink {
        /// Which.
        path: PathBuf,
    },
    /// Not what it should be.
    #[error("{}: expected {expected}", path.display())]
    FileKind {
        /// Which.
        path: PathBuf,
        /// A file, or a directory.
        expected: &'static str,
    },
    /// Others could change it.
    #[error(
        "{}: others than its owner may write to it (mode {mode:04o}); expected no write permission for group and others (chmod go-w)",
        path.display()
    )]
    Writable {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The system's loader refused it: no library, or one that needs something that is not there.
    #[error("{}: not a library that can be loaded: {detail}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// What the loader said.
        detail: String,
    },
    /// The library's file is shorter than its own headers say: it was copied only in part.
    #[error("{}: the library is cut short: expected at least {expected} bytes, found {found}", path.display())]
    CutShort {
        /// Which.
        path: PathBuf,
        /// The least length.
        expected: u64,
        /// Its length.
        found: u64,
    },
    /// A library, but no plugin of this major version.
    #[error("{}: expected the symbol {ENTRY_SYMBOL}, found {found}", path.display())]
    MissingSymbol {
        /// Which.
        path: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// The entry point answered NULL.
    #[error(
        "{origin}: the plugin cannot serve major version {expected} of the ABI (it answered no descriptor)"
    )]
    NoDescriptor {
        /// Which.
        origin: Origin,
        /// The host's major version.
        expected: u32,
    },
    /// The descriptor does not start as one.
    #[error("{origin}: expected the magic {expected:#010x}, found {found:#010x}")]
    Magic {
        /// Which.
        origin: Origin,
        /// What a descriptor starts with.
        expected: u32,
        /// What it starts with.
        found: u32,
    },
    /// Built for another major version.
    #[error(
        "{origin}: built for ABI {found_major}.{found_minor}; this host has {expected_major}.{expected_minor}, and another major version never fits"
    )]
    Major {
        /// Which.
        origin: Origin,
        /// The host's.
        expected_major: u32,
        /// The host's.
        expected_minor: u32,
        /// The plugin's.
        found_major: u32,
        /// The plugin's.
        found_minor: u32,
    },
    /// A struct is shorter than version 1.0 made it.
    #[error("{origin}: {what}: expected at least {expected} bytes, found {found}")]
    Truncated {
        /// Which.
        origin: Origin,
        /// The struct.
        what: String,
        /// The least length.
        expected: usize,
        /// Its length.
        found: usize,
    },
    /// Elements of an array would overlap or lie askew.
    #[error(
        "{origin}: {what}: expected a stride of at least {expected} bytes, aligned to {align}, found {found}"
    )]
    Stride {
        /// Which.
        origin: Origin,
        /// The array.
        what: &'static str,
        /// The least stride.
        expected: usize,
        /// The alignment.
        align: usize,
        /// Its stride.
        found: usize,
    },
    /// A pointer that must not be NULL is.
    #[error("{origin}: {what} is NULL")]
    Null {
        /// Which.
        origin: Origin,
        /// What.
        what: String,
    },
    /// The number of components cannot be.
    #[error("{origin}: expected 1 to {most} components, found {found}")]
    ComponentCount {
        /// Which.
        origin: Origin,
        /// The most.
        most: u32,
        /// How many.
        found: u32,
    },
    /// A name that the rules do not allow.
    #[error(
        "{origin}: the name of {what}: expected [a-z][a-z0-9-]* of at most {most} bytes, found {found:?}"
    )]
    Name {
        /// Which.
        origin: Origin,
        /// Whose.
        what: &'static str,
        /// The most bytes.
        most: usize,
        /// The name.
        found: String,
    },
    /// A text is no UTF-8.
    #[error("{origin}: {what} is no UTF-8")]
    Text {
        /// Which.
        origin: Origin,
        /// What.
        what: &'static str,
    },
    /// A function that the kind, or one of the component's capabilities, asks for is NULL.
    #[error("{origin}: the {kind} {component:?} has no function {slot}, which {needed_by}")]
    MissingSlot {
        /// Which.
        origin: Origin,
        /// The component's kind.
        kind: Kind,
        /// The component.
        component: String,
        /// The function.
        slot: &'static str,
        /// Who needs it.
        needed_by: String,
    },
    /// The component needs something that this host does not have.
    #[error("{origin}: the {kind} {component:?} needs the host's capability {name} (bit {bit}), and this host has {}", offered.join(", "))]
    MissingHostCapability {
        /// Which.
        origin: Origin,
        /// The component's kind.
        kind: Kind,
        /// The component.
        component: String,
        /// The first bit that is missing.
        bit: u32,
        /// Its name, or its number for one that this host does not know.
        name: String,
        /// What this host has.
        offered: Vec<String>,
    },
    /// Every component is of a kind that this host does not know.
    #[error("{origin}: none of its components is of a kind that this host knows: {}", skipped.join("; "))]
    NothingKnown {
        /// Which.
        origin: Origin,
        /// What was skipped.
        skipped: Vec<String>,
    },
    /// The name is taken.
    #[error(
        "{origin}: there is a {kind} {name:?} already, from the plugin {other_plugin:?} ({other_origin})"
    )]
    Duplicate {
        /// Which.
        origin: Origin,
        /// The component's kind.
        kind: Kind,
        /// The component.
        name: String,
        /// Who has the name.
        other_plugin: String,
        /// Where that came from.
        other_origin: Origin,
    },
    /// The plugin's own initialisation failed.
    #[error("{origin}: the plugin refused to start: {source}")]
    Init {
        /// Which.
        origin: Origin,
        /// What it said.
        source: Error,
    },
}
