// SPDX-License-Identifier: Apache-2.0
//! Where things lie: the repository, its files, its crates, what cargo has built.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's root.
pub fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    // `cargo xtask` sets the variable to xtask's own folder.
    manifest.parent().expect("xtask lies in a folder of the repository").to_path_buf()
}

/// The cargo that runs this.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command to its end; an error names the command line when it fails.
pub fn succeed(command: &mut Command) -> Result<()> {
    let line = describe(command);
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}

/// The command as a person would type it.
pub fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The repository's files, as paths relative to its root: those that git tracks or would track.
pub fn files() -> Result<Vec<String>> {
    let output = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("cannot start `git`")?;
    if !output.status.success() {
        bail!("`git ls-files` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
    let mut files: Vec<String> =
        names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    files.sort();
    files.dedup();
    files.retain(|name| root().join(name).is_file());
    Ok(files)
}

/// What `cargo metadata` tells, as far as it is used here.
#[derive(Deserialize)]
pub struct Metadata {
    pub packages: Vec<Package>,
    pub workspace_members: Vec<String>,
    pub target_directory: PathBuf,
    /// The resolved graph: what is really built.
    pub resolve: Option<Resolve>,
}

/// A crate.
#[derive(Deserialize)]
pub struct Package {
    pub id: String,
    pub name: String,
    pub version: String,
    pub license: Option<String>,
    pub license_file: Option<PathBuf>,
    pub source: Option<String>,
    pub manifest_path: PathBuf,
    pub dependencies: Vec<Dependency>,
    pub targets: Vec<Target>,
}

/// A dependency as a manifest names it.
#[derive(Deserialize)]
pub struct Dependency {
    pub name: String,
    /// `None`: normal; `dev` or `build` otherwise.
    pub kind: Option<String>,
}

/// Something that cargo builds from a crate.
#[derive(Deserialize)]
pub struct Target {
    pub name: String,
    pub kind: Vec<String>,
}

/// The resolved graph.
#[derive(Deserialize)]
pub struct Resolve {
    pub nodes: Vec<Node>,
}

/// A crate in the resolved graph.
#[derive(Deserialize)]
pub struct Node {
    pub id: String,
}

impl Metadata {
    /// Asks cargo.
    pub fn read() -> Result<Metadata> {
        let output = cargo()
            .args(["metadata", "--format-version", "1", "--locked"])
            .stderr(std::process::Stdio::inherit())
            .output()
            .context("cannot start `cargo metadata`")?;
        if !output.status.success() {
            bail!("`cargo metadata --locked` failed: {}", output.status);
        }
        serde_json::from_slice(&output.stdout).context("cannot read what `cargo metadata` printed")
    }

    /// The crates of this workspace.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// The plugins that are built as shared libraries: crate and library name.
    pub fn plugin_libraries(&self) -> Vec<(&Package, &str)> {
        self.members()
            .filter(|package| package.folder().starts_with("plugins/"))
            .flat_map(|package| {
                let cdylibs =
                    package.targets.iter().filter(|target| target.kind.iter().any(|kind| kind == "cdylib"));
                cdylibs.map(move |target| (package, target.name.as_str()))
            })
            .collect()
    }
}

impl Package {
    /// The crate's folder relative to the root, as `plugins/store-memory`.
    pub fn folder(&self) -> String {
        let folder = self.manifest_path.parent().unwrap_or(Path::new(""));
        folder.strip_prefix(root()).unwrap_or(folder).to_string_lossy().into_owned()
    }
}

/// What a build of the broker with its plugins gave.
pub struct Built {
    /// The program `sabir`.
    pub program: PathBuf,
    /// A folder that holds the plugins' libraries and nothing else.
    pub plugins: PathBuf,
}

/// Which build of the broker is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Dev,
    Release,
}

impl Profile {
    fn folder(self) -> &'static str {
        match self {
            Profile::Dev => "debug",
            Profile::Release => "release",
        }
    }
}

/// Builds the broker and every plugin library, and gathers the libraries in a folder of their own: the broker
/// loads whatever library lies in its plugin folder, and cargo's output folder holds other things too.
pub fn build_broker(metadata: &Metadata, profile: Profile) -> Result<Built> {
    let libraries = metadata.plugin_libraries();
    let mut build = cargo();
    build.args(["build", "--locked", "--package", "sabir-server"]);
    for (package, _) in &libraries {
        build.args(["--package", &package.name]);
    }
    if profile == Profile::Release {
        build.arg("--release");
    }
    succeed(&mut build)?;
    gather(metadata, profile)
}

/// Copies the plugin libraries, which must have been built, to a folder of their own.
pub fn gather(metadata: &Metadata, profile: Profile) -> Result<Built> {
    let output = metadata.target_directory.join(profile.folder());
    let plugins = output.join("plugins");
    std::fs::create_dir_all(&plugins).with_context(|| format!("cannot make {}", plugins.display()))?;
    let mut wanted = Vec::new();
    for (_, name) in metadata.plugin_libraries() {
        let file = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        replace(&output.join(&file), &plugins.join(&file))?;
        wanted.push(file);
    }
    for stale in std::fs::read_dir(&plugins)? {
        let stale = stale?;
        if !wanted.iter().any(|file| stale.file_name() == file.as_str()) {
            std::fs::remove_file(stale.path())?;
        }
    }
    Ok(Built { program: output.join("sabir"), plugins })
}

/// Puts a copy of `from` at `to` in one step, so that a broker that has the old file mapped keeps the old file.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let partial = to.with_extension("partial");
    std::fs::copy(from, &partial).with_context(|| format!("cannot copy {}", from.display()))?;
    std::fs::rename(&partial, to).with_context(|| format!("cannot put {} in place", to.display()))
}
