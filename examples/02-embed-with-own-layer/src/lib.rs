// SPDX-License-Identifier: Apache-2.0
//! The broker as a library: started with a configuration, the linked plugins, and a layer of one's own.

pub mod layer;

use anyhow::Context;
use sabir_host::Registry;
use sabir_server::config::Config;
use sabir_server::{RunningBroker, serve_with};

/// Laid over the broker's embedded defaults: a port that the system chooses, and a store that may forget.
const CONFIGURATION: &str = r#"
[[listeners]]
uri = "tcp://127.0.0.1:0"

[store]
kind = "memory"

[security]
authentication = "off"
"#;

/// Starts the broker. It runs on threads of its own until it is shut down.
pub fn start() -> anyhow::Result<RunningBroker> {
    let config = Config::from_toml(CONFIGURATION).context("the configuration")?;
    let mut registry = Registry::new();
    for plugin in sabir_bundle::plugins() {
        registry.add(plugin)?;
    }
    let layers = vec![layer::require_correlation_id("orders.#")?];
    Ok(serve_with(config, registry, layers)?)
}
