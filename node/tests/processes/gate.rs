//! What stands between two members: [`Gate`] passes connections on until it is shut.

use std::pin::pin;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A listener of its own, from which every connection leads to one member.
pub(crate) struct Gate {
    address: String,
    way: watch::Sender<Way>,
}

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// They are passed on.
    Open,
    /// They end at once.
    Shut,
    /// They stand, and nothing gets through, as when a cable is pulled; it does once the gate is
    /// open again.
    Silent,
}

impl Gate {
    /// A gate to `target`, of an address that it has until it is dropped.
    pub(crate) async fn to(target: String, way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let way = watch::Sender::new(way);
        let ways = way.subscribe();
        tokio::spawn(async move {
            let mut gone = ways.clone();
            let accept = async {
                loop {
                    let (dialler, _) = listener.accept().await.expect("a connection");
                    tokio::spawn(pass_on(dialler, target.clone(), ways.clone()));
                }
            };
            tokio::select! {
                () = accept => (),
                _ = gone.wait_for(|_| false) => (),
            }
        });
        Self { address, way }
    }

    /// Where to dial it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Changes what becomes of connections, also of those that stand.
    pub(crate) fn turn(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn pass_on(mut dialler: TcpStream, target: String, mut ways: watch::Receiver<Way>) {
    let mut copy = pin!(async move {
        let mut member = TcpStream::connect(target).await?;
        dialler.set_nodelay(true)?;
        member.set_nodelay(true)?;
        copy_bidirectional(&mut dialler, &mut member).await
    });
    loop {
        let way = *ways.borrow_and_update();
        let turned = match way {
            Way::Open => tokio::select! {
                _ = &mut copy => return,
                turned = ways.changed() => turned,
            },
            Way::Silent => ways.changed().await,
            Way::Shut => return,
        };
        if turned.is_err() {
            return;
        }
    }
}
