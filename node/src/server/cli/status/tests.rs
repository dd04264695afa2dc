//! What `holm status` prints of what members say.

use super::*;
use crate::status::{DiskStatus, LinksStatus};

/// Member `node`'s own view of a cluster whose members it reaches, or does not, like this.
fn status(node: u64, role: &str, reached: &[&str]) -> Status {
    let member = |(other, reached): (u64, &&str)| MemberStatus {
        node: other,
        island: "north".into(),
        address: (other == 1).then(|| "10.0.0.1:7600".into()),
        reached: (*reached).into(),
        owns_ppm: 333_333,
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
        members: (1..).zip(reached).map(member).collect(),
        secrets: vec!["5f00c0ffee".into()],
        ..Status::default()
    }
}

fn trailing(mut status: Status, trails: &[u64]) -> Status {
    for (member, trails) in status.members.iter_mut().zip(trails) {
        (member.trails, member.matched) = (Some(*trails), Some(40 - trails));
    }
    status
}

fn endpoint(text: &str) -> Who {
    Who::Endpoint(Endpoint::parse(text).expect("sound"))
}

/// The table of members 1 and 2 of three, as both were asked.
fn both() -> Vec<View> {
    let mut one = status(1, "follower", &["self", "direct", "via 2"]);
    let [_, two, three] = &mut one.members[..] else { panic!("three") };
    (two.round_trip_us, two.sent_bytes, two.received_bytes) = (Some(417), 1_234_567, 890_123);
    (three.round_trip_us, three.received_bytes) = (Some(12_345), 999);
    three.lost = [("no_link".into(), 3), ("queue_full".into(), 2)].into();
    three.last_error = Some("connecting to 10.0.0.3:7600 failed: Connection refused".into());
    let mut two = status(2, "leader", &["inbound", "self", "inbound"]);
    two.refused = [("garbage".into(), 3), ("secret".into(), 12)].into();
    two.secrets.insert(0, "8a00c0ffee".into());
    two.links = [(1, vec![2]), (2, vec![1, 3]), (3, vec![2])]
        .map(|(node, links)| LinksStatus { node, links })
        .into();
    vec![
        (endpoint("a"), Ok(one)),
        (endpoint("b"), Ok(trailing(two, &[7, 0, 2]))),
        (endpoint("c"), Err("no answer within 1s".into())),
    ]
}

#[test]
fn the_tables_join_what_each_endpoint_knows() {
    let expected = "\
cluster c, term 3: member 2 leads
MEMBER  ISLAND  ROLE      TERM  COMMIT  APPLIED  TRAILS  ADDRESS
1       north   follower  3     40      39       7       10.0.0.1:7600
2       north   leader    3     40      40       0       only dials
3       north   -         -     -       -        2       only dials
keys owned by member 1 33.3 %, 2 33.3 %, 3 33.3 %

FROM  TO  REACHED  ROUND TRIP  SENT    RECEIVED  LOST
1     2   direct   0.41 ms     1.2 MB  890 kB    0
1     3   via 2    12 ms       0 B     999 B     5
2     1   inbound  -           0 B     0 B       0
2     3   inbound  -           0 B     0 B       0

FROM\\TO  1  2  3
1        .  =  2
2        =  .  =
3        ?  =  .
= by a link, a number: through that member, - not at all, ? not known: not asked

1 to 3: lost no_link 3, queue_full 2; last error: connecting to 10.0.0.3:7600
    failed: Connection refused
member 2 refused connections: garbage 3, secret 12
member 1: links are sealed, secret 5f00c0ffee
member 2: links are sealed, secret 8a00c0ffee, also 5f00c0ffee
c:7680 did not answer: no answer within 1s
";
    assert_eq!(as_table(&both()), expected);
}

#[test]
fn every_line_fits_80_columns_however_many_members_there_are() {
    let reached: Vec<String> = (1..=60).map(|id| format!("via {}", id % 60 + 1)).collect();
    let reached: Vec<&str> = reached.iter().map(String::as_str).collect();
    let mut one = status(1, "pre-candidate", &reached);
    for member in &mut one.members {
        member.last_error = Some("a reason of some length, ".repeat(12));
        (member.sent_bytes, member.round_trip_us) = (u64::MAX, Some(9_999_999));
    }
    one.secrets = (0..8).map(|number| format!("{number:016x}")).collect();
    let table = as_table(&[(endpoint("a"), Ok(one))]);
    let long: Vec<_> = table.lines().filter(|line| line.chars().count() > links::WIDTH).collect();
    assert!(long.is_empty(), "{long:#?}");
    let heads: Vec<_> = table.lines().filter(|line| line.starts_with("FROM\\TO")).collect();
    let columns: Vec<_> = heads.iter().flat_map(|head| head.split_whitespace().skip(1)).collect();
    assert!(heads.len() > 1);
    assert_eq!(columns, (1..=60).map(|id| id.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_member_that_is_cut_off_or_insecure_is_told_plainly() {
    let mut one = status(1, "follower", &["self", "not connected"]);
    one.secrets.clear();
    let table = as_table(&[(endpoint("a"), Ok(one))]);
    for expected in [
        "1     2   not connected  -           0 B   0 B       0",
        "1        .  -",
        "2        ?  .",
        "member 1: links are insecure",
    ] {
        assert!(table.lines().any(|line| line == expected), "no {expected:?} in:\n{table}");
    }
}

#[test]
fn of_a_member_that_is_alone_there_are_no_ways() {
    let alone = Status { leader: Some(1), ..trailing(status(1, "leader", &["self"]), &[0]) };
    let table = as_table(&[(endpoint("a"), Ok(alone))]);
    let expected = "\
cluster c, term 3: member 1 leads
MEMBER  ISLAND  ROLE    TERM  COMMIT  APPLIED  TRAILS  ADDRESS
1       north   leader  3     40      39       0       10.0.0.1:7600
keys owned by member 1 33.3 %

member 1: links are sealed, secret 5f00c0ffee
";
    assert_eq!(table, expected);
}

#[test]
fn a_follower_that_does_not_know_says_who_to_ask_for_more() {
    let follower = status(1, "follower", &["self", "direct"]);
    let hint = "member 2 leads: add its --endpoint to see how far the others trail it";
    let table = as_table(&[(endpoint("a"), Ok(follower.clone()))]);
    let row = "2       north   leader    -     -       -        -       only dials";
    assert!(table.lines().any(|line| line == row), "{table}");
    assert!(table.lines().any(|line| line == hint), "{table}");
    let table = as_table(&[(endpoint("a"), Ok(trailing(follower, &[7, 0])))]);
    assert!(!table.contains(hint), "it was told: {table}");
}

#[test]
fn the_table_says_whose_disk_is_bad() {
    let full = Status {
        disk: DiskStatus { state: DiskState::Full, for_ms: 1500 },
        ..status(1, "follower", &["self"])
    };
    let stalled = Status {
        disk: DiskStatus { state: DiskState::Stalled, for_ms: 700 },
        ..status(2, "leader", &["direct", "self"])
    };
    let table = as_table(&[(endpoint("a"), Ok(full)), (endpoint("b"), Ok(stalled))]);
    let said = "member 1: disk full for 1500 ms\nmember 2: disk stalled for 700 ms\n";
    assert!(table.ends_with(said), "{table}");
}

#[test]
fn json_holds_every_endpoint() {
    let views = vec![
        (endpoint("a"), Ok(status(2, "follower", &["direct", "self"]))),
        (endpoint("b"), Err("gone".into())),
    ];
    let json = as_json(&views);
    assert_eq!(json[0]["status"]["node"], json!(2));
    assert_eq!(json[0]["status"]["members"][0]["reached"], json!("direct"));
    assert_eq!(json[1], json!({ "endpoint": "b:7680", "error": "gone" }));
}

#[test]
fn members_that_one_of_them_asked_are_told_by_their_numbers() {
    let views = vec![
        (Who::Member(1), Ok(status(1, "leader", &["self", "not connected"]))),
        (Who::Member(2), Err("it is not connected".into())),
    ];
    let table = as_table(&views);
    assert!(table.ends_with("member 2 did not answer: it is not connected\n"), "{table}");
    let json = as_json(&views);
    assert_eq!(json[0]["member"], json!(1));
    assert_eq!(json[0]["status"]["node"], json!(1));
    assert_eq!(json[1], json!({ "member": 2, "error": "it is not connected" }));
}

#[test]
fn epochs_are_told_once_the_cluster_was_recovered() {
    let of = |node, epoch: &str| {
        let own = status(node, "follower", &["direct", "direct", "direct"]);
        (Who::Member(node), Ok(Status { epoch: Some(epoch.into()), ..own }))
    };
    let (first, second) = ("0000000000000000", "0001c0ffee000000");
    let table = as_table(&[of(1, first), of(2, first)]);
    assert!(!table.contains("epoch"), "{table}");
    let table = as_table(&[of(1, second), of(2, first), of(3, second)]);
    let told = "epoch 0000000000000000: member 2\nepoch 0001c0ffee000000: members 1, 3\n";
    assert!(table.ends_with(told), "{table}");
}
