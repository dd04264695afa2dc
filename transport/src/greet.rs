//! The first words on a connection, from both ends: `answer` of whoever accepted it, `introduce` of
//! whoever dialled. Whoever accepted speaks first, with a challenge; sealed links go on with the
//! three messages of the handshake, insecure ones with a hello. The last word, the welcome, is said
//! once the connection has been taken up.
//!
//! ```text
//!  who accepted                                  who dialled
//!       ── hello: opening, with a challenge ──▸
//!       ◂── hello: first message ──                         sealed
//!       ── hello: second message ──▸
//!       ◂── hello: third message ──
//!       ── welcome (sealed) ──▸
//!       ◂── hello: who it is ──                             insecure
//!       ── welcome: who it is ──▸
//! ```
//!
//! Whoever is no member calls nobody in particular, and says one note in place of being welcomed
//! (`stranger`).

use crate::connection::{By, CLOSE_DUPLICATE, Connection, write_out};
use crate::dial::DialError;
use crate::frame::{Frame, Head, Kind, OVERHEAD_BYTES_MAX};
use crate::hello::{BODY_BYTES_MAX, Hello, Links, Opening, Refused};
use crate::incoming::Incoming;
use crate::keys::PublicKey;
use crate::network::Stream;
use crate::outgoing::Outgoing;
use crate::secure::handshake::{
    Challenge, Established, Initiator, Introduction, Party, Responder, Via as Way,
};
use crate::shared::Shared;
use crate::status::Refusal;
use crate::stranger::{ANSWER_BYTES_MAX, ANYBODY, QUESTION_BYTES_MAX, Stranger};
use bytes::BytesMut;
use holm_raft_core::{MemberId, NodeId};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::oneshot;

/// A connection before both ends know each other.
struct Talk<'a> {
    shared: &'a Shared,
    stream: Stream,
    incoming: Incoming,
    outgoing: Outgoing,
}

/// The accepting end: whose connection it is; nobody's, if it was a stranger's question.
pub(crate) async fn answer(shared: &Shared, stream: Stream) -> Result<Option<Connection>, Refused> {
    let mut talk = Talk::new(shared, stream);
    let links = if shared.is_sealed() { Links::Sealed } else { Links::Insecure };
    let opening = Opening { links, challenge: shared.with_random(Challenge::draw) };
    talk.say(NodeId(0), Kind::Hello, |out| opening.put(out)).await?;
    let Frame { head, body } = talk.hear().await?;
    if head.kind != Kind::Hello {
        return Err(Refused::new(Refusal::Garbage, "its first frame is no hello"));
    }
    match shared.party() {
        None => {
            let hello = Hello::take(&body)?;
            let member = MemberId::new(head.source, hello.incarnation);
            if head.destination == ANYBODY {
                shared.judge_cluster(&hello)?;
                return talk.answer_stranger(member, None).await.map(|()| None);
            }
            shared.judge_hello(&hello, head)?;
            Ok(Some(talk.known(member, hello.start, By::Peer)))
        }
        Some(party) => talk.answer_sealed(&party, opening.challenge, head, &body).await,
    }
}

/// The dialling end: with `peer`, who was dialled.
pub(crate) async fn introduce(
    shared: &Shared,
    stream: Stream,
    peer: NodeId,
) -> Result<Connection, DialError> {
    let mut talk = Talk::new(shared, stream);
    let Frame { body, .. } = talk.hear().await?;
    let opening = Opening::take(&body)?;
    match (shared.party(), opening.links) {
        (None, Links::Insecure) => talk.introduce_insecure(peer).await,
        (Some(party), Links::Sealed) => talk.introduce_sealed(&party, opening, peer).await,
        (None, Links::Sealed) => Err(DialError::Refused(Refused::new(
            Refusal::Security,
            "its links are sealed, and this member's are not; give both the same secrets, or \
             both insecure = true",
        ))),
        (Some(_), Links::Insecure) => Err(DialError::Refused(Refused::new(
            Refusal::Security,
            "its links are insecure, and this member's are sealed; give both the same secrets, \
             or both insecure = true",
        ))),
    }
}

impl<'a> Talk<'a> {
    fn new(shared: &'a Shared, stream: Stream) -> Self {
        let incoming = Incoming::new(BODY_BYTES_MAX + OVERHEAD_BYTES_MAX);
        Self { shared, stream, incoming, outgoing: Outgoing::default() }
    }

    async fn answer_sealed(
        mut self,
        party: &Party,
        challenge: Challenge,
        head: Head,
        first: &[u8],
    ) -> Result<Option<Connection>, Refused> {
        let (way, own) = (Way::Direct(challenge), self.shared.introduction());
        let (responder, second) =
            self.shared.with_random(|random| Responder::accept(party, way, own, first, random))?;
        self.say(head.source, Kind::Hello, |out| out.extend_from_slice(&second)).await?;
        let Frame { body: third, .. } = self.hear().await?;
        let called = responder.called();
        let established = responder.finish(&third)?;
        if called == ANYBODY {
            let Introduction { node, incarnation, .. } = established.introduction;
            self.incoming.open(established.open);
            self.outgoing.seal(established.seal);
            let (from, key) = (MemberId::new(node, incarnation), Some(established.key));
            return self.answer_stranger(from, key).await.map(|()| None);
        }
        self.sealed(head.source, established, By::Peer).map(Some)
    }

    /// Takes one question of somebody who is no member, and says the answer.
    async fn answer_stranger(
        mut self,
        from: MemberId,
        key: Option<PublicKey>,
    ) -> Result<(), Refused> {
        let Some(door) = self.shared.door() else {
            let detail =
                format!("it calls itself member {}, and strangers are not heard", from.node);
            return Err(Refused::new(Refusal::Stranger, detail));
        };
        self.incoming.allow(QUESTION_BYTES_MAX + OVERHEAD_BYTES_MAX);
        let Frame { head, body } = self.hear().await?;
        if head.kind != Kind::Note || head.source != from.node {
            return Err(Refused::new(Refusal::Garbage, "it said something else than a question"));
        }
        let (reply, answer) = oneshot::channel();
        let stranger = Stranger { from, key, question: body.freeze(), reply };
        let busy = || Refused::new(Refusal::Busy, "nobody has time for a stranger's question");
        door.try_send(stranger).map_err(|_| busy())?;
        let answer = answer.await.map_err(|_| busy())?;
        assert!(answer.len() <= ANSWER_BYTES_MAX, "an answer fits a frame for strangers");
        self.say(from.node, Kind::Note, |out| out.extend_from_slice(&answer)).await
    }

    async fn introduce_sealed(
        mut self,
        party: &Party,
        opening: Opening,
        peer: NodeId,
    ) -> Result<Connection, DialError> {
        let (way, own) = (Way::Direct(opening.challenge), self.shared.introduction());
        let (initiator, first) =
            self.shared.with_random(|random| Initiator::begin(party, way, own, peer, random));
        self.say(peer, Kind::Hello, |out| out.extend_from_slice(&first)).await?;
        let Frame { body: second, .. } = self.hear().await?;
        let (third, established) = initiator.finish(&second)?;
        self.say(peer, Kind::Hello, |out| out.extend_from_slice(&third)).await?;
        let mut connection = self.sealed(peer, established, By::Me)?;
        welcomed(&mut connection, peer).await?;
        Ok(connection)
    }

    async fn introduce_insecure(mut self, peer: NodeId) -> Result<Connection, DialError> {
        let hello = Hello::of(self.shared);
        self.say(peer, Kind::Hello, |out| hello.put(out)).await?;
        let shared = self.shared;
        let frame = hear(&mut self.stream, &mut self.incoming).await?;
        let Some(Frame { head, body }) = welcome(frame, peer)? else {
            return Err(DialError::Duplicate);
        };
        let hello = Hello::take(&body)?;
        shared.judge_hello(&hello, head)?;
        Ok(self.known(MemberId::new(peer, hello.incarnation), hello.start, By::Me))
    }

    /// The connection, once its keys are agreed on.
    fn sealed(
        mut self,
        peer: NodeId,
        established: Established,
        by: By,
    ) -> Result<Connection, Refused> {
        let (member, start) = self.shared.judge(peer, &established)?;
        self.incoming.open(established.open);
        self.outgoing.seal(established.seal);
        Ok(self.known(member, start, by))
    }

    fn known(self, member: MemberId, start: u64, by: By) -> Connection {
        let Self { stream: Stream { reader, writer, .. }, incoming, outgoing, .. } = self;
        Connection { reader, writer, incoming, outgoing, member, start, by }
    }

    async fn say(
        &mut self,
        to: NodeId,
        kind: Kind,
        put: impl FnOnce(&mut BytesMut),
    ) -> Result<(), Refused> {
        let head = Head::new(kind, self.shared.me.node, to);
        self.outgoing.put(head, |sink| put(sink.fields()));
        let written = write_out(&mut self.stream.writer, &self.outgoing).await;
        self.outgoing.clear(usize::MAX);
        written.map_err(|error| broken(&error))
    }

    async fn hear(&mut self) -> Result<Frame, Refused> {
        hear(&mut self.stream, &mut self.incoming).await
    }
}

/// Waits until the other end has taken the connection up.
async fn welcomed(connection: &mut Connection, peer: NodeId) -> Result<(), DialError> {
    let Connection { reader, incoming, .. } = connection;
    let frame = next(reader, incoming).await?;
    match welcome(frame, peer)? {
        Some(_) => Ok(()),
        None => Err(DialError::Duplicate),
    }
}

/// The frame, if it is a welcome; nothing if it closes a duplicate.
fn welcome(frame: Frame, peer: NodeId) -> Result<Option<Frame>, Refused> {
    match frame.head.kind {
        _ if frame.head.source != peer => {
            let detail = format!("member {} answered in place of {peer}", frame.head.source);
            Err(Refused::new(Refusal::Destination, detail))
        }
        Kind::Welcome => Ok(Some(frame)),
        Kind::Close if frame.body == [CLOSE_DUPLICATE][..] => Ok(None),
        _ => Err(Refused::new(Refusal::Garbage, "it said something else than welcome")),
    }
}

pub(crate) async fn hear(stream: &mut Stream, incoming: &mut Incoming) -> Result<Frame, Refused> {
    next(&mut stream.reader, incoming).await
}

async fn next(
    reader: &mut (impl AsyncRead + Unpin),
    incoming: &mut Incoming,
) -> Result<Frame, Refused> {
    loop {
        if let Some(frame) = incoming.next()? {
            return Ok(frame);
        }
        match reader.read_buf(incoming.buffer()).await {
            Ok(0) => {
                let detail = "it closed before both had said who they are";
                return Err(Refused::new(Refusal::Silent, detail));
            }
            Ok(_) => (),
            Err(error) => return Err(broken(&error)),
        }
    }
}

pub(crate) fn broken(error: &std::io::Error) -> Refused {
    let detail = format!("it broke before both had said who they are: {error}");
    Refused::new(Refusal::Silent, detail)
}
