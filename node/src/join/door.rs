//! Whoever knocks: `keep` takes the questions of strangers from the transport, admits those who
//! have a ticket, and tells others whether they are members. A ticket is consumed through the log
//! in the name of one consumer, and then the consumer is added: should a crash come between, it
//! asks again and is answered alike. Once it is a member the ticket is spent: whoever is removed
//! later can't come back by it.

use super::{Known, PURPOSE, Question, Said, decode, encode, seat};
use crate::StateMachine;
use crate::digest;
use crate::member_info::MemberInfo;
use crate::members::{Change, IncarnationNumber, Members, NewMember, NotChanged, Votes};
use crate::node::{Node, WeakNode};
use crate::own::tickets::Why;
use crate::reading::{Consistency, ReadOptions};
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
                Some(Question::Seat) => seat::answer(&node, &stranger).await,
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
    let tickets = node.tickets(PURPOSE);
    let key = info.key.map(|key| key.0).unwrap_or_default();
    let consumer =
        digest::of(&[b"holm join", &id.to_le_bytes(), &incarnation.0.to_le_bytes(), &key]);
    if there.is_some_and(|there| there.incarnation == incarnation && there.key == info.key) {
        return match tickets.spend(ticket, &consumer).await {
            Ok(()) => Said::Admitted(known(&members, links)),
            Err(error) => Said::Later(error.to_string()),
        };
    }
    match tickets.consumed(ticket, &consumer).await {
        Ok(Ok(payload)) if payload == id.to_le_bytes() => {}
        Ok(Ok(_)) => {
            return Said::Refused(format!(
                "the ticket is not for member {id}, and is used up; ask for another one"
            ));
        }
        Ok(Err(why)) => return Said::Refused(refused(why).into()),
        Err(error) => return Said::Later(error.to_string()),
    }
    let new = NewMember { incarnation, storage: info.storage, member: info.placed(id) };
    let change = match there {
        Some(_) => Change::Replace { new },
        None => Change::Add { new, votes: Votes::OnceCaughtUp },
    };
    let index = match node.change_members(change, None).await {
        Ok(index) => index,
        Err(NotChanged::Refused(refusal)) => return Said::Refused(refusal.to_string()),
        Err(NotChanged::Failed(error)) => return Said::Later(error.to_string()),
    };
    match tickets.spend(ticket, &consumer).await {
        Ok(()) => admitted(node, index, links).await,
        Err(error) => Said::Later(error.to_string()),
    }
}

/// Whoever asks has shown that it knows the secret, and may be told.
const fn refused(why: Why) -> &'static str {
    match why {
        Why::Unknown => {
            "the ticket is not known here: it is of another cluster, or it was used or has expired \
             long ago; ask for another one (`holm members invite`)"
        }
        Why::Expired => {
            "the ticket has expired; ask for another one (`holm members invite`, with a longer \
             --ttl)"
        }
        Why::Used => {
            "the ticket was used already, and lets one member join once; ask for another one \
             (`holm members invite`)"
        }
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
