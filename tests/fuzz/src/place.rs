//! One location: the real writer over a real store, driven step by step, without sockets and without a clock.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tidelog_core::{
    Accepted, AppendRequest, Effect, FrameOutcome, Identity, Input, LogCore, LogView, Refusal,
    Stamp, StopReason, Work, Writer, WriterLimits,
};
use tidelog_model::{
    ApplicationVersion, Incarnation, LineageEntry, LocationName, Selector, StoredEvent,
};
use tidelog_store::{Guard, Lease, LeaseOutcome, LogStore, Raise, ReadQuery, StoreError};

/// How long a step takes.
const STEP_MICROS: i64 = 1_000;

/// Waits for a store.
pub enum Wait {
    /// The memory store never waits.
    Never,
    /// A store with threads of its own.
    For(tokio::runtime::Runtime),
}

impl Wait {
    /// A runtime for a store with threads of its own.
    pub fn runtime() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Self::For(runtime.expect("a runtime"))
    }

    /// The value of a future.
    pub fn on<T>(&self, future: impl Future<Output = T>) -> T {
        match self {
            Self::Never => future.now_or_never().expect("the memory store never waits"),
            Self::For(runtime) => runtime.block_on(future),
        }
    }
}

/// A location that serves.
pub struct Place {
    /// Its log.
    pub store: Arc<dyn LogStore>,
    /// How to wait for it.
    pub wait: Wait,
    /// The log as it was last published.
    pub view: Arc<LogView>,
    /// Why the writer stopped.
    pub stopped: Option<StopReason>,
    /// The time.
    pub now_micros: i64,
    writer: Writer,
    tickets: u64,
    answers: BTreeMap<u64, Result<Accepted, Refusal>>,
    done: BTreeMap<u64, FrameOutcome>,
}

impl Place {
    /// Takes the lease of an empty log and raises its first incarnation.
    pub fn start(name: LocationName, store: Arc<dyn LogStore>, wait: Wait) -> Self {
        let lease = Lease {
            owner: "fuzz".into(),
            address: String::new(),
            nonce: 1,
            ttl: Duration::from_hours(1),
        };
        let state = match wait.on(store.acquire_lease(&lease)) {
            Ok(LeaseOutcome::Acquired(state)) => state,
            other => unreachable!("one writer: {other:?}"),
        };
        let raise = Raise {
            guard: Guard {
                incarnation: state.incarnation(),
                nonce: 1,
                head: state.head,
            },
            entry: LineageEntry {
                incarnation: Incarnation(state.incarnation().0 + 1),
                base: state.head,
            },
            rewrite: None,
        };
        wait.on(store.raise(&raise)).expect("the lease was taken");
        let state = wait.on(store.state()).expect("a state");
        let identity = Identity {
            location: name,
            nonce: 1,
        };
        let core = LogCore::new(identity, &state);
        let view = Arc::new(core.view());
        let stamp = Stamp {
            application_version: ApplicationVersion::default(),
            plan_id: 7,
        };
        Self {
            store,
            wait,
            view,
            stopped: None,
            now_micros: 1_700_000_000_000_000,
            writer: Writer::new(core, stamp, WriterLimits::default()),
            tickets: 0,
            answers: BTreeMap::new(),
            done: BTreeMap::new(),
        }
    }

    /// Appends and waits for the answer.
    pub fn append(&mut self, request: AppendRequest) -> Result<Accepted, Refusal> {
        self.tickets += 1;
        let ticket = self.tickets;
        self.tell(Input::Append(ticket, request));
        self.tell(Input::Go);
        self.answers
            .remove(&ticket)
            .expect("every request is answered")
    }

    /// Does replication work and waits for its outcome.
    pub fn work(&mut self, work: Work) -> FrameOutcome {
        self.tickets += 1;
        let ticket = self.tickets;
        self.tell(Input::Work(ticket, work));
        self.tell(Input::Go);
        self.done.remove(&ticket).expect("all work is answered")
    }

    /// Everything in the log.
    pub fn events(&self) -> Result<Vec<StoredEvent>, StoreError> {
        self.read(0, self.view.head)
    }

    /// The events of `(after, to]`.
    pub fn read(&self, after: u64, to: u64) -> Result<Vec<StoredEvent>, StoreError> {
        let query = ReadQuery {
            after,
            to,
            events_max: usize::MAX,
            bytes_max: usize::MAX,
            scan_max: 1_000_000,
            selector: Selector::default(),
        };
        Ok(self.wait.on(self.store.read(&query))?.events)
    }

    fn tell(&mut self, input: Input) {
        self.now_micros += STEP_MICROS;
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let effects = self.writer.handle(input, self.now_micros);
            for effect in effects {
                self.carry_out(effect, &mut inputs);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, inputs: &mut Vec<Input>) {
        let Self { store, wait, .. } = self;
        match effect {
            Effect::Check(query) => inputs.push(Input::Checked(wait.on(store.check(&query)))),
            Effect::Commit(batch) => inputs.push(Input::Committed(wait.on(store.commit(&batch)))),
            Effect::Find(ids) => inputs.push(Input::Found(wait.on(store.find(&ids)))),
            Effect::Resolve { .. } => unreachable!("this store always answers"),
            Effect::Witness { .. } => {}
            Effect::Publish { view, .. } => self.view = Arc::new(*view),
            Effect::Answer(ticket, answer) => {
                self.answers.insert(ticket, *answer);
            }
            Effect::WorkDone(ticket, outcome) => {
                self.done.insert(ticket, outcome);
            }
            Effect::Stop(reason) => self.stopped = Some(reason),
        }
    }
}
