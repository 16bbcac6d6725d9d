// SPDX-License-Identifier: Apache-2.0
//! Where things lie: the repository, its files, its crates, what cargo has built.

use anyhow::{Context, Result, bail};
use rustix::fs::Mode;
use rustix::process::umask;
use serde::Deserialize;
use std::os::unix::fs::PermissionsExt;
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
    /// Whether the other crate's default features are wanted.
    pub uses_default_features: bool,
    /// Further features of it that are wanted.
    pub features: Vec<String>,
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
    keep_others_out(&plugins)?;
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

/// Makes sure that whatever this process and its children create can be changed by its owner alone: the broker loads
/// nothing else, and where people have a group of their own the usual umask is 002.
pub fn create_for_owner_alone() {
    let others = Mode::WGRP | Mode::WOTH;
    // The mask is told only by setting another.
    let before = umask(others);
    umask(before | others);
}

/// Takes from everybody but the owner the right to change a file or folder that was made under a wider umask.
fn keep_others_out(path: &Path) -> Result<()> {
    let cannot = || format!("cannot look after the permissions of {}", path.display());
    let mut permissions = std::fs::metadata(path).with_context(cannot)?.permissions();
    if permissions.mode() & 0o022 != 0 {
        permissions.set_mode(permissions.mode() & !0o022);
        std::fs::set_permissions(path, permissions).with_context(cannot)?;
    }
    Ok(())
}

/// Puts a copy of `from` at `to` in one step, so that a broker that has the old file mapped keeps the old file.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let partial = to.with_extension("partial");
    std::fs::copy(from, &partial).with_context(|| format!("cannot copy {}", from.display()))?;
    keep_others_out(&partial)?;
    std::fs::rename(&partial, to).with_context(|| format!("cannot put {} in place", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    #[test]
    fn what_was_built_under_a_wide_umask_can_be_changed_by_its_owner_alone_where_the_broker_finds_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (built, plugins) = (folder.path().join("built.so"), folder.path().join("plugins"));
        std::fs::write(&built, "a library").expect("written");
        std::fs::create_dir(&plugins).expect("made");
        for wide in [&built, &plugins] {
            std::fs::set_permissions(wide, PermissionsExt::from_mode(0o775)).expect("set");
        }
        keep_others_out(&plugins).expect("it is ours");
        replace(&built, &plugins.join("a.so")).expect("copied");
        assert_eq!((mode(&plugins), mode(&plugins.join("a.so"))), (0o755, 0o755));
        // What is somebody else's affair stays as it is.
        assert_eq!(mode(&built), 0o775);
    }

    /// The mask belongs to the whole process, so it is looked at in another: this test's own program.
    #[test]
    fn children_create_nothing_that_others_than_the_owner_can_change() {
        const MARK: &str = "XTASK_TEST_UMASK";
        let name = "workspace::tests::children_create_nothing_that_others_than_the_owner_can_change";
        if let Some(folder) = std::env::var_os(MARK) {
            create_for_owner_alone();
            std::fs::create_dir(Path::new(&folder).join("made")).expect("made");
            return;
        }
        for (before, expected) in [("002", 0o755), ("000", 0o755), ("022", 0o755), ("077", 0o700)] {
            let folder = tempfile::tempdir().expect("a folder");
            let program = std::env::current_exe().expect("this program");
            let mut shell = Command::new("sh");
            shell.args(["-c", "umask $0 && exec \"$@\"", before]).arg(program).args(["--exact", name]);
            let status = shell.env(MARK, folder.path()).stdout(Stdio::null()).status().expect("it starts");
            assert!(status.success(), "{status}");
            assert_eq!(mode(&folder.path().join("made")), expected, "after umask {before}");
        }
    }
}
