//! The limit: the same bytes in writes of the same size, through a connection of `tokio` alone.

use std::io;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is read at a time, in bytes.
const READ_BYTES: usize = 64 << 10;

/// Two ends of a connection.
pub(crate) async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let dialled = TcpStream::connect(listener.local_addr()?).await?;
    let (accepted, _) = listener.accept().await?;
    dialled.set_nodelay(true)?;
    Ok((dialled, accepted))
}

/// Writes so many frames of so many bytes on the one end, and reads them on the other. Returns how
/// long it took from when the first `warm` of them had been read.
pub(crate) async fn copy(warm: usize, frames: usize, bytes: usize) -> io::Result<Duration> {
    let (mut from, mut to) = pair().await?;
    let writing = tokio::task::spawn(async move {
        let frame = vec![7; bytes];
        for _ in 0..warm + frames {
            from.write_all(&frame).await?;
        }
        io::Result::Ok(())
    });
    let mut buffer = vec![0; READ_BYTES];
    read(&mut to, &mut buffer, warm * bytes).await?;
    let began = Instant::now();
    read(&mut to, &mut buffer, frames * bytes).await?;
    let took = began.elapsed();
    writing.await??;
    Ok(took)
}

async fn read(from: &mut TcpStream, buffer: &mut [u8], mut missing: usize) -> io::Result<()> {
    while missing > 0 {
        let most = missing.min(buffer.len());
        let read = from.read(&mut buffer[..most]).await?;
        assert_ne!(read, 0, "all is written");
        missing -= read;
    }
    Ok(())
}
