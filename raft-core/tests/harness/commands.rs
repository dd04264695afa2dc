//! The commands of a script, a line each, and what each prints: only what changed.
//!
//! ```text
//! nodes 3 [unformed] [seed=7126] …        with these settings (see `settings`)
//! form 1 2 …             these form the cluster of all members
//! load 2 term=6 1 1 4    member 2 restarts with a log of these terms, the first its configuration
//! tick 1 [15]            time passes at one member, or at `all`
//! silence 2 3            these hear of no leader for the shortest election time-out
//! campaign 1             ticks member 1 until it begins a campaign
//! calm 30                at all members 30 ticks pass, and everything arrives after each
//! elect 1                silences the others, lets 1 campaign, stabilizes, and prints the outcome
//! suspend 200            the clock goes on by so many milliseconds, and nobody ticks
//! propose 1 a b*9000     two proposals in one turn, the second of 9000 bytes
//! read 1 [2]             two reads in one turn
//! unsent 1 7 / forget 1 7
//! deliver [1|*] [2|*] [kind] [first|last]     `drop` and `copy` (which keeps it in flight) alike
//! quietly COMMAND        messages are not printed
//! flying                 what is in flight
//! stabilize              everything arrives, until nothing is in flight; messages are not printed
//! slow 2 / fast 2        its disk acknowledges only by `persist 2 [count]`, or at once
//! ack 2 1                acknowledges write 1 once more
//! full 2 [nothing] / room 2       its disk has no room for entries, or for anything; or it has
//! store 2 [count]        pieces of a snapshot become durable on its slow disk; `nothing`: none
//! crash 2 [1]            loses what was not acknowledged, but for the first 1 writes
//! restart 2 / wipe 2     wiped: an empty disk, in a new incarnation
//! cut 1 2 / cut 1->2 / isolate 1 / heal       what is sent on a cut link is lost
//! snapshot 1             keeps a snapshot of all that is applied, and drops the log up to there
//! log 1 / state 1 / status 1 / dropped 1
//! add 4 / change 1 … / leave 1 / transfer 1 2 / lease 1 / members 1      (see `changes`)
//! send 1->2 term=3 …     a message made by hand arrives (see `forge`)
//! ```

use super::{CAMPAIGN_TICKS_MAX, Cluster, Room, Settings, Speed, Talk, describe, forge};
use bytes::Bytes;
use holm_raft_core::{Event, Incarnation, Message, NodeId, RequestNumber, Term};
use std::collections::BTreeMap;

type Done = Result<(), String>;

impl Cluster {
    /// A cluster that has run these commands, separated by lines or semicolons.
    pub(crate) fn of(commands: &str) -> Self {
        let mut cluster = Self::default();
        cluster.run(commands);
        cluster
    }

    /// Runs commands, separated by lines or semicolons, and returns what they printed.
    pub(crate) fn run(&mut self, commands: &str) -> String {
        let mut printed = String::new();
        for command in commands.split(['\n', ';']).map(str::trim).filter(|line| !line.is_empty()) {
            match self.command(command) {
                Ok(lines) => lines.iter().for_each(|line| printed += &format!("{line}\n")),
                Err(error) => panic!("`{command}`: {error}"),
            }
        }
        printed
    }

    /// Runs one command and returns the lines it prints.
    pub(crate) fn command(&mut self, command: &str) -> Result<Vec<String>, String> {
        self.lines.clear();
        let before = self.snapshots();
        let mut words = Words(command.split_whitespace().collect());
        let name = words.next().ok_or("an empty command")?;
        self.dispatch(name, &mut words, command)?;
        words.end()?;
        self.talk = Talk::Shown;
        let mut lines = std::mem::take(&mut self.lines);
        if name == "nodes" {
            return Ok(Vec::new());
        }
        for (node, (status, dropped)) in self.snapshots() {
            let (old, old_dropped) = before.get(&node).cloned().unwrap_or_default();
            lines.extend(describe::changes(&old, &status));
            if dropped != old_dropped && !dropped.is_empty() {
                lines.push(format!("{node} dropped: {dropped}"));
            }
        }
        Ok(lines)
    }

    fn dispatch(&mut self, name: &str, words: &mut Words, command: &str) -> Done {
        match name {
            "nodes" => self.nodes_command(words)?,
            "form" => self.form(words)?,
            "load" => self.load_command(words)?,
            "tick" => self.tick_command(words)?,
            "calm" => self.calm(words)?,
            "suspend" => self.now += words.number("a count of milliseconds")?,
            "silence" => self.silence(words)?,
            "campaign" => self.campaign(words)?,
            "elect" => self.elect(words)?,
            "propose" | "read" | "unsent" | "forget" => self.request(name, words)?,
            "deliver" | "drop" | "copy" => self.select(name, words)?,
            "flying" => self.lines.extend(self.flying.iter().map(describe::message)),
            "stabilize" => self.stabilize()?,
            "quietly" => {
                self.talk = Talk::Hidden;
                let name = words.next().ok_or("it needs a command")?;
                self.dispatch(name, words, command)?;
            }
            "slow" | "fast" | "full" | "room" | "persist" | "store" | "ack" => {
                self.disk(name, words)?
            }
            "add" | "change" | "leave" | "transfer" | "lease" | "members" => {
                self.change(name, words)?;
            }
            "crash" | "restart" | "wipe" => self.life(name, words)?,
            "cut" | "isolate" | "heal" => self.links(name, words)?,
            "snapshot" => {
                let node = self.node(words)?;
                self.snapshot(node)?;
            }
            "log" | "state" | "status" | "dropped" => self.show(name, words)?,
            "send" => {
                let message = forge::message(command, self)?;
                words.0.clear();
                self.arrive(message);
            }
            _ => return Err(format!("there is no command `{name}`")),
        }
        Ok(())
    }

    /// Each running member's status line, and its counts of dropped messages.
    fn snapshots(&self) -> BTreeMap<NodeId, (String, String)> {
        let running = self.members.iter().filter_map(|(node, member)| {
            let status = member.raft.as_ref()?.status();
            let dropped = status.dropped;
            let counts = [
                ("misdirected", dropped.misdirected),
                ("stranger", dropped.stranger),
                ("impossible", dropped.impossible),
                ("outdated", dropped.outdated),
                ("full", dropped.full),
            ];
            let counts = counts.iter().filter(|(_, count)| *count > 0);
            let counts: Vec<String> = counts.map(|(name, n)| format!("{name}={n}")).collect();
            Some((*node, (status.to_string(), counts.join(" "))))
        });
        running.collect()
    }

    fn nodes_command(&mut self, words: &mut Words) -> Done {
        let count: u64 = words.number("how many members")?;
        self.settings = Settings::read(words)?;
        (1..=count).for_each(|node| self.add(NodeId(node)));
        if words.take("unformed") {
            return Ok(());
        }
        self.form_all(&self.nodes());
        Ok(())
    }

    fn form_all(&mut self, nodes: &[NodeId]) {
        let configuration = self.configuration();
        for node in nodes {
            self.turn(*node, [Event::Form(configuration.clone())]);
        }
    }

    fn form(&mut self, words: &mut Words) -> Done {
        let nodes = self.rest(words)?;
        self.form_all(&nodes);
        Ok(())
    }

    fn load_command(&mut self, words: &mut Words) -> Done {
        let node = self.node(words)?;
        let term = words.option("term")?.ok_or("it needs a term=")?;
        let mut terms = Vec::new();
        while !words.0.is_empty() {
            terms.push(words.number("a term")?);
        }
        self.load(node, &terms, Term(term));
        Ok(())
    }

    fn tick_command(&mut self, words: &mut Words) -> Done {
        let nodes = if words.take("all") { self.nodes() } else { vec![self.node(words)?] };
        let count = words.number_or(1)?;
        for _ in 0..count {
            nodes.iter().for_each(|node| self.tick(*node));
        }
        Ok(())
    }

    fn calm(&mut self, words: &mut Words) -> Done {
        for _ in 0..words.number("a count of ticks")? {
            self.talk = Talk::Hidden;
            self.nodes().into_iter().for_each(|node| self.tick(node));
            self.stabilize()?;
        }
        Ok(())
    }

    fn silence(&mut self, words: &mut Words) -> Done {
        for node in self.rest(words)? {
            for _ in 0..self.settings.election_ticks() {
                self.tick(node);
            }
        }
        Ok(())
    }

    fn campaign(&mut self, words: &mut Words) -> Done {
        let node = self.node(words)?;
        self.campaign_at(node)
    }

    fn campaign_at(&mut self, node: NodeId) -> Done {
        for _ in 0..CAMPAIGN_TICKS_MAX {
            let flown = self.lines.len();
            self.tick(node);
            let role = self.status(node.0).role;
            if role.ends_with("candidate") && self.lines.len() > flown || role == "leader" {
                return Ok(());
            }
        }
        Err(format!("{node} began no campaign within {CAMPAIGN_TICKS_MAX} ticks"))
    }

    fn elect(&mut self, words: &mut Words) -> Done {
        let node = self.node(words)?;
        for other in self.nodes().into_iter().filter(|other| *other != node) {
            if self.runs(other) && self.status(other.0).role == "follower" {
                (0..self.settings.election_ticks()).for_each(|_| self.tick(other));
            }
        }
        self.campaign_at(node)?;
        self.stabilize()?;
        // What callers are told is worth a line even here.
        let told =
            |line: &String| matches!(line.split(' ').nth(1), Some("proposal" | "read" | "change"));
        self.lines.retain(|line| told(line) && !line.contains("->"));
        let role = self.status(node.0).role;
        if role == "leader" { Ok(()) } else { Err(format!("{node} is {role}, not leader")) }
    }

    fn request(&mut self, name: &str, words: &mut Words) -> Done {
        let node = self.node(words)?;
        if name == "unsent" || name == "forget" {
            let number = RequestNumber(words.number("a request's number")?);
            let unsent = name == "unsent";
            let event = if unsent { Event::Unsent { number } } else { Event::Forget { number } };
            self.turn(node, [event]);
            return Ok(());
        }
        let mut events = Vec::new();
        if name == "read" {
            for _ in 0..words.number_or(1)? {
                events.push(Event::Read { number: self.next_request() });
            }
        } else {
            while let Some(word) = words.next() {
                let (number, data) = (self.next_request(), command_of(word)?);
                events.push(Event::Propose { number, data });
            }
        }
        self.turn(node, events);
        Ok(())
    }

    /// Messages in flight by sender, receiver, kind and order: they arrive, or are lost.
    fn select(&mut self, name: &str, words: &mut Words) -> Done {
        let (from, to) = (self.node_or_any(words)?, self.node_or_any(words)?);
        let order = ["first", "last"].into_iter().find(|order| words.0.last() == Some(order));
        if order.is_some() {
            words.0.pop();
        }
        let kind = words.next();
        let wanted = |message: &Message| {
            from.is_none_or(|from| message.from.node == from)
                && to.is_none_or(|to| message.to.node == to)
                && kind.is_none_or(|kind| message.body.name() == kind)
        };
        let mut places: Vec<usize> =
            (0..self.flying.len()).filter(|at| wanted(&self.flying[*at])).collect();
        match order {
            Some("first") => places.truncate(1),
            Some(_) => drop(places.drain(..places.len().saturating_sub(1))),
            None => {}
        }
        if places.is_empty() {
            return Err("no such message is in flight".into());
        }
        let chosen: Vec<Message> = places.iter().map(|at| self.flying[*at].clone()).collect();
        if name != "copy" {
            places.iter().rev().for_each(|at| drop(self.flying.remove(*at)));
        }
        if name != "drop" {
            chosen.into_iter().for_each(|message| self.arrive(message));
        }
        Ok(())
    }

    fn disk(&mut self, name: &str, words: &mut Words) -> Done {
        let node = self.node(words)?;
        let member = self.members.get_mut(&node).expect("checked");
        match name {
            "slow" => member.speed = Speed::Slow,
            "full" if words.take("nothing") => member.room = Room::Nothing,
            "full" => member.room = Room::Little,
            "room" => member.room = Room::Enough,
            "fast" => {
                member.speed = Speed::Fast;
                self.persist(node, usize::MAX);
                self.store(node, usize::MAX);
            }
            "persist" => {
                if member.pending.is_empty() {
                    return Err(format!("no write of {node} waits"));
                }
                let count = words.number_or(u64::MAX)?;
                self.persist(node, usize::try_from(count).unwrap_or(usize::MAX));
            }
            "store" => {
                if member.storing.is_empty() {
                    return Err(format!("no piece of a snapshot waits at {node}"));
                }
                if words.take("nothing") {
                    self.store_nothing(node);
                    return Ok(());
                }
                let count = words.number_or(u64::MAX)?;
                self.store(node, usize::try_from(count).unwrap_or(usize::MAX));
            }
            _ => {
                let number = words.number("a write's number")?;
                self.turn(node, [Event::Persisted(number.into())]);
            }
        }
        Ok(())
    }

    fn life(&mut self, name: &str, words: &mut Words) -> Done {
        let node = self.node(words)?;
        match name {
            "crash" => {
                let survive = usize::try_from(words.number_or(0)?).unwrap_or(usize::MAX);
                self.crash(node, survive);
            }
            "restart" if self.runs(node) => return Err(format!("{node} runs")),
            "restart" => self.restart(node),
            _ => {
                self.crash(node, 0);
                let member = self.members.get_mut(&node).expect("checked");
                member.durable = super::Disk::default();
                member.me.incarnation = Incarnation(member.me.incarnation.0 + 1);
                self.restart(node);
            }
        }
        Ok(())
    }

    fn links(&mut self, name: &str, words: &mut Words) -> Done {
        match name {
            "heal" => self.cut.clear(),
            "isolate" => {
                let node = self.node(words)?;
                for other in self.nodes() {
                    self.cut.extend([(node, other), (other, node)]);
                }
            }
            _ => match words.0.first().and_then(|word| word.split_once("->")) {
                Some((from, to)) => {
                    words.next();
                    let (from, to) = (self.named(from)?, self.named(to)?);
                    self.cut.insert((from, to));
                }
                None => {
                    let (a, b) = (self.node(words)?, self.node(words)?);
                    self.cut.extend([(a, b), (b, a)]);
                }
            },
        }
        Ok(())
    }

    fn show(&mut self, name: &str, words: &mut Words) -> Done {
        let node = self.node(words)?;
        let member = &self.members[&node];
        let line = match name {
            "log" => {
                let entries = member.written.entries.iter().map(describe::entry);
                let entries: Vec<String> = entries.collect();
                format!("{node} after {}: {}", member.written.start.id, entries.join(", "))
            }
            "state" => format!("{node} state: {}", member.state),
            "status" => self.status(node.0).to_string(),
            _ => format!("{node} dropped {} in all", self.status(node.0).dropped.total()),
        };
        self.lines.push(line);
        Ok(())
    }

    pub(super) fn node(&self, words: &mut Words) -> Result<NodeId, String> {
        self.named(words.next().ok_or("it needs a member")?)
    }

    pub(crate) fn named(&self, word: &str) -> Result<NodeId, String> {
        let node = NodeId(word.parse().map_err(|_| format!("`{word}` is no member"))?);
        let known = self.members.contains_key(&node);
        if known { Ok(node) } else { Err(format!("there is no member {node}")) }
    }

    fn node_or_any(&self, words: &mut Words) -> Result<Option<NodeId>, String> {
        match words.0.first() {
            Some(word) if word.parse::<u64>().is_ok() => Ok(Some(self.node(words)?)),
            Some(&"*") => {
                words.next();
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn rest(&self, words: &mut Words) -> Result<Vec<NodeId>, String> {
        let mut nodes = Vec::new();
        while !words.0.is_empty() {
            nodes.push(self.node(words)?);
        }
        Ok(nodes)
    }
}

/// The bytes of a proposal: the word itself, or `a*9000`, that letter so many times.
fn command_of(word: &str) -> Result<Bytes, String> {
    let Some((letter, times)) = word.split_once('*') else {
        return Ok(Bytes::copy_from_slice(word.as_bytes()));
    };
    let times = times.parse().map_err(|_| format!("`{word}` is not so many letters"))?;
    Ok(letter.repeat(times).into())
}

/// The words of a command that nobody has taken yet.
pub(crate) struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    pub(super) fn next(&mut self) -> Option<&'a str> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    pub(super) fn take(&mut self, wanted: &str) -> bool {
        let place = self.0.iter().position(|word| *word == wanted);
        place.map(|at| self.0.remove(at)).is_some()
    }

    fn number(&mut self, what: &str) -> Result<u64, String> {
        let word = self.next().ok_or(format!("it needs {what}"))?;
        word.parse().map_err(|_| format!("`{word}` is not {what}"))
    }

    fn number_or(&mut self, default: u64) -> Result<u64, String> {
        if self.0.is_empty() { Ok(default) } else { self.number("a count") }
    }

    pub(super) fn option<T: std::str::FromStr>(&mut self, key: &str) -> Result<Option<T>, String> {
        let value = |word: &&str| word.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
        let Some(at) = self.0.iter().position(|word| value(word).is_some()) else {
            return Ok(None);
        };
        let word = self.0.remove(at);
        let value = value(&word).unwrap_or_default();
        value.parse().map(Some).map_err(|_| format!("`{word}` can't be read"))
    }

    fn end(&self) -> Done {
        let left = self.0.join(" ");
        if left.is_empty() { Ok(()) } else { Err(format!("`{left}` is too much")) }
    }
}
