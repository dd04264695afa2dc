//! The signals that commands heed: [`Signals`], and what each asks of a member ([`Asked`]).

use std::io::{self, IsTerminal};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT (Ctrl-C), SIGTERM and SIGHUP, awaited from `listen` on.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    /// Whether standard error was a terminal at first.
    attended: bool,
}

/// What a signal asks of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To end in good order.
    Stop,
    /// To read its secrets, tokens and certificates again.
    Reread,
}

impl Signals {
    /// From here on the signals end nothing by themselves.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            attended: io::stderr().is_terminal(),
        })
    }

    /// Waits for the first of them.
    pub(super) async fn any(mut self) {
        self.next().await;
    }

    /// Waits for the next one. SIGHUP also tells that the terminal was closed, which then is none
    /// any more; that ends a member that was started there.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.hang_up.recv() => match (self.attended, io::stderr().is_terminal()) {
                (true, false) => Asked::Stop,
                _ => Asked::Reread,
            },
        }
    }
}
