//! Sealed sessions in the simulated cluster: a client has a token sealed by one member, and opened,
//! changed and sealed again by others, while keys rotate; now and then its sessions are revoked.
//! Invariants: no session is lost (whatever else happens, a member that could know refuses none
//! that is good); once a member has refused a token that was revoked it never opens that again; and
//! whoever asks for what is committed opens nothing that was revoked before, anywhere.

use super::clients::Client;
use super::configurations;
use super::findings::{any_broken, broken, happened};
use super::machine::Register;
use super::member::Member;
use super::trace::leader;
use holm::Node;
use holm::session::{Opener, SessionError, SessionOptions, Sessions};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

const KEPT: &str = "sessions are kept";
const MONOTONIC: &str = "revocation is monotonic";
const AT_ONCE: &str = "what was revoked opens nowhere";

/// So many revoked tokens of each client are tried again and again.
const VOID_MAX: usize = 3;

/// What a client carries.
#[derive(Default)]
struct Jar {
    /// How often it has begun as somebody else.
    generation: u64,
    carried: Option<Carried>,
    void: Vec<Void>,
}

#[derive(Clone)]
struct Carried {
    token: String,
    value: u64,
}

/// What its sessions were revoked after.
struct Void {
    carried: Carried,
    /// Whether the revocation was answered.
    revoked: bool,
    /// Which members have refused it, in which incarnation.
    refused: BTreeSet<(u64, u64)>,
}

std::thread_local! {
    static JARS: RefCell<BTreeMap<u64, Jar>> = RefCell::default();
}

/// Keys rotate by themselves within a run, and nothing ends by its time.
fn options() -> SessionOptions {
    let hour = Duration::from_secs(3_600);
    SessionOptions {
        life: hour,
        rotation: Duration::from_secs(2),
        grace: hour * 2,
        ..SessionOptions::new("visit")
    }
}

impl Client {
    /// Presents its session at a member and has it changed there, or begins one.
    pub(super) async fn browse(&self, at: u64) {
        let op = self.begins("browse", 0, 0, at);
        let mut jar = JARS.with_borrow_mut(|jars| jars.remove(&self.name()).unwrap_or_default());
        if let Some(here) = self.here(at).await {
            here.tries(&mut jar.void).await;
            jar.carried = here.changes(&self.subject(&jar), jar.carried.take()).await;
        }
        self.ends(op, jar.carried.as_ref().map_or(0, |carried| carried.value));
        JARS.with_borrow_mut(|jars| jars.insert(self.name(), jar));
    }

    /// Has its sessions revoked, if it has one.
    pub(super) async fn log_out(&self, at: u64) {
        let mut jar = JARS.with_borrow_mut(|jars| jars.remove(&self.name()).unwrap_or_default());
        if let (Some(node), Some(carried)) = (self.member(at).running(), jar.carried.take()) {
            let op = self.begins("log-out", 0, carried.value, at);
            let told = node.revoke_sessions(&self.subject(&jar)).await;
            let revoked = told.is_ok();
            if let Err(error) = told {
                self.told(at, &error);
                // It may be revoked yet, and later than what is sealed for it from now on.
                jar.generation += 1;
            }
            jar.void.push(Void { carried, revoked, refused: BTreeSet::new() });
            let excess = jar.void.len().saturating_sub(VOID_MAX);
            jar.void.drain(..excess);
            self.ends(op, u64::from(revoked));
            if revoked {
                happened("sessions revoked");
                let elsewhere = self.elsewhere().await;
                for at in [at, elsewhere] {
                    if let Some(here) = self.here(at).await {
                        here.tries(&mut jar.void).await;
                    }
                }
            }
        }
        JARS.with_borrow_mut(|jars| jars.insert(self.name(), jar));
    }

    /// Has the keys rotated.
    pub(super) async fn rotate(&self, at: u64) {
        let Some(node) = self.member(at).running() else { return };
        let op = self.begins("rotate-keys", 0, 0, at);
        match node.session_keys().rotate().await {
            Ok(key) => {
                happened("session keys rotated");
                self.ends(op, key.into());
            }
            Err(error) => self.told(at, &error),
        }
    }

    fn subject(&self, jar: &Jar) -> Vec<u8> {
        format!("client {} as {}", self.name(), jar.generation).into_bytes()
    }

    fn told(&self, member: u64, error: &SessionError) {
        match error {
            SessionError::Node(error) => self.expected(member, error),
            other => broken("expected errors", format!("sessions are answered with {other}")),
        }
    }

    /// Sessions at a member, if it runs and has a key.
    async fn here(&self, at: u64) -> Option<Here<'_>> {
        let member = self.member(at);
        let node = member.running()?;
        match node.sessions(options()).await {
            Ok(sessions) => Some(Here { member, node, sessions }),
            Err(error) => {
                self.told(at, &error);
                None
            }
        }
    }
}

/// Sessions at a member, in one of its lives.
struct Here<'a> {
    member: &'a Member,
    node: Node<Register>,
    sessions: Sessions<Register>,
}

/// What a token comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presented {
    Opens(u64),
    Refused,
    /// It is refused for want of an answer from a leader, or because the member has ended.
    Unclear,
}

impl Here<'_> {
    /// Opens a session and seals it with another value, or begins one.
    async fn changes(&self, subject: &[u8], carried: Option<Carried>) -> Option<Carried> {
        let Some(carried) = carried else {
            // What was revoked before is known here from then on.
            let read = self.node.read(|_| ()).await;
            return if read.is_ok() { self.seals(subject, 1) } else { None };
        };
        match self.presented(&carried.token, Ask::IfUnknown).await {
            Presented::Opens(value) if value == carried.value => {
                happened("sessions opened");
                self.seals(subject, value + 1).or(Some(carried))
            }
            Presented::Unclear => Some(carried),
            Presented::Opens(other) => {
                let says = format!("one of {} holds {other}", carried.value);
                broken(KEPT, says);
                None
            }
            Presented::Refused => {
                broken(KEPT, format!("member {} refuses one that is good", self.member.node));
                None
            }
        }
    }

    fn seals(&self, subject: &[u8], value: u64) -> Option<Carried> {
        let token = self.sessions.sealer().seal_for(subject, &value).ok()?;
        happened("sessions sealed");
        Some(Carried { token, value })
    }

    async fn presented(&self, token: &str, ask: Ask) -> Presented {
        let opener: Opener<Register> = self.sessions.opener();
        let begun = Instant::now();
        let opened = match ask {
            Ask::IfUnknown => opener.open::<u64>(token).await,
            Ask::Always => opener.open_linearizable::<u64>(token).await,
        };
        match opened {
            Ok(opened) => Presented::Opens(opened.state),
            // Whoever has no answer from a leader waits for as long before he refuses.
            Err(_) if begun.elapsed() >= self.member.patience() => Presented::Unclear,
            Err(_) if !self.member.is_still(&self.node) => Presented::Unclear,
            Err(_) => Presented::Refused,
        }
    }

    /// Presents what was revoked once more.
    async fn tries(&self, void: &mut [Void]) {
        let opener = self.sessions.opener();
        let me = (self.member.node, self.node.status().borrow().incarnation.0);
        for void in void {
            let Void { carried, revoked, refused } = void;
            let here = opener.open_here::<u64>(&carried.token).is_ok();
            let asked = self.presented(&carried.token, Ask::IfUnknown).await;
            let opens = here || matches!(asked, Presented::Opens(_));
            if opens && refused.contains(&me) {
                broken(MONOTONIC, format!("member {} opens what it has refused", me.0));
            }
            // Whatever else a member may be short of, it has asked for by then.
            if asked == Presented::Refused {
                happened("revoked sessions refused");
                refused.insert(me);
            }
            let asked = self.presented(&carried.token, Ask::Always).await;
            if *revoked && matches!(asked, Presented::Opens(_)) {
                broken(AT_ONCE, format!("member {} opens what was revoked", me.0));
            }
            if any_broken() {
                return;
            }
        }
    }
}

/// When a leader is asked before a token is judged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    IfUnknown,
    Always,
}

/// Now that nothing fails any more: what is sealed under a key that others have not heard of yet
/// opens everywhere, and what each client carries still does.
pub(super) async fn conclude(members: &[Member]) {
    let jars = JARS.take();
    if jars.is_empty() {
        return;
    }
    let newest = configurations::newest();
    let belong: Vec<&Member> =
        members.iter().filter(|member| newest.member(member.node).is_some()).collect();
    let leads = leader();
    let Some(first) = belong.iter().find(|member| Some(member.node) == leads) else { return };
    let Some(node) = first.running() else { return };
    let (Ok(sessions), Ok(_)) =
        (node.sessions(options()).await, node.session_keys().rotate().await)
    else {
        return;
    };
    let Ok(token) = sessions.sealer().seal(&0_u64) else { return };
    let carried = jars.into_values().filter_map(|jar| jar.carried);
    let tokens: Vec<(String, u64)> =
        [(token, 0)].into_iter().chain(carried.map(|it| (it.token, it.value))).collect();
    for member in belong {
        let Some(node) = member.running() else { continue };
        let Ok(sessions) = node.sessions(options()).await else { continue };
        let here = Here { member, node, sessions };
        for (token, value) in &tokens {
            match here.presented(token, Ask::IfUnknown).await {
                Presented::Opens(held) if held == *value => happened("sessions opened at the end"),
                Presented::Unclear => {}
                _ => broken(KEPT, format!("member {} does not open one at the end", member.node)),
            }
        }
    }
}
