//! Accepting connections: `accept`, the task that takes them from the listener, reads their
//! hellos, and hands each to the link of its peer, or refuses it.

use crate::connection::{By, Connection};
use crate::frame::Decoder;
use crate::hello::{self, Refused};
use crate::peer::Shared;
use crate::status::Refusal;
use holm_raft_core::NodeId;
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// Where the link of each peer takes its accepted connections.
pub(crate) type Routes = BTreeMap<NodeId, mpsc::Sender<Connection>>;

/// Accepts connections until the transport stops.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>, routes: Routes) {
    let mut greetings = Greetings::default();
    loop {
        tokio::select! { biased;
            (whom, greeting) = greetings.next() => {
                let routed = greeting.and_then(|connection| route(connection, &routes));
                if let Err(Refused { why, detail }) = routed {
                    shared.refuse(&whom, why, &detail);
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    let crowded = greetings.0.len() >= shared.limits.handshakes_max;
                    if let Some((whom, _)) = crowded.then(|| greetings.0.pop_front()).flatten() {
                        let detail = "too many connections without a hello";
                        shared.refuse(&whom, Refusal::Crowded, detail);
                    }
                    let greeting = Box::pin(greet(stream, Arc::clone(&shared)));
                    greetings.0.push_back((address.to_string(), greeting));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others must close some first.
                    tracing::warn!("accepting a connection failed: {error}");
                    sleep(shared.timing.backoff_max).await;
                }
            }
        }
    }
}

/// Connections that have not said a valid hello yet, the oldest first, each with its address.
#[derive(Default)]
struct Greetings(VecDeque<(String, Pin<Box<Greeting>>)>);

type Greeting = dyn Future<Output = Result<Connection, Refused>> + Send;

impl Greetings {
    /// The next one that comes to an end.
    async fn next(&mut self) -> (String, Result<Connection, Refused>) {
        poll_fn(|context| {
            for at in 0..self.0.len() {
                if let Poll::Ready(outcome) = self.0[at].1.as_mut().poll(context) {
                    let whom = self.0.remove(at).map(|(whom, _)| whom).unwrap_or_default();
                    return Poll::Ready((whom, outcome));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Reads a connection's hello. This member's own follows once its link has taken it.
async fn greet(mut stream: TcpStream, shared: Arc<Shared>) -> Result<Connection, Refused> {
    let silent = |detail: String| Refused::new(Refusal::Silent, detail);
    stream.set_nodelay(true).map_err(|error| silent(error.to_string()))?;
    let after = shared.timing.hello_timeout;
    let mut decoder = Decoder::new(hello::FRAME_BYTES_MAX);
    let frame = timeout(after, hello::first_frame(&mut stream, &mut decoder))
        .await
        .map_err(|_| silent(format!("it said no hello within {after:?}")))??;
    let (member, start) = hello::check(frame, &shared)?;
    Ok(Connection { stream, decoder, member, start, by: By::Peer })
}

fn route(connection: Connection, routes: &Routes) -> Result<(), Refused> {
    let node = connection.member.node;
    let busy = |_| {
        let detail = format!("member {node} connects faster than its link takes it up");
        Refused::new(Refusal::Busy, detail)
    };
    // `check` has found the peer, and each peer has a route.
    routes.get(&node).map_or(Ok(()), |route| route.try_send(connection)).map_err(busy)
}
