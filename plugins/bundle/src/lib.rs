// SPDX-License-Identifier: Apache-2.0
//! Links every plugin into one binary. The only crate that names plugins.
//!
//! A linked plugin is reached through the same descriptor and the same tables as a loaded one: for programs that embed
//! the broker, and for tests that want no shared libraries.

use sabir_abi::sabir_plugin;

/// The descriptors of all plugins, to be handed to a registry.
pub fn plugins() -> &'static [&'static sabir_plugin] {
    static PLUGINS: [&sabir_plugin; 7] = [
        &sabir_transport_tcp::PLUGIN,
        &sabir_transport_mem::PLUGIN,
        &sabir_transport_kahadb::PLUGIN,
        &sabir_protocol_stomp::PLUGIN,
        &sabir_protocol_openwire::PLUGIN,
        &sabir_store_memory::PLUGIN,
        &sabir_store_journal::PLUGIN,
    ];
    &PLUGINS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_plugins_have_the_same_name() {
        let mut names: Vec<Vec<u8>> = plugins()
            .iter()
            .map(|plugin| {
                // SAFETY: descriptors are static and their slices point at static text.
                unsafe { std::slice::from_raw_parts(plugin.name.ptr, plugin.name.len) }.to_vec()
            })
            .collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), plugins().len());
    }
}
