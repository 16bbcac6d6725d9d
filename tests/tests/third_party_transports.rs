// SPDX-License-Identifier: Apache-2.0
//! The transports in `examples/`, built as their authors would build them: they keep the same contracts as the
//! project's own, and carry STOMP into a broker that was never told of them.

use sabir_host::Registry;
use sabir_testkit::transport::{Profile, Subject, run};
use sabir_tests::process::{Options, plugins};
use sabir_tests::stomp::{Client, message};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// Where the libraries are built: kept from run to run, so that only the first one takes long.
fn output() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("third-party")
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The transport in C: `make OUT=...`, which compiles with `-std=c11 -pedantic -Wall -Wextra -Werror`.
fn c_library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let out = output().join("c");
        succeed(
            Command::new("make")
                .arg("-C")
                .arg(examples().join("01-transport-in-c"))
                .arg(format!("OUT={}", out.display())),
        );
        out.join("libsabir_transport_unix_plugin.so")
    })
}

/// The transport in Rust: `cargo build`, in its own workspace.
fn rust_library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let out = output().join("rust");
        succeed(
            Command::new(env!("CARGO"))
                .args(["build", "--locked", "--manifest-path"])
                .arg(examples().join("03-transport-in-rust/Cargo.toml"))
                .arg("--target-dir")
                .arg(&out),
        );
        out.join("debug/libsabir_transport_abstract_plugin.so")
    })
}

/// Loads the library as the broker does, and holds its transport against every contract.
fn assert_kept(library: &'static Path, profile: Profile) {
    let report = run(move || {
        let mut registry = Registry::new();
        registry.load(library).map_err(|error| error.to_string())?;
        let component = registry.transport(&profile.scheme).ok_or("the transport is missing")?;
        let transport = component.open_transport("{}").map_err(|error| error.to_string())?;
        Ok(Subject::new(profile, transport))
    });
    assert!(report.all_passed(), "{report}");
}

#[test]
fn the_transport_in_c_keeps_every_contract() {
    let folder = tempfile::TempDir::new().unwrap();
    let listen = format!("unix://{}/{{n}}.sock", folder.path().display());
    assert_kept(c_library(), Profile::stream("unix", &listen));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "socket files were left behind: {left:?}");
}

#[test]
fn the_transport_in_rust_keeps_every_contract() {
    assert_kept(rust_library(), Profile::stream("abstract", "abstract://sabir-suite-{n}"));
}

#[test]
fn a_transport_of_which_nothing_is_known_is_looked_at_all_the_same() {
    for (library, scheme) in [(c_library(), "unix"), (rust_library(), "abstract")] {
        let report = run(move || {
            let mut registry = Registry::new();
            registry.load(library).map_err(|error| error.to_string())?;
            Subject::discover(&registry.transport(scheme).ok_or("the transport is missing")?, None)
        });
        assert!(report.all_passed(), "{report}");
    }
}

#[test]
fn the_transport_in_c_takes_over_a_socket_file_that_nobody_answers_at_and_no_other_file() {
    let folder = tempfile::TempDir::new().unwrap();
    let (stale, other) = (folder.path().join("stale.sock"), folder.path().join("other"));
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    std::fs::write(&other, "precious").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let mut registry = Registry::new();
    registry.load(c_library()).unwrap();
    let unix = registry.transport("unix").unwrap().open_transport("{}").unwrap();
    let listener = unix.listen(&format!("unix://{}?mode=0600", stale.display())).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&stale).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    drop(listener);
    assert!(!stale.exists());
    let error = unix.listen(&format!("unix://{}", other.display())).err().unwrap();
    assert_eq!(error.code, sabir_host::ErrorCode::Address);
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "precious");
}

/// A way from TCP to a Unix socket, because the client of these tests speaks TCP: where it listens.
fn bridge(connect: impl Fn() -> io::Result<UnixStream> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for near in listener.incoming() {
            let (near, far) = (near.unwrap(), connect().unwrap());
            let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || pass(near, far, |far| far.shutdown(Shutdown::Write)));
            thread::spawn(move || pass(far_too, near_too, |near: &TcpStream| near.shutdown(Shutdown::Write)));
        }
    });
    address
}

fn pass<W: Write>(mut from: impl Read, mut to: W, end: impl FnOnce(&W) -> io::Result<()>) {
    // Either side may close whenever it likes: that is the end, and no failure of the bridge.
    let _ = io::copy(&mut from, &mut to);
    let _ = end(&to);
}

/// A broker with this library among its plugins carries STOMP over `uri`, and what was confirmed survives `kill -9`.
fn assert_carries_stomp(
    library: &Path,
    uri: &str,
    connect: impl Fn() -> io::Result<UnixStream> + Send + 'static,
) {
    let folder = tempfile::TempDir::new().unwrap();
    let with_library = folder.path().join("plugins");
    std::fs::create_dir(&with_library).unwrap();
    for entry in std::fs::read_dir(plugins()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), with_library.join(entry.file_name())).unwrap();
    }
    std::fs::copy(library, with_library.join(library.file_name().unwrap())).unwrap();
    let mut options = Options::new(&folder.path().join("data"));
    options.plugins = with_library;
    options.arguments = vec!["--listen".to_owned(), uri.to_owned()];
    let address = bridge(connect);

    let broker = options.start();
    let mut producer = Client::connect(address).unwrap();
    let bodies: Vec<Vec<u8>> = vec![b"small".to_vec(), vec![b'x'; 300_000], b"last".to_vec()];
    for body in &bodies {
        producer.confirm(message("/queue/third", body).with("persistent", "true")).unwrap();
    }
    broker.kill();

    let broker = options.start();
    let mut consumer = Client::connect(address).unwrap();
    consumer.subscribe("1", "/queue/third", "client-individual", 10).unwrap();
    // All of them first: an acknowledgement waits for its receipt, which must not find a message in its way.
    let received: Vec<_> = bodies.iter().map(|_| consumer.receive().unwrap()).collect();
    for (received, body) in received.iter().zip(&bodies) {
        assert!(received.body == *body, "{} bytes came instead of {}", received.body.len(), body.len());
        consumer.acknowledge(received).unwrap();
    }
    // Over the project's own transport as well: it is the same queue.
    let mut other = Client::connect(broker.address).unwrap();
    other.publish("/queue/third", b"from tcp").unwrap();
    assert_eq!(consumer.receive().unwrap().text(), "from tcp");
}

#[test]
fn stomp_travels_over_the_transport_in_c() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("stomp.sock");
    let uri = format!("unix://{}", path.display());
    assert_carries_stomp(c_library(), &uri, move || UnixStream::connect(&path));
}

#[test]
fn stomp_travels_over_the_transport_in_rust() {
    let name = format!("sabir-stomp-{}", std::process::id());
    let uri = format!("abstract://{name}");
    assert_carries_stomp(rust_library(), &uri, move || {
        UnixStream::connect_addr(&UnixAddress::from_abstract_name(&name)?)
    });
}
