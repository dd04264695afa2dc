//! An approval that is started at one member and finished at another, by a second client: state
//! that one member alone has in its memory, found by everybody. `cargo run --example rendezvous`
//!
//! Three members in this process, each with an HTTP port of its own. A browser begins an approval
//! at member 1 and waits for its outcome; whoever got the link in a mail confirms it at member 3.
//! Both requests carry the approval's name in their path, and are served by the one member whose it
//! is.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Router};
use holm::rendezvous::http::{KeyFrom, Options, Point, Points};
use holm::server::client::{Answer, Ask, Client, Endpoint};
use holm::store::Store;
use holm::{Config, Node};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The approvals that this member holds, by their names. Each belongs to the claim under which it
/// was begun: under another token the name may have been another member's meanwhile.
type Approvals = Arc<Mutex<BTreeMap<String, (u64, watch::Sender<&'static str>)>>>;
type Held = Extension<Point<Store>>;
type Found = Result<String, (StatusCode, &'static str)>;

const NO_SUCH: (StatusCode, &str) = (StatusCode::NOT_FOUND, "no such approval\n");

fn app(approvals: Approvals) -> Router {
    Router::new()
        .route("/approvals/{name}", post(begin).get(outcome))
        .route("/approvals/{name}/confirm", post(confirm))
        .route("/", get(|| async { "served wherever it comes in\n" }))
        .with_state(approvals)
}

fn token(point: &Point<Store>) -> u64 {
    point.claim.as_ref().map_or(0, |claim| claim.token())
}

async fn begin(
    State(approvals): State<Approvals>,
    Path(name): Path<String>,
    Extension(point): Held,
) -> (StatusCode, &'static str) {
    let begun = (token(&point), watch::Sender::new("waiting"));
    approvals.lock().expect("nobody panics").insert(name, begun);
    (StatusCode::OK, "begun\n")
}

/// Waits until it is confirmed.
async fn outcome(
    State(approvals): State<Approvals>,
    Path(name): Path<String>,
    Extension(point): Held,
) -> Found {
    let mut state = watched(&approvals, &name, &point)?;
    let outcome = state.wait_for(|state| *state != "waiting").await.map_err(|_| NO_SUCH)?;
    Ok(format!("{}\n", *outcome))
}

async fn confirm(
    State(approvals): State<Approvals>,
    Path(name): Path<String>,
    Extension(point): Held,
) -> Found {
    watched(&approvals, &name, &point)?;
    let approvals = approvals.lock().expect("nobody panics");
    approvals.get(&name).ok_or(NO_SUCH)?.1.send_replace("approved");
    Ok("confirmed\n".into())
}

fn watched(
    approvals: &Approvals,
    name: &str,
    point: &Point<Store>,
) -> Result<watch::Receiver<&'static str>, (StatusCode, &'static str)> {
    let approvals = approvals.lock().expect("nobody panics");
    let known = approvals.get(name).filter(|(begun, _)| *begun == token(point));
    known.map(|(_, state)| state.subscribe()).ok_or(NO_SUCH)
}

/// Starts three members, each with this app behind a rendezvous point; returns where they serve it.
async fn start() -> Result<Vec<Endpoint>, Box<dyn Error>> {
    let mut nodes = Vec::new();
    for config in Config::local_cluster(3).await? {
        nodes.push(Node::open(config, Store::default()).await?);
    }
    let mut endpoints = Vec::new();
    for node in nodes {
        // Once this is answered it knows the others.
        node.read(|_| ()).await?;
        let keys = vec![KeyFrom::Path("/approvals/".into())];
        let options = Options { keys, ..Options::default() };
        let points = Points::new(node, options, app(Approvals::default())).await;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        endpoints.push(Endpoint::parse(&listener.local_addr()?.to_string())?);
        tokio::spawn(async { axum::serve(listener, points.into_router()).await });
    }
    Ok(endpoints)
}

async fn ask(
    endpoint: &Endpoint,
    method: &str,
    path: &str,
) -> Result<(StatusCode, String), Box<dyn Error>> {
    // A client of its own, with connections of its own. Told to come again, it does: right after
    // its start a member does not know yet whom keys belong to.
    let ask = Ask { method: method.parse()?, ..Ask::get(path) };
    let endpoint = [endpoint.clone()];
    let Answer { status, body, .. } =
        Client::new().ask_until_answered(&endpoint, &ask, Duration::from_secs(10)).await?;
    Ok((status, String::from_utf8(body.to_vec())?.trim_end().to_owned()))
}

/// Tells what each client was answered.
pub(crate) async fn run() -> Result<Vec<String>, Box<dyn Error>> {
    let members = start().await?;
    let path = "/approvals/7f3a";
    let begun = ask(&members[0], "POST", path).await?;
    let confirm = format!("{path}/confirm");
    // The browser waits at member 2 while the mail's link is followed at member 3.
    let (outcome, confirmed) =
        tokio::try_join!(ask(&members[1], "GET", path), ask(&members[2], "POST", &confirm))?;
    let unknown = ask(&members[2], "GET", "/approvals/none").await?;
    let answers = [("begin", begun), ("wait", outcome), ("confirm", confirmed), ("none", unknown)];
    Ok(answers.map(|(what, (status, text))| format!("{what}: {} {text}", status.as_u16())).into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}
