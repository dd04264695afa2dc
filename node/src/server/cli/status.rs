//! `holm status`: every endpoint's own view, as one table by member or as JSON.

use super::{ClientArgs, Output, print};
use crate::server::client::{Ask, Client, Endpoint};
use crate::status::{DiskState, MemberStatus, Status};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

const COLUMNS: [&str; 8] =
    ["MEMBER", "ISLAND", "ROLE", "TERM", "COMMIT", "APPLIED", "TRAILS LEADER BY", "ADDRESS"];
/// What stands where nobody who was asked knows.
const UNKNOWN: &str = "-";

type View = (Endpoint, Result<Status, String>);

/// Asks every endpoint, prints what they say, and fails if none answers.
pub(super) async fn run(at: &ClientArgs, output: Output) -> Result<(), String> {
    let client = Client::new();
    let mut views: Vec<View> = Vec::new();
    for endpoint in &at.endpoint {
        let answer = client.ask(endpoint, &Ask::get("/v1/status"), at.timeout).await;
        let status = answer.map_err(|error| error.problem).and_then(|answer| {
            answer.json().ok_or_else(|| format!("{}: no status of a member", answer.status))
        });
        views.push((endpoint.clone(), status));
    }
    let text = match output {
        Output::Json => format!("{:#}\n", as_json(&views)),
        Output::Table => as_table(&views),
    };
    print(text.as_bytes())?;
    if views.iter().any(|(_, status)| status.is_ok()) {
        return Ok(());
    }
    Err("no member answered; name others with --endpoint".into())
}

fn as_json(views: &[View]) -> Value {
    let view = |(endpoint, status): &View| match status {
        Ok(status) => json!({ "endpoint": endpoint.to_string(), "status": status }),
        Err(error) => json!({ "endpoint": endpoint.to_string(), "error": error }),
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
        let mut rows = vec![COLUMNS.map(str::to_owned)];
        for (id, member) in members(&statuses) {
            rows.push(row(id, member, statuses.get(&id).copied(), leader));
        }
        let leads = leader.map_or("no leader is known".into(), |id| format!("member {id} leads"));
        line(&mut text, &format!("cluster {}, term {}: {leads}", status.cluster, status.term));
        for row in aligned(&rows) {
            line(&mut text, &row);
        }
        if let Some(id) = leader.filter(|id| !statuses.contains_key(id)) {
            let hint = "only the leader knows how far the others trail; add its --endpoint";
            line(&mut text, &format!("member {id} leads and was not asked: {hint}"));
        }
    }
    for status in statuses.values().filter(|status| status.disk.state != DiskState::Ok) {
        line(&mut text, &format!("member {}: disk {}", status.node, status.disk));
    }
    for (endpoint, status) in views {
        if let Err(error) = status {
            line(&mut text, &format!("{endpoint} did not answer: {error}"));
        }
    }
    text
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
) -> [String; 8] {
    let unknown = || UNKNOWN.to_owned();
    let number = |number: Option<u64>| number.map_or_else(unknown, |number| number.to_string());
    let role = match own {
        Some(status) => status.role.clone(),
        None if leader == Some(id) => "leader".into(),
        None => unknown(),
    };
    let address = member.map(|member| member.address.as_deref().unwrap_or("only dials"));
    [
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

fn aligned(rows: &[[String; 8]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..COLUMNS.len()).map(|column| width(column).unwrap_or(0)).collect();
    let cells = |row: &[String; 8]| {
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
mod tests {
    use super::*;
    use crate::status::DiskStatus;

    fn status(node: u64, role: &str, trails: [Option<u64>; 2]) -> Status {
        let member = |(node, trails): (u64, Option<u64>)| MemberStatus {
            node,
            island: "north".into(),
            address: (node == 1).then(|| "10.0.0.1:7600".into()),
            matched: trails.map(|trails| 40 - trails),
            trails,
            reached: "direct".into(),
            ..MemberStatus::default()
        };
        Status {
            cluster: "c".into(),
            node,
            role: role.into(),
            term: 3,
            leader: Some(2),
            commit: 40,
            applied: 38 + node,
            last: 40,
            members: (1..).zip(trails).map(member).collect(),
            ..Status::default()
        }
    }

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::parse(text).expect("sound")
    }

    #[test]
    fn the_table_joins_what_each_endpoint_knows() {
        let views = vec![
            (endpoint("a"), Ok(status(1, "follower", [None, None]))),
            (endpoint("b"), Ok(status(2, "leader", [Some(7), Some(0)]))),
            (endpoint("c"), Err("no answer within 1s".into())),
        ];
        let expected = "\
cluster c, term 3: member 2 leads
MEMBER  ISLAND  ROLE      TERM  COMMIT  APPLIED  TRAILS LEADER BY  ADDRESS
1       north   follower  3     40      39       7                 10.0.0.1:7600
2       north   leader    3     40      40       0                 only dials
c:7680 did not answer: no answer within 1s
";
        assert_eq!(as_table(&views), expected);
    }

    #[test]
    fn a_follower_alone_says_who_to_ask_for_more() {
        let views = vec![(endpoint("a"), Ok(status(1, "follower", [None, None])))];
        let table = as_table(&views);
        let row = "2       north   leader    -     -       -        -                 only dials";
        assert!(table.lines().any(|line| line == row), "{table}");
        assert!(table.contains("member 2 leads and was not asked"), "{table}");
    }

    #[test]
    fn the_table_says_whose_disk_is_bad() {
        let full = Status {
            disk: DiskStatus { state: DiskState::Full, for_ms: 1500 },
            ..status(1, "follower", [None, None])
        };
        let stalled = Status {
            disk: DiskStatus { state: DiskState::Stalled, for_ms: 700 },
            ..status(2, "leader", [Some(7), Some(0)])
        };
        let table = as_table(&[(endpoint("a"), Ok(full)), (endpoint("b"), Ok(stalled))]);
        let said = "member 1: disk full for 1500 ms\nmember 2: disk stalled for 700 ms\n";
        assert!(table.ends_with(said), "{table}");
    }

    #[test]
    fn json_holds_every_endpoint() {
        let views = vec![
            (endpoint("a"), Ok(status(2, "follower", [None, None]))),
            (endpoint("b"), Err("gone".into())),
        ];
        let json = as_json(&views);
        assert_eq!(json[0]["status"]["node"], json!(2));
        assert_eq!(json[1], json!({ "endpoint": "b:7680", "error": "gone" }));
    }
}
