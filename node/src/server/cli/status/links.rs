//! Who reaches whom, as `holm status` prints it: how each member that was asked reaches the others,
//! what went wrong, a matrix of all members, and which secrets they know.

use super::{UNKNOWN, aligned, line};
use crate::status::{MemberStatus, Status};
use std::collections::{BTreeMap, BTreeSet};

/// How many characters a line may have, if its words allow.
pub(super) const WIDTH: usize = 80;

const COLUMNS: [&str; 7] = ["FROM", "TO", "REACHED", "ROUND TRIP", "SENT", "RECEIVED", "LOST"];
const CORNER: &str = "FROM\\TO";
const LEGEND: &str =
    "= by a link, a number: through that member, - not at all, ? not known: not asked";
/// What stands in the matrix for a member itself.
const SELF: &str = ".";

/// All of it; nothing about a member that is alone.
pub(super) fn text(statuses: &BTreeMap<u64, &Status>) -> String {
    let mut text = String::new();
    let ids: BTreeSet<u64> = statuses
        .values()
        .flat_map(|status| status.members.iter().map(|member| member.node).chain([status.node]))
        .collect();
    if ids.len() > 1 {
        reached(&mut text, statuses);
        matrix(&mut text, statuses, &ids);
    }
    let mut notes = Vec::new();
    for (from, member) in pairs(statuses) {
        notes.extend(troubles(from, member));
    }
    for status in statuses.values().filter(|status| !status.refused.is_empty()) {
        let reasons = counts(&status.refused);
        notes.push(format!("member {} refused connections: {reasons}", status.node));
    }
    notes.extend(secrets(statuses));
    if !notes.is_empty() {
        line(&mut text, "");
    }
    for note in notes {
        wrapped(&mut text, &note);
    }
    text
}

/// Each member that was asked, and each other one as that sees it.
fn pairs<'a>(
    statuses: &'a BTreeMap<u64, &'a Status>,
) -> impl Iterator<Item = (u64, &'a MemberStatus)> {
    let others = |status: &'a Status| {
        let others = status.members.iter().filter(|member| member.node != status.node);
        others.map(|member| (status.node, member))
    };
    statuses.values().copied().flat_map(others)
}

fn reached(text: &mut String, statuses: &BTreeMap<u64, &Status>) {
    let mut rows = vec![COLUMNS.map(str::to_owned).to_vec()];
    for (from, member) in pairs(statuses) {
        rows.push(vec![
            from.to_string(),
            member.node.to_string(),
            member.reached.clone(),
            member.round_trip_us.map_or_else(|| UNKNOWN.into(), time),
            amount(member.sent_bytes),
            amount(member.received_bytes),
            member.lost.values().sum::<u64>().to_string(),
        ]);
    }
    line(text, "");
    aligned(&rows).iter().for_each(|row| line(text, row));
}

/// In bands of as many columns as a line holds.
fn matrix(text: &mut String, statuses: &BTreeMap<u64, &Status>, ids: &BTreeSet<u64>) {
    let digits = ids.last().map_or(1, |id| id.to_string().len());
    let fit = (WIDTH - CORNER.len()) / (digits + 2);
    let columns: Vec<u64> = ids.iter().copied().collect();
    for band in columns.chunks(fit.max(1)) {
        let names = band.iter().map(u64::to_string);
        let mut rows = vec![[CORNER.to_owned()].into_iter().chain(names).collect::<Vec<_>>()];
        for from in ids {
            let cells = band.iter().map(|to| cell(statuses, *from, *to));
            rows.push([from.to_string()].into_iter().chain(cells).collect());
        }
        line(text, "");
        aligned(&rows).iter().for_each(|row| line(text, row));
    }
    line(text, LEGEND);
}

/// How the one reaches the other: as it says itself, or as it has told those who were asked.
fn cell(statuses: &BTreeMap<u64, &Status>, from: u64, to: u64) -> String {
    if from == to {
        return SELF.into();
    }
    if let Some(status) = statuses.get(&from) {
        let seen = status.members.iter().find(|member| member.node == to);
        return match seen.map(|member| member.reached.as_str()) {
            Some("direct" | "inbound") => "=".into(),
            Some("not connected") => "-".into(),
            Some(via) => via.strip_prefix("via ").unwrap_or("?").into(),
            None => "?".into(),
        };
    }
    let mut rows = statuses.values().flat_map(|status| &status.links);
    let linked = rows.any(|row| row.node == from && row.links.contains(&to));
    if linked { "=" } else { "?" }.into()
}

/// What was lost, and the last error, in words.
fn troubles(from: u64, member: &MemberStatus) -> Option<String> {
    let lost = (!member.lost.is_empty()).then(|| format!("lost {}", counts(&member.lost)));
    let error = member.last_error.as_ref().map(|error| format!("last error: {error}"));
    let said: Vec<_> = lost.into_iter().chain(error).collect();
    (!said.is_empty()).then(|| format!("{from} to {}: {}", member.node, said.join("; ")))
}

fn counts(by_reason: &BTreeMap<String, u64>) -> String {
    let counts: Vec<_> =
        by_reason.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    counts.join(", ")
}

/// Who knows which secrets: all should know the same.
fn secrets(statuses: &BTreeMap<u64, &Status>) -> Vec<String> {
    let mut known: Vec<(&[String], Vec<String>)> = Vec::new();
    for status in statuses.values() {
        let node = status.node.to_string();
        match known.iter_mut().find(|(secrets, _)| *secrets == status.secrets) {
            Some((_, members)) => members.push(node),
            None => known.push((&status.secrets, vec![node])),
        }
    }
    let said = |(secrets, members): (&[String], Vec<String>)| {
        let plural = if members.len() > 1 { "s" } else { "" };
        let members = format!("member{plural} {}", members.join(", "));
        match secrets {
            [] => format!("{members}: links are insecure"),
            [one] => format!("{members}: links are sealed, secret {one}"),
            [first, others @ ..] => {
                let others = others.join(", ");
                format!("{members}: links are sealed, secret {first}, also {others}")
            }
        }
    };
    known.into_iter().map(said).collect()
}

/// Bytes in two or three digits.
fn amount(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let (mut whole, mut tenths, mut unit) = (bytes, 0, 0);
    while whole >= 1000 {
        (whole, tenths, unit) = (whole / 1000, whole % 1000 / 100, unit + 1);
    }
    if unit > 0 && whole < 10 {
        return format!("{whole}.{tenths} {}", UNITS[unit]);
    }
    format!("{whole} {}", UNITS[unit])
}

/// Microseconds in two or three digits.
fn time(us: u64) -> String {
    match us {
        0..10_000 => format!("{}.{:02} ms", us / 1000, us % 1000 / 10),
        10_000..10_000_000 => format!("{} ms", us / 1000),
        _ => format!("{} s", us / 1_000_000),
    }
}

/// A sentence that goes on further in on the next line where it has to.
pub(super) fn wrapped(text: &mut String, sentence: &str) {
    let mut row = String::new();
    for word in sentence.split_whitespace() {
        if !row.trim().is_empty() && row.chars().count() + 1 + word.chars().count() > WIDTH {
            line(text, &row);
            row = "   ".into();
        }
        if !row.is_empty() {
            row.push(' ');
        }
        row.push_str(word);
    }
    line(text, &row);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_times_have_two_or_three_digits() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (9999, "9.9 kB"),
            (10_000, "10 kB"),
            (12_345_678, "12 MB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(amount(bytes), expected);
        }
        for (us, expected) in [
            (0, "0.00 ms"),
            (417, "0.41 ms"),
            (9_999, "9.99 ms"),
            (10_000, "10 ms"),
            (9_999_999, "9999 ms"),
            (10_000_000, "10 s"),
        ] {
            assert_eq!(time(us), expected);
        }
    }

    #[test]
    fn a_long_sentence_goes_on_further_in_and_loses_no_word() {
        let words: Vec<String> = (0..60).map(|number| format!("word{number}")).collect();
        let mut text = String::new();
        wrapped(&mut text, &words.join(" "));
        assert!(text.lines().count() > 1 && text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("    word")), "{text}");
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), words);
    }
}
