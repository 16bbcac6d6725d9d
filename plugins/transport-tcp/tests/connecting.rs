// SPDX-License-Identifier: Apache-2.0
//! What is particular to tcp: names, options, addresses of both families, peers that reset.

use sabir_host::{ChunkInfo, Error, ErrorCode, Link, Registry, Transport};
use std::future::poll_fn;
use std::io::IoSlice;
use std::net::{SocketAddr, TcpListener, TcpStream};

fn tcp(config: &str) -> Result<Transport, Error> {
    let mut registry = Registry::new();
    registry.add(&sabir_transport_tcp::PLUGIN).unwrap();
    registry.transport("tcp").unwrap().open_transport(config)
}

async fn ready(mut link: Link) -> Result<Link, Error> {
    poll_fn(|cx| link.poll_ready(cx)).await?;
    Ok(link)
}

fn attribute(link: &Link, name: &str) -> String {
    link.attributes()
        .iter()
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.clone())
        .unwrap_or_default()
}

#[tokio::test]
async fn a_name_is_looked_up_and_its_addresses_are_tried_in_turn() {
    // On IPv4 only: where localhost is also ::1, that address is tried in vain.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let link = ready(tcp("{}").unwrap().connect(&format!("tcp://localhost:{port}")).unwrap()).await.unwrap();
    assert_eq!(attribute(&link, "peer"), format!("127.0.0.1:{port}"));
    let (_, client) = server.accept().unwrap();
    assert_eq!(attribute(&link, "local"), client.to_string());
}

#[tokio::test]
async fn an_unknown_name_is_an_error_of_the_link_that_names_it() {
    let link = tcp("{}").unwrap().connect("tcp://no-such-name.invalid:1").unwrap();
    let error = ready(link).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert!(error.message.contains("no-such-name.invalid"), "{error}");
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_given_up_after_the_time_that_was_set() {
    // A listener whose backlog is full drops what comes, as a firewall does.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    let _waiting = TcpStream::connect(address).unwrap();
    let link = tcp("{}").unwrap().connect(&format!("tcp://{address}?connect_timeout_ms=50")).unwrap();
    let error = ready(link).await.err().unwrap();
    assert_eq!((error.code, error.retryable), (ErrorCode::Timeout, true), "{error}");
    assert!(error.message.contains("connect_timeout_ms"), "{error}");
}

#[tokio::test]
async fn a_refused_connection_is_worth_another_try() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let link = tcp("{}").unwrap().connect(&format!("tcp://{address}")).unwrap();
    let error = ready(link).await.err().unwrap();
    assert!(error.retryable && error.message.contains(&address.to_string()), "{error:?}");
}

#[tokio::test]
async fn a_link_before_it_is_ready_refuses_to_carry_bytes() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let mut link = tcp("{}").unwrap().connect(&format!("tcp://localhost:{port}")).unwrap();
    let wrote = poll_fn(|cx| link.poll_write(cx, &[IoSlice::new(b"x")], ChunkInfo::default())).await;
    assert_eq!(wrote.err().unwrap().code, ErrorCode::Invalid);
}

#[tokio::test]
async fn a_listener_on_all_addresses_shows_ipv4_clients_by_their_own_address() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let mut listener = tcp("{}").unwrap().listen("tcp://[::]:0").unwrap();
    let port = listener.local_address().parse::<SocketAddr>().unwrap().port();
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let link = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
    assert_eq!(attribute(&link, "peer"), client.local_addr().unwrap().to_string());
    assert_eq!(attribute(&link, "local"), format!("127.0.0.1:{port}"));
    let only = tcp("{}").unwrap().listen("tcp://[::]:0?ipv6_only=true").unwrap();
    let port = only.local_address().parse::<SocketAddr>().unwrap().port();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[tokio::test]
async fn two_listeners_share_a_port_if_both_say_so() {
    let tcp = tcp(r#"{"reuse_port": true}"#).unwrap();
    let first = tcp.listen("tcp://127.0.0.1:0").unwrap();
    let uri = format!("tcp://{}", first.local_address());
    assert!(tcp.listen(&uri).is_ok());
    let error = tcp.listen(&format!("{uri}?reuse_port=false")).err().unwrap();
    assert_eq!(error.code, ErrorCode::Address);
}

#[tokio::test]
async fn a_peer_that_resets_is_told_from_one_that_ends() {
    let mut listener = tcp("{}").unwrap().listen("tcp://127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_address()).unwrap();
    let mut link = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
    // Closing with this set sends a reset.
    socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(client);
    let mut info = ChunkInfo::default();
    let error = poll_fn(|cx| link.poll_read(cx, &mut [0; 8], &mut info)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Closed);
    assert!(error.message.contains("reset"), "{error}");
}

#[test]
fn a_configuration_that_does_not_fit_is_refused_by_key() {
    let error = tcp(r#"{"no_delay": true}"#).err().unwrap();
    assert_eq!(error.code, ErrorCode::Config);
    assert!(error.message.contains("did you mean \"nodelay\""), "{error}");
}
