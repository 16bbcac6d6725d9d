// SPDX-License-Identifier: Apache-2.0
//! The way in for Rust programs that carry the broker within them.

use sabir_host::{ErrorCode, Listener, Registry, Transport};
use std::future::poll_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn mem() -> Transport {
    let mut registry = Registry::new();
    registry.add(&sabir_transport_mem::PLUGIN).unwrap();
    registry.transport("mem").unwrap().open_transport("{}").unwrap()
}

fn listen(uri: &str) -> Listener {
    mem().listen(uri).unwrap()
}

#[tokio::test]
async fn a_rust_program_connects_by_name_and_speaks_through_tokio_traits() {
    let mut listener = listen("mem://from-rust");
    let mut client = sabir_transport_mem::connect("from-rust").unwrap();
    let mut accepted = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    let mut buf = [0; 16];
    let mut info = sabir_host::ChunkInfo::default();
    let count = poll_fn(|cx| accepted.poll_read(cx, &mut buf, &mut info)).await.unwrap();
    assert_eq!(&buf[..count], b"hello");
    let wrote =
        poll_fn(|cx| accepted.poll_write(cx, &[std::io::IoSlice::new(b"world")], info)).await.unwrap();
    assert_eq!(wrote, 5);
    drop(accepted);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "world");
}

#[test]
fn nobody_at_a_name_is_an_error_that_names_it() {
    let error = sabir_transport_mem::connect("nobody-is-here").unwrap_err();
    assert_eq!((error.code, error.retryable), (ErrorCode::NotFound, true));
    assert!(error.message.contains("nobody-is-here"), "{}", error.message);
}

#[test]
fn a_full_backlog_refuses_further_links_and_takes_them_again_later() {
    let mut listener = listen("mem://backlog?backlog=2");
    let waiting = [sabir_transport_mem::connect("backlog"), sabir_transport_mem::connect("backlog")];
    assert!(waiting.iter().all(Result::is_ok));
    let error = sabir_transport_mem::connect("backlog").unwrap_err();
    assert_eq!((error.code, error.retryable), (ErrorCode::Limit, true));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(listener.poll_accept(&mut cx).is_ready());
    sabir_transport_mem::connect("backlog").unwrap();
}

#[test]
fn a_client_that_insists_on_another_framing_is_refused() {
    let _listener = listen("mem://framing?framing=message");
    let error = mem().connect("mem://framing?framing=stream").err().unwrap();
    assert_eq!(error.code, ErrorCode::Config);
    assert!(mem().connect("mem://framing?framing=message").is_ok());
    assert!(mem().connect("mem://framing").is_ok());
}
