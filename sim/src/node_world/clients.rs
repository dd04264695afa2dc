//! Clients of the simulated cluster: a `Client` asks for what the plan has, one thing after the
//! other, and repeats a change that was not answered under its key, until it is; `Saw` holds what
//! they all saw, for the checkers.

use super::backups::Answered;
use super::findings::{any_broken, broken, happened, say, takes_effect};
use super::happening::Happening;
use super::machine::{Change, Command, Register};
use super::member::Member;
use super::plan::Plan;
use super::visits::{Visited, visit};
use crate::checkers::linearizable::{Handle, History, What};
use crate::core_world::random::Random;
use crate::trace::What as Line;
use holm::{Error, Index, ProposeOptions};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// What all clients share.
pub(super) struct Saw {
    /// What is linearizable in any case.
    pub(super) history: RefCell<History>,
    /// The same, and lease reads, where clocks stray further than leases allow for.
    pub(super) with_leases: RefCell<History>,
    /// What was added to each counter, each once.
    added: RefCell<BTreeMap<u64, u64>>,
    /// How many commands there were.
    commands: Cell<u64>,
    /// How many more there may have been.
    uncertain: Cell<u64>,
    /// Every command that was answered, and under which key.
    pub(super) answers: RefCell<Vec<Answered>>,
    /// How many operations were begun.
    operations: Cell<u64>,
    /// Whether clients begin anything more.
    pub(super) enough: Cell<bool>,
}

/// A session, and at which member.
type Session = (u64, holm::Client<Register>);

/// Someone who asks, one thing after the other.
pub(super) struct Client {
    name: u64,
    plan: Rc<Plan>,
    started: Instant,
    wishes: Vec<(u64, Happening)>,
    members: Rc<Vec<Member>>,
    saw: Rc<Saw>,
    random: RefCell<Random>,
    /// Up to which index it has seen the state.
    seen: Cell<u64>,
}

/// Something that was asked for and is not answered yet.
struct Asked {
    op: u64,
    /// In the histories.
    handles: [Option<Handle>; 2],
}

/// What a client asks for, and where first.
struct Wish {
    what: &'static str,
    key: u64,
    value: u64,
    at: u64,
}

impl Saw {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            history: RefCell::default(),
            with_leases: RefCell::default(),
            added: RefCell::default(),
            commands: Cell::new(0),
            uncertain: Cell::new(0),
            answers: RefCell::default(),
            operations: Cell::new(0),
            enough: Cell::new(false),
        })
    }

    /// A command was answered.
    fn counts(&self, answered: Answered) {
        self.commands.set(self.commands.get() + 1);
        self.answers.borrow_mut().push(answered);
    }

    /// How many commands were answered.
    pub(super) fn commands(&self) -> u64 {
        self.commands.get()
    }

    /// How many more may have taken effect.
    pub(super) fn uncertain(&self) -> u64 {
        self.uncertain.get()
    }

    /// What each counter ought to be now that nothing is under way.
    pub(super) fn sums(&self) -> BTreeMap<u64, u64> {
        self.added.borrow().clone()
    }
}

impl Client {
    /// All clients of a plan.
    pub(super) fn all(
        plan: &Plan,
        members: &Rc<Vec<Member>>,
        saw: &Rc<Saw>,
        started: Instant,
    ) -> Vec<Self> {
        let plan = Rc::new(plan.clone());
        let client = |name: u64| {
            let own = |(_, wish): &&(u64, Happening)| wish.field("client") == Some(name);
            Self {
                name,
                plan: Rc::clone(&plan),
                started,
                wishes: plan.happenings.iter().filter(own).cloned().collect(),
                members: Rc::clone(members),
                saw: Rc::clone(saw),
                random: RefCell::new(Random::new(plan.settings.seed, 1_000_000 + name)),
                seen: Cell::new(0),
            }
        };
        plan.clients().into_iter().map(client).collect()
    }

    /// Asks for all of it, unless it is enough by then: under keys, or in sessions.
    pub(super) async fn run(self) {
        let mut session = None;
        for (number, (at, happening)) in (0..).zip(&self.wishes) {
            sleep_until(self.started + Duration::from_micros(*at)).await;
            if self.saw.enough.get() || any_broken() {
                return;
            }
            takes_effect(happening.word());
            if visit(&self, number, happening).await == Visited::Done {
                continue;
            }
            let field = |key| happening.field(key).unwrap_or(0);
            let wish = Wish {
                what: happening.word(),
                key: field("key"),
                value: field("value"),
                at: field("at"),
            };
            match happening {
                Happening::Put { value, .. } => {
                    self.change(number, wish, Change::Put(*value)).await
                }
                Happening::AddTo { value, .. } => {
                    self.change(number, wish, Change::Add(*value)).await;
                }
                Happening::PutInSession { .. } => {
                    session = self.put_in_session(number, wish, session).await;
                }
                Happening::ReadOn { .. } => self.read_on(wish.at).await,
                _ => self.read(wish).await,
            }
        }
    }

    /// Its number.
    pub(super) const fn name(&self) -> u64 {
        self.name
    }

    /// Whether it begins anything more.
    pub(super) fn goes_on(&self) -> bool {
        !self.saw.enough.get() && !any_broken()
    }

    /// After a while, some member to turn to.
    pub(super) async fn elsewhere(&self) -> u64 {
        let pause = self.random.borrow_mut().between(1_000, 100_000);
        sleep(Duration::from_micros(pause)).await;
        self.random.borrow_mut().between(1, self.members.len() as u64)
    }

    /// What all of them saw.
    pub(super) fn saw(&self) -> &Saw {
        &self.saw
    }

    /// A number of its own.
    pub(super) fn draw(&self) -> u64 {
        self.random.borrow_mut().next()
    }

    /// It asks for something that no history has.
    pub(super) fn begins(&self, what: &'static str, key: u64, value: u64, at: u64) -> u64 {
        let op = self.saw.operations.get() + 1;
        self.saw.operations.set(op);
        self.says(op, &Wish { what, key, value, at }, 0);
        op
    }

    /// It is answered.
    pub(super) fn ends(&self, op: u64, value: u64) {
        say(|| Line::Answered { op, client: self.name, value });
    }

    fn command(&self, number: u64, name: u64, change: Change) -> Command {
        let padding = self.random.borrow_mut().below(self.plan.settings.padding + 1);
        let ballast = vec![7; usize::try_from(padding).expect("bounded by the settings")];
        Command { client: self.name, number, name, change, ballast }
    }

    async fn change(&self, number: u64, wish: Wish, change: Change) {
        let command = self.command(number, wish.key, change);
        let key = format!("client {} command {number}", self.name);
        let asked = self.asks(&wish, change.what());
        let mut at = wish.at;
        let mut again = 0;
        while !any_broken() {
            let member = self.member(at);
            if let Some(node) = member.running() {
                let options = ProposeOptions { key: Some(key.clone().into()), timeout: None };
                match node.propose_with(command.clone(), options).await {
                    Ok(applied) => {
                        self.answered(asked, applied.reply);
                        self.saw.counts(Answered { command, key: Some(key), applied });
                        if let Change::Add(value) = change {
                            *self.saw.added.borrow_mut().entry(wish.key).or_default() += value;
                        }
                        return;
                    }
                    Err(error) => self.expected(member.node, &error),
                }
            }
            at = self.elsewhere().await;
            again += 1;
            self.says(asked.op, &Wish { at, ..wish }, again);
        }
    }

    /// Puts a number once in a session, which goes on until an answer is missing.
    async fn put_in_session(
        &self,
        number: u64,
        wish: Wish,
        session: Option<Session>,
    ) -> Option<Session> {
        let change = Change::Put(wish.value);
        let command = self.command(number, wish.key, change);
        let (member, client) = match session {
            Some(session) => session,
            None => {
                let member = self.member(wish.at);
                (member.node, member.running()?.client())
            }
        };
        let asked = self.asks(&Wish { at: member, ..wish }, change.what());
        match client.propose(command.clone()).await {
            Ok(applied) => {
                happened("commands in sessions");
                self.answered(asked, applied.reply);
                self.saw.counts(Answered { command, key: None, applied });
                Some((member, client))
            }
            Err(error) => {
                self.expected(member, &error);
                if matches!(error, Error::Unknown { .. } | Error::Stopped { .. }) {
                    self.saw.uncertain.set(self.saw.uncertain.get() + 1);
                }
                None
            }
        }
    }

    /// Reads a member's own state from where it was seen last, anywhere.
    async fn read_on(&self, at: u64) {
        let member = self.member(at);
        let Some(node) = member.running() else { return };
        let from = self.seen.get();
        match node.read_from(Index(from), Register::applied).await {
            Ok(seen) if seen.index.0 < from => {
                let says = format!("a read from {from} saw the state at {}", seen.index);
                broken("reads from an index", says);
            }
            Ok(seen) => {
                happened("reads from an index");
                self.seen.set(seen.index.0);
            }
            Err(error) => self.expected(member.node, &error),
        }
    }

    async fn read(&self, wish: Wish) {
        let member = self.member(wish.at);
        let Some(node) = member.running() else { return };
        let by_lease = wish.what == "lease-read";
        let asked = self.asks(&wish, What::Read);
        let name = wish.key;
        let look = move |register: &Register| register.number(name);
        let read = if by_lease { node.read_lease(look).await } else { node.read(look).await };
        match read {
            Ok(value) => {
                if by_lease {
                    happened("reads by lease");
                }
                self.answered(asked, value);
            }
            Err(error) => self.expected(member.node, &error),
        }
    }

    /// A lease read counts for what leases promise alone, where clocks break that.
    fn asks(&self, wish: &Wish, what: What) -> Asked {
        let op = self.saw.operations.get() + 1;
        self.saw.operations.set(op);
        self.says(op, wish, 0);
        let beyond = self.plan.settings.beyond == 1;
        let apart = beyond && wish.what == "lease-read";
        let begin = |history: &RefCell<History>| history.borrow_mut().begin(wish.key, what);
        let plain = (!apart).then(|| begin(&self.saw.history));
        let other = beyond.then(|| begin(&self.saw.with_leases));
        Asked { op, handles: [plain, other] }
    }

    fn says(&self, op: u64, wish: &Wish, again: u64) {
        let client = self.name;
        let Wish { what, key, value, at } = *wish;
        say(|| Line::Asks { op, client, what, key, value, at, again });
    }

    fn answered(&self, asked: Asked, value: u64) {
        let Asked { op, handles } = asked;
        say(|| Line::Answered { op, client: self.name, value });
        let histories = [&self.saw.history, &self.saw.with_leases];
        for (history, handle) in histories.into_iter().zip(handles) {
            if let Some(handle) = handle {
                history.borrow_mut().end(handle, value);
            }
        }
    }

    pub(super) fn member(&self, at: u64) -> &Member {
        let at = usize::try_from(at - 1).expect("a few");
        &self.members[at.min(self.members.len() - 1)]
    }

    pub(super) fn expected(&self, member: u64, error: &Error) {
        expected(self.name, member, error);
    }
}

/// Whether a member may say so to a client.
pub(super) fn expected(client: u64, member: u64, error: &Error) {
    match error {
        Error::Unavailable { .. }
        | Error::Unknown { .. }
        | Error::Stopped { .. }
        | Error::Busy { .. }
        | Error::DiskFull => tracing::debug!(client, member, %error, "not answered"),
        other => broken("expected errors", format!("member {member} answered with {other}")),
    }
}
