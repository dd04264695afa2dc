//! `holm status`: every endpoint's own view, or with `--cluster` every member's as one of them gets
//! it, as tables of the members and of how they reach each other (`links`), or as JSON.

mod links;

use super::client::answered;
use super::{ClientArgs, Output, print};
use crate::server::client::{Ask, Endpoint};
use crate::status::{DiskState, MemberStatus, Status};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::{self, Write};

pub(super) const EXAMPLES: &str = "\
Examples:
  holm status
  holm status --endpoint 10.0.0.1,10.0.0.2,10.0.0.3
  holm status --cluster --endpoint 10.0.0.1
  holm status -o json --endpoint https://north --ca ca.pem --token-file reader.token";

/// TRAILS: by how many entries, behind the leader.
const COLUMNS: [&str; 8] =
    ["MEMBER", "ISLAND", "ROLE", "TERM", "COMMIT", "APPLIED", "TRAILS", "ADDRESS"];
/// What stands where nobody who was asked knows.
const UNKNOWN: &str = "-";

type View = (Who, Result<Status, String>);

/// Whose view it is.
#[derive(Clone, Debug)]
enum Who {
    Endpoint(Endpoint),
    Member(u64),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(endpoint) => endpoint.fmt(f),
            Self::Member(id) => write!(f, "member {id}"),
        }
    }
}

/// What `/v1/cluster` answers.
#[derive(Deserialize)]
struct Gathered {
    members: Vec<GatheredView>,
}

#[derive(Deserialize)]
struct GatheredView {
    node: u64,
    status: Option<Status>,
    error: Option<String>,
}

/// Asks every endpoint, prints what they say, and fails if none answers.
pub(super) async fn run(at: &ClientArgs, output: Output) -> Result<(), String> {
    let client = at.client()?;
    let mut views: Vec<View> = Vec::new();
    for endpoint in &at.endpoint {
        let answer = client.ask(endpoint, &Ask::get("/v1/status"), at.timeout).await;
        let status = answer.map_err(|error| error.problem).and_then(|answer| {
            answer.json().ok_or_else(|| format!("{}: no status of a member", answer.status))
        });
        views.push((Who::Endpoint(endpoint.clone()), status));
    }
    show(&views, output)
}

/// Asks the first endpoint that answers for all members.
pub(super) async fn of_cluster(at: &ClientArgs, output: Output) -> Result<(), String> {
    let answer = answered(at, &Ask::get("/v1/cluster")).await?;
    let gathered: Gathered = answer.json().ok_or("the answer is none of holm's")?;
    let view = |GatheredView { node, status, error }| {
        (Who::Member(node), status.ok_or_else(|| error.unwrap_or_default()))
    };
    let views: Vec<View> = gathered.members.into_iter().map(view).collect();
    show(&views, output)
}

fn show(views: &[View], output: Output) -> Result<(), String> {
    let text = match output {
        Output::Json => format!("{:#}\n", as_json(views)),
        Output::Table => as_table(views),
    };
    print(text.as_bytes())?;
    if views.iter().any(|(_, status)| status.is_ok()) {
        return Ok(());
    }
    Err("no member answered; name others with --endpoint".into())
}

fn as_json(views: &[View]) -> Value {
    let view = |(who, status): &View| {
        let mut view = match who {
            Who::Endpoint(endpoint) => json!({ "endpoint": endpoint.to_string() }),
            Who::Member(id) => json!({ "member": id }),
        };
        match status {
            Ok(status) => view["status"] = json!(status),
            Err(error) => view["error"] = json!(error),
        }
        view
    };
    views.iter().map(view).collect()
}

fn as_table(views: &[View]) -> String {
    let statuses: BTreeMap<u64, &Status> = views
        .iter()
        .filter_map(|(_, status)| status.as_ref().ok().map(|status| (status.node, status)))
        .collect();
    let latest = statuses.values().max_by_key(|status| status.term);
    let leader = latest.and_then(|status| status.leader);
    let mut text = String::new();
    if let Some(status) = latest {
        let mut rows = vec![COLUMNS.map(str::to_owned).to_vec()];
        for (id, member) in members(&statuses) {
            rows.push(row(id, member, statuses.get(&id).copied(), leader));
        }
        let leads = leader.map_or("no leader is known".into(), |id| format!("member {id} leads"));
        line(&mut text, &format!("cluster {}, term {}: {leads}", status.cluster, status.term));
        for row in aligned(&rows) {
            line(&mut text, &row);
        }
        let trails_known = |status: &Status| status.members.iter().all(|one| one.trails.is_some());
        let unknown = !statuses.values().any(|status| trails_known(status));
        if let Some(id) = leader.filter(|id| unknown && !statuses.contains_key(id)) {
            let hint = "add its --endpoint to see how far the others trail it";
            line(&mut text, &format!("member {id} leads: {hint}"));
        }
    }
    if let Some(status) = latest {
        links::wrapped(&mut text, &shares(status));
    }
    text.push_str(&links::text(&statuses));
    epochs(&mut text, &statuses);
    for status in statuses.values().filter(|status| status.disk.state != DiskState::Ok) {
        line(&mut text, &format!("member {}: disk {}", status.node, status.disk));
    }
    for (who, status) in views {
        if let Err(error) = status {
            line(&mut text, &format!("{who} did not answer: {error}"));
        }
    }
    text
}

/// Which recoveries of the cluster the members belong to, if there was one.
fn epochs(text: &mut String, statuses: &BTreeMap<u64, &Status>) {
    let mut members = BTreeMap::<&str, Vec<String>>::new();
    for status in statuses.values() {
        if let Some(epoch) = &status.epoch {
            members.entry(epoch).or_default().push(status.node.to_string());
        }
    }
    let recovered = members.keys().any(|epoch| epoch.bytes().any(|digit| digit != b'0'));
    for (epoch, members) in members.iter().filter(|_| recovered) {
        let of = if members.len() == 1 { "member" } else { "members" };
        links::wrapped(text, &format!("epoch {epoch}: {of} {}", members.join(", ")));
    }
}

/// How many of the keys each member owns (docs/rendezvous.md).
fn shares(status: &Status) -> String {
    let share = |member: &MemberStatus| {
        let tenths = (member.owns_ppm + 500) / 1_000;
        format!("{} {}.{} %", member.node, tenths / 10, tenths % 10)
    };
    let all: Vec<String> = status.members.iter().map(share).collect();
    format!("keys owned by member {}", all.join(", "))
}

/// Every member that anybody names, in the words of whoever knows most of it: the leader.
fn members<'a>(statuses: &BTreeMap<u64, &'a Status>) -> BTreeMap<u64, Option<&'a MemberStatus>> {
    let mut found: BTreeMap<u64, Option<&MemberStatus>> =
        statuses.keys().map(|id| (*id, None)).collect();
    for status in statuses.values() {
        for member in &status.members {
            let known = found.entry(member.node).or_default();
            if known.is_none_or(|known| known.trails.is_none()) {
                *known = Some(member);
            }
        }
    }
    found
}

fn row(
    id: u64,
    member: Option<&MemberStatus>,
    own: Option<&Status>,
    leader: Option<u64>,
) -> Vec<String> {
    let unknown = || UNKNOWN.to_owned();
    let number = |number: Option<u64>| number.map_or_else(unknown, |number| number.to_string());
    let role = match own {
        Some(status) => status.role.clone(),
        None if leader == Some(id) => "leader".into(),
        None => unknown(),
    };
    let address = member.map(|member| member.address.as_deref().unwrap_or("only dials"));
    vec![
        id.to_string(),
        member.map_or_else(unknown, |member| member.island.clone()),
        role,
        number(own.map(|status| status.term)),
        number(own.map(|status| status.commit)),
        number(own.map(|status| status.applied)),
        number(member.and_then(|member| member.trails)),
        address.unwrap_or(UNKNOWN).to_owned(),
    ]
}

pub(super) fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let cells = |row: &Vec<String>| {
        let padded: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    rows.iter().map(cells).collect()
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a String can't fail");
}

#[cfg(test)]
mod tests;
