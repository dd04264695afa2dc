//! The HTTP listener: [`Listening`] accepts as many connections as there are seats, seals them if
//! it is told to, and has each of them served; who finds no seat is told so.

mod seats;
mod spoken;

use super::http::{Caller, Direct, Gate, Problem};
use super::limits::counted;
use axum::http::StatusCode;
use rustls::ServerConfig;
use seats::Seats;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;

/// The pause after the system has refused to accept a connection, for want of files perhaps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The most connections that are told at a time that there is no seat; further ones are closed.
const REFUSALS_MAX: usize = 64;
/// How long a connection that is refused may take to hear why.
const CLOSING_MAX: Duration = Duration::from_millis(500);
/// How many bytes a connection that is refused may still send. What is unread when it is closed
/// would take the answer with it.
const CLOSING_BYTES_MAX: u64 = 64 * 1024;

/// Whether the member goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    NotYet,
    Now,
}

/// What all connections of a member share.
#[derive(Clone)]
pub(super) struct Listening {
    pub(super) http: Direct,
    pub(super) gate: Arc<Gate>,
    /// How connections that begin now are sealed, if any are.
    pub(super) tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    pub(super) stop: watch::Receiver<Ending>,
}

impl Listening {
    /// Serves until the member ends, and then until the requests under way are answered.
    pub(super) async fn serve(self, listener: TcpListener) {
        let seats = Seats::of(self.gate.limits());
        let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
        let (held, mut all_ended) = mpsc::channel::<Infallible>(1);
        let mut stop = self.stop.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|ending| *ending == Ending::Now) => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    tracing::warn!("http: a connection can't be accepted: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // An answer is one small write; without this it may wait for an acknowledgement. A
            // connection that refuses is broken already, and its first read says so.
            let _ = stream.set_nodelay(true);
            match seats.take(counted(peer.ip())) {
                Ok(seat) => {
                    let (own, held) = (self.clone(), held.clone());
                    tokio::task::spawn(async move {
                        own.speak(stream, Caller(peer.ip())).await;
                        drop((seat, held));
                    });
                }
                Err(limit) => {
                    self.gate.count(limit);
                    let permit = Arc::clone(&refusals).try_acquire_owned();
                    // Without a handshake there is nothing that it would understand.
                    if let (Ok(permit), None) = (permit, &self.tls) {
                        tokio::task::spawn(async move {
                            close(stream, Some(crowded(limit))).await;
                            drop(permit);
                        });
                    }
                }
            }
        }
        drop((listener, held));
        all_ended.recv().await;
    }

    async fn speak(mut self, stream: TcpStream, caller: Caller) {
        let Some(tls) = &self.tls else { return self.serve_one(stream, caller).await };
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.borrow()));
        let handshake =
            tokio::time::timeout(self.gate.limits().header_timeout, acceptor.accept(stream));
        let sealed = tokio::select! {
            sealed = handshake => sealed,
            _ = self.stop.wait_for(|ending| *ending == Ending::Now) => return,
        };
        match sealed {
            Ok(Ok(stream)) => self.serve_one(stream, caller).await,
            Ok(Err(error)) => tracing::debug!(from = %caller.0, "http: no handshake: {error}"),
            Err(_) => self.gate.count("http_header_timeout_ms"),
        }
    }
}

/// Ends a connection, and says why if there is a reason.
async fn close<I: AsyncRead + AsyncWrite + Unpin>(mut io: I, why: Option<Problem>) {
    let told = async {
        if let Some(problem) = &why {
            io.write_all(&problem.bytes()).await?;
        }
        io.shutdown().await?;
        if why.is_some() {
            let mut rest = [0; 1024];
            let mut io = io.take(CLOSING_BYTES_MAX);
            while io.read(&mut rest).await? > 0 {}
        }
        std::io::Result::Ok(())
    };
    // Who does not listen any more need not be told.
    let _ = tokio::time::timeout(CLOSING_MAX, told).await;
}

fn crowded(limit: &'static str) -> Problem {
    let detail = format!("there are as many connections as {limit} allows");
    let mend = format!("close other connections, try again later, or raise {limit}");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, mend).of_limit(limit)
}
