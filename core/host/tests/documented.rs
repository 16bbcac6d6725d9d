// SPDX-License-Identifier: Apache-2.0
//! The plugin in C that `docs/plugin-abi.md` shows is complete: as it stands there it compiles without a warning, loads,
//! and carries bytes. The one in Rust is compiled by the SDK's documentation tests.

use sabir_host::{ChunkInfo, Registry};
use std::future::poll_fn;
use std::io::{IoSlice, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

const PAGE: &str = include_str!("../../../docs/plugin-abi.md");

#[tokio::test]
async fn the_transport_in_c_of_the_page_on_plugins_listens_and_carries_bytes_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let (_, source) = PAGE.split_once("```c\n").unwrap();
    let (source, _) = source.split_once("```").unwrap();
    let (file, library) = (folder.path().join("my_transport.c"), folder.path().join("my_transport.so"));
    std::fs::write(&file, source).unwrap();
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../c-include");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror"]);
    compiler.args(["-shared", "-fPIC", "-fvisibility=hidden", "-I"]).arg(header).arg("-o");
    let output = compiler.args([&library, &file]).output().expect("a C compiler is needed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for path in [folder.path(), &library] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    let mut registry = Registry::new();
    registry.load(&library).unwrap();
    let transport = registry.transport("my").unwrap().open_transport("{}").unwrap();
    assert_eq!(transport.listen("other://x").unwrap_err().message, "expected my://PATH");
    let path = folder.path().join("sock");
    let mut listener = transport.listen(&format!("my://{}", path.display())).unwrap();
    assert_eq!(listener.local_address(), path.display().to_string());
    let mut client = UnixStream::connect(&path).unwrap();
    let mut link = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
    client.write_all(b"ping").unwrap();
    let (mut buf, mut info) = ([0; 16], ChunkInfo::default());
    assert_eq!(poll_fn(|cx| link.poll_read(cx, &mut buf, &mut info)).await, Ok(4));
    assert_eq!(&buf[..4], b"ping");
    let pong = [IoSlice::new(b"po"), IoSlice::new(b"ng")];
    assert_eq!(poll_fn(|cx| link.poll_write(cx, &pong, info)).await, Ok(4));
    poll_fn(|cx| link.poll_shutdown(cx)).await.unwrap();
    let mut got = String::new();
    client.read_to_string(&mut got).unwrap();
    assert_eq!(got, "pong");
}
