// SPDX-License-Identifier: Apache-2.0
//! Checks a descriptor, and everything that it points at, before any of it is used.

use super::LoadError;
use crate::describe::{ComponentDescription, Description, Kind, Origin, Skipped, name_host_capabilities};
use sabir_abi::*;
use sabir_boundary::slices;
use std::ffi::c_void;
use std::mem::{MaybeUninit, offset_of};
use std::ptr;

/// Most components of one plugin.
pub const MAX_COMPONENTS: u32 = 256;
/// Bytes of a store's table in version 1.0: up to the first function that was added later.
const STORE_TABLE_BYTES: usize = offset_of!(sabir_store_vtable, maintain);
/// Longest name of a plugin, in bytes.
pub const MAX_PLUGIN_NAME_BYTES: usize = 64;
/// Longest name of a component, in bytes.
pub const MAX_COMPONENT_NAME_BYTES: usize = 32;

/// The table of a component, which is at least as long as version 1.0 made it and has the functions that it must.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Table {
    Transport(&'static sabir_transport_vtable),
    Protocol(&'static sabir_protocol_vtable),
    Codec(&'static sabir_codec_vtable),
    Store(&'static sabir_store_vtable),
}

/// A plugin that was checked.
pub(crate) struct Checked {
    pub descriptor: &'static sabir_plugin,
    pub description: Description,
    pub components: Vec<CheckedComponent>,
}

/// A component that was checked.
pub(crate) struct CheckedComponent {
    pub kind: Kind,
    pub name: String,
    pub capabilities: u64,
    pub config_schema: String,
    pub table: Table,
}

/// Checks a descriptor for a host with these capabilities.
///
/// # Safety
/// `descriptor` is not NULL, and what it says of the sizes of what it points at is true; all of it is valid for ever.
pub(crate) unsafe fn check(
    descriptor: *const sabir_plugin,
    origin: &Origin,
    host_capabilities: u64,
) -> Result<Checked, LoadError> {
    // SAFETY: the caller promises it; `check_front` reads nothing beyond what the sizes allow.
    let descriptor: &'static sabir_plugin = unsafe {
        check_front(descriptor, origin)?;
        &*descriptor
    };
    let mut description = Description {
        name: name(descriptor.name, origin, "the plugin", MAX_PLUGIN_NAME_BYTES)?,
        version: text(descriptor.version, origin, "the version")?,
        license: text(descriptor.license, origin, "the licence")?,
        vendor: text(descriptor.vendor, origin, "the vendor")?,
        description: text(descriptor.description, origin, "the description")?,
        abi_major: descriptor.abi_major,
        abi_minor: descriptor.abi_minor,
        origin: origin.clone(),
        components: Vec::new(),
        skipped: Vec::new(),
    };
    let mut components = Vec::new();
    for index in 0..descriptor.component_count as usize {
        let stride = descriptor.component_stride as usize;
        // SAFETY: `check_front` has checked array, count and stride.
        let component = unsafe { slices::element(descriptor.components, index, stride) };
        let Some(component) = component else { continue };
        let name = name(component.name, origin, "a component", MAX_COMPONENT_NAME_BYTES)?;
        let Some(kind) = Kind::from_number(component.kind) else {
            description.skipped.push(Skipped { kind: component.kind, name });
            continue;
        };
        let checked = check_component(component, kind, name, origin, host_capabilities)?;
        description.components.push(ComponentDescription {
            kind,
            name: checked.name.clone(),
            capabilities: kind.name_capabilities(checked.capabilities),
            required_host_capabilities: name_host_capabilities(component.required_host_capabilities),
            config_schema: checked.config_schema.clone(),
        });
        components.push(checked);
    }
    if components.is_empty() {
        let skipped = description.skipped.iter().map(ToString::to_string).collect();
        return Err(LoadError::NothingKnown { origin: origin.clone(), skipped });
    }
    Ok(Checked { descriptor, description, components })
}

/// Checks the descriptor's own fields, each only when the struct is long enough to have it.
///
/// # Safety
/// As of [`check`].
unsafe fn check_front(descriptor: *const sabir_plugin, origin: &Origin) -> Result<(), LoadError> {
    let origin = || origin.clone();
    // SAFETY: every descriptor has the first two words; the caller promises that its size is true.
    let (magic, size) = unsafe { ((*descriptor).magic, (*descriptor).struct_size as usize) };
    if magic != SABIR_PLUGIN_MAGIC {
        return Err(LoadError::Magic { origin: origin(), expected: SABIR_PLUGIN_MAGIC, found: magic });
    }
    // The version stands within the first 16 bytes, so that even another major version can be named.
    if size >= 16 {
        // SAFETY: the struct is long enough.
        let (found_major, found_minor) = unsafe { ((*descriptor).abi_major, (*descriptor).abi_minor) };
        if found_major != SABIR_ABI_MAJOR {
            return Err(LoadError::Major {
                origin: origin(),
                expected_major: SABIR_ABI_MAJOR,
                expected_minor: SABIR_ABI_MINOR,
                found_major,
                found_minor,
            });
        }
    }
    let expected = size_of::<sabir_plugin>();
    if size < expected {
        let what = String::from("the descriptor");
        return Err(LoadError::Truncated { origin: origin(), what, expected, found: size });
    }
    // SAFETY: the struct is long enough.
    let (components, count, stride) = unsafe {
        ((*descriptor).components, (*descriptor).component_count, (*descriptor).component_stride as usize)
    };
    if count == 0 || count > MAX_COMPONENTS {
        return Err(LoadError::ComponentCount { origin: origin(), most: MAX_COMPONENTS, found: count });
    }
    if components.is_null() {
        return Err(LoadError::Null { origin: origin(), what: String::from("the array of components") });
    }
    let (expected, align) = (size_of::<sabir_component>(), align_of::<sabir_component>());
    if stride < expected || !stride.is_multiple_of(align) {
        let what = "the array of components";
        return Err(LoadError::Stride { origin: origin(), what, expected, align, found: stride });
    }
    Ok(())
}

fn text(slice: sabir_slice, origin: &Origin, what: &'static str) -> Result<String, LoadError> {
    // SAFETY: the descriptor's texts are valid for ever; `check`'s caller promises it.
    match unsafe { slices::str(slice) } {
        Some(text) => Ok(text.to_owned()),
        None => Err(LoadError::Text { origin: origin.clone(), what }),
    }
}

fn name(slice: sabir_slice, origin: &Origin, what: &'static str, most: usize) -> Result<String, LoadError> {
    let found = text(slice, origin, what)?;
    let mut bytes = found.bytes();
    let good = bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && found.len() <= most;
    if good { Ok(found) } else { Err(LoadError::Name { origin: origin.clone(), what, most, found }) }
}

fn check_component(
    component: &sabir_component,
    kind: Kind,
    name: String,
    origin: &Origin,
    host_capabilities: u64,
) -> Result<CheckedComponent, LoadError> {
    let missing = component.required_host_capabilities & !host_capabilities;
    if missing != 0 {
        let bit = missing.trailing_zeros();
        return Err(LoadError::MissingHostCapability {
            origin: origin.clone(),
            kind,
            component: name,
            bit,
            name: name_host_capabilities(1 << bit).concat(),
            offered: name_host_capabilities(host_capabilities),
        });
    }
    let config_schema = text(component.config_schema, origin, "a configuration schema")?;
    let at = Place { origin, kind, name: &name, capabilities: component.capabilities };
    let table = at.table(component.vtable)?;
    Ok(CheckedComponent { kind, capabilities: component.capabilities, config_schema, table, name })
}

/// Where a table stands, for errors.
struct Place<'a> {
    origin: &'a Origin,
    kind: Kind,
    name: &'a str,
    capabilities: u64,
}

/// The functions of a table that must be there: the name, and whether it is.
type Slots<'a> = &'a [(&'static str, bool)];

impl Place<'_> {
    fn table(&self, vtable: *const c_void) -> Result<Table, LoadError> {
        // SAFETY: `long_enough` has checked the size that the table itself gives, and the descriptor's author
        // promises that it is true and that the table is of the component's kind and valid for ever.
        unsafe {
            Ok(match self.kind {
                Kind::Transport => {
                    let table = &*self.long_enough::<sabir_transport_vtable>(vtable)?;
                    self.check_transport(table)?;
                    Table::Transport(table)
                }
                Kind::Protocol => {
                    let table = &*self.long_enough::<sabir_protocol_vtable>(vtable)?;
                    self.check_protocol(table)?;
                    Table::Protocol(table)
                }
                Kind::Codec => {
                    let table = &*self.long_enough::<sabir_codec_vtable>(vtable)?;
                    self.check_codec(table)?;
                    Table::Codec(table)
                }
                Kind::Store => {
                    let table = self.grown::<sabir_store_vtable>(vtable, STORE_TABLE_BYTES)?;
                    self.check_store(table)?;
                    Table::Store(table)
                }
            })
        }
    }

    /// A table of a kind that has grown since version 1.0, when it had `least` bytes. An older plugin's is copied into one
    /// of today's length, where what it lacks is NULL.
    ///
    /// # Safety
    /// As of [`Self::at_least`]; and all bytes of `T` being zero is a `T`, whose functions are all absent.
    unsafe fn grown<T>(&self, vtable: *const c_void, least: usize) -> Result<&'static T, LoadError> {
        // SAFETY: the caller promises it.
        let found = unsafe { self.at_least(vtable, least) }?;
        if found >= size_of::<T>() {
            // SAFETY: it is long enough, and valid for ever.
            return Ok(unsafe { &*vtable.cast::<T>() });
        }
        let mut table = Box::new(MaybeUninit::<T>::zeroed());
        // SAFETY: both are at least `found` bytes long; the rest is zero, which the caller says is good. Plugins are never
        // unloaded, and so neither is what is made of them.
        unsafe {
            ptr::copy_nonoverlapping(vtable.cast::<u8>(), table.as_mut_ptr().cast::<u8>(), found);
            Ok(Box::leak(table).assume_init_ref())
        }
    }

    /// # Safety
    /// As of [`Self::at_least`].
    unsafe fn long_enough<T>(&self, vtable: *const c_void) -> Result<*const T, LoadError> {
        // SAFETY: the caller promises it.
        unsafe { self.at_least(vtable, size_of::<T>()) }?;
        Ok(vtable.cast())
    }

    /// The length of a table, which must have at least `expected` bytes.
    ///
    /// # Safety
    /// `vtable` is NULL or starts with its own size.
    unsafe fn at_least(&self, vtable: *const c_void, expected: usize) -> Result<usize, LoadError> {
        let what = format!("the table of the {} {:?}", self.kind, self.name);
        if vtable.is_null() {
            return Err(LoadError::Null { origin: self.origin.clone(), what });
        }
        // SAFETY: the caller promises it.
        let found = unsafe { *vtable.cast::<u32>() } as usize;
        if found < expected {
            return Err(LoadError::Truncated { origin: self.origin.clone(), what, expected, found });
        }
        Ok(found)
    }

    fn require(&self, slots: Slots<'_>) -> Result<(), LoadError> {
        self.present(slots, || format!("every {} needs", self.kind))
    }

    fn require_for(&self, capability: u64, slots: Slots<'_>) -> Result<(), LoadError> {
        if self.capabilities & capability == 0 {
            return Ok(());
        }
        let names = self.kind.name_capabilities(capability);
        self.present(slots, || format!("its capability {} asks for", names.concat()))
    }

    fn present(&self, slots: Slots<'_>, needed_by: impl Fn() -> String) -> Result<(), LoadError> {
        match slots.iter().find(|(_, present)| !present) {
            None => Ok(()),
            Some((slot, _)) => Err(LoadError::MissingSlot {
                origin: self.origin.clone(),
                kind: self.kind,
                component: self.name.to_owned(),
                slot,
                needed_by: needed_by(),
            }),
        }
    }

    fn check_transport(&self, table: &sabir_transport_vtable) -> Result<(), LoadError> {
        self.require(&[("open", table.open.is_some()), ("close", table.close.is_some())])?;
        self.require_for(SABIR_CAP_TRANSPORT_LISTEN, &[("listen", table.listen.is_some())])?;
        self.require_for(SABIR_CAP_TRANSPORT_CONNECT, &[("connect", table.connect.is_some())])?;
        let wrap_listener = [("wrap_listener", table.wrap_listener.is_some())];
        self.require_for(SABIR_CAP_TRANSPORT_WRAP_LISTENER, &wrap_listener)?;
        self.require_for(SABIR_CAP_TRANSPORT_WRAP_LINK, &[("wrap_link", table.wrap_link.is_some())])
    }

    fn check_protocol(&self, table: &sabir_protocol_vtable) -> Result<(), LoadError> {
        self.require(&[
            ("open", table.open.is_some()),
            ("session_open", table.session_open.is_some()),
            ("on_bytes", table.on_bytes.is_some()),
            ("on_replies", table.on_replies.is_some()),
            ("on_deliveries", table.on_deliveries.is_some()),
            ("session_drop", table.session_drop.is_some()),
            ("close", table.close.is_some()),
        ])?;
        self.require_for(SABIR_CAP_PROTOCOL_DETECT, &[("matches", table.matches.is_some())])
    }

    fn check_codec(&self, table: &sabir_codec_vtable) -> Result<(), LoadError> {
        self.require(&[
            ("inspect", table.inspect.is_some()),
            ("expand", table.expand.is_some()),
            ("assemble", table.assemble.is_some()),
            ("assign_offsets", table.assign_offsets.is_some()),
            ("keys", table.keys.is_some()),
            ("filter", table.filter.is_some()),
        ])
    }

    fn check_store(&self, table: &sabir_store_vtable) -> Result<(), LoadError> {
        self.require(&[
            ("open", table.open.is_some()),
            ("recover", table.recover.is_some()),
            ("submit", table.submit.is_some()),
            ("sync", table.sync.is_some()),
            ("read", table.read.is_some()),
            ("scan", table.scan.is_some()),
            ("close", table.close.is_some()),
        ])?;
        let lock = [("lock_acquire", table.lock_acquire.is_some()), ("lock_keep", table.lock_keep.is_some())];
        self.require_for(SABIR_CAP_STORE_LOCK, &lock)?;
        let region = [("region", table.region.is_some()), ("unpin", table.unpin.is_some())];
        self.require_for(SABIR_CAP_STORE_REGION, &region)?;
        self.require_for(SABIR_CAP_STORE_BACKUP, &[("backup", table.backup.is_some())])?;
        self.require_for(SABIR_CAP_STORE_MAINTAIN, &[("maintain", table.maintain.is_some())])
    }
}
