// SPDX-License-Identifier: Apache-2.0
//! As fast as it goes, within the windows of producers and consumers.

use super::frames::{Kind, Sends, read_digits};
use super::link::{Link, PATIENCE};
use super::{Load, Pace, Seen};
use anyhow::{Result, ensure};
use rustix::event::epoll;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// A connection that sends.
pub struct Producer {
    pub link: Link,
    pub sends: Sends,
    /// Frames with a receipt, where not every frame has one.
    marked: Option<Sends>,
    /// One frame in so many has a receipt.
    every: usize,
    window: usize,
    pub sent: u64,
    pub confirmed: u64,
}

impl Producer {
    pub fn open(load: &Load) -> Result<Producer> {
        let every = if load.persistent { 1 } else { (load.window / 4).max(1) };
        let sends = |receipts| Sends::new(&load.destination, load.size_bytes, load.persistent, receipts);
        Ok(Producer {
            link: Link::open(load)?,
            sends: sends(every == 1),
            marked: (every > 1).then(|| sends(true)),
            every,
            window: load.window,
            sent: 0,
            confirmed: 0,
        })
    }

    /// Counts receipts.
    pub fn receive(&mut self) -> Result<()> {
        while self.link.read()? {
            while let Some(frame) = self.link.next_frame()? {
                ensure!(frame.kind == Kind::Receipt, "{:?} where a receipt was expected", frame.kind);
                if self.every == 1 {
                    self.confirmed += 1;
                } else {
                    // A receipt covers all frames before its own.
                    let number = read_digits(self.link.part(frame.receipt)).unwrap_or(0);
                    self.confirmed = self.confirmed.max(number);
                }
            }
        }
        Ok(())
    }

    /// How many more may be sent now.
    fn room(&self) -> u64 {
        (self.window as u64).saturating_sub(self.sent - self.confirmed)
    }

    /// Sends what the window and the socket take, at most `left`.
    pub fn send(&mut self, mut left: u64) -> Result<()> {
        loop {
            self.link.write()?;
            let count = self.room().min(left);
            if self.link.has_output() || count == 0 {
                return Ok(());
            }
            left -= self.push(count);
        }
    }

    /// Puts at most `count` frames into the output; answers how many.
    fn push(&mut self, count: u64) -> u64 {
        let Some(marked) = &mut self.marked else {
            let count = count.min(self.sends.count() as u64);
            // A receipt's number is that of the messages sent with it.
            self.link.push(self.sends.batch(self.sent + 1, count as usize));
            self.sent += count;
            return count;
        };
        let until_mark = self.every as u64 - 1 - self.sent % self.every as u64;
        let plain = until_mark.min(count).min(self.sends.count() as u64);
        self.link.push(self.sends.batch(0, plain as usize));
        self.sent += plain;
        if plain == until_mark && plain < count {
            self.sent += 1;
            self.link.push(marked.batch(self.sent, 1));
            return plain + 1;
        }
        plain
    }

    /// Asks for a receipt of everything, where the last frames had none.
    fn finish(&mut self) {
        if let Some(marked) = &mut self.marked
            && !self.sent.is_multiple_of(self.every as u64)
        {
            self.sent += 1;
            self.link.push(marked.batch(self.sent, 1));
        }
    }
}

/// A connection that receives.
pub struct Consumer {
    pub link: Link,
    /// One acknowledgement for so many messages.
    ack_every: u64,
    pub received: u64,
}

impl Consumer {
    pub fn open(load: &Load) -> Result<Consumer> {
        let mut link = Link::open(load)?;
        let (destination, window) = (&load.destination, load.window);
        let subscribe = format!(
            "SUBSCRIBE\nid:0\ndestination:{destination}\nack:client\nprefetch-count:{window}\n\
             activemq.prefetchSize:{window}\n\n\0"
        );
        link.push(subscribe.as_bytes());
        Ok(Consumer { link, ack_every: (window / load.acks_per_window.max(1)).max(1) as u64, received: 0 })
    }

    /// Takes what has come, shows each body, acknowledges.
    pub fn receive(&mut self, mut show: impl FnMut(&[u8])) -> Result<()> {
        while self.link.read()? {
            while let Some(frame) = self.link.next_frame()? {
                ensure!(frame.kind == Kind::Message, "{:?} where a message was expected", frame.kind);
                self.received += 1;
                show(self.link.part(frame.body));
                if self.received.is_multiple_of(self.ack_every) {
                    self.link.push_ack(frame.ack);
                }
            }
        }
        self.link.write()
    }
}

/// All connections of a run.
struct Flood {
    producers: Vec<Producer>,
    consumers: Vec<Consumer>,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    patience: Duration,
}

/// Counts at one moment.
#[derive(Clone, Copy)]
struct Counts {
    at: Instant,
    sent: u64,
    confirmed: u64,
    received: u64,
}

/// Runs one flood.
pub fn flood(load: &Load) -> Result<Seen> {
    flood_with(load, PATIENCE)
}

/// Runs one flood, and waits only so long for what the broker keeps back.
pub fn flood_with(load: &Load, patience: Duration) -> Result<Seen> {
    let mut flood = Flood::open(load, patience)?;
    let start = flood.counts();
    let (first, last) = match load.pace {
        Pace::Time { warm_up_ms, measure_ms } => {
            flood.run(start.at + Duration::from_millis(warm_up_ms), u64::MAX)?;
            let first = flood.counts();
            flood.run(first.at + Duration::from_millis(measure_ms), u64::MAX)?;
            let last = flood.counts();
            flood.settle(start.at)?;
            (first, last)
        }
        Pace::Count { messages } => {
            flood.count(messages, load.producers > 0)?;
            (start, flood.counts())
        }
        Pace::Rate { .. } | Pace::Idle => unreachable!("other modules run these"),
    };
    let end = flood.counts();
    let seconds = (last.at - first.at).as_secs_f64();
    Ok(Seen {
        connections: 0,
        sent: end.sent,
        received: end.received,
        seconds,
        confirmed_per_s: (last.confirmed - first.confirmed) as f64 / seconds,
        received_per_s: (last.received - first.received) as f64 / seconds,
        latency_us: None,
        load_cpu_s: 0.0,
    })
}

impl Flood {
    fn open(load: &Load, patience: Duration) -> Result<Flood> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let consumers = (0..load.consumers).map(|_| Consumer::open(load)).collect::<Result<Vec<_>>>()?;
        let producers = (0..load.producers).map(|_| Producer::open(load)).collect::<Result<Vec<_>>>()?;
        let links = consumers
            .iter()
            .map(|consumer| &consumer.link)
            .chain(producers.iter().map(|producer| &producer.link));
        for (index, link) in links.enumerate() {
            // Edge-triggered: every link is read and written until it would block.
            let interest = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
            epoll::add(&epoll, &link.socket, epoll::EventData::new_u64(index as u64), interest)?;
        }
        let events = Vec::with_capacity(load.consumers + load.producers);
        Ok(Flood { producers, consumers, epoll, events, patience })
    }

    fn counts(&self) -> Counts {
        Counts {
            at: Instant::now(),
            sent: self.producers.iter().map(|producer| producer.sent).sum(),
            confirmed: self.producers.iter().map(|producer| producer.confirmed).sum(),
            received: self.consumers.iter().map(|consumer| consumer.received).sum(),
        }
    }

    /// Sends and receives until a time, each producer at most `each` messages in all.
    fn run(&mut self, until: Instant, each: u64) -> Result<()> {
        for producer in &mut self.producers {
            producer.send(each - producer.sent.min(each))?;
        }
        while Instant::now() < until {
            self.step(until, each)?;
        }
        Ok(())
    }

    /// Waits for something to do, and does it.
    fn step(&mut self, until: Instant, each: u64) -> Result<()> {
        let wait = until.saturating_duration_since(Instant::now()).min(Duration::from_millis(100));
        let wait = rustix::event::Timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos().max(1)) };
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in std::mem::take(&mut self.events).iter() {
            let index = event.data.u64() as usize;
            if let Some(consumer) = self.consumers.get_mut(index) {
                consumer.receive(|_| {})?;
            } else {
                let producer = &mut self.producers[index - self.consumers.len()];
                producer.receive()?;
                producer.send(each - producer.sent.min(each))?;
            }
        }
        self.events.reserve(self.consumers.len() + self.producers.len());
        Ok(())
    }

    /// Waits until everything sent is confirmed and, where there are consumers, received.
    fn settle(&mut self, start: Instant) -> Result<()> {
        let deadline = Instant::now() + self.patience + start.elapsed();
        for producer in &mut self.producers {
            producer.finish();
            producer.send(0)?;
        }
        loop {
            let counts = self.counts();
            if counts.confirmed == counts.sent
                && (self.consumers.is_empty() || counts.received >= counts.sent)
            {
                return Ok(());
            }
            ensure!(
                counts.at < deadline,
                "the broker keeps something back: sent {}, confirmed {}, received {}",
                counts.sent,
                counts.confirmed,
                counts.received
            );
            self.step(deadline, 0)?;
        }
    }

    /// Sends so many messages and waits for their receipts, or receives so many.
    fn count(&mut self, messages: u64, sends: bool) -> Result<()> {
        if sends {
            let each = messages / self.producers.len() as u64;
            let mut progress = (0, Instant::now());
            for producer in &mut self.producers {
                producer.send(each)?;
            }
            while self.counts().sent < each * self.producers.len() as u64 {
                self.step(Instant::now() + Duration::from_millis(100), each)?;
                still(&mut progress, self.counts().confirmed, self.patience)?;
            }
            return self.settle(Instant::now());
        }
        for consumer in &mut self.consumers {
            consumer.link.write()?;
        }
        let mut progress = (0, Instant::now());
        while self.counts().received < messages {
            self.step(Instant::now() + Duration::from_millis(100), 0)?;
            still(&mut progress, self.counts().received, self.patience)?;
        }
        Ok(())
    }
}

/// Fails when a count has not grown for a long time.
fn still(progress: &mut (u64, Instant), count: u64, patience: Duration) -> Result<()> {
    if count > progress.0 {
        *progress = (count, Instant::now());
    }
    ensure!(progress.1.elapsed() < patience, "the broker stands still at {count} messages");
    Ok(())
}
