//! `holm rendezvous where`: whose a key is, who comes next, and who holds it.

use super::client::answered;
use super::{ClientArgs, Output, print};
use crate::server::client::{Ask, encoded};
use clap::Subcommand;
use serde::{Deserialize, Serialize};

pub(super) const EXAMPLES: &str = "\
Examples:
  holm rendezvous where host-1
  holm rendezvous where approval/7f3a --island north -o json";

#[derive(Subcommand)]
pub(super) enum RendezvousAction {
    /// Print the member that a key belongs to
    Where {
        /// The key
        key: String,
        /// Prefer members on this island
        #[arg(long, value_name = "NAME")]
        island: Option<String>,
        /// The form of the output
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
}

/// What a member says of a key.
#[derive(Deserialize, Serialize)]
struct Found {
    key: String,
    owner: Option<u64>,
    order: Vec<u64>,
    configuration: u64,
    holder: Option<Held>,
}

#[derive(Deserialize, Serialize)]
struct Held {
    member: u64,
    token: u64,
}

pub(super) async fn run(at: &ClientArgs, action: &RendezvousAction) -> Result<(), String> {
    let RendezvousAction::Where { key, island, output } = action;
    let island = island.as_ref().map_or(String::new(), |name| format!("?island={}", encoded(name)));
    let ask = Ask::get(format!("/v1/rendezvous/{}{island}", encoded(key)));
    let answer = answered(at, &ask).await?;
    let found: Found = answer.json().ok_or("the answer says of no key whose it is")?;
    let text = match output {
        Output::Table => as_table(&found),
        Output::Json => {
            let json = serde_json::to_string_pretty(&found);
            json.map_err(|error| error.to_string())? + "\n"
        }
    };
    print(text.as_bytes())
}

fn as_table(found: &Found) -> String {
    let Some(owner) = found.owner else {
        return "nobody's: the asked member knows no committed configuration\n".into();
    };
    let next: Vec<String> = found.order.iter().skip(1).map(u64::to_string).collect();
    let next = if next.is_empty() { "nobody".to_owned() } else { next.join(", ") };
    let held = found.holder.as_ref().map_or("by nobody".to_owned(), |held| {
        format!("by member {} (token {})", held.member, held.token)
    });
    let by = found.configuration;
    format!("owner  member {owner} (configuration {by})\nnext   {next}\nheld   {held}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_stands_first_then_who_comes_next_and_who_holds_it() {
        let mut found = Found {
            key: "k".into(),
            owner: Some(3),
            order: vec![3, 1, 2],
            configuration: 7,
            holder: Some(Held { member: 1, token: 40 }),
        };
        let expected = "owner  member 3 (configuration 7)\nnext   1, 2\n\
                        held   by member 1 (token 40)\n";
        assert_eq!(as_table(&found), expected);
        (found.order, found.holder) = (vec![3], None);
        let alone = "owner  member 3 (configuration 7)\nnext   nobody\nheld   by nobody\n";
        assert_eq!(as_table(&found), alone);
        found.owner = None;
        assert!(as_table(&found).starts_with("nobody's"));
    }
}
