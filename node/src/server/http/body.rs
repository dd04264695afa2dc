//! Bodies with bounds: [`Bodies`] sees to it that a request's body comes in time, and that all
//! bodies together hold no more than [`BODIES_BYTES_MAX`].

use crate::server::limits::BODIES_BYTES_MAX;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// How many bytes the bodies hold that are under way.
#[derive(Debug, Default)]
pub(super) struct Bodies(AtomicUsize);

/// One request's part of it, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    bodies: Arc<Bodies>,
    taken: AtomicUsize,
}

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// It took too long.
    #[error("the body took longer than http_body_timeout_ms")]
    Late,
    /// There is no room for it beside the others.
    #[error("the bodies of all requests hold http_bodies_bytes_max = {BODIES_BYTES_MAX} bytes")]
    Crowded,
}

impl Bodies {
    /// As many as there may be.
    #[cfg(test)]
    pub(super) const fn filled() -> Self {
        Self(AtomicUsize::new(BODIES_BYTES_MAX))
    }

    /// The request with bounds around its body, if it has one; and its share, to be held until it
    /// is answered.
    pub(super) fn bound(
        self: &Arc<Self>,
        request: Request,
        within: Duration,
    ) -> (Request, Option<Arc<Share>>) {
        if request.body().is_end_stream() {
            return (request, None);
        }
        let share = Arc::new(Share { bodies: Arc::clone(self), taken: AtomicUsize::new(0) });
        let held = Arc::clone(&share);
        let until = Instant::now() + within;
        let bounded = |inner| Body::new(Bounded { inner, share, until, late: None });
        (request.map(bounded), Some(held))
    }
}

impl Share {
    fn take(&self, bytes: usize) -> Result<(), Broken> {
        let taken = self.bodies.0.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        if taken > BODIES_BYTES_MAX { Err(Broken::Crowded) } else { Ok(()) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.bodies.0.fetch_sub(self.taken.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

struct Bounded {
    inner: Body,
    share: Arc<Share>,
    until: Instant,
    /// From the first time on that it was waited for: most come with their heads.
    late: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let late = || Poll::Ready(Some(Err(Broken::Late.into())));
        // A body that trickles in is late as well, so this comes first.
        if Instant::now() >= self.until {
            return late();
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| {
                let frame = frame?;
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.share.take(bytes)?;
                Ok(frame)
            }));
        }
        let until = self.until;
        let sleep = self.late.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.as_mut().poll(cx).is_ready() { late() } else { Poll::Pending }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Broken {
    /// What was wrong with a body, if it is one of these.
    pub(super) fn of(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(broken) = error.downcast_ref() {
                return Some(*broken);
            }
            cause = error.source();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    const PIECE_BYTES: usize = 1 << 20;

    /// Gives one piece, and nothing more for long.
    struct Slow(Option<Bytes>);

    impl HttpBody for Slow {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            self.0.take().map_or(Poll::Pending, |piece| Poll::Ready(Some(Ok(Frame::data(piece)))))
        }
    }

    /// A request whose body has begun to arrive, unless there is no room for it.
    async fn begin(bodies: &Arc<Bodies>) -> Result<(Request, Option<Arc<Share>>), Broken> {
        let slow = Slow(Some(Bytes::from_static(&[0; PIECE_BYTES])));
        let request = Request::new(Body::new(slow));
        let (mut request, share) = bodies.bound(request, Duration::from_secs(3600));
        let frame = request.body_mut().frame().await.expect("a piece");
        match frame {
            Ok(_) => Ok((request, share)),
            Err(error) => Err(Broken::of(&error).expect("a bound")),
        }
    }

    #[tokio::test]
    async fn slow_bodies_hold_no_more_together_than_they_may_until_they_are_answered() {
        let bodies = Arc::new(Bodies::default());
        let mut begun = Vec::new();
        for _ in 0..BODIES_BYTES_MAX / PIECE_BYTES {
            begun.push(begin(&bodies).await.expect("there is room"));
        }
        assert_eq!(begin(&bodies).await.unwrap_err(), Broken::Crowded);
        let (request, share) = begun.pop().expect("many");
        drop(request);
        assert_eq!(begin(&bodies).await.unwrap_err(), Broken::Crowded, "it is not answered yet");
        drop(share);
        begun.push(begin(&bodies).await.expect("one less is under way"));
        assert_eq!(begin(&bodies).await.unwrap_err(), Broken::Crowded);
        begun.clear();
        assert_eq!(bodies.0.load(Ordering::Relaxed), 0, "all is given back");
    }
}
