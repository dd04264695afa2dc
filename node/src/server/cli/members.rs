//! `holm members` and `holm transfer`: who belongs to the cluster, changes of that, and who leads.

use super::client::answered;
use super::{ClientArgs, Output, print};
use crate::members::{IncarnationNumber, Member, Members};
use crate::server::client::Ask;
use crate::topology::{MEMBER_PORT, with_port};
use axum::http::Method;
use clap::{Args, Subcommand};
use holm_transport::PublicKey;
use serde_json::{Value, json};

pub(super) const EXAMPLES: &str = "\
Examples:
  holm members list
  holm members invite --ttl 2h
  holm members add 4 --incarnation 3fa2c1d05b7e9148 --address 10.0.0.4 --key holm-public-…
  holm members replace 3
  holm members update 2 --address 10.0.0.22
  holm members remove 2 --expect 1041";

pub(super) const TRANSFER_EXAMPLES: &str = "\
Examples:
  holm transfer
  holm transfer --to 3";

#[derive(Subcommand)]
pub(super) enum MembersAction {
    /// Show who belongs to the cluster, with what standing, and how far each is
    List {
        /// The form of the output
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
        /// Ask the member for what it knows itself, however old
        #[arg(long)]
        local: bool,
    },
    /// Add a member that waits on an empty directory: a learner, then a voter by itself
    Add {
        /// Its number
        id: u64,
        /// Its incarnation, as its log names it while it waits
        #[arg(long, value_name = "DIGITS")]
        incarnation: IncarnationNumber,
        #[command(flatten)]
        place: Place,
        /// Leave it a learner until it is promoted
        #[arg(long)]
        learner: bool,
        #[command(flatten)]
        how: How,
    },
    /// Print a ticket with which one member may join, once (`holm join`)
    Invite {
        /// As which member [the next number that is free]; one that is there gives its place up
        #[arg(long, value_name = "ID")]
        id: Option<u64>,
        /// For how long it can be used, such as 30m, 2h or 7d
        #[arg(long, value_name = "TIME", value_parser = lifetime, default_value = "1h")]
        ttl: u64,
        /// The form of the output
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Let a learner vote that has caught up
    Promote {
        /// Its number
        id: u64,
        #[command(flatten)]
        how: How,
    },
    /// Make a voter a learner
    Demote {
        /// Its number
        id: u64,
        #[command(flatten)]
        how: How,
    },
    /// Remove a member; it stops, with exit code 4. Also the leader
    Remove {
        /// Its number
        id: u64,
        #[command(flatten)]
        how: How,
    },
    /// Change what is said of a member: where it is, whether it relays, its weight
    Update {
        /// Its number
        id: u64,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        how: How,
    },
    /// Give a member's place to another incarnation: one whose directory was emptied
    Replace {
        /// Its number
        id: u64,
        /// The new incarnation [whichever is connected now]
        #[arg(long, value_name = "DIGITS")]
        incarnation: Option<IncarnationNumber>,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        how: How,
    },
}

/// Where a member is. What is left out stays as it is, where it is known.
#[derive(Args)]
pub(super) struct Place {
    /// Where it accepts members [port 7600 if none is given]
    #[arg(long, value_name = "HOST:PORT", value_parser = member_address)]
    address: Option<String>,
    /// Its island [that of the leader]
    #[arg(long, value_name = "NAME")]
    island: Option<String>,
    /// The public key that it proves itself with
    #[arg(long, value_name = "holm-public-…")]
    key: Option<PublicKey>,
    /// It passes nothing on for others
    #[arg(long)]
    no_relay: bool,
    /// It keeps nothing over a restart: storage = "memory"
    #[arg(long)]
    memory: bool,
    /// How many keys it owns next to the others [1]
    #[arg(long, value_name = "N")]
    weight: Option<u16>,
}

/// How a change is made.
#[derive(Args)]
pub(super) struct How {
    /// Only if the members are those that were set at this index, as `list` shows it
    #[arg(long, value_name = "INDEX")]
    expect: Option<u64>,
    /// Though too few voters would be reached afterwards
    #[arg(long)]
    force: bool,
    /// Though most voters would keep nothing over a restart
    #[arg(long)]
    allow_memory_majority: bool,
    /// The form of the output
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Args)]
pub(super) struct TransferArgs {
    /// Who shall lead [whoever holds most of the log]
    #[arg(long, value_name = "ID")]
    to: Option<u64>,
    /// The form of the output
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// Seconds: `90s`, `30m`, `2h` or `7d`.
fn lifetime(text: &str) -> Result<u64, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let split = |(unit, seconds): (&str, u64)| Some((text.strip_suffix(unit)?, seconds));
    let found = units.into_iter().find_map(split);
    let seconds = found.and_then(|(count, unit)| count.parse::<u64>().ok()?.checked_mul(unit));
    let most = 400 * 86_400;
    let wrong = || "write a time from 1s to 400d, such as 30m, 2h or 7d".to_owned();
    seconds.filter(|seconds| (1..=most).contains(seconds)).ok_or_else(wrong)
}

fn member_address(text: &str) -> Result<String, String> {
    with_port(text, MEMBER_PORT)
}

/// Runs a `holm members` command.
pub(super) async fn run(at: &ClientArgs, action: &MembersAction) -> Result<(), String> {
    let (change, what, how) = match action {
        MembersAction::List { output, local } => {
            let members = listed(at, if *local { "?consistency=local" } else { "" }).await?;
            let text = match output {
                Output::Json => format!("{:#}\n", json!(members)),
                Output::Table => table(&members),
            };
            return print(text.as_bytes());
        }
        MembersAction::Invite { id, ttl, output } => {
            let node = id.map_or(String::new(), |id| format!("&node={id}"));
            let path = format!("/v1/members/invite?ttl_s={ttl}{node}");
            let ask = Ask { method: Method::POST, ..Ask::get(path) };
            let answer: Value = answered(at, &ask).await?.json().ok_or(NO_ANSWER)?;
            let text = match output {
                Output::Json => format!("{answer:#}\n"),
                Output::Table => format!("{}\n", answer["ticket"].as_str().unwrap_or_default()),
            };
            return print(text.as_bytes());
        }
        MembersAction::Add { id, incarnation, place, learner, how } => {
            let member = place.member(*id, &listed(at, "").await?);
            let votes = if *learner { "when_promoted" } else { "once_caught_up" };
            let change = json!({ "change": "add", "incarnation": incarnation, "member": member,
                "storage": place.storage(), "votes": votes });
            (change, format!("member {id} was added"), how)
        }
        MembersAction::Promote { id, how } => {
            (json!({ "change": "promote", "node": id }), format!("member {id} votes"), how)
        }
        MembersAction::Demote { id, how } => {
            (json!({ "change": "demote", "node": id }), format!("member {id} is a learner"), how)
        }
        MembersAction::Remove { id, how } => {
            (json!({ "change": "remove", "node": id }), format!("member {id} was removed"), how)
        }
        MembersAction::Update { id, place, how } => {
            let change = update(at, *id, place).await?;
            (change, format!("what is said of member {id} was changed"), how)
        }
        MembersAction::Replace { id, incarnation: None, place, how } => {
            if place.is_given() {
                return Err(
                    "say the new --incarnation as well; to change what is said of the one \
                            that is there, use `holm members update`"
                        .into(),
                );
            }
            let change = json!({ "change": "readmit", "node": id });
            (change, format!("member {id} was readmitted, as a learner at first"), how)
        }
        MembersAction::Replace { id, incarnation: Some(incarnation), place, how } => {
            let member = place.member(*id, &listed(at, "").await?);
            let change = json!({ "change": "replace", "incarnation": incarnation,
                "member": member, "storage": place.storage() });
            (change, format!("member {id} was replaced, by a learner at first"), how)
        }
    };
    let answer: Value = asked(at, how.path(), &change).await?;
    let text = match how.output {
        Output::Json => format!("{answer:#}\n"),
        Output::Table => format!("{what}; the members were set at index {}\n", answer["index"]),
    };
    print(text.as_bytes())
}

/// The change that says something else of a member, which stays the same one.
async fn update(at: &ClientArgs, id: u64, place: &Place) -> Result<Value, String> {
    if !place.is_given() {
        return Err("there is nothing to change; say what, such as --address".into());
    }
    let members = listed(at, "").await?;
    let found = members.members.iter().find(|member| member.node == id);
    let Some(found) = found else {
        return Err(format!("there is no member {id}; list the members, and name one of them"));
    };
    let storage = if place.memory { json!("memory") } else { json!(found.storage) };
    Ok(json!({ "change": "replace", "incarnation": found.incarnation,
        "member": place.member(id, &members), "storage": storage }))
}

/// Runs `holm transfer`.
pub(super) async fn transfer(at: &ClientArgs, args: &TransferArgs) -> Result<(), String> {
    let to = args.to.map_or(String::new(), |to| format!("?to={to}"));
    let ask = Ask { method: Method::POST, ..Ask::get(format!("/v1/transfer{to}")) };
    let answer: Value = answered(at, &ask).await?.json().ok_or(NO_ANSWER)?;
    let text = match args.output {
        Output::Json => format!("{answer:#}\n"),
        Output::Table => format!("member {} leads\n", answer["leader"]),
    };
    print(text.as_bytes())
}

const NO_ANSWER: &str = "the answer is none of holm's";

async fn listed(at: &ClientArgs, query: &str) -> Result<Members, String> {
    let answer = answered(at, &Ask::get(format!("/v1/members{query}"))).await?;
    Ok(answer.json().ok_or(NO_ANSWER)?)
}

async fn asked(at: &ClientArgs, path: String, change: &Value) -> Result<Value, String> {
    let body = change.to_string().into();
    let ask = Ask { method: Method::POST, body, ..Ask::get(path) };
    Ok(answered(at, &ask).await?.json().ok_or(NO_ANSWER)?)
}

impl How {
    fn path(&self) -> String {
        let expect = self.expect.map(|index| format!("expect={index}"));
        let risks = [
            self.force.then_some("no_quorum"),
            self.allow_memory_majority.then_some("memory_majority"),
        ];
        let risks: Vec<&str> = risks.into_iter().flatten().collect();
        let allow = (!risks.is_empty()).then(|| format!("allow={}", risks.join(",")));
        let query: Vec<String> = [expect, allow].into_iter().flatten().collect();
        let joint = if query.is_empty() { "" } else { "?" };
        format!("/v1/members{joint}{}", query.join("&"))
    }
}

impl Place {
    const fn is_given(&self) -> bool {
        self.address.is_some()
            || self.island.is_some()
            || self.key.is_some()
            || self.no_relay
            || self.memory
            || self.weight.is_some()
    }

    const fn storage(&self) -> &'static str {
        if self.memory { "memory" } else { "disk" }
    }

    /// The member with this number, as it is to be: as it is known, where nothing else is said.
    fn member(&self, id: u64, members: &Members) -> Value {
        let find = |id: u64| members.members.iter().find(|member| member.node == id);
        let known = find(id);
        let leader = members.leader.and_then(find);
        let island = self.island.clone();
        let island = island.or_else(|| Some(known.or(leader)?.island.clone()));
        let address = self.address.clone().or_else(|| known?.address.clone());
        let mut member = json!({
            "id": id,
            "island": island.unwrap_or_default(),
            "relay": !self.no_relay && known.is_none_or(|known| known.relay),
            "weight": self.weight.or_else(|| Some(known?.weight)).unwrap_or(1),
        });
        if let Some(address) = address {
            member["address"] = address.into();
        }
        if let Some(key) = self.key.or_else(|| known?.key) {
            member["key"] = json!(key);
        }
        member
    }
}

const COLUMNS: [&str; 7] =
    ["MEMBER", "STANDING", "INCARNATION", "ISLAND", "TRAILS", "REACHED", "ADDRESS"];

fn table(members: &Members) -> String {
    let row = |member: &Member| {
        let trails = member.trails.map_or_else(|| "-".to_owned(), |trails| trails.to_string());
        let address = member.address.clone().unwrap_or_else(|| "only dials".to_owned());
        let leads = if members.leader == Some(member.node) { " (leads)" } else { "" };
        vec![
            member.node.to_string(),
            format!("{}{leads}", member.standing.name()),
            member.incarnation.to_string(),
            member.island.clone(),
            trails,
            member.reached.clone(),
            address,
        ]
    };
    let header = COLUMNS.map(str::to_owned).to_vec();
    let rows: Vec<_> = [header].into_iter().chain(members.members.iter().map(row)).collect();
    let lines = super::status::aligned(&rows).join("\n");
    format!("the members were set at index {}\n{lines}\n", members.index)
}
