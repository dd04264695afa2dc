//! Messages made by hand, for what no correct member would send, or not now:
//! `send FROM->TO term=T KIND key=value…`, where a member may name an incarnation, `9#5`.
//!
//! ```text
//! pre-vote last=3@2      vote last=3@2 [transfer]   pre-voted granted   voted refused
//! timeout-now
//! append prev=3@2 commit=3 [time=40] 4@2:data 5@2
//! appended matched=5     rejected prev=5 hint=3@2
//! heartbeat round=1 commit=3   heartbeat-ack round=1   committed commit=3
//! snapshot last=9@3 [configured=1] [time=40] [length=9] [checksum=1] [offset=3] [data=abc]
//! received last=9@3 length=9 [checksum=1] stored=3
//! propose boot=1 number=2 data
//! read boot=1 number=2   read-at boot=1 number=2 [index=7]
//! proposed boot=1 number=2 [appended=3@2]
//! ```

use super::{Cluster, disk};
use bytes::Bytes;
use holm_raft_core::{
    Ballot, Body, Boot, Cause, Chunk, Configuration, Entry, EntryId, EntryKind, Incarnation, Index,
    LogTime, MemberId, Message, NodeId, RequestNumber, SnapshotId, SnapshotMeta, Term,
};

pub(crate) fn message(command: &str, cluster: &Cluster) -> Result<Message, String> {
    let mut words = command.split_whitespace().skip(1);
    let link = words.next().and_then(|link| link.split_once("->"));
    let (from, to) = link.ok_or("it needs a link, FROM->TO")?;
    let mut fields = Fields(words.collect());
    let term = Term(fields.number("term")?);
    if fields.0.is_empty() {
        return Err("it needs the message's kind".into());
    }
    let kind = fields.0.remove(0);
    let body = body(kind, &mut fields, cluster.configuration())?;
    match fields.0.first() {
        Some(left) => Err(format!("`{left}` is too much")),
        None => Ok(Message { from: member(from, cluster)?, to: member(to, cluster)?, term, body }),
    }
}

fn member(word: &str, cluster: &Cluster) -> Result<MemberId, String> {
    let parse = |word: &str| word.parse::<u64>().map_err(|_| format!("`{word}` is no member"));
    match word.split_once('#') {
        Some((node, incarnation)) => {
            Ok(MemberId::new(NodeId(parse(node)?), Incarnation(parse(incarnation)?)))
        }
        None => {
            let node = NodeId(parse(word)?);
            let known = cluster.members.get(&node).map(|member| member.me);
            Ok(known.unwrap_or(MemberId::new(node, Incarnation(node.0 * 11))))
        }
    }
}

fn body(kind: &str, fields: &mut Fields, members: Configuration) -> Result<Body, String> {
    Ok(match kind {
        "pre-vote" => Body::PreVote { last: fields.id("last")? },
        "pre-voted" => Body::PreVoted(fields.ballot()?),
        "vote" => {
            let last = fields.id("last")?;
            let transfer = fields.0.pop_if(|word| *word == "transfer").is_some();
            let cause = if transfer { Cause::Transfer } else { Cause::Timeout };
            Body::Vote { last, cause }
        }
        "timeout-now" => Body::TimeoutNow,
        "voted" => Body::Voted(fields.ballot()?),
        "append" => {
            let (prev, commit) = (fields.id("prev")?, Index(fields.number("commit")?));
            let time = fields.number("time").ok().map(LogTime);
            Body::Append { prev, commit, entries: fields.entries(time)? }
        }
        "appended" => Body::Appended { matched: Index(fields.number("matched")?) },
        "rejected" => {
            Body::Rejected { prev: Index(fields.number("prev")?), hint: fields.id("hint")? }
        }
        "committed" => Body::Committed { commit: Index(fields.number("commit")?) },
        "heartbeat" => {
            let commit = Index(fields.number("commit")?);
            Body::Heartbeat { round: fields.number("round")?, commit }
        }
        "heartbeat-ack" => Body::HeartbeatAck { round: fields.number("round")? },
        "snapshot" => {
            let meta = SnapshotMeta {
                last: fields.id("last")?,
                time: LogTime(fields.number("time").unwrap_or(0)),
                configuration: members,
                configuration_index: Index(fields.number("configured").unwrap_or(1)),
            };
            Body::Snapshot(fields.piece(meta)?.into())
        }
        "received" => {
            let last = fields.id("last")?;
            let length = fields.number("length")?;
            let checksum = fields.checksum().unwrap_or(0);
            let snapshot = SnapshotId { last, length, checksum };
            Body::Received { snapshot, stored: fields.number("stored")? }
        }
        "propose" => {
            let (boot, number) = fields.request()?;
            let data = fields.0.drain(..).collect::<Vec<_>>().join(" ").into();
            Body::Propose { boot, number, data }
        }
        "proposed" => {
            let (boot, number) = fields.request()?;
            Body::Proposed { boot, number, appended: fields.id("appended").ok() }
        }
        "read" => {
            let (boot, number) = fields.request()?;
            Body::Read { boot, number }
        }
        "read-at" => {
            let (boot, number) = fields.request()?;
            Body::ReadAt { boot, number, index: fields.number("index").ok().map(Index) }
        }
        _ => return Err(format!("there is no message `{kind}`")),
    })
}

struct Fields<'a>(Vec<&'a str>);

impl Fields<'_> {
    fn value(&mut self, key: &str) -> Result<String, String> {
        let place = self
            .0
            .iter()
            .position(|word| word.strip_prefix(key).is_some_and(|value| value.starts_with('=')));
        let at = place.ok_or(format!("it needs {key}="))?;
        Ok(self.0.remove(at)[key.len() + 1..].to_string())
    }

    fn number(&mut self, key: &str) -> Result<u64, String> {
        let value = self.value(key)?;
        if value == "max" {
            return Ok(u64::MAX);
        }
        value.parse().map_err(|_| format!("`{key}={value}` is no number"))
    }

    fn id(&mut self, key: &str) -> Result<EntryId, String> {
        let value = self.value(key)?;
        id(&value)
    }

    fn ballot(&mut self) -> Result<Ballot, String> {
        match self.0.pop() {
            Some("granted") => Ok(Ballot::Granted),
            Some("refused") => Ok(Ballot::Refused),
            _ => Err("it needs `granted` or `refused`".into()),
        }
    }

    /// A piece of a snapshot: the whole of one, if nothing else is said.
    fn piece(&mut self, meta: SnapshotMeta) -> Result<Chunk, String> {
        let data = Bytes::from(self.value("data").unwrap_or_else(|_| "forged".into()));
        let length = self.number("length").unwrap_or(data.len() as u64);
        let whole = disk::Snapshot { meta: meta.clone(), data: data.clone() }.id().checksum;
        let checksum = self.checksum().unwrap_or(whole);
        let offset = self.number("offset").unwrap_or(0);
        Ok(Chunk { meta, length, checksum, offset, data })
    }

    fn checksum(&mut self) -> Result<u32, String> {
        u32::try_from(self.number("checksum")?).map_err(|_| "the checksum is too large".into())
    }

    fn request(&mut self) -> Result<(Boot, RequestNumber), String> {
        Ok((Boot(self.number("boot")?), RequestNumber(self.number("number")?)))
    }

    /// The words that are left: `5@2:data`, a command, or `5@2`, a no-op; stamped with `time`, or
    /// with their indexes.
    fn entries(&mut self, time: Option<LogTime>) -> Result<Vec<Entry>, String> {
        let entry = |word: &str| {
            let (place, data) = word.split_once(':').unwrap_or((word, ""));
            let kind = if data.is_empty() { EntryKind::Noop } else { EntryKind::Command };
            let id = id(place)?;
            let data = Bytes::copy_from_slice(data.as_bytes());
            let time = time.unwrap_or(LogTime(id.index.0.saturating_sub(1)));
            Ok(Entry { id, time, kind, data })
        };
        self.0.drain(..).map(entry).collect()
    }
}

pub(crate) fn id(word: &str) -> Result<EntryId, String> {
    let number = |word: &str| if word == "max" { Ok(u64::MAX) } else { word.parse::<u64>() };
    let parsed = word.split_once('@').map(|(index, term)| (number(index), number(term)));
    match parsed {
        Some((Ok(index), Ok(term))) => Ok(EntryId::new(Term(term), Index(index))),
        _ => Err(format!("`{word}` is no entry id, INDEX@TERM")),
    }
}
