// SPDX-License-Identifier: Apache-2.0
//! At a fixed rate, with latencies from the time at which a message *should* have been sent.
//!
//! Counting from the intended time keeps a stall from hiding itself: while the broker stands still nothing is sent,
//! and what would have been sent has waited too.

use super::flood::{Consumer, Producer};
use super::frames::{STAMP_DIGITS, read_digits};
use super::link::PATIENCE;
use super::{Latency, Load, Seen};
use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use rustix::event::epoll;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::time::{Duration, Instant};

/// Sends through one producer and receives through one consumer.
pub fn paced(load: &Load, per_s: u64, warm_up_ms: u64, measure_ms: u64) -> Result<Seen> {
    ensure!(load.size_bytes >= STAMP_DIGITS, "a body of {} bytes cannot carry a time", load.size_bytes);
    let mut consumer = Consumer::open(load)?;
    let mut producer = Producer::open(load)?;
    let interval_ns = 1_000_000_000 / per_s;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let tick = Timespec { tv_sec: 0, tv_nsec: interval_ns as i64 };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: tick, it_value: tick })?;
    epoll::add(&epoll, &timer, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    for socket in [&consumer.link.socket, &producer.link.socket] {
        let interest = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(&epoll, socket, epoll::EventData::new_u64(1), interest)?;
    }
    let total = per_s * (warm_up_ms + measure_ms) / 1000;
    let counted_from_ns = warm_up_ms * 1_000_000;
    let mut latencies = Histogram::<u64>::new_with_bounds(1, 120_000_000_000, 3)?;
    let start = Instant::now();
    let deadline = start + Duration::from_millis(warm_up_ms + measure_ms) + PATIENCE;
    let mut events = Vec::with_capacity(4);
    while consumer.received < total {
        ensure!(Instant::now() < deadline, "{} of {total} messages came back", consumer.received);
        events.clear();
        let wait = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        match epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // The count of ticks is not needed: the clock says what is due.
        let _ticks = rustix::io::read(&timer, &mut [0u8; 8]);
        consumer.receive(|body| {
            let now_ns = start.elapsed().as_nanos() as u64;
            let intended_ns = body.get(..STAMP_DIGITS).and_then(read_digits).unwrap_or(0);
            if intended_ns >= counted_from_ns {
                latencies.saturating_record(now_ns.saturating_sub(intended_ns));
            }
        })?;
        producer.receive()?;
        let due = (start.elapsed().as_nanos() as u64 / interval_ns + 1).min(total);
        while producer.sent < due {
            producer.sends.stamp(0, producer.sent * interval_ns);
            let before = producer.sent;
            producer.send(1)?;
            if producer.sent == before {
                break;
            }
        }
        producer.send(0)?;
    }
    Ok(Seen {
        connections: 0,
        sent: producer.sent,
        received: consumer.received,
        seconds: measure_ms as f64 / 1000.0,
        confirmed_per_s: per_s as f64,
        received_per_s: per_s as f64,
        latency_us: Some(percentiles(&latencies)),
        load_cpu_s: 0.0,
    })
}

/// What is told of them.
pub fn percentiles(latencies: &Histogram<u64>) -> Latency {
    let at = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    Latency {
        p50: at(0.5),
        p99: at(0.99),
        p999: at(0.999),
        max: latencies.max() as f64 / 1000.0,
        count: latencies.len(),
    }
}
