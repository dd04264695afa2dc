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
use tokio::time::Sleep;

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
        let bounded = |inner| {
            Body::new(Bounded { inner, share, until: Box::pin(tokio::time::sleep(within)) })
        };
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
    until: Pin<Box<Sleep>>,
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        // A body that trickles in is late as well, so this comes first.
        if self.until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Broken::Late.into())));
        }
        Pin::new(&mut self.inner).poll_frame(cx).map(|frame| {
            frame.map(|frame| {
                let frame = frame?;
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.share.take(bytes)?;
                Ok(frame)
            })
        })
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
