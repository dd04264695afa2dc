//! The limit: the same bytes in writes of the same size, through a connection of `tokio` alone.

use std::io;
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

/// Writes so many frames of so many bytes on the one end, and reads them on the other.
pub(crate) async fn copy(frames: usize, bytes: usize) -> io::Result<()> {
    let (mut from, mut to) = pair().await?;
    let writing = tokio::task::spawn(async move {
        let frame = vec![7; bytes];
        for _ in 0..frames {
            from.write_all(&frame).await?;
        }
        io::Result::Ok(())
    });
    let mut buffer = vec![0; READ_BYTES];
    let mut missing = frames * bytes;
    while missing > 0 {
        let read = to.read(&mut buffer).await?;
        assert_ne!(read, 0, "all is written");
        missing -= read;
    }
    writing.await?
}
