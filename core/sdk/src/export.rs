// SPDX-License-Identifier: Apache-2.0
//! The descriptor of a plugin, and the one symbol that a shared library exports.

/// Makes the descriptor of a plugin from its components.
///
/// ```ignore
/// sabir_sdk::plugin! {
///     pub static PLUGIN: name = "transport-tcp", description = "tcp:// links", transports = [Tcp]
/// }
/// ```
/// Any of `transports`, `protocols`, `stores` and `codecs` may be left out, but keep the order. Version and licence
/// are those of the crate; `vendor = "..."` may follow the description.
#[macro_export]
macro_rules! plugin {
    (
        $(#[$doc:meta])*
        $vis:vis static $plugin:ident:
        name = $name:expr,
        description = $description:expr
        $(, vendor = $vendor:expr)?
        $(, transports = [$($transport:ty),* $(,)?])?
        $(, protocols = [$($protocol:ty),* $(,)?])?
        $(, stores = [$($store:ty),* $(,)?])?
        $(, codecs = [$($codec:ty),* $(,)?])?
        $(,)?
    ) => {
        $(#[$doc])*
        #[doc = concat!("Descriptor of the plugin: ", $description)]
        $vis static $plugin: $crate::abi::sabir_plugin = {
            static COMPONENTS: &[$crate::abi::sabir_component] = &[
                $($($crate::export::transport::<$transport>(),)*)?
                $($($crate::export::protocol::<$protocol>(),)*)?
                $($($crate::export::store::<$store>(),)*)?
                $($($crate::export::codec::<$codec>(),)*)?
            ];
            #[allow(unused_mut, unused_assignments)]
            let mut vendor = "the Sabir project";
            $(vendor = $vendor;)?
            $crate::export::descriptor(
                $name,
                env!("CARGO_PKG_VERSION"),
                env!("CARGO_PKG_LICENSE"),
                vendor,
                $description,
                COMPONENTS,
            )
        };
    };
}

/// Exports a descriptor as the one symbol of a shared library. Use it in a `cdylib` crate that holds nothing else, so
/// that the plugin itself can also be linked statically.
///
/// ```ignore
/// sabir_sdk::export_plugin!(sabir_transport_tcp::PLUGIN);
/// ```
#[macro_export]
macro_rules! export_plugin {
    ($plugin:path) => {
        #[cfg(panic = "abort")]
        compile_error!(
            "a plugin needs panic = \"unwind\": with \"abort\" a mistake in it would end the whole broker"
        );

        /// The entry point of the plugin: the contract of `sabir_plugin_entry_v1`.
        #[unsafe(no_mangle)]
        pub extern "C" fn sabir_plugin_entry_v1(host_abi_major: u32) -> *const $crate::abi::sabir_plugin {
            if host_abi_major == $crate::abi::SABIR_ABI_MAJOR {
                &raw const $plugin
            } else {
                core::ptr::null()
            }
        }
    };
}

use crate::codec::Codec;
use crate::protocol::Protocol;
use crate::shim::{self, CodecShim, ProtocolShim, StoreShim, TransportShim};
use crate::store::Store;
use crate::transport::Transport;
use sabir_abi::*;
use sabir_boundary::slices;
use std::ffi::c_void;
use std::ptr;

const fn component(
    kind: u32,
    name: &'static str,
    capabilities: u64,
    required_host_capabilities: u64,
    config_schema: &'static str,
    vtable: *const c_void,
) -> sabir_component {
    check_name(name, 32);
    sabir_component {
        kind,
        reserved: 0,
        name: slices::text(name),
        capabilities,
        required_host_capabilities,
        config_schema: slices::text(config_schema),
        vtable,
    }
}

/// A name that no host would take does not compile.
const fn check_name(name: &str, max: usize) {
    let bytes = name.as_bytes();
    assert!(!bytes.is_empty() && bytes.len() <= max, "the name is empty or too long");
    assert!(bytes[0].is_ascii_lowercase(), "the name must start with a lower-case letter");
    let mut at = 1;
    while at < bytes.len() {
        let byte = bytes[at];
        assert!(
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-',
            "the name may have lower-case letters, digits and hyphens only"
        );
        at += 1;
    }
}

/// Used by [`plugin!`].
#[doc(hidden)]
pub const fn transport<T: Transport>() -> sabir_component {
    let vtable = const { &TransportShim::<T>::VTABLE };
    let needs = T::REQUIRED_HOST_CAPABILITIES;
    let vtable = ptr::from_ref(vtable).cast();
    component(SABIR_KIND_TRANSPORT, T::NAME, T::CAPABILITIES, needs, T::CONFIG_SCHEMA, vtable)
}

/// Used by [`plugin!`].
#[doc(hidden)]
pub const fn protocol<P: Protocol>() -> sabir_component {
    let vtable = const { &ProtocolShim::<P>::VTABLE };
    let needs = P::REQUIRED_HOST_CAPABILITIES;
    let vtable = ptr::from_ref(vtable).cast();
    component(SABIR_KIND_PROTOCOL, P::NAME, P::CAPABILITIES, needs, P::CONFIG_SCHEMA, vtable)
}

/// Used by [`plugin!`].
#[doc(hidden)]
pub const fn store<S: Store>() -> sabir_component {
    let vtable = const { &StoreShim::<S>::VTABLE };
    let needs = S::REQUIRED_HOST_CAPABILITIES;
    let vtable = ptr::from_ref(vtable).cast();
    component(SABIR_KIND_STORE, S::NAME, S::CAPABILITIES, needs, S::CONFIG_SCHEMA, vtable)
}

/// Used by [`plugin!`].
#[doc(hidden)]
pub const fn codec<C: Codec>() -> sabir_component {
    let vtable = const { &CodecShim::<C>::VTABLE };
    let vtable = ptr::from_ref(vtable).cast();
    component(SABIR_KIND_CODEC, C::NAME, C::CAPABILITIES, 0, "", vtable)
}

/// Used by [`plugin!`].
#[doc(hidden)]
pub const fn descriptor(
    name: &'static str,
    version: &'static str,
    license: &'static str,
    vendor: &'static str,
    description: &'static str,
    components: &'static [sabir_component],
) -> sabir_plugin {
    check_name(name, 64);
    assert!(!components.is_empty(), "a plugin has at least one component");
    sabir_plugin {
        magic: SABIR_PLUGIN_MAGIC,
        struct_size: size_of::<sabir_plugin>() as u32,
        abi_major: SABIR_ABI_MAJOR,
        abi_minor: SABIR_ABI_MINOR,
        name: slices::text(name),
        version: slices::text(version),
        license: slices::text(license),
        vendor: slices::text(vendor),
        description: slices::text(description),
        components: components.as_ptr(),
        component_count: components.len() as u32,
        component_stride: size_of::<sabir_component>() as u32,
        init: Some(shim::init),
        shutdown: None,
    }
}
