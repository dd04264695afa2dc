//! How a member comes into a cluster that runs: somebody invites it ([`Node::invite`]) and hands it
//! a [`JoinTicket`]; it asks any member that it reaches ([`join`]), by the one question that a
//! stranger may ask, and is admitted as a learner that votes by itself once it has caught up. What
//! it needs is the ticket, the cluster's secret and one address.
//!
//! A question and what is said to it are a byte of version, then postcard.

pub(crate) mod door;
pub(crate) mod seat;

use crate::StateMachine;
use crate::config::Config;
use crate::edges::Edges;
use crate::member_info::MemberInfo;
use crate::members::Members;
use crate::node::Node;
use crate::open::{self, OpenError};
use crate::security::Security;
use crate::session::{MistypedTicket, Ticket, TicketError};
use crate::topology::{Island, Link, Member, Topology};
use holm_transport::{self as transport, Caller, Timing};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

/// What tickets to join are for.
const PURPOSE: &str = "holm: join";
const VERSION: u8 = 1;
/// For how long whoever comes too late is told so, in log time.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);
/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(250);

/// Lets one member join, once. Its text says of which cluster, as which member, and the ticket:
/// `harbour/4/60rk-4csm-6mv3-ee1s-c5h6-6s35-cst9`.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinTicket {
    /// The cluster's name.
    pub cluster: String,
    /// Its number there.
    pub node: u64,
    ticket: Ticket,
}

/// Why a text is no ticket to join. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoJoinTicket {
    /// It has not three parts.
    #[error("this is no ticket to join: it reads CLUSTER/ID/TICKET; copy it whole")]
    Parts,
    /// The last part is wrong.
    #[error(transparent)]
    Mistyped(#[from] MistypedTicket),
}

/// Why a member has not joined. A later attempt with the same storage and ticket goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The storage or the settings can't be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The storage holds a member already.
    #[error(
        "this storage holds member {node}, which is part of a cluster already; start it, or \
         choose an empty one"
    )]
    Formed {
        /// Which.
        node: u64,
    },
    /// The cluster says no. Nothing was changed there.
    #[error("the cluster does not admit this member: {why}")]
    Refused {
        /// The reason, and the mend.
        why: String,
    },
    /// Nobody has answered in time.
    #[error(
        "nobody has admitted this member within {waited:?}: {why}; see that a member runs at one of \
         the addresses, and join again with the same ticket"
    )]
    Unanswered {
        /// How long it tried.
        waited: Duration,
        /// What came last.
        why: String,
    },
}

/// What a stranger asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Question {
    Join {
        ticket: String,
        /// What is to be said of it; the key is the one that it shows, and an island without a
        /// name is that of whoever is asked.
        info: Vec<u8>,
    },
    /// Who has the place that the asking one's number has.
    Seat,
}

/// What is said to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Said {
    Admitted(Known),
    /// Never.
    Refused(String),
    /// Not now.
    Later(String),
    Seat(seat::Seat),
}

/// What a member begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// All members, the new one as well: their numbers, and what is said of them.
    members: Vec<(u64, Vec<u8>)>,
    /// Who may dial whom, as the asked member's file has it.
    links: Vec<Link>,
}

impl<S: StateMachine> Node<S> {
    /// A ticket that lets one member join within `ttl`, in log time: member `node`, or the next
    /// number that is free. With the number of one that is there, whoever joins takes its place.
    ///
    /// The ticket is committed once this has returned; the log holds a hash of it. Whoever has it
    /// and knows the cluster's secret may use it, once. Dropping the future may leave a ticket that
    /// nobody has.
    ///
    /// # Errors
    /// As for [`Tickets::issue`](crate::session::Tickets::issue).
    pub async fn invite(
        &self,
        node: Option<u64>,
        ttl: Duration,
    ) -> Result<JoinTicket, TicketError> {
        let tickets = self.tickets(PURPOSE);
        let node = match node {
            Some(node) => node,
            None => {
                let open = u64::try_from(tickets.open().await?).unwrap_or(u64::MAX);
                let highest = |members: &Members| members.members.last().map(|last| last.node);
                let highest = highest(&self.members_local().await?).unwrap_or(0);
                highest.saturating_add(open).saturating_add(1)
            }
        };
        let payload = node.to_le_bytes();
        let ticket = tickets.issue_remembered(ttl, REMEMBERED, &payload).await?;
        let cluster = self.status().borrow().cluster.clone();
        Ok(JoinTicket { cluster, node, ticket })
    }
}

/// Joins a cluster by asking members at these addresses (`host:port`, where they accept members) in
/// turn. `config` says who is to join: [`Config::cluster`] and [`Config::node`] as the ticket has
/// them, and as the only member of [`Config::topology`] itself, on the island `""` if it is to be
/// that of whoever answers. Afterwards its topology names all members, and it can be opened in the
/// same `edges`, with [`Start::Join`](crate::Start::Join), to receive the log.
///
/// An empty storage gets its incarnation here. After a crash, or when nobody has answered, the same
/// call goes on: a ticket that was consumed is answered alike to whoever consumed it, until it has
/// made him a member. Then it is used up, also if he is removed.
///
/// # Errors
/// [`JoinError::Refused`] if the cluster says no; with any other error it may be tried again.
pub async fn join(
    config: &mut Config,
    edges: &Edges,
    ticket: &JoinTicket,
    addresses: &[String],
    within: Duration,
) -> Result<(), JoinError> {
    let me = open::identity(config, edges)?;
    let own = config.topology.member(config.node).cloned();
    let own = own.unwrap_or_else(|| Member::new(config.node, "", None));
    let storage = edges.disk.lasts().into();
    let info = MemberInfo { storage, ..MemberInfo::from(&own) };
    let question =
        Question::Join { ticket: ticket.ticket.reveal().to_string(), info: info.encode().into() };
    let question = Zeroizing::new(encode(&question));
    let until = Instant::now() + within;
    let mut last = "there is no address to ask".to_owned();
    for address in addresses.iter().cycle() {
        let mut seed = [0; 32];
        for part in seed.chunks_mut(size_of::<u64>()) {
            part.copy_from_slice(&edges.entropy.draw().to_le_bytes());
        }
        let security = match config.security.clone() {
            Security::Insecure => transport::Security::Insecure,
            Security::Sealed { pair, ring } => transport::Security::Sealed { pair, ring },
        };
        let caller = Caller { cluster: config.cluster.clone(), me, security, seed };
        let timing = Timing::default();
        let asked = transport::ask(&*edges.network, address, caller, &question, timing).await;
        last = match asked.map(|answered| decode(&answered.answer)) {
            Err(error) => error.to_string(),
            Ok(None) => format!("{address} runs another version of holm"),
            Ok(Some(Said::Refused(why))) => return Err(JoinError::Refused { why }),
            Ok(Some(Said::Later(why))) => why,
            Ok(Some(Said::Seat(_))) => format!("{address} answered another question"),
            Ok(Some(Said::Admitted(known))) => {
                config.topology = known.topology(address)?;
                return Ok(());
            }
        };
        tracing::info!(node = config.node, why = last, "not admitted yet");
        if Instant::now() + PAUSE >= until {
            break;
        }
        sleep(PAUSE).await;
    }
    Err(JoinError::Unanswered { waited: within, why: last })
}

impl Known {
    fn topology(self, told_by: &str) -> Result<Topology, JoinError> {
        let mut topology = Topology { links: self.links, ..Topology::default() };
        for (node, info) in self.members {
            let info = MemberInfo::decode(&info).map_err(|error| JoinError::Refused {
                why: format!("{told_by} says of a member: {error}"),
            })?;
            topology.members.push(info.placed(node));
        }
        let on_members = topology.members.iter().map(|member| &member.island);
        let of_links = topology.links.iter().flat_map(|link| [&link.from, &link.to]);
        let names: std::collections::BTreeSet<_> = on_members.chain(of_links).cloned().collect();
        topology.islands = names.into_iter().map(|name| Island { name }).collect();
        Ok(topology)
    }
}

impl JoinTicket {
    /// Its text, to be handed to whoever joins.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}/{}/{}", self.cluster, self.node, *self.ticket.reveal()))
    }
}

impl FromStr for JoinTicket {
    type Err = NoJoinTicket;

    fn from_str(text: &str) -> Result<Self, NoJoinTicket> {
        let mut parts = text.trim().rsplitn(3, '/');
        let mut part = || parts.next().ok_or(NoJoinTicket::Parts);
        let (ticket, node, cluster) = (part()?, part()?, part()?);
        let node = node.parse().ok().filter(|node| *node > 0).ok_or(NoJoinTicket::Parts)?;
        Ok(Self { cluster: cluster.to_owned(), node, ticket: ticket.parse()? })
    }
}

/// The ticket itself is not shown.
impl fmt::Debug for JoinTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinTicket({}/{}/..)", self.cluster, self.node)
    }
}

fn encode(what: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(what, vec![VERSION]).expect("made of numbers and strings")
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    let rest = bytes.strip_prefix(&[VERSION])?;
    let (decoded, rest) = postcard::take_from_bytes(rest).ok()?;
    rest.is_empty().then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a/b/4/60rk-4csm-6mv3-ee1s-c5h6-6s35-cst9";

    #[test]
    fn a_ticket_survives_its_text_and_does_not_print_itself() {
        let ticket: JoinTicket = TEXT.parse().unwrap();
        assert_eq!((ticket.cluster.as_str(), ticket.node), ("a/b", 4));
        assert_eq!(*ticket.reveal(), TEXT);
        assert_eq!(format!("{ticket:?}"), "JoinTicket(a/b/4/..)");
    }

    #[test]
    fn what_is_no_ticket_is_refused() {
        for text in ["", "a", "4/60rk-4csm-6mv3-ee1s-c5h6-6s35-cst9", "a/0/x", "a/x/y"] {
            assert_eq!(text.parse::<JoinTicket>(), Err(NoJoinTicket::Parts), "{text}");
        }
        let mistyped = TEXT.replace("60rk", "60rr");
        assert_eq!(mistyped.parse::<JoinTicket>(), Err(NoJoinTicket::Mistyped(MistypedTicket)));
    }
}
