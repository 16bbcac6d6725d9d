// SPDX-License-Identifier: Apache-2.0
//! Running out of file descriptors. A process of its own: no other test may suffer from it.

use sabir_host::{ErrorCode, Registry};
use std::fs::File;
use std::future::poll_fn;
use std::net::TcpStream;

#[tokio::test(flavor = "current_thread")]
async fn without_descriptors_accept_reports_a_limit_and_goes_on_once_there_are_some() {
    let mut registry = Registry::new();
    registry.add(&sabir_transport_tcp::PLUGIN).unwrap();
    let tcp = registry.transport("tcp").unwrap().open_transport("{}").unwrap();
    let mut listener = tcp.listen("tcp://127.0.0.1:0").unwrap();
    let address = listener.local_address().to_owned();
    let clients: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(&address).unwrap()).collect();
    lower_limit();
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    for _ in 0..2 {
        let error = poll_fn(|cx| listener.poll_accept(cx)).await.err().unwrap();
        assert_eq!((error.code, error.retryable), (ErrorCode::Limit, true), "{error}");
        assert!(error.message.contains(&address), "{error}");
    }
    hoard.clear();
    let mut links = Vec::new();
    for _ in &clients {
        links.push(poll_fn(|cx| listener.poll_accept(cx)).await.unwrap());
    }
}

/// So that a few files exhaust it, wherever this runs.
fn lower_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(200), maximum }).unwrap();
}
