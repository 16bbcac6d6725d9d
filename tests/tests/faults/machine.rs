// SPDX-License-Identifier: Apache-2.0
//! What the rows need of the machine: folders, file systems of their own, and to know what is not there.

use rustix::ioctl::{Setter, ioctl, opcode};
use sabir_tests::process::{Options, PATIENCE};
use sabir_tests::random::Random;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Set for this program once it has mounts of its own.
const OWN_MOUNTS: &str = "SABIR_FAULTS_OWN_MOUNTS";
const BLKIO: &str = "/sys/fs/cgroup/blkio";

/// Goes on in a name space in which whatever is mounted goes with this program and its children.
pub fn enter_own_mounts() {
    if std::env::var_os(OWN_MOUNTS).is_some() || !rustix::process::geteuid().is_root() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut again = Command::new("unshare");
    again.args(["--mount", "--propagation", "private", "--"]).arg(program).args(std::env::args_os().skip(1));
    // It only returns if it cannot be done; the rows then say what they miss.
    let error = again.env(OWN_MOUNTS, "1").exec();
    println!("no mounts of our own: {error}");
}

/// What a row cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    Mounts,
    Xfs,
    Strace,
    FakeTime,
    Throttle,
}

impl Needs {
    /// Why it is not there, if it is not.
    pub fn missing(self) -> Option<String> {
        let found = match self {
            Needs::Mounts => {
                let mut probe = Command::new("losetup");
                std::env::var_os(OWN_MOUNTS).is_some()
                    && probe.arg("--find").output().is_ok_and(|output| output.status.success())
            }
            Needs::Xfs => runs("mkfs.xfs", &["-V"]),
            // It is installed, and this process may trace.
            Needs::Strace => runs("strace", &["-f", "--seccomp-bpf", "-e", "trace=none", "true"]),
            Needs::FakeTime => fake_time().is_some(),
            Needs::Throttle => Path::new(BLKIO).join("blkio.throttle.write_iops_device").exists(),
        };
        let what = match self {
            Needs::Mounts => "it takes root and loop devices",
            Needs::Xfs => "mkfs.xfs is missing (package xfsprogs)",
            Needs::Strace => "strace is missing, or may not trace",
            Needs::FakeTime => "libfaketime is missing",
            Needs::Throttle => "the block throttle of version 1 control groups is missing",
        };
        (!found).then(|| format!("could not be done: {what}"))
    }
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// The library that tells programs another time.
pub fn fake_time() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let mut found = folders.map(|folder| folder.join("faketime/libfaketime.so.1"));
    found.find(|path| path.exists())
}

/// Runs a program of the system.
pub fn must(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}: {words}", output.status);
}

/// Where a row is played.
pub struct Scene {
    pub folder: PathBuf,
    pub random: Random,
    folders: u32,
}

impl Scene {
    pub fn new() -> Scene {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults");
        std::fs::create_dir_all(&all).expect("a folder can be made");
        // What runs that were killed have left behind.
        for left in std::fs::read_dir(&all).expect("it can be read").flatten() {
            if !Path::new("/proc").join(left.file_name()).exists() {
                // It may be going this moment.
                let _ = std::fs::remove_dir_all(left.path());
            }
        }
        static SCENES: AtomicU32 = AtomicU32::new(0);
        let scene = SCENES.fetch_add(1, Relaxed).to_string();
        // Of its own, so that a row which fails, and leaves something mounted, does not fail those after it.
        let folder = all.join(std::process::id().to_string()).join(scene);
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        Scene { folder, random: Random::from_environment(), folders: 0 }
    }

    /// A new folder.
    pub fn fresh(&mut self) -> PathBuf {
        self.folders += 1;
        let fresh = self.folder.join(self.folders.to_string());
        std::fs::create_dir(&fresh).expect("a folder can be made");
        fresh
    }

    /// A new file system.
    pub fn volume(&mut self, kind: Kind, mib: u64) -> Volume {
        let folder = self.fresh();
        Volume::make(&folder, kind, mib)
    }

    /// How a broker is started on this folder: with small files, so that it rotates and makes checkpoints often, and so
    /// that it ends with this program. Its log is kept elsewhere, where nothing is harmed.
    pub fn broker(&self, data: &Path) -> Options {
        let mut options = Options::new(data);
        for (setting, bytes) in [
            ("file_bytes", 512 << 10),
            ("first_file_bytes", 64 << 10),
            ("checkpoint_bytes", 128 << 10),
            ("reserve_bytes", 32 << 10),
        ] {
            options = options.set(&format!("stores.journal.{setting}"), &bytes.to_string());
        }
        options.log = self.folder.join("broker.log");
        options.under = words(&["setpriv", "--pdeathsig", "KILL"]);
        options
    }

    /// How many small writes the medium syncs in a second, one after the other.
    pub fn raw_syncs_per_s(&self) -> u64 {
        const FOR: Duration = Duration::from_millis(200);
        let mut file = File::create(self.folder.join("raw")).expect("a file can be made");
        let began = Instant::now();
        let mut syncs = 0;
        while began.elapsed() < FOR {
            file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).expect("it can be written");
            syncs += 1;
        }
        syncs * 1000 / began.elapsed().as_millis().max(1) as u64
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // What is still mounted in it keeps its folder for the next run to remove.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Words as `Options` takes them.
pub fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Xfs,
}

/// What stands in for a disk that takes less than it promised. It is gone when dropped.
pub struct Medium {
    pub folder: PathBuf,
}

impl Medium {
    /// Has so much room.
    pub fn make(folder: &Path, mib: u64) -> Medium {
        let medium = Medium { folder: folder.join("medium") };
        std::fs::create_dir(&medium.folder).expect("a folder can be made");
        must("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m"), "none", &medium.at()]);
        medium
    }

    /// From now on it has so much.
    pub fn grow(&self, mib: u64) {
        must("mount", &["-o", &format!("remount,size={mib}m"), &self.at()]);
    }

    /// Takes all room that is left, and all that is given back to it, as long as that is so.
    pub fn fill_while(&self, mut go_on: impl FnMut() -> bool) {
        let mut ballast = File::create(self.folder.join("ballast")).expect("a file can be made");
        let deadline = Instant::now() + PATIENCE;
        while go_on() {
            assert!(Instant::now() < deadline, "the medium is full, and nobody minds");
            match ballast.write(&[7; 4096]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => std::thread::yield_now(),
                Err(error) => panic!("the ballast cannot be written: {error}"),
            }
        }
    }

    fn at(&self) -> String {
        self.folder.display().to_string()
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        // After a failure a file system may still be mounted above it.
        let _ = Command::new("umount").args(["--lazy", "--quiet", &self.at()]).status();
    }
}

/// A file system in a file. It is gone when dropped.
pub struct Volume {
    image: PathBuf,
    pub mount: PathBuf,
    /// Options of the mount.
    pub options: &'static str,
}

impl Volume {
    /// A file system in `folder`, whose image takes room only as it is written.
    fn make(folder: &Path, kind: Kind, mib: u64) -> Volume {
        Volume::with(folder, folder, kind, mib, "loop,noatime")
    }

    /// One that gives room back to its medium as soon as a file is gone: what is written anew needs room there anew.
    pub fn above(medium: &Path, folder: &Path, kind: Kind, mib: u64) -> Volume {
        Volume::with(medium, folder, kind, mib, "loop,noatime,discard")
    }

    fn with(medium: &Path, folder: &Path, kind: Kind, mib: u64, options: &'static str) -> Volume {
        let volume = Volume { image: medium.join("image"), mount: folder.join("mount"), options };
        let file = File::create(&volume.image).expect("an image can be made");
        file.set_len(mib << 20).expect("it can be sparse");
        let image = volume.image.display().to_string();
        match kind {
            Kind::Ext4 => must("mkfs.ext4", &["-q", "-F", "-E", "lazy_itable_init=1", &image]),
            Kind::Xfs => must("mkfs.xfs", &["-q", "-f", &image]),
        }
        std::fs::create_dir(&volume.mount).expect("a folder can be made");
        volume.attach();
        volume
    }

    /// Mounts it.
    pub fn attach(&self) {
        let (image, mount) = (self.image.display().to_string(), self.mount.display().to_string());
        must("mount", &["-o", self.options, &image, &mount]);
    }

    /// Unmounts it: what its cache knew is gone.
    pub fn detach(&self) {
        must("umount", &[&self.mount.display().to_string()]);
    }

    /// Has the file system put right, as an operator would after errors.
    pub fn repair(&self) {
        // It ends with 1 when it has put something right.
        let status =
            Command::new("e2fsck").args(["-p"]).arg(&self.image).output().expect("e2fsck starts").status;
        assert!(status.code().is_some_and(|code| code <= 1), "e2fsck: {status}");
    }

    /// The power goes: nothing that was not written reaches the medium any more, not even the file system's journal.
    pub fn cut(&self) {
        const GO_DOWN: rustix::ioctl::Opcode = opcode::read::<u32>(b'X', 125);
        const WITHOUT_THE_LOG: u32 = 2;
        let folder = File::open(&self.mount).expect("the mount is there");
        // SAFETY: the kernel reads one `u32` for this request (`EXT4_IOC_SHUTDOWN`, `XFS_IOC_GOINGDOWN`).
        let result = unsafe { ioctl(&folder, Setter::<GO_DOWN, u32>::new(WITHOUT_THE_LOG)) };
        result.expect("the file system can be shut down");
    }

    /// The major and minor number of its loop device.
    pub fn device(&self) -> String {
        let output = Command::new("findmnt").args(["-n", "-o", "MAJ:MIN"]).arg(&self.mount).output();
        let output = output.expect("findmnt starts");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // After a failure somebody may still have files open in it.
        let _ = Command::new("umount").args(["--lazy", "--quiet"]).arg(&self.mount).status();
    }
}

/// Holds a device back to so many operations in a second.
pub struct Throttle {
    group: PathBuf,
    device: String,
}

impl Throttle {
    pub fn make(device: &str) -> Throttle {
        const PREFIX: &str = "sabir-faults-";
        for left in std::fs::read_dir(BLKIO).expect("it can be read").flatten() {
            let name = left.file_name().to_string_lossy().into_owned();
            if name.strip_prefix(PREFIX).is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
                // Of a run that was killed.
                let _ = std::fs::remove_dir(left.path());
            }
        }
        let group = Path::new(BLKIO).join(format!("{PREFIX}{}", std::process::id()));
        std::fs::create_dir_all(&group).expect("a control group can be made");
        Throttle { group, device: device.to_owned() }
    }

    /// From now on; 0: as fast as it is.
    pub fn set(&self, per_s: u32) {
        let line = format!("{} {per_s}", self.device);
        for limit in ["write_iops_device", "read_iops_device"] {
            std::fs::write(self.group.join(format!("blkio.throttle.{limit}")), &line)
                .expect("a limit can be set");
        }
    }

    /// What starts a program within it.
    pub fn under(&self) -> Vec<String> {
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.group.display());
        words(&["sh", "-c", &script, "sh"])
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        // It goes only when nobody is in it: those who were are dying.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.group).is_ok() {
                return;
            }
            // tidy: allow(the kernel tells nobody when a control group has become empty)
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
