//! The other question that may be asked at the door: whether whoever asks is a member still. A
//! member that was down while it was removed hears nothing any more on the members' own links, for
//! nobody takes it for a member there.

use super::{Question, Said, decode, encode};
use crate::StateMachine;
use crate::driver::Request;
use crate::error::Error;
use crate::member_info::epoch_of;
use crate::node::Node;
use crate::reading::ReadOptions;
use holm_raft_core::{Incarnation, MemberId, NodeId};
use holm_transport::{Epoch, Stranger};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long whoever is asked looks for a majority that confirms what it knows: less than a stranger
/// is heard.
const CONFIRMED_WITHIN: Duration = Duration::from_millis(500);

/// Who has the place of a number, by the members that are committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seat {
    /// Where those members were set.
    pub(crate) index: u64,
    epoch: u64,
    incarnation: Option<u64>,
}

impl Seat {
    #[cfg(test)]
    pub(crate) const fn new(index: u64, Epoch(epoch): Epoch, incarnation: Option<u64>) -> Self {
        Self { index, epoch, incarnation }
    }

    /// Which recovery of the cluster they belong to.
    pub(crate) const fn epoch(self) -> Epoch {
        Epoch(self.epoch)
    }

    /// Who it is, if anybody.
    pub(crate) fn holder(self, node: NodeId) -> Option<MemberId> {
        self.incarnation.map(|incarnation| MemberId::new(node, Incarnation(incarnation)))
    }
}

/// What is asked.
pub(crate) fn question() -> Vec<u8> {
    encode(&Question::Seat)
}

/// What was answered, if it tells.
pub(crate) fn told(answer: &[u8]) -> Option<Seat> {
    match decode(answer)? {
        Said::Seat(seat) => Some(seat),
        _ => None,
    }
}

/// Answers by what a majority confirms: a member that is behind, cut off, or none itself any more
/// would send others away wrongly.
pub(super) async fn answer<S: StateMachine>(node: &Node<S>, stranger: &Stranger) -> Said {
    match look(node, stranger.from.node).await {
        Ok(Some(seat)) => Said::Seat(seat),
        Ok(None) => Said::Later("this member is none of the cluster's itself".into()),
        Err(error) => Said::Later(error.to_string()),
    }
}

async fn look<S: StateMachine>(node: &Node<S>, asked: NodeId) -> Result<Option<Seat>, Error> {
    let options = ReadOptions { timeout: Some(CONFIRMED_WITHIN), ..ReadOptions::default() };
    node.read_with(options, |_| ()).await?;
    let (reply, answer) = oneshot::channel();
    node.ask(Request::Committed { reply })?;
    let (me, index, members) = answer.await.map_err(|_| node.stopped_error())?;
    Ok(members.contains(me).then(|| Seat {
        index: index.0,
        epoch: epoch_of(&members).0,
        incarnation: members.member(asked).map(|member| member.id.incarnation.0),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::members::Change;
    use crate::store::Store;

    #[tokio::test]
    async fn only_who_finds_a_majority_says_who_has_a_place() {
        let mut nodes = Vec::new();
        for config in Config::local_cluster(3).await.unwrap() {
            nodes.push(Node::open(config, Store::default()).await.unwrap());
        }
        let members = nodes[0].members().await.unwrap();
        let third = members.members[2].incarnation.0;
        for node in &nodes {
            let seat = look(node, NodeId(3)).await.unwrap().expect("it is a member");
            assert_eq!((seat.index, seat.incarnation), (members.index, Some(third)));
            assert_eq!(seat.epoch(), Epoch::FIRST);
        }
        let index = nodes[0].change_members(Change::Remove { node: 3 }, None).await.unwrap();
        let seat = look(&nodes[1], NodeId(3)).await.unwrap().expect("it is a member");
        assert_eq!((seat.index, seat.incarnation), (index.0, None));
        nodes[1].shutdown().await;
        let alone = look(&nodes[0], NodeId(3)).await;
        assert!(matches!(alone, Err(Error::Unavailable { .. })), "{alone:?}");
    }
}
