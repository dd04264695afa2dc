//! A session that crosses members: three members in one process, each with a web application of its
//! own. What one of them puts into the client's cookie, another reads and changes, without a
//! look-up.
//!
//! `cargo run --example session_cookie` serves until it is interrupted, and says what to try.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use holm::session::{Session, SessionError, SessionLayer, SessionOptions};
use holm::store::Store;
use holm::{Config, Entropy, KeyRing, Node, Secret};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What the client carries.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Visit {
    foo: String,
    changes: u32,
}

type Answer = Result<String, (StatusCode, String)>;

/// `GET /set/{value}` on any member: the cookie says so from now on.
async fn set(member: State<u64>, Path(value): Path<String>, session: Session<Visit>) -> Answer {
    let changes = session.state().unwrap_or_default().changes + 1;
    let unfit = |error| (StatusCode::BAD_REQUEST, format!("{error}\n"));
    session.set(Visit { foo: value.clone(), changes }).map_err(unfit)?;
    Ok(format!("member {} set foo to {value}, change {changes}\n", member.0))
}

/// `GET /` on any member: what the cookie says.
async fn read(member: State<u64>, session: Session<Visit>) -> String {
    match session.state() {
        Some(visit) => {
            let (value, changes) = (visit.foo, visit.changes);
            format!("member {} reads foo = {value} after {changes} changes\n", member.0)
        }
        None => format!("member {} reads no foo\n", member.0),
    }
}

/// What each member serves: the same on all of them.
pub(crate) async fn app(node: &Node<Store>) -> Result<Router, SessionError> {
    let member = node.status().borrow().node;
    let sessions = node.sessions(SessionOptions::new("visit")).await?;
    let routes = Router::new().route("/", get(read)).route("/set/{value}", get(set));
    Ok(routes.layer(SessionLayer::<_, Visit>::new(sessions)).with_state(member))
}

/// A member with its application.
pub(crate) struct Member {
    /// The member.
    pub(crate) node: Node<Store>,
    /// Where its application is.
    pub(crate) address: SocketAddr,
    /// Its application, until it is aborted.
    pub(crate) serving: JoinHandle<()>,
}

/// A cluster of so many members on this machine, each serving on a port of its own.
pub(crate) async fn open(
    members: u64,
    entropy: &dyn Entropy,
) -> Result<Vec<Member>, Box<dyn Error>> {
    // All members have the same secret; the session keys are kept under it.
    let secret = Secret::generate(&mut |out| {
        for part in out.chunks_mut(8) {
            part.copy_from_slice(&entropy.draw().to_le_bytes()[..part.len()]);
        }
    });
    let mut nodes = Vec::new();
    for mut config in Config::local_cluster(members).await? {
        config.session_secrets = Some(KeyRing::of(secret.clone()));
        nodes.push(Node::open(config, Store::default()).await?);
    }
    let mut open = Vec::new();
    for node in nodes {
        let app = app(&node).await?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let serving = tokio::task::spawn(async move {
            axum::serve(listener, app).await.expect("it serves until it is aborted");
        });
        open.push(Member { node, address, serving });
    }
    Ok(open)
}

#[tokio::main]
#[allow(dead_code, reason = "the test calls `open` itself")]
async fn main() -> Result<(), Box<dyn Error>> {
    let edges = holm::Edges::in_memory();
    let members = open(3, &*edges.entropy).await?;
    let port = |nth: usize| members[nth].address.port();
    println!("A cookie that one member sets is read and changed by the others:");
    println!("  curl -b jar -c jar http://localhost:{}/set/bar", port(0));
    println!("  curl -b jar -c jar http://localhost:{}/", port(1));
    println!("  curl -b jar -c jar http://localhost:{}/set/baz", port(2));
    println!("Interrupt to stop.");
    tokio::signal::ctrl_c().await?;
    for member in members {
        member.serving.abort();
        member.node.shutdown().await;
    }
    Ok(())
}
