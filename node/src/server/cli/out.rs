//! Standard output: [`Out`] takes a reader that has gone away for one that has read enough.

use std::io::{self, ErrorKind, Stdout, Write};

/// Standard output, or nothing once nobody reads it any more, as with `| head`.
pub(super) enum Out {
    Open(Stdout),
    Closed,
}

impl Out {
    pub(super) fn new() -> Self {
        Self::Open(io::stdout())
    }

    fn unless_closed<T>(
        &mut self,
        closed: T,
        write: impl FnOnce(&mut Stdout) -> io::Result<T>,
    ) -> io::Result<T> {
        let Self::Open(stdout) = self else { return Ok(closed) };
        match write(stdout) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                *self = Self::Closed;
                Ok(closed)
            }
            written => written,
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_closed(bytes.len(), |stdout| stdout.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_closed((), Write::flush)
    }
}
