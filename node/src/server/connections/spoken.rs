//! One connection, spoken to by hyper: what breaks a limit, or is not HTTP at all, is answered here
//! in the shape of every other refusal, because it never reaches a route.

use super::{Ending, Listening, close};
use crate::server::http::{Caller, Problem};
use crate::server::limits::{HEAD_BYTES_MAX, HEADERS_MAX};
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

impl Listening {
    /// Serves one connection to its end.
    pub(super) async fn serve_one<I>(mut self, io: I, caller: Caller)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = self.gate.limits().clone();
        let progress = Arc::new(Progress::default());
        let watched = Watched::new(io, Arc::clone(&progress), limits.body_timeout);
        let (http, seen) = (self.http.clone(), Arc::clone(&progress));
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            seen.began();
            request.extensions_mut().insert(caller);
            let request: Request = request.map(Body::new);
            let (answer, seen) = (http.clone().answer(request), Arc::clone(&seen));
            Box::pin(async move {
                let answer = answer.await;
                Ok::<_, Infallible>(answer.map(|inner| Answer { inner, _end: End(seen) }))
            })
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(watched), service);
        let mut told = Ending::NotYet;
        let ended = loop {
            tokio::select! {
                ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
                _ = self.stop.wait_for(|ending| *ending == Ending::Now), if told != Ending::Now => {
                    told = Ending::Now;
                    Pin::new(&mut connection).graceful_shutdown();
                    // hyper would wait for the first request.
                    if progress.is_untouched() {
                        break Ok(());
                    }
                }
            }
        };
        let problem = progress.problem(ended.as_ref().err());
        if let Some(limit) = problem.as_ref().and_then(Problem::limit) {
            self.gate.count(limit);
        }
        if progress.stalled.load(Ordering::Relaxed) {
            self.gate.count("http_body_timeout_ms");
        }
        close(connection.into_parts().io.into_inner().io, problem).await;
    }
}

/// How far a connection is.
#[derive(Debug)]
struct Progress {
    /// No request has begun yet.
    untouched: AtomicBool,
    /// A request is with the routes, or its answer under way.
    open: AtomicBool,
    /// All answers so far have gone out. What hyper writes then is an answer of its own, to
    /// something that is not HTTP.
    clean: AtomicBool,
    /// Bytes have come since the last request.
    heard: AtomicBool,
    /// The status of hyper's own answer.
    refused: AtomicU16,
    /// The other end has not taken an answer in time.
    stalled: AtomicBool,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            untouched: true.into(),
            open: false.into(),
            clean: true.into(),
            heard: false.into(),
            refused: 0.into(),
            stalled: false.into(),
        }
    }
}

impl Progress {
    fn began(&self) {
        self.untouched.store(false, Ordering::Relaxed);
        self.open.store(true, Ordering::Relaxed);
        self.clean.store(false, Ordering::Relaxed);
        self.heard.store(false, Ordering::Relaxed);
    }

    fn flushed(&self) {
        if !self.open.load(Ordering::Relaxed) {
            self.clean.store(true, Ordering::Relaxed);
        }
    }

    fn is_untouched(&self) -> bool {
        self.untouched.load(Ordering::Relaxed)
    }

    /// Takes an answer of hyper's own away; ours has a reason.
    fn takes_away(&self, bytes: &[u8]) -> bool {
        if !self.clean.load(Ordering::Relaxed) {
            return false;
        }
        let status = bytes.get("HTTP/1.1 ".len()..).and_then(|rest| rest.get(..3));
        let status = status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        if let Some(status) = status {
            self.refused.store(status, Ordering::Relaxed);
        }
        true
    }

    /// What to tell the other end at last.
    fn problem(&self, error: Option<&hyper::Error>) -> Option<Problem> {
        let is_late = error.is_some_and(hyper::Error::is_timeout);
        match self.refused.load(Ordering::Relaxed) {
            431 | 414 => Some(head_too_large()),
            0 if is_late && (self.is_untouched() || self.heard.load(Ordering::Relaxed)) => {
                Some(head_too_slow())
            }
            0 if !error.is_some_and(hyper::Error::is_parse) => None,
            _ => Some(malformed(error)),
        }
    }
}

fn head_too_large() -> Problem {
    let detail = format!(
        "the request's line and headers are over http_head_bytes_max = {HEAD_BYTES_MAX} bytes, or \
         more than {HEADERS_MAX}"
    );
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Problem::new(status, "too large", detail, "send less").of_limit("http_head_bytes_max")
}

fn head_too_slow() -> Problem {
    let detail = "the request's line and headers took longer than http_header_timeout_ms";
    let mend = "send them without a pause, or raise http_header_timeout_ms";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "too slow", detail, mend)
        .of_limit("http_header_timeout_ms")
}

fn malformed(error: Option<&hyper::Error>) -> Problem {
    let why = error.map_or_else(String::new, |error| format!(": {error}"));
    Problem::bad_request(format!("this is no request{why}"), "send HTTP/1.1")
}

/// The body of an answer, which says when it has ended.
struct Answer {
    inner: Body,
    _end: End,
}

struct End(Arc<Progress>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.open.store(false, Ordering::Relaxed);
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A stream that notes what passes, and ends if the other end does not take what it asked for.
struct Watched<I> {
    io: I,
    progress: Arc<Progress>,
    stall_max: Duration,
    /// Until when the other end may leave lying what is written.
    until: Option<Pin<Box<Sleep>>>,
}

impl<I> Watched<I> {
    fn new(io: I, progress: Arc<Progress>, stall_max: Duration) -> Self {
        Self { io, progress, stall_max, until: None }
    }

    /// What came of a write, if it does not hang for too long.
    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.until = None;
            return written;
        }
        let stall_max = self.stall_max;
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall_max)));
        ready!(until.as_mut().poll(cx));
        self.progress.stalled.store(true, Ordering::Relaxed);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.progress.heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.progress.takes_away(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.unless_stalled(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let head = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        if self.progress.takes_away(head) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.unless_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        let flushed = self.unless_stalled(cx, flushed);
        if let Poll::Ready(Ok(())) = flushed {
            self.progress.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
