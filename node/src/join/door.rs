//! Whoever knocks: `keep` takes the questions of strangers from the transport, and admits those who
//! have a ticket. A ticket is consumed through the log in the name of one consumer, and then the
//! consumer is added: should a crash come between, it asks again and is answered alike.

use super::{Known, PURPOSE, Question, Said, decode, encode};
use crate::StateMachine;
use crate::digest;
use crate::member_info::MemberInfo;
use crate::members::{Change, IncarnationNumber, Members, NewMember, NotChanged, Votes};
use crate::node::{Node, WeakNode};
use crate::reading::{Consistency, ReadOptions};
use crate::session::TicketError;
use crate::topology::Link;
use holm_raft_core::Index;
use holm_transport::Stranger;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Answers strangers for as long as the member runs.
pub(crate) async fn keep<S: StateMachine>(
    mut strangers: mpsc::Receiver<Stranger>,
    node: WeakNode<S>,
    links: Arc<[Link]>,
) {
    while let Some(stranger) = strangers.recv().await {
        let Some(node) = node.upgrade() else { return };
        let links = Arc::clone(&links);
        // Each is under way for as long as a stranger is heard, and they are bounded in number.
        tokio::task::spawn(async move {
            let said = match decode(&stranger.question) {
                Some(Question::Join { ticket, info }) => {
                    admit(&node, &stranger, &ticket, &info, &links).await
                }
                None => Said::Refused("it runs another version of holm".into()),
            };
            // Whoever has given up asks again.
            let _ = stranger.reply.send(encode(&said).into());
        });
    }
}

async fn admit<S: StateMachine>(
    node: &Node<S>,
    stranger: &Stranger,
    ticket: &str,
    info: &[u8],
    links: &[Link],
) -> Said {
    let from = stranger.from;
    let (id, incarnation) = (from.node.0, IncarnationNumber(from.incarnation.0));
    let Ok(mut info) = MemberInfo::decode(info) else {
        return Said::Refused("it runs another version of holm".into());
    };
    info.key = stranger.key;
    let members = match node.members_local().await {
        Ok(members) if members.index > 0 => members,
        Ok(_) => return Said::Later("this member belongs to no cluster yet".into()),
        Err(error) => return Said::Later(error.to_string()),
    };
    if info.island.is_empty() {
        let own = members.members.iter().find(|member| member.reached == "self");
        info.island = own.map(|own| own.island.clone()).unwrap_or_default();
    }
    let there = members.members.iter().find(|member| member.node == id);
    if there.is_some_and(|there| there.incarnation == incarnation && there.key == info.key) {
        return Said::Admitted(known(&members, links));
    }
    let key = info.key.map(|key| key.0).unwrap_or_default();
    let consumer =
        digest::of(&[b"holm join", &id.to_le_bytes(), &incarnation.0.to_le_bytes(), &key]);
    match node.tickets(PURPOSE).consume(ticket, &consumer).await {
        Ok(payload) if payload == id.to_le_bytes() => {}
        Ok(_) => {
            return Said::Refused(format!(
                "the ticket is not for member {id}, and is used up; ask for another one"
            ));
        }
        Err(TicketError::Refused) => {
            return Said::Refused(
                "the ticket is unknown, has expired, or was used by another one; ask for another \
                 one (`holm members invite`)"
                    .into(),
            );
        }
        Err(error) => return Said::Later(error.to_string()),
    }
    let new = NewMember { incarnation, storage: info.storage, member: info.placed(id) };
    let change = match there {
        Some(_) => Change::Replace { new },
        None => Change::Add { new, votes: Votes::OnceCaughtUp },
    };
    match node.change_members(change, None).await {
        Ok(index) => admitted(node, index, links).await,
        Err(NotChanged::Refused(refusal)) => Said::Refused(refusal.to_string()),
        Err(NotChanged::Failed(error)) => Said::Later(error.to_string()),
    }
}

/// What is told to whoever was admitted at this index.
async fn admitted<S: StateMachine>(node: &Node<S>, index: Index, links: &[Link]) -> Said {
    let options = ReadOptions { consistency: Consistency::From(index), timeout: None };
    match node.members_with(options).await {
        Ok(members) => Said::Admitted(known(&members, links)),
        Err(error) => Said::Later(error.to_string()),
    }
}

fn known(members: &Members, links: &[Link]) -> Known {
    let member = |member: &crate::members::Member| (member.node, member.info().encode().into());
    Known { members: members.members.iter().map(member).collect(), links: links.to_vec() }
}
