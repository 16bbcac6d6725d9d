// SPDX-License-Identifier: Apache-2.0
//! The descriptor that a shared library answers with, and the entry point that gives it.

use crate::{sabir_error, sabir_host, sabir_slice};
use core::ffi::c_void;

/// First word of every descriptor: the bytes `SABR` on a little-endian machine. Since 1.0.
pub const SABIR_PLUGIN_MAGIC: u32 = 0x5242_4153;

/// Component kind: a transport; its vtable is `sabir_transport_vtable`. Since 1.0.
pub const SABIR_KIND_TRANSPORT: u32 = 1;
/// Component kind: a protocol; its vtable is `sabir_protocol_vtable`. Since 1.0.
pub const SABIR_KIND_PROTOCOL: u32 = 2;
/// Component kind: a format codec; its vtable is `sabir_codec_vtable`. Since 1.0.
pub const SABIR_KIND_CODEC: u32 = 3;
/// Component kind: a store; its vtable is `sabir_store_vtable`. Since 1.0.
pub const SABIR_KIND_STORE: u32 = 4;

/// Transport capability: `listen` is there. Since 1.0.
pub const SABIR_CAP_TRANSPORT_LISTEN: u64 = 1 << 0;
/// Transport capability: `connect` is there. Since 1.0.
pub const SABIR_CAP_TRANSPORT_CONNECT: u64 = 1 << 1;
/// Transport capability: `wrap_listener` is there. Since 1.0.
pub const SABIR_CAP_TRANSPORT_WRAP_LISTENER: u64 = 1 << 2;
/// Transport capability: `wrap_link` is there. Since 1.0.
pub const SABIR_CAP_TRANSPORT_WRAP_LINK: u64 = 1 << 3;
/// Transport capability: one half of a link can be shut while the other goes on. Since 1.0.
pub const SABIR_CAP_TRANSPORT_HALF_CLOSE: u64 = 1 << 4;
/// Transport capability: links may offer `poll_send_file`. Since 1.0.
pub const SABIR_CAP_TRANSPORT_SEND_FILE: u64 = 1 << 5;
/// Transport capability: the transport is reachable from this machine or process only, so that the rule «no
/// listener beyond loopback without authentication» does not concern it. Since 1.0.
pub const SABIR_CAP_TRANSPORT_LOCAL_ONLY: u64 = 1 << 6;

/// Protocol capability: sessions work on links with `SABIR_FRAMING_STREAM`. Since 1.0.
pub const SABIR_CAP_PROTOCOL_STREAM: u64 = 1 << 0;
/// Protocol capability: sessions work on links with `SABIR_FRAMING_MESSAGE`. Since 1.0.
pub const SABIR_CAP_PROTOCOL_MESSAGE: u64 = 1 << 1;
/// Protocol capability: sessions work on links with `SABIR_FRAMING_EXCHANGE`. Since 1.0.
pub const SABIR_CAP_PROTOCOL_EXCHANGE: u64 = 1 << 2;
/// Protocol capability: the first bytes tell this protocol from others (`matches` can say yes). Since 1.0.
pub const SABIR_CAP_PROTOCOL_DETECT: u64 = 1 << 3;

/// Store capability: what was synced survives the end of the process. Since 1.0.
pub const SABIR_CAP_STORE_PERSISTENT: u64 = 1 << 0;
/// Store capability: `replace` operations. Since 1.0.
pub const SABIR_CAP_STORE_REPLACE: u64 = 1 << 1;
/// Store capability: `region` is there. Since 1.0.
pub const SABIR_CAP_STORE_REGION: u64 = 1 << 2;
/// Store capability: `backup` is there. Since 1.0.
pub const SABIR_CAP_STORE_BACKUP: u64 = 1 << 3;
/// Store capability: `lock_acquire` and `lock_keep` are there. Since 1.0.
pub const SABIR_CAP_STORE_LOCK: u64 = 1 << 4;
/// Store capability: `maintain` works. Since 1.2.
pub const SABIR_CAP_STORE_MAINTAIN: u64 = 1 << 5;

/// One thing that a plugin can do. *Static*: lives as long as the library. Since 1.0.
#[repr(C)]
#[derive(Debug)]
pub struct sabir_component {
    /// One of `SABIR_KIND_*`. A host skips kinds that it does not know, and says so.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
    /// `[a-z][a-z0-9-]*`, at most 32 bytes. For a transport: the URI scheme. For a protocol, store or codec: the
    /// name in the configuration.
    pub name: sabir_slice,
    /// What this component can do: `SABIR_CAP_<KIND>_*`.
    pub capabilities: u64,
    /// What this component needs from its host: bits of `sabir_host.capabilities`. A host that lacks one refuses
    /// the component and names the bit.
    pub required_host_capabilities: u64,
    /// JSON Schema (2020-12) of the component's configuration; empty: it has none.
    pub config_schema: sabir_slice,
    /// The vtable of the kind. Its first field is its `struct_size`.
    pub vtable: *const c_void,
}

/// What a shared library answers with. *Static*: lives as long as the library, which is never unloaded. Since 1.0.
#[repr(C)]
#[derive(Debug)]
pub struct sabir_plugin {
    /// `SABIR_PLUGIN_MAGIC`.
    pub magic: u32,
    /// Size of this struct in bytes, as the plugin knew it.
    pub struct_size: u32,
    /// `SABIR_ABI_MAJOR` that the plugin was built for.
    pub abi_major: u32,
    /// `SABIR_ABI_MINOR` that the plugin was built for.
    pub abi_minor: u32,
    /// Name of the plugin: `[a-z][a-z0-9-]*`, at most 64 bytes.
    pub name: sabir_slice,
    /// Its own version, as in Semantic Versioning.
    pub version: sabir_slice,
    /// SPDX licence expression.
    pub license: sabir_slice,
    /// Who made it.
    pub vendor: sabir_slice,
    /// One sentence for people.
    pub description: sabir_slice,
    /// First component.
    pub components: *const sabir_component,
    /// Number of components; at least 1.
    pub component_count: u32,
    /// Bytes from one component to the next.
    pub component_stride: u32,
    /// Called once, before anything else of the plugin, on any thread; may block briefly. `host` is valid for
    /// ever. NULL: nothing to do. Answers `SABIR_OK` or an error.
    pub init: Option<unsafe extern "C" fn(host: *const sabir_host, error: *mut sabir_error) -> i64>,
    /// Called once, after every instance of every component is gone. Joins the plugin's threads; may block. The
    /// library stays mapped. NULL: nothing to do.
    pub shutdown: Option<unsafe extern "C" fn()>,
}

// SAFETY: descriptors are immutable and point at immutable, static data; the contract says so.
unsafe impl Sync for sabir_component {}
// SAFETY: as above.
unsafe impl Sync for sabir_plugin {}

/// The one symbol that a plugin exports, under the name `sabir_plugin_entry_v1`. `host_abi_major` is the host's
/// `SABIR_ABI_MAJOR`. Answers a descriptor, or NULL when the plugin cannot serve that major version. Any thread;
/// must not block, and must not call anything else. Since 1.0.
pub type sabir_plugin_entry_v1_fn = unsafe extern "C" fn(host_abi_major: u32) -> *const sabir_plugin;
