//! A question from outside: whoever knows the cluster's secret and is none of its members yet may
//! say one thing to the member that it has reached, and gets one answer ([`ask`], [`Stranger`]).
//! It counts as a stranger all the while: within the limits and the time for those whose ends don't
//! know each other. Nothing of it reaches the links between members.

use crate::config::{Security, Timing};
use crate::connection::write_out;
use crate::dial::DialError;
use crate::epoch::Epoch;
use crate::frame::{Frame, Head, Kind, OVERHEAD_BYTES_MAX};
use crate::greet::hear;
use crate::hello::{BODY_BYTES_MAX, Hello, Links, Opening, Refused};
use crate::incoming::Incoming;
use crate::keys::PublicKey;
use crate::network::{Network, Stream};
use crate::outgoing::Outgoing;
use crate::secure::handshake::{Initiator, Introduction, Party, Via};
use crate::secure::random::Random;
use crate::status::Refusal;
use bytes::{Bytes, BytesMut};
use holm_raft_core::{MemberId, NodeId};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Whoever is there: what a stranger calls whom it does not know.
pub(crate) const ANYBODY: NodeId = NodeId(0);
/// The longest question, in bytes.
pub const QUESTION_BYTES_MAX: usize = 8 << 10;
/// The longest answer, in bytes: the largest configuration fits.
pub const ANSWER_BYTES_MAX: usize = 2 << 20;
/// The most strangers that wait to be heard.
pub(crate) const STRANGERS_MAX: usize = 64;

/// Somebody who is no member, and asks something. Where links are sealed it has shown that it
/// knows the secret and holds `key`.
#[derive(Debug)]
pub struct Stranger {
    /// Who it says it is, or wants to be.
    pub from: MemberId,
    /// The key that it has shown to hold; none where links are insecure.
    pub key: Option<PublicKey>,
    /// What it says; at most [`QUESTION_BYTES_MAX`] bytes.
    pub question: Bytes,
    /// Takes the answer, of at most [`ANSWER_BYTES_MAX`] bytes. Dropped, it ends the connection.
    pub reply: oneshot::Sender<Bytes>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The cluster's name.
    pub cluster: String,
    /// Who it is, or wants to be.
    pub me: MemberId,
    /// The secret that it knows, and its key.
    pub security: Security,
    /// What is drawn comes from this; nobody may guess it, and it must differ at each call.
    pub seed: [u8; 32],
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Who has answered.
    pub by: MemberId,
    /// The key that it has shown to hold; none where links are insecure.
    pub key: Option<PublicKey>,
    /// Its answer.
    pub answer: Bytes,
}

/// Why there is no answer. Nothing is known of what became of the question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} has not answered: {why}")]
pub struct AskError {
    /// Who was asked.
    pub address: String,
    /// What went wrong.
    pub why: String,
}

/// Asks whichever member of the cluster listens at `address`. Dropping the future gives up.
///
/// # Errors
/// When it can't be reached, is of another cluster, has another secret, or says nothing within the
/// time for strangers ([`Timing::hello_timeout`], at its end and at this).
pub async fn ask(
    network: &dyn Network,
    address: &str,
    caller: Caller,
    question: &[u8],
    timing: Timing,
) -> Result<Answered, AskError> {
    let failed = |why: String| AskError { address: address.to_owned(), why };
    let after = timing.connect_timeout;
    let connecting = timeout(after, network.dial(address)).await;
    let stream = match connecting {
        Err(_) => return Err(failed(format!("connecting took more than {after:?}"))),
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Ok(Ok(stream)) => stream,
    };
    let after = timing.hello_timeout;
    match timeout(after, Asking::new(stream, &caller).ask(question)).await {
        Err(_) => Err(failed(format!("it took more than {after:?}"))),
        Ok(Err(DialError::Refused(refused))) if refused.why == Refusal::Silent => {
            let cluster = &caller.cluster;
            Err(failed(format!(
                "{}; is it a member of cluster {cluster:?}, with the same secret? Its own log says \
                 why it refuses one",
                refused.detail
            )))
        }
        Ok(Err(DialError::Refused(refused))) => Err(failed(refused.detail)),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Ok(Ok(answered)) => Ok(answered),
    }
}

/// The asking end of a connection.
struct Asking<'a> {
    stream: Stream,
    incoming: Incoming,
    outgoing: Outgoing,
    caller: &'a Caller,
}

impl<'a> Asking<'a> {
    fn new(stream: Stream, caller: &'a Caller) -> Self {
        let incoming = Incoming::new(BODY_BYTES_MAX + OVERHEAD_BYTES_MAX);
        Self { stream, incoming, outgoing: Outgoing::default(), caller }
    }

    async fn ask(mut self, question: &[u8]) -> Result<Answered, DialError> {
        let Frame { head, body } = hear(&mut self.stream, &mut self.incoming).await?;
        let opening = Opening::take(&body)?;
        let (by, key) = match (&self.caller.security, opening.links) {
            (Security::Insecure, Links::Insecure) => {
                let MemberId { incarnation, .. } = self.caller.me;
                let cluster = self.caller.cluster.clone();
                let hello =
                    Hello { incarnation, start: 0, cluster, epoch: Epoch::NONE_YET.short() };
                self.say(Kind::Hello, |out| hello.put(out)).await?;
                // Its incarnation is not told where nothing is proved.
                (MemberId { node: head.source, ..MemberId::default() }, None)
            }
            (Security::Sealed { .. }, Links::Sealed) => self.shake_hands(opening).await?,
            (Security::Insecure, Links::Sealed) => {
                let detail = "its links are sealed; give the cluster's secret";
                return Err(Refused::new(Refusal::Security, detail).into());
            }
            (Security::Sealed { .. }, Links::Insecure) => {
                let detail = "its links are insecure, and use no secret; leave the secret out";
                return Err(Refused::new(Refusal::Security, detail).into());
            }
        };
        self.incoming.allow(ANSWER_BYTES_MAX + OVERHEAD_BYTES_MAX);
        self.say(Kind::Note, |out| out.extend_from_slice(question)).await?;
        let Frame { head, body } = hear(&mut self.stream, &mut self.incoming).await?;
        if head.kind != Kind::Note || head.source != by.node {
            let detail = "it said something else than an answer";
            return Err(Refused::new(Refusal::Garbage, detail).into());
        }
        Ok(Answered { by, key, answer: body.freeze() })
    }

    async fn shake_hands(
        &mut self,
        opening: Opening,
    ) -> Result<(MemberId, Option<PublicKey>), DialError> {
        let Caller { cluster, me, security, seed } = self.caller.clone();
        let Security::Sealed { pair, ring } = security else { unreachable!("as was matched") };
        let party = Party { cluster, features: 0, ring, pair };
        let epoch = Epoch::NONE_YET;
        let own = Introduction { node: me.node, incarnation: me.incarnation, start: 0, epoch };
        let mut random = Random::new(seed.into());
        let via = Via::Direct(opening.challenge);
        let (initiator, first) = Initiator::begin(&party, via, own, ANYBODY, &mut random);
        self.say(Kind::Hello, |out| out.extend_from_slice(&first)).await?;
        let Frame { body: second, .. } = hear(&mut self.stream, &mut self.incoming).await?;
        let (third, established) = initiator.finish(&second)?;
        self.say(Kind::Hello, |out| out.extend_from_slice(&third)).await?;
        self.incoming.open(established.open);
        self.outgoing.seal(established.seal);
        let Introduction { node, incarnation, .. } = established.introduction;
        Ok((MemberId::new(node, incarnation), Some(established.key)))
    }

    async fn say(&mut self, kind: Kind, put: impl FnOnce(&mut BytesMut)) -> Result<(), Refused> {
        let head = Head::new(kind, self.caller.me.node, ANYBODY);
        self.outgoing.put(head, |sink| put(sink.fields()));
        let written = write_out(&mut self.stream.writer, &self.outgoing).await;
        self.outgoing.clear(usize::MAX);
        written.map_err(|error| crate::greet::broken(&error))
    }
}
