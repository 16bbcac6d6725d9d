// SPDX-License-Identifier: Apache-2.0
//! What was loaded: components by kind and name.

use crate::codec::Codec;
use crate::describe::{Description, Kind, Origin};
use crate::load::{self, Checked, LoadError, Table};
use crate::protocol::Protocol;
use crate::runtime;
use crate::store::{self, Progress, Store};
use crate::transport::Transport;
use sabir_abi::{sabir_plugin, sabir_transport_vtable};
use sabir_boundary::{Error, Maintenance, Result, error};
use std::path::{Path, PathBuf};

/// The plugins of this process, and their components.
#[derive(Debug, Default)]
pub struct Registry {
    plugins: Vec<Plugin>,
    components: Vec<Component>,
}

#[derive(Debug)]
struct Plugin {
    descriptor: &'static sabir_plugin,
    description: Description,
}

/// A component that can be opened. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Component {
    kind: Kind,
    name: String,
    capabilities: u64,
    config_schema: String,
    table: Table,
    plugin: String,
    origin: Origin,
}

impl Registry {
    /// Nothing loaded.
    pub fn new() -> Self {
        Registry::default()
    }

    /// Takes a plugin that is linked into the program.
    ///
    /// The descriptor is the plugin's own code, as a loaded library's is: what it says of its sizes and functions is
    /// checked for completeness and otherwise believed.
    pub fn add(&mut self, descriptor: &'static sabir_plugin) -> std::result::Result<Description, LoadError> {
        self.take(descriptor, Origin::Linked)
    }

    /// Loads a plugin from a shared library.
    pub fn load(&mut self, path: &Path) -> std::result::Result<Description, LoadError> {
        let descriptor = load::open(path)?;
        self.take(descriptor, Origin::File(path.to_owned()))
    }

    /// Loads every shared library of a directory; tells of each what became of it.
    pub fn load_dir(&mut self, directory: &Path) -> std::result::Result<Vec<LoadedFile>, LoadError> {
        let paths = load::libraries_in(directory)?;
        Ok(paths.into_iter().map(|path| LoadedFile { result: self.load(&path), path }).collect())
    }

    /// Checks a plugin without keeping it or starting it, and tells what it says of itself.
    pub fn inspect(path: &Path) -> std::result::Result<Description, LoadError> {
        let descriptor = load::open(path)?;
        // SAFETY: not NULL, and a library that exports the entry point promises the rest.
        let checked =
            unsafe { load::check(descriptor, &Origin::File(path.to_owned()), runtime::table().capabilities) };
        Ok(checked?.description)
    }

    fn take(
        &mut self,
        descriptor: *const sabir_plugin,
        origin: Origin,
    ) -> std::result::Result<Description, LoadError> {
        let host = runtime::table();
        // SAFETY: not NULL, and whoever made the descriptor promises the rest.
        let checked = unsafe { load::check(descriptor, &origin, host.capabilities)? };
        self.refuse_duplicates(&checked, &origin)?;
        if let Some(init) = checked.descriptor.init {
            let mut detail = error::empty();
            // SAFETY: the contract of `init`: once, before anything else, with a host that is valid for ever.
            let status = unsafe { init(host, &mut detail) };
            if status < 0 {
                // SAFETY: zeroed by us, filled by the callee, read once.
                let source = unsafe { Error::read(status, detail) };
                return Err(LoadError::Init { origin, source });
            }
        }
        let Checked { descriptor, description, components } = checked;
        for skipped in &description.skipped {
            tracing::warn!(plugin = %description.name, %origin, "component skipped: {skipped}");
        }
        self.components.extend(components.into_iter().map(|checked| Component {
            kind: checked.kind,
            name: checked.name,
            capabilities: checked.capabilities,
            config_schema: checked.config_schema,
            table: checked.table,
            plugin: description.name.clone(),
            origin: origin.clone(),
        }));
        self.plugins.push(Plugin { descriptor, description: description.clone() });
        Ok(description)
    }

    fn refuse_duplicates(&self, checked: &Checked, origin: &Origin) -> std::result::Result<(), LoadError> {
        for (index, component) in checked.components.iter().enumerate() {
            let same = |kind: Kind, name: &str| kind == component.kind && name == component.name;
            let (other_plugin, other_origin) =
                if let Some(other) = self.components.iter().find(|other| same(other.kind, &other.name)) {
                    (other.plugin.clone(), other.origin.clone())
                } else if checked.components.iter().take(index).any(|other| same(other.kind, &other.name)) {
                    (checked.description.name.clone(), origin.clone())
                } else {
                    continue;
                };
            return Err(LoadError::Duplicate {
                origin: origin.clone(),
                kind: component.kind,
                name: component.name.clone(),
                other_plugin,
                other_origin,
            });
        }
        Ok(())
    }

    /// What was loaded, in order.
    pub fn plugins(&self) -> Vec<Description> {
        self.plugins.iter().map(|plugin| plugin.description.clone()).collect()
    }

    /// All components, in the order in which they were loaded.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// The component of this kind and name.
    pub fn component(&self, kind: Kind, name: &str) -> Option<Component> {
        self.components.iter().find(|component| component.kind == kind && component.name == name).cloned()
    }

    /// The transport for this URI scheme.
    pub fn transport(&self, name: &str) -> Option<Component> {
        self.component(Kind::Transport, name)
    }

    /// The protocol of this name.
    pub fn protocol(&self, name: &str) -> Option<Component> {
        self.component(Kind::Protocol, name)
    }

    /// The store of this name.
    pub fn store(&self, name: &str) -> Option<Component> {
        self.component(Kind::Store, name)
    }

    /// The format codec of this name.
    pub fn codec(&self, name: &str) -> Option<Component> {
        self.component(Kind::Codec, name)
    }

    /// Tells every plugin, the last one first, that the process ends. Call it once every instance is gone.
    pub fn shutdown(self) {
        for plugin in self.plugins.iter().rev() {
            if let Some(shutdown) = plugin.descriptor.shutdown {
                // SAFETY: the contract of `shutdown`: once, and last; the caller keeps it.
                unsafe { shutdown() }
            }
        }
    }
}

/// What became of one file of a directory.
#[derive(Debug)]
pub struct LoadedFile {
    /// The file.
    pub path: PathBuf,
    /// What it says of itself, or why it was refused.
    pub result: std::result::Result<Description, LoadError>,
}

impl Component {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name: a transport's URI scheme, others' name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it can do: `SABIR_CAP_<KIND>_*`.
    pub fn capabilities(&self) -> u64 {
        self.capabilities
    }

    /// JSON Schema of its configuration; empty: it has none.
    pub fn config_schema(&self) -> &str {
        &self.config_schema
    }

    /// The plugin that it belongs to.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Where that came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Makes an instance of a transport. `config` is a JSON object.
    pub fn open_transport(&self, config: &str) -> Result<Transport> {
        match self.table {
            Table::Transport(table) => self.transport(table, config),
            _ => Err(self.other_kind(Kind::Transport)),
        }
    }

    fn transport(&self, table: &'static sabir_transport_vtable, config: &str) -> Result<Transport> {
        Transport::open(table, &self.name, self.capabilities, config)
    }

    /// Makes an instance of a protocol. `config` is a JSON object.
    pub fn open_protocol(&self, config: &str) -> Result<Protocol> {
        match self.table {
            Table::Protocol(table) => Protocol::open(table, &self.name, self.capabilities, config),
            _ => Err(self.other_kind(Kind::Protocol)),
        }
    }

    /// Opens a store. `config` is a JSON object. May block.
    pub fn open_store(&self, config: &str) -> Result<Store> {
        match self.table {
            Table::Store(table) => Store::open(table, &self.name, self.capabilities, config),
            _ => Err(self.other_kind(Kind::Store)),
        }
    }

    /// Looks after a store that is not open; `config` is what [`open_store`](Self::open_store) takes, `options` a JSON
    /// object or empty. Answers the store's report, as JSON. Blocks for as long as it takes.
    pub fn maintain_store(
        &self,
        config: &str,
        verb: Maintenance,
        options: &str,
        progress: &mut Progress<'_>,
    ) -> Result<String> {
        match self.table {
            Table::Store(table) => store::maintain(table, config, verb, options, progress),
            _ => Err(self.other_kind(Kind::Store)),
        }
    }

    /// The functions of a format codec, which has no instances.
    pub fn open_codec(&self) -> Result<Codec> {
        match self.table {
            Table::Codec(table) => Ok(Codec::new(table, &self.name)),
            _ => Err(self.other_kind(Kind::Codec)),
        }
    }

    fn other_kind(&self, asked: Kind) -> Error {
        Error::unsupported(&format!("opening the {} {:?} as a {asked}", self.kind, self.name))
    }
}
