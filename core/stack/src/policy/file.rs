// SPDX-License-Identifier: Apache-2.0
//! The file in which users are kept. It is replaced as a whole: whoever reads it sees the old one or the new one.

use super::users::{Users, UsersError, check_name, is_comment};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// Nobody but the owner may read hashes.
const MODE: u32 = 0o600;

/// Why the users' file cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// What it says is wrong.
    #[error("{}: {error}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: UsersError,
    },
    /// There is no such user.
    #[error("{}: there is no user {name}", path.display())]
    NoUser {
        /// The file.
        path: PathBuf,
        /// The user.
        name: String,
    },
}

impl FileError {
    /// Whether there is no file, which is not the same as a bad one.
    pub fn is_missing(&self) -> bool {
        matches!(self, FileError::Io { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}

impl Users {
    /// Reads the users' file. A file that is not there is an error, which [`FileError::is_missing`] tells.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        let text = read(path)?;
        Users::parse(&text).map_err(|error| FileError::Content { path: path.to_owned(), error })
    }
}

/// Adds a user, or gives one another password; without `groups` the user keeps theirs. Answers whether the user is new.
/// A file that cannot be read as it stands is not touched.
pub fn set_user(path: &Path, name: &str, hash: &str, groups: Option<&[String]>) -> Result<bool, FileError> {
    change(path, |old, text| {
        check_name(name)?;
        let known = old.get(name);
        let groups =
            groups.map_or_else(|| known.map_or_else(Vec::new, |user| user.groups.clone()), <[_]>::to_vec);
        Users::new().add(name, hash, groups.clone())?;
        let mut line = format!("{name}:{hash}");
        if !groups.is_empty() {
            line = format!("{line}:{}", groups.join(","));
        }
        let is_new = known.is_none();
        let mut lines: Vec<String> = text.lines().map(|old| replaced(old, name, &line)).collect();
        if is_new {
            lines.push(line);
        }
        Ok((lines, is_new))
    })
}

/// Removes a user.
pub fn remove_user(path: &Path, name: &str) -> Result<(), FileError> {
    let removed = change(path, |old, text| {
        let lines = text.lines().filter(|line| !is_of(line, name)).map(str::to_owned).collect();
        Ok((lines, old.get(name).is_some()))
    })?;
    if removed { Ok(()) } else { Err(FileError::NoUser { path: path.to_owned(), name: name.to_owned() }) }
}

fn is_of(line: &str, name: &str) -> bool {
    !is_comment(line) && line.split(':').next() == Some(name)
}

fn replaced(old: &str, name: &str, line: &str) -> String {
    if is_of(old, name) { line.to_owned() } else { old.to_owned() }
}

/// Reads, changes and replaces the file, one program at a time.
fn change(
    path: &Path,
    edit: impl FnOnce(&Users, &str) -> Result<(Vec<String>, bool), UsersError>,
) -> Result<bool, FileError> {
    let wrong = |error| FileError::Content { path: path.to_owned(), error };
    let lock_path = beside(path, "lock");
    let lock = open_private(&lock_path, false).map_err(|error| io_error(&lock_path, error))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| io_error(&lock_path, error.into()))?;
    let text = match read(path) {
        Err(error) if error.is_missing() => String::new(),
        other => other?,
    };
    let old = Users::parse(&text).map_err(wrong)?;
    let (lines, answer) = edit(&old, &text).map_err(wrong)?;
    let new = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    Users::parse(&new).map_err(wrong)?;
    replace(path, new.as_bytes()).map_err(|error| io_error(path, error))?;
    Ok(answer)
}

fn read(path: &Path) -> Result<String, FileError> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| io_error(path, error))?;
    let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
    match read.map_err(|error| io_error(path, error))? {
        len if len as u64 > MAX_FILE_BYTES => {
            Err(io_error(path, io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 64 MiB")))
        }
        _ => Ok(text),
    }
}

/// Writes beside the file, syncs, and only then takes the file's name.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new_path = beside(path, "new");
    // Left behind by a program that died; the lock keeps others out.
    match fs::remove_file(&new_path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = open_private(&new_path, true)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new_path, path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn open_private(path: &Path, new: bool) -> io::Result<File> {
    OpenOptions::new().write(true).create(!new).create_new(new).truncate(false).mode(MODE).open(path)
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{what}"))
}

fn io_error(path: &Path, error: io::Error) -> FileError {
    FileError::Io { path: path.to_owned(), error }
}
