// SPDX-License-Identifier: Apache-2.0
//! One simulated world: a broker, its clients, a disk that can lose power, and a seed that decides everything.
//!
//! Every step picks one thing that may happen next. After the last step everything that is left is drained, and the
//! ledger tells which promises were broken.

use crate::broker::{Broker, Died};
use crate::client::{Asked, Client, Held};
use crate::ledger::{Id, Ledger, Tx};
use crate::scene::{QUEUES, REFUSING};
use branches::InDoubt;
use bytes::Bytes;
use sabir_engine::{Config, Input, PolicyRule, WhenFull};
use sabir_model::store::TEMPORARY;
use sabir_model::{Message, Now, Request, SessionId, Verb};
use sabir_sdk::{ErrorCode, Host};
use sabir_store_journal::{Journal, Options};
use sabir_testkit::disk::{Dice, Faults, SimDisk};
use std::collections::BTreeMap;
use std::sync::Arc;

mod acts;
mod branches;
mod compacting;
mod drain;
mod heard;

/// Clients; each of the first ones has one of the durable subscriptions.
const CLIENTS: u32 = 5;
/// Bytes that are still free when the disk fills up, at most.
const LAST_ROOM_BYTES: u64 = 40_000;
/// Lines of history that are told when a seed fails, unless `SABIR_HISTORY` says otherwise.
const HISTORY: usize = 60;

/// What can happen next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Client,
    Submit,
    Sync,
    Read,
    Time,
    ClockJump,
    LoseClient,
    Crash,
    DiskFault,
    FillDisk,
    FreeDisk,
    CleanStop,
}

/// How often what happens, by weight.
const STEPS: [(u32, Step); 12] = [
    (600, Step::Client),
    (150, Step::Submit),
    (120, Step::Sync),
    (120, Step::Read),
    (60, Step::Time),
    (3, Step::ClockJump),
    (8, Step::LoseClient),
    (3, Step::Crash),
    (1, Step::DiskFault),
    (3, Step::FillDisk),
    (3, Step::FreeDisk),
    (1, Step::CleanStop),
];

/// What happens where nothing goes wrong by itself: for worlds with one fault, at a place that is chosen. Batches are small
/// and synced often, so that the places come soon.
const CALM: [(u32, Step); 6] = [
    (400, Step::Client),
    (300, Step::Submit),
    (300, Step::Sync),
    (150, Step::Read),
    (60, Step::Time),
    (4, Step::LoseClient),
];

/// The one fault of a calm world, and what comes of it.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    pub faults: Faults,
    /// The process alone dies, and the machine goes on.
    pub kill: bool,
    /// The starts after it that the power interrupts, each at this operation.
    pub interrupted_at: Vec<u64>,
}

pub struct World {
    seed: u64,
    random: Dice,
    disk: SimDisk,
    broker: Option<Broker>,
    clients: Vec<Client>,
    pub ledger: Ledger,
    next_id: Id,
    next_tx: Tx,
    /// Branches that are prepared, or may be.
    in_doubt: BTreeMap<Tx, InDoubt>,
    /// What was settled in branches that are committed in one phase, and by whom.
    one_phase: BTreeMap<Tx, (usize, Option<SessionId>, Vec<Held>)>,
    next_session: u64,
    now: Now,
    history: Vec<String>,
    /// Lines of history that are told at the end.
    lines: usize,
    draining: bool,
    steps: &'static [(u32, Step)],
    fate: Option<Fate>,
    /// A fault of the disk may still be waiting.
    armed: bool,
    /// What the disk was told to do wrong.
    faults: Faults,
    /// Bodies that are sent in pieces, by the number of their message.
    bodies: BTreeMap<Id, Bytes>,
    /// Messages whose bodies are on their way to a client.
    being_sent: Vec<Message>,
    /// The target of each message.
    targets: BTreeMap<Id, usize>,
    latest_unix_ms: i64,
    /// What happened how often: a run in which nothing happens proves nothing.
    pub crashes: u32,
    pub delivered: u64,
    pub counts: Counts,
    /// Bytes that compacting would have copied where it was interrupted.
    pub compacted_bytes: u64,
}

/// How often the rarer things have happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Publishes that had to wait.
    pub parked: u64,
    /// Batches for which the store had no room.
    pub refused_batches: u64,
    /// Browses that came to their end.
    pub browses: u64,
    /// Dead letters that were there at the end.
    pub dead_letters: u64,
    /// Deliveries to durable subscriptions.
    pub to_desks: u64,
    /// Transactions that were committed.
    pub committed: u64,
    /// Branches that were prepared.
    pub prepared: u64,
    /// Branches that were prepared still, or only then, after a restart.
    pub recovered: u64,
    /// Publishes that were sent again.
    pub sent_again: u64,
    /// Of these, those that the broker had already.
    pub repeated: u64,
    /// Publishes with their body in pieces.
    pub in_pieces: u64,
    /// Deliveries of such.
    pub from_pieces: u64,
}

impl Counts {
    fn all(&mut self) -> [&mut u64; 12] {
        [
            &mut self.parked,
            &mut self.refused_batches,
            &mut self.browses,
            &mut self.dead_letters,
            &mut self.to_desks,
            &mut self.committed,
            &mut self.prepared,
            &mut self.recovered,
            &mut self.sent_again,
            &mut self.repeated,
            &mut self.in_pieces,
            &mut self.from_pieces,
        ]
    }

    pub fn add(&mut self, other: &Counts) {
        let mut other = *other;
        self.all().into_iter().zip(other.all()).for_each(|(sum, one)| *sum += *one);
    }

    /// Whether each of them happened more often than this.
    pub fn are_more_than(mut self, least: u64) -> bool {
        self.all().iter().all(|count| **count > least)
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        World::with(seed, None)
    }

    /// A world in which nothing goes wrong but this.
    pub fn calm(seed: u64, fate: Fate) -> Self {
        World::with(seed, Some(fate))
    }

    fn with(seed: u64, fate: Option<Fate>) -> Self {
        let random = Dice::new(seed);
        let disk = SimDisk::new();
        let clients = (0..CLIENTS).map(|_| Client::default()).collect();
        let mut world = World {
            seed,
            random,
            disk,
            broker: None,
            clients,
            ledger: Ledger::default(),
            next_id: 0,
            next_tx: 0,
            in_doubt: BTreeMap::new(),
            one_phase: BTreeMap::new(),
            next_session: 0,
            now: Now { monotonic_ms: 1_000_000, unix_ms: 1_700_000_000_000 },
            history: Vec::new(),
            lines: crate::number("SABIR_HISTORY").map_or(HISTORY, |lines| lines as usize),
            draining: false,
            steps: if fate.is_some() { &CALM } else { &STEPS },
            armed: fate.is_some(),
            faults: Faults::default(),
            bodies: BTreeMap::new(),
            being_sent: Vec::new(),
            fate,
            targets: BTreeMap::new(),
            latest_unix_ms: 0,
            crashes: 0,
            delivered: 0,
            counts: Counts::default(),
            compacted_bytes: 0,
        };
        if let Some(fate) = &world.fate {
            world.set_faults(fate.faults);
        }
        world.start();
        world
    }

    /// Plays so many steps, then drains and checks.
    pub fn play(&mut self, steps: usize) {
        self.make_durable_subscriptions();
        for _ in 0..steps {
            self.step();
            if !self.ledger.violations.is_empty() {
                return;
            }
        }
        self.drain();
        self.count_repeated();
        self.ledger.finish();
        self.find_strays();
    }

    /// Once it has started on what an orderly stop has left, the broker keeps no body that nothing needs.
    fn find_strays(&mut self) {
        for _ in 0..2 {
            let done = self.clean_stop();
            self.after(done);
        }
        let strays = self.broker.as_ref().map_or(0, |broker| broker.stray_bodies);
        if strays > 0 {
            self.ledger.violations.push(format!("{strays} bodies are kept that nothing needs"));
        }
    }

    /// Plays until the disk has seen so many operations; answers which of them gave which name to a file.
    pub fn survey(&mut self, operations: u64) -> Vec<(u64, String)> {
        self.make_durable_subscriptions();
        while self.disk.operations().all < operations && self.ledger.violations.is_empty() {
            self.step();
        }
        self.disk.named()
    }

    /// Plays until the fault of a calm world has struck, at most so many steps, and then `more`; drains and checks.
    pub fn play_fate(&mut self, most: usize, more: usize) {
        self.make_durable_subscriptions();
        let mut steps = 0;
        while self.crashes == 0 && steps < most && self.ledger.violations.is_empty() {
            self.step();
            steps += 1;
        }
        for _ in 0..more {
            self.step();
        }
        if self.ledger.violations.is_empty() {
            self.drain();
            self.ledger.finish();
        }
    }

    /// Plays so many steps and tells the story.
    pub fn play_and_tell(mut self, steps: usize) -> String {
        for _ in 0..steps {
            self.step();
        }
        self.story()
    }

    /// The last things that happened, for people.
    pub fn story(&self) -> String {
        let from = self.history.len().saturating_sub(self.lines);
        format!("seed {}:\n  {}", self.seed, self.history[from..].join("\n  "))
    }

    fn note(&mut self, text: String) {
        if self.history.len() / 4 >= self.lines {
            self.history.drain(..2 * self.lines);
        }
        self.history.push(text);
    }

    fn config(&self) -> Config {
        let mut config = Config::default();
        // Small bounds, so that paging, spilling and parking happen within a few messages.
        config.default_policy.resident_bytes = 2_000;
        config.default_policy.max_messages = 60;
        config.default_policy.redelivery_delay_ms = 50;
        let mut narrow = config.default_policy.clone();
        narrow.max_messages = 12;
        let mut curt = config.default_policy.clone();
        curt.when_full = WhenFull::Refuse;
        for (name, policy) in [("audit", narrow), (QUEUES[REFUSING], curt)] {
            config.policies.push(PolicyRule::new(name, policy).expect("the name is a pattern"));
        }
        config.limits.memory_bytes = 20_000;
        config.limits.page_records = 8;
        config.limits.page_bytes = 2_000;
        config.limits.transaction_spill_bytes = 1_500;
        // In half of the worlds publishes wait for the store, too.
        if self.seed.is_multiple_of(2) {
            config.limits.uncommitted_bytes = 15_000;
        }
        config
    }

    fn options(&self) -> Options {
        let mut options = crate::small_files();
        // In a third of the worlds the journal moves whatever it can move, all the time.
        if self.seed.is_multiple_of(3) {
            (options.move_always, options.move_below_percent) = (true, 90);
        }
        options
    }

    fn start(&mut self) {
        let journal = Journal::open_on(Arc::new(self.disk.clone()), self.options(), Host::none());
        let journal = match journal {
            Ok(journal) => journal,
            Err(error) if error.code == ErrorCode::Full && self.faults.capacity_bytes.is_some() => {
                // It says so, and the operator makes room.
                self.note(format!("it cannot open: {error}"));
                self.set_faults(Faults { capacity_bytes: None, ..self.faults });
                return self.start();
            }
            Err(error) if self.armed => return self.crash(&format!("it cannot open: {error}")),
            Err(error) => return self.ledger.violations.push(format!("the journal does not open: {error}")),
        };
        match Broker::start(journal, self.config(), self.now) {
            Ok(broker) => {
                self.broker = Some(broker);
                self.recover_branches();
            }
            Err(error) => self.ledger.violations.push(format!("the broker does not start: {error}")),
        }
    }

    fn step(&mut self) {
        let step = weighted(&mut self.random, self.steps);
        let result = match step {
            Step::Client => {
                let client = pick(&mut self.random, self.clients.len());
                self.act(client);
                Ok(())
            }
            Step::Submit => self.with_broker(|broker, _| broker.submit().map(|_| ())),
            Step::Sync => self.with_broker(|broker, random| broker.sync(random, false).map(|_| ())),
            Step::Read => {
                self.check_being_sent();
                self.with_broker(|broker, random| {
                    broker.read(random);
                    broker.retry_refused()
                })
            }
            Step::Time => {
                let ms = self.random.roll() % if self.random.chance(10) { 40_000 } else { 200 };
                self.advance(ms)
            }
            Step::ClockJump => {
                let jump = (self.random.roll() % 7_200_000) as i64 - 3_600_000;
                self.note(format!("the clock jumps by {jump} ms"));
                self.latest_unix_ms = self.latest_unix_ms.max(self.now.unix_ms);
                self.now.unix_ms += jump;
                if jump < 0 {
                    self.ledger.clock_went_back();
                }
                self.advance(1)
            }
            Step::LoseClient => {
                let client = pick(&mut self.random, self.clients.len());
                self.lose(client);
                Ok(())
            }
            Step::Crash => {
                self.crash("power cut");
                Ok(())
            }
            Step::DiskFault => {
                let faults = self.pick_faults();
                self.note(format!("the disk will fail: {faults:?}"));
                self.set_faults(Faults { capacity_bytes: self.faults.capacity_bytes, ..faults });
                self.armed = true;
                Ok(())
            }
            Step::FillDisk => {
                let used: u64 = self.disk.files().iter().map(|(_, bytes)| bytes).sum();
                let most = used + self.random.below(LAST_ROOM_BYTES);
                self.note(format!("the disk has room for {} bytes", most - used));
                self.set_faults(Faults { capacity_bytes: Some(most), ..self.faults });
                Ok(())
            }
            Step::FreeDisk => self.free_disk(),
            Step::CleanStop => self.clean_stop(),
        };
        self.after(result);
    }

    fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
        self.disk.set_faults(faults);
    }

    /// There is room again.
    fn free_disk(&mut self) -> Result<(), Died> {
        if self.faults.capacity_bytes.is_none() {
            return Ok(());
        }
        self.note("the disk has room again".to_owned());
        self.set_faults(Faults { capacity_bytes: None, ..self.faults });
        self.with_broker(|broker, _| broker.retry_refused())
    }

    fn with_broker(
        &mut self,
        act: impl FnOnce(&mut Broker, &mut Dice) -> Result<(), Died>,
    ) -> Result<(), Died> {
        let Some(broker) = self.broker.as_mut() else { return Ok(()) };
        broker.now = self.now;
        act(broker, &mut self.random)
    }

    fn advance(&mut self, ms: u64) -> Result<(), Died> {
        self.now.monotonic_ms += ms;
        self.now.unix_ms += ms as i64;
        self.with_broker(|broker, _| {
            broker.tick();
            Ok(())
        })
    }

    /// Takes what the broker said, and restarts it if it died.
    fn after(&mut self, result: Result<(), Died>) {
        self.take_outputs();
        if let Err(Died(why)) = result {
            // Only a disk that fails is a reason to die. Whatever else the store refuses, the engine asked wrongly.
            if !self.armed {
                self.ledger.violations.push(format!("the broker died and no disk had failed: {why}"));
            }
            self.crash(&why);
        }
    }

    fn crash(&mut self, why: &str) {
        self.note(format!("the broker dies: {why}"));
        self.crashes += 1;
        for client in &mut self.clients {
            client.lost_session(&mut self.ledger);
        }
        self.count_repeated();
        self.being_sent.clear();
        // The store is dropped without a close, then the disk forgets and tears what was not synced.
        self.broker = None;
        self.armed = false;
        // What the disk does wrong ends with the power.
        self.faults = Faults::default();
        let kill = match &self.fate {
            Some(fate) => fate.kill,
            None => self.random.chance(30),
        };
        if kill {
            self.disk.kill();
        } else {
            self.disk.power_cut(&mut self.random);
        }
        self.restarted();
        if let Some(at) = self.fate.as_mut().and_then(|fate| fate.interrupted_at.pop()) {
            self.armed = true;
            self.set_faults(Faults { power_at: Some(at), ..Faults::default() });
        }
        self.start();
    }

    /// The broker has ended and what it knew of messages that are not persistent: sent again they may come twice.
    fn restarted(&mut self) {
        for client in &mut self.clients {
            client.unanswered.retain(|_, one| one.message.head().persistent());
        }
        self.ledger.restarted();
    }

    /// The broker is about to end: what it has counted goes with it.
    fn count_repeated(&mut self) {
        let stats = self.broker.as_ref().map(|broker| broker.engine.stats());
        self.counts.repeated += stats.map_or(0, |stats| stats.duplicates);
    }

    fn pick_faults(&mut self) -> Faults {
        let done = self.disk.operations();
        let after = 1 + self.random.below(20);
        match self.random.below(3) {
            0 => Faults { power_at: Some(done.all + after), ..Faults::default() },
            1 => Faults { write_fails: Some(done.writes + after), ..Faults::default() },
            _ => Faults { sync_fails: Some(done.syncs + after), ..Faults::default() },
        }
    }

    fn clean_stop(&mut self) -> Result<(), Died> {
        self.stop()?;
        self.start();
        Ok(())
    }

    /// A clean stop, and no start.
    fn stop(&mut self) -> Result<(), Died> {
        self.note("a clean stop".to_owned());
        for client in 0..self.clients.len() {
            self.lose(client);
        }
        self.being_sent.clear();
        self.with_broker(|broker, random| broker.settle_down(random))?;
        self.take_outputs();
        self.count_repeated();
        if let Some(broker) = self.broker.take()
            && let Err(error) = broker.stop()
        {
            self.note(format!("the store did not close: {error}"));
            self.faults = Faults::default();
            self.disk.power_cut(&mut self.random);
        }
        self.restarted();
        Ok(())
    }

    fn lose(&mut self, client: usize) {
        let Some(session) = self.clients[client].session else { return };
        self.note(format!("client {client} is lost"));
        self.clients[client].lost_session(&mut self.ledger);
        self.tell(Input::Close { session });
        self.take_outputs();
        self.prepare_unanswered(client);
    }

    fn tell(&mut self, input: Input<'_>) {
        if let Some(broker) = self.broker.as_mut() {
            broker.now = self.now;
            broker.tell(input);
        }
    }

    fn ask(&mut self, client: usize, asked: Asked, confirm: bool, id: u64, transaction: u64, verb: Verb) {
        let Some(session) = self.clients[client].session else { return };
        let token = self.clients[client].token(asked);
        let mut requests = vec![Request { token, confirm, id, transaction, verb }];
        self.tell(Input::Requests { session, requests: &mut requests });
        self.take_outputs();
    }
}

fn pick(dice: &mut Dice, bound: usize) -> usize {
    dice.below(bound as u64) as usize
}

/// One of the choices, by weight.
fn weighted<T: Copy>(dice: &mut Dice, choices: &[(u32, T)]) -> T {
    let total: u32 = choices.iter().map(|(weight, _)| weight).sum();
    let mut at = dice.below(u64::from(total)) as u32;
    for (weight, choice) in choices {
        if at < *weight {
            return *choice;
        }
        at -= weight;
    }
    unreachable!("the weights add up to their total")
}

/// Logs that are forgotten at a restart must not carry what was promised to last.
const _: () = assert!(TEMPORARY == 1 << 63);
