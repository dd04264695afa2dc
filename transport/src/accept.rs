//! Accepting connections: `accept`, the task that takes them from the listener, lets both ends say
//! who they are, and hands each to the link of its peer, or refuses it. How many may be about it,
//! in all and from one address, is bounded, and so is how often one address may try.

use crate::connection::Connection;
use crate::greet::answer;
use crate::hello::Refused;
use crate::network::{Listener, Stream};
use crate::routing::{Bucket, Taken};
use crate::shared::Shared;
use crate::status::Refusal;
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::{sleep, timeout};

/// The most addresses whose attempts are counted.
const ADDRESSES_MAX: usize = 1024;

/// Accepts connections until the transport stops.
pub(crate) async fn accept(mut listener: Listener, shared: Arc<Shared>) {
    let mut greetings = Greetings::default();
    loop {
        tokio::select! { biased;
            (whom, greeting) = greetings.next() => {
                let route = |known: Option<_>| known.map_or(Ok(()), |known| shared.route(known));
                let routed = greeting.and_then(route);
                if let Err(Refused { why, detail }) = routed {
                    shared.refuse(&whom, why, &detail);
                }
            }
            accepted = listener.accept() => match accepted {
                Ok(stream) => greetings.admit(stream, &shared),
                Err(error) => {
                    // Out of file descriptors, most likely: others must close some first.
                    tracing::warn!("accepting a connection failed: {error}");
                    sleep(shared.timing.backoff_max).await;
                }
            }
        }
    }
}

/// Connections whose ends don't know each other yet, the oldest first, each with its address.
#[derive(Default)]
struct Greetings {
    waiting: VecDeque<(String, Pin<Box<Greeting>>)>,
    attempts: BTreeMap<String, Bucket>,
}

/// Ends with a member's connection, or with nothing more to be done.
type Greeting = dyn Future<Output = Greeted> + Send;
type Greeted = Result<Option<Connection>, Refused>;

impl Greetings {
    /// Begins with another one, if its address has not come too often. Where there are too many,
    /// the oldest makes room: one of the same address if that has too many, or else the oldest of
    /// all.
    fn admit(&mut self, stream: Stream, shared: &Arc<Shared>) {
        let from = stream.from.clone();
        let limits = &shared.limits;
        if !self.may_try(&from, shared) {
            let detail = "it connects too often";
            return shared.refuse(&from, Refusal::Crowded, detail);
        }
        let of_address = |whom: &String| *whom == from;
        let same = self.waiting.iter().filter(|(whom, _)| of_address(whom)).count();
        let crowded = if same >= limits.handshakes_per_address_max {
            self.waiting.iter().position(|(whom, _)| of_address(whom))
        } else {
            (self.waiting.len() >= limits.handshakes_max).then_some(0)
        };
        if let Some((whom, _)) = crowded.and_then(|at| self.waiting.remove(at)) {
            let detail = "too many connections whose ends don't know each other yet";
            shared.refuse(&whom, Refusal::Crowded, detail);
        }
        let greeting = Box::pin(greet(stream, Arc::clone(shared)));
        self.waiting.push_back((from, greeting));
    }

    fn may_try(&mut self, from: &str, shared: &Shared) -> bool {
        let now = shared.now();
        if self.attempts.len() >= ADDRESSES_MAX && !self.attempts.contains_key(from) {
            let rate = u64::from(shared.limits.handshakes_per_second.get());
            // A full bucket is as good as a new one.
            self.attempts.retain(|_, bucket| bucket.ready_at(rate, now) > now);
        }
        if self.attempts.len() >= ADDRESSES_MAX && !self.attempts.contains_key(from) {
            // So many at once are an attack: whoever is not among them already has to wait.
            return false;
        }
        let rate = NonZeroU64::from(shared.limits.handshakes_per_second);
        let bucket = self.attempts.entry(from.to_owned());
        let bucket = bucket.or_insert_with(|| Bucket::new(rate, rate.get()));
        bucket.take(1, now) == Taken::Now
    }

    /// The next one that comes to an end.
    async fn next(&mut self) -> (String, Greeted) {
        poll_fn(|context| {
            for at in 0..self.waiting.len() {
                if let Poll::Ready(outcome) = self.waiting[at].1.as_mut().poll(context) {
                    let whom = self.waiting.remove(at).map(|(whom, _)| whom).unwrap_or_default();
                    return Poll::Ready((whom, outcome));
                }
            }
            Poll::Pending
        })
        .await
    }
}

async fn greet(stream: Stream, shared: Arc<Shared>) -> Greeted {
    let after = shared.timing.hello_timeout;
    let late = |_| {
        let detail = format!("it did not say who it is within {after:?}");
        Refused::new(Refusal::Silent, detail)
    };
    timeout(after, answer(&shared, stream)).await.map_err(late)?
}
