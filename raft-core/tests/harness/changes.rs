//! The commands that change who belongs, and who leads:
//!
//! ```text
//! add 4                                   a member with an empty disk, of no configuration
//! change 1 voter=4 learner=5 joining=6 remove=3 [expected=1] [asked]
//! leave 1                                 ends a joint configuration that is left when asked
//! transfer 1 2                            member 1 hands leadership over to 2
//! lease 1                                 a read that the lease may answer
//! members 1                               the configuration in force at member 1
//! ```

use super::commands::Words;
use super::{Cluster, TICK_MILLISECONDS};
use bytes::Bytes;
use holm_raft_core::{Event, Incarnation, Index, Leave, Member, MemberId, NodeId, Step};

impl Cluster {
    pub(super) fn change(&mut self, name: &str, words: &mut Words) -> Result<(), String> {
        if name == "add" {
            let word = words.next().ok_or("it needs a number")?;
            let node = NodeId(word.parse().map_err(|_| format!("`{word}` is no number"))?);
            if self.members.contains_key(&node) {
                return Err(format!("there is a member {node}"));
            }
            self.add(node);
            return Ok(());
        }
        let node = self.node(words)?;
        if name == "members" {
            self.show_members(node)?;
            return Ok(());
        }
        let event = match name {
            "leave" => Event::LeaveJoint { number: self.next_request() },
            "transfer" => Event::Transfer { to: self.node(words)? },
            "lease" => {
                self.now += TICK_MILLISECONDS;
                Event::ReadByLease { number: self.next_request(), now: self.now }
            }
            _ => {
                let expected = words.option("expected")?.map(Index);
                let asked = words.take("asked");
                let leave = if asked { Leave::Asked } else { Leave::Automatic };
                let steps = self.steps(words)?;
                Event::Change { number: self.next_request(), expected, steps, leave }
            }
        };
        self.turn(node, [event]);
        Ok(())
    }

    fn steps(&self, words: &mut Words) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        while let Some(word) = words.next() {
            let (what, node) = word.split_once('=').ok_or(format!("`{word}` is no step"))?;
            let node = NodeId(node.parse().map_err(|_| format!("`{word}` is no step"))?);
            let known = self.members.get(&node).map(|member| member.me);
            let id = known.unwrap_or(MemberId::new(node, Incarnation(node.0 * 11)));
            let member = Member { id, info: Bytes::new() };
            steps.push(match what {
                "voter" => Step::Voter(member),
                "learner" => Step::Learner(member),
                "joining" => Step::Joining(member),
                "remove" => Step::Remove(node),
                _ => return Err(format!("`{word}` is no step")),
            });
        }
        Ok(steps)
    }

    fn show_members(&mut self, node: NodeId) -> Result<(), String> {
        let raft = self.members[&node].raft.as_ref().ok_or("it does not run")?;
        let members = raft.configuration().members();
        let members = members.map(|(member, standing)| {
            format!("{} {}", member.id.node, format!("{standing:?}").to_lowercase())
        });
        let members: Vec<String> = members.collect();
        self.lines.push(format!("{node} members: {}", members.join(", ")));
        Ok(())
    }
}
