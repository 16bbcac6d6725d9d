// SPDX-License-Identifier: Apache-2.0
//! What the host offers plugins works as the contract says, seen through the SDK as a plugin sees it: sockets on the
//! reactor (TLS and all), timers, tasks, blocking work, log, metrics.

use ::sabir_host::{metrics, runtime};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use sabir_sdk::host::{Interest, MetricKind};
use sabir_sdk::transport::HostSocket;
use sabir_sdk::{ErrorCode, Host};
use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

fn host() -> Host {
    // SAFETY: the table is static.
    unsafe { Host::from_abi(runtime::table()) }.unwrap()
}

fn pair() -> (HostSocket, HostSocket) {
    let (one, two) = UnixStream::pair().unwrap();
    let register = |stream: UnixStream| {
        stream.set_nonblocking(true).unwrap();
        HostSocket::new(host(), stream).unwrap()
    };
    (register(one), register(two))
}

#[tokio::test]
async fn tokio_rustls_completes_a_handshake_over_host_sockets_and_carries_data() {
    let key = rcgen::generate_simple_self_signed(["broker.test".to_owned()]).unwrap();
    let certificate = key.cert.der().clone();
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
    let server = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], secret)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let (near, far) = pair();
    let payload: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let expected = payload.clone();
    let serving = tokio::spawn(async move {
        let mut stream = tokio_rustls::TlsAcceptor::from(Arc::new(server)).accept(far).await.unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.unwrap();
        stream.write_all(b"got it").await.unwrap();
        stream.shutdown().await.unwrap();
        received
    });
    let name = ServerName::try_from("broker.test").unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(client)).connect(name, near).await.unwrap();
    stream.write_all(&payload).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"got it");
    assert!(serving.await.unwrap() == expected, "the bytes were changed on their way");
}

#[tokio::test]
async fn round_trips_lose_no_wake_up_however_often_both_sides_wait() {
    let (mut near, mut far) = pair();
    let echo = tokio::spawn(async move {
        let mut byte = [0];
        while far.read(&mut byte).await.unwrap() == 1 {
            far.write_all(&byte).await.unwrap();
        }
    });
    for round in 0..5_000u32 {
        let mut byte = [round as u8];
        near.write_all(&byte).await.unwrap();
        near.read_exact(&mut byte).await.unwrap();
        assert_eq!(byte, [round as u8]);
    }
    drop(near);
    echo.await.unwrap();
}

#[tokio::test]
async fn a_full_socket_waits_and_goes_on_where_it_stopped() {
    let (mut near, mut far) = pair();
    let payload: Vec<u8> = (0..4_000_000u32).map(|n| (n % 253) as u8).collect();
    let sent = payload.clone();
    let writer = tokio::spawn(async move {
        let mut at = 0;
        while at < sent.len() {
            let (one, two) = sent[at..].split_at((sent.len() - at) / 2);
            let slices = [IoSlice::new(one), IoSlice::new(two)];
            at += poll_fn(|cx| near.poll_sendv(cx, &slices)).await.unwrap();
        }
    });
    let mut received = Vec::new();
    far.read_to_end(&mut received).await.unwrap();
    writer.await.unwrap();
    assert!(received == payload, "the bytes were changed on their way");
}

#[tokio::test]
async fn a_peer_that_is_gone_is_an_end_for_readers_and_an_error_for_writers_never_a_signal() {
    let (mut near, far) = pair();
    drop(far);
    let mut buf = [0; 8];
    assert_eq!(poll_fn(|cx| near.poll_recv(cx, &mut buf)).await.unwrap(), 0);
    let error = poll_fn(|cx| near.poll_sendv(cx, &[IoSlice::new(b"x")])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn an_operation_of_the_plugins_own_waits_for_readiness_and_its_panic_stays_in_the_plugin() {
    let (near, mut far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let mut reader = near.try_clone().unwrap();
    let mut socket = HostSocket::new(host(), near).unwrap();
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let (waiting, is_waiting) = oneshot::channel();
    let mut waiting = Some(waiting);
    let reading = tokio::spawn(async move {
        let read = poll_fn(|cx| {
            let polled = socket.poll_op(cx, Interest::Read, |_| {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut buf = [0; 4];
                reader.read(&mut buf).map(|count| buf[..count].to_vec())
            });
            if polled.is_pending() {
                let _ = waiting.take().map(|waiting| waiting.send(()));
            }
            polled
        });
        let bytes = read.await.unwrap();
        (bytes, socket)
    });
    is_waiting.await.unwrap();
    far.write_all(b"abc").unwrap();
    let (bytes, mut socket) = reading.await.unwrap();
    assert_eq!(bytes, b"abc");
    assert!(tries.load(Ordering::SeqCst) <= 3, "the operation was tried without readiness");
    let caught = tokio::spawn(async move {
        poll_fn(|cx| {
            socket.poll_op(cx, Interest::Write, |_| -> io::Result<()> { panic!("in the operation") })
        })
        .await
    });
    assert!(caught.await.unwrap_err().is_panic());
}

#[tokio::test]
async fn a_descriptor_that_would_block_a_reactor_is_refused() {
    let (blocking, _other) = UnixStream::pair().unwrap();
    let error = HostSocket::new(host(), blocking).unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert!(error.message.contains("not non-blocking"), "{error}");
}

#[test]
fn polling_off_a_reactor_is_an_error_and_nothing_worse() {
    let (mut near, _far) = pair();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(matches!(near.poll_recv(&mut cx, &mut [0; 4]), Poll::Ready(Err(_))));
}

#[tokio::test]
async fn timers_fire_at_their_deadline_and_not_before() {
    let start = host().now().monotonic_ms;
    let mut timer = host().timer().unwrap();
    poll_fn(|cx| timer.poll(cx, start)).await;
    // First far away, then near: another deadline re-arms it.
    let far = poll_fn(|cx| Poll::Ready(timer.poll(cx, start + 3_600_000).is_pending())).await;
    assert!(far);
    poll_fn(|cx| timer.poll(cx, start + 20)).await;
    assert!(host().now().monotonic_ms >= start + 20);
    timer.until(start + 30).await;
    assert!(host().now().monotonic_ms >= start + 30);
}

#[tokio::test]
async fn tasks_and_blocking_work_run_and_their_panics_stay_in_the_plugin() {
    let (done, is_done) = oneshot::channel();
    host().spawn(async { panic!("a task of a test") }).unwrap();
    host().run_blocking(|| panic!("work of a test")).unwrap();
    host()
        .spawn(async move {
            let (worked, has_worked) = oneshot::channel();
            host().run_blocking(move || worked.send(std::thread::current().id()).unwrap()).unwrap();
            done.send(has_worked.await.unwrap()).unwrap();
        })
        .unwrap();
    assert_ne!(is_done.await.unwrap(), std::thread::current().id());
}

#[test]
fn tasks_of_a_thread_outside_of_any_runtime_go_to_the_installed_one() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime::install(runtime.handle().clone());
    let (done, is_done) = std::sync::mpsc::channel();
    host().spawn(async move { done.send(7).unwrap() }).unwrap();
    assert_eq!(is_done.recv().unwrap(), 7);
    // Other tests of this process may have been given it meanwhile: it lives until the end.
    std::mem::forget(runtime);
}

#[test]
fn metrics_of_plugins_are_rendered_with_those_of_the_broker() {
    let metric = host().metric(MetricKind::Counter, "reactor_test", "Test.", &[("side", "plugin")]);
    metric.record(3.0);
    assert!(metrics::render().contains("sabir_reactor_test_total{side=\"plugin\"} 3\n"));
    // A name that is refused gives a metric that records nowhere.
    host().metric(MetricKind::Gauge, "Not A Name", "", &[]).record(1.0);
}
