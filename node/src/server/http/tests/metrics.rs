//! `/metrics` line by line: Prometheus' text format (version 0.0.4), checked by [`families`], and
//! what each peer's samples say.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// One family: its kind and its samples, by what follows its name (of a histogram) and by their
/// labels.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    samples: BTreeMap<(String, Labels), f64>,
}

type Labels = Vec<(String, String)>;

impl Family {
    /// Whether each series of a histogram is whole: buckets in order that don't fall, the last of
    /// them for all values, their number, and a sum.
    fn is_whole(&self) -> bool {
        let of = |suffix: &str, labels: &Labels| {
            self.samples.get(&(suffix.to_owned(), labels.clone())).copied()
        };
        let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
        for ((suffix, labels), count) in &self.samples {
            let (mut labels, mut bound) = (labels.clone(), None);
            labels.retain(|(name, text)| {
                let is_bound = name == "le";
                if is_bound {
                    bound = text.parse().ok();
                }
                !is_bound
            });
            let buckets = series.entry(labels).or_default();
            match (suffix.as_str(), bound) {
                ("_bucket", Some(bound)) => buckets.push((bound, *count)),
                ("_sum" | "_count", None) => {}
                _ => return false,
            }
        }
        series.iter_mut().all(|(labels, buckets)| {
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            let rising =
                buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
            let all = buckets.last().filter(|(bound, _)| *bound == f64::INFINITY);
            rising
                && all.map(|(_, count)| *count) == of("_count", labels)
                && of("_sum", labels).is_some()
        })
    }
}

/// The families of a text in the format, or what is wrong with it.
fn families(text: &str) -> Result<BTreeMap<String, Family>, String> {
    let mut found: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    if !text.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').ok_or(format!("no help: {line}"))?;
            let expected = format!("# TYPE {name} ");
            let kind = lines.next().and_then(|line| line.strip_prefix(&expected));
            let kind = kind.ok_or(format!("no type behind: {line}"))?;
            let counts = name.ends_with("_total");
            let known = (kind == "counter" && counts) || (kind == "gauge" && !counts);
            let known = known || (kind == "histogram" && !counts);
            if help.is_empty() || !is_name(name) || !known {
                return Err(format!("a family that is none: {line}, {kind}"));
            }
            let family = Family { kind: kind.into(), ..Family::default() };
            if found.insert(name.into(), family).is_some() {
                return Err(format!("twice: {line}"));
            }
            current = name.into();
            continue;
        }
        sample(line, &current, &mut found)?;
    }
    let torn = found.iter().find(|(_, family)| family.kind == "histogram" && !family.is_whole());
    torn.map_or(Ok(()), |(name, family)| Err(format!("{name} is not whole: {family:?}")))?;
    Ok(found)
}

/// One line of the family that is the current one.
fn sample(line: &str, current: &str, found: &mut BTreeMap<String, Family>) -> Result<(), String> {
    let (series, value) = line.rsplit_once(' ').ok_or(format!("no value: {line}"))?;
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, labels(rest).ok_or(format!("no labels: {line}"))?),
        None => (series, Vec::new()),
    };
    let value: f64 = value.parse().map_err(|_| format!("no number: {line}"))?;
    let family = found.get_mut(current).ok_or(format!("behind no family: {line}"))?;
    let suffix = name.strip_prefix(current).ok_or(format!("not behind its family: {line}"))?;
    if (family.kind == "histogram") == suffix.is_empty() {
        return Err(format!("not behind its family: {line}"));
    }
    let names =
        |labels: &Labels| -> Vec<String> { labels.iter().map(|(name, _)| name.clone()).collect() };
    let distinct: BTreeSet<_> = names(&labels).into_iter().collect();
    let mut others = family.samples.keys().filter(|(other, _)| other == suffix);
    let alike = others.all(|(_, other)| names(other) == names(&labels));
    if !value.is_finite() || value < 0.0 || distinct.len() < labels.len() || !alike {
        return Err(format!("a sample that is none: {line}"));
    }
    match family.samples.insert((suffix.into(), labels), value) {
        None => Ok(()),
        Some(_) => Err(format!("twice: {line}")),
    }
}

fn is_name(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// `a="x",b="y"}`.
fn labels(mut rest: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    loop {
        let (name, value) = rest.split_once("=\"")?;
        let (mut text, mut chars) = (String::new(), value.chars());
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => text.push(match chars.next()? {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    _ => return None,
                }),
                c => text.push(c),
            }
        }
        found.push((is_name(name).then(|| name.to_owned())?, text));
        rest = match chars.as_str().split_at_checked(1)? {
            ("}", "") => return Some(found),
            (",", rest) => rest,
            _ => return None,
        };
    }
}

async fn scraped() -> String {
    let router = alone();
    ask(&router, "POST", "/v1/counters/a%22%5C%0A", "").await;
    let got = ask(&router, "GET", "/metrics", "").await;
    assert_eq!(got.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    String::from_utf8(got.body).expect("text")
}

#[tokio::test]
async fn metrics_are_in_the_text_format_each_family_once_and_whole() {
    let text = scraped().await;
    let found = families(&text).unwrap_or_else(|error| panic!("{error} in:\n{text}"));
    let empty: Vec<_> = found.iter().filter(|(_, family)| family.samples.is_empty()).collect();
    assert!(empty.is_empty(), "{empty:?}");
    let (_, labels) = found["holm_info"].samples.keys().next().expect("one");
    let name = &labels[0];
    assert_eq!(name, &("cluster".into(), "c\"1\\\n".into()), "what was escaped comes back");
    for (name, family) in &found {
        assert_eq!(family.kind == "counter", name.ends_with("_total"), "{name}");
    }
}

#[test]
fn what_is_not_in_the_text_format_is_found() {
    let sound = "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n";
    assert!(families(sound).is_ok());
    for (from, to) in [
        ("# HELP a_total A.\n", ""),
        ("# TYPE a_total counter\n", ""),
        ("# TYPE a_total counter", "# TYPE a_total gauge"),
        ("a_total{b=\"c\"} 1\n", "a_total{b=\"c\"} 1"),
        ("a_total{b=\"c\"} 1", "b_total{b=\"c\"} 1"),
        ("a_total{b=\"c\"} 1", "a_total{b=\"c\"} x"),
        ("a_total{b=\"c\"} 1", "a_total{b=\"c\"} NaN"),
        ("a_total{b=\"c\"} 1", "a_total{b=\"c\"}"),
        ("a_total{b=\"c\"} 1", "a_total{b=\"c\"} 1\na_total{b=\"c\"} 2"),
        ("a_total{b=\"c\"} 1", "a_total{b=\"c\"} 1\na_total{d=\"c\"} 2"),
        ("a_total{b=\"c\"} 1", "a_total{b=\"c\",b=\"d\"} 1"),
        ("{b=\"c\"}", "{b=\"c\",}"),
        ("{b=\"c\"}", "{b=\"c}"),
        ("{b=\"c\"}", "{b=\"\\t\"}"),
        ("{b=\"c\"}", "{2=\"c\"}"),
        ("A.", ""),
    ] {
        assert!(sound.contains(from), "{from}");
        let spoiled = sound.replace(from, to);
        assert!(families(&spoiled).is_err(), "{spoiled}");
    }
    let histogram = "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"1\"} 2\n\
        a_bucket{le=\"+Inf\"} 3\na_sum 4.5\na_count 3\n";
    families(histogram).expect("sound");
    for (from, to) in [
        ("a_bucket{le=\"+Inf\"} 3\n", ""),
        ("a_bucket{le=\"1\"} 2", "a_bucket{le=\"1\"} 4"),
        ("a_bucket{le=\"1\"} 2", "a_bucket 2"),
        ("a_sum 4.5\n", ""),
        ("a_count 3\n", ""),
        ("a_count 3", "a_count 2"),
        ("a_count 3", "a 3"),
        ("a_count 3", "a_counts 3"),
    ] {
        assert!(histogram.contains(from), "{from}");
        let spoiled = histogram.replace(from, to);
        assert!(families(&spoiled).is_err(), "{spoiled}");
    }
    let twice = sound.repeat(2);
    assert!(families(&twice).is_err(), "{twice}");
}

#[tokio::test]
async fn each_peer_says_how_it_is_reached_and_what_was_lost() {
    let text = scraped().await;
    let expected = "\
holm_peer_reached{peer=\"2\",how=\"inbound\"} 1
holm_peer_reached{peer=\"3\",how=\"via\"} 1
holm_peer_reached{peer=\"4\",how=\"not\"} 0
holm_peer_round_trip_time_seconds_sum{peer=\"2\"} 0.000417
holm_peer_round_trip_time_seconds_count{peer=\"2\"} 1
holm_peer_round_trip_time_seconds_sum{peer=\"3\"} 1.200001
holm_peer_round_trip_time_seconds_count{peer=\"3\"} 1
holm_peer_sent_bytes_total{peer=\"2\"} 1200
holm_peer_sent_bytes_total{peer=\"3\"} 0
holm_peer_sent_bytes_total{peer=\"4\"} 0
holm_peer_received_bytes_total{peer=\"2\"} 3400
holm_peer_received_bytes_total{peer=\"3\"} 56
holm_peer_received_bytes_total{peer=\"4\"} 0
holm_peer_frames_lost_total{peer=\"4\",reason=\"no_link\"} 7
holm_peer_frames_lost_total{peer=\"4\",reason=\"queue_full\"} 1
holm_link{from=\"1\",to=\"2\"} 1
holm_link{from=\"2\",to=\"1\"} 1
holm_link{from=\"2\",to=\"3\"} 1
holm_connections_refused_total{reason=\"secret\"} 9
";
    let of_peers = ["holm_peer_", "holm_link", "holm_connections_"];
    let found: Vec<_> = text
        .lines()
        .filter(|line| of_peers.iter().any(|prefix| line.starts_with(prefix)))
        .filter(|line| !line.contains("_bucket"))
        .collect();
    assert_eq!(found.join("\n"), expected.trim_end());
}

/// The names that begin with `holm_` in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !part(c)).filter(|word| word.starts_with("holm_")).collect()
}

#[tokio::test]
async fn the_dashboard_asks_for_what_is_there_and_the_documents_name_all_of_it() {
    let text = scraped().await;
    let found = families(&text).expect("sound");
    let families: BTreeSet<_> = found.keys().map(String::as_str).collect();
    let dashboard = include_str!("../../../../../docs/grafana.json");
    serde_json::from_str::<Value>(dashboard).expect("JSON");
    let asked = names(dashboard);
    assert!(asked.len() > 25, "{asked:?}");
    for name in asked {
        let of_histogram = name.strip_suffix("_bucket").and_then(|family| found.get(family));
        let there = families.contains(name)
            || of_histogram.is_some_and(|family| family.kind == "histogram");
        assert!(there, "the dashboard asks for {name}");
    }
    let document = include_str!("../../../../../docs/operating.md");
    let (_, metrics) = document.split_once("\n## Metrics\n").expect("a section");
    let (metrics, _) = metrics.split_once("\n## ").expect("another one behind it");
    assert_eq!(names(metrics), families, "docs/operating.md and what is there");
}
