//! The page that shows a trace: it has all of the trace, needs nothing else, takes text for text,
//! and shows in a browser what it is asked for; and what is no trace is refused.

use holm_sim::core_world::plan::Plan;
use holm_sim::core_world::{self, Mode, Tracing};
use holm_sim::trace::check;
use holm_sim::view::page;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

fn trace(seed: u64) -> String {
    core_world::run(seed, Mode::Within, Tracing::Kept).trace.json()
}

/// A schedule that gives nobody time to catch up, so that liveness is broken.
fn hurried() -> Plan {
    let mut plan = Plan::draw(51, Mode::Within);
    plan.settings.patience = 0;
    plan
}

fn broken() -> String {
    core_world::replay(hurried(), Tracing::Kept).trace.json()
}

fn values(json_lines: &str) -> Vec<Value> {
    json_lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The trace that a page holds.
fn held(page: &str) -> Vec<Value> {
    let begin = "<script type=\"application/json\" id=\"trace\">\n";
    let (_, rest) = page.split_once(begin).expect("the trace's place");
    let (trace, _) = rest.split_once("</script>").expect("its end");
    values(trace)
}

#[test]
fn a_page_holds_the_whole_trace_and_asks_no_network_for_anything() {
    for trace in [trace(7), broken()] {
        let page = page(&trace).expect("a trace");
        assert_eq!(held(&page), values(&trace));
        for outside in ["http://", "https://", "src=", "href=", "url(", "@import", "fetch("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("content=\"default-src 'none';"), "it forbids itself the network");
    }
}

#[test]
fn a_traces_text_never_becomes_markup() {
    let evil = "</script><script>alert(1)</script><!-- {{style}} <script> \\u003c";
    let says = serde_json::to_string(evil).expect("a text");
    let trace = format!(
        "{{\"t\":0,\"e\":\"holm\",\"version\":3,\"world\":\"<b>\",\"seed\":18446744073709551615,\
         \"members\":[],\"links\":[],\"faults_end\":0}}\n{{\"t\":1,\"e\":\"note\",\"says\":{says}}}\n"
    );
    let page = page(&trace).expect("a trace");
    assert_eq!(held(&page), values(&trace));
    assert_eq!(held(&page)[1]["says"], evil);
    let plain = self::page(&self::trace(7)).expect("a trace");
    for mark in ["<script", "</script", "<!--", "<b>"] {
        assert_eq!(page.matches(mark).count(), plain.matches(mark).count(), "{mark}");
    }
    assert!(page.contains("<title>holm-sim, &lt;b> world, seed 18446744073709551615</title>"));
}

#[test]
fn every_trace_passes_its_own_check_and_has_all_kinds_of_lines_among_them() {
    let mut kinds = BTreeSet::new();
    for trace in (0..12).map(trace).chain([broken()]) {
        check(&trace).expect("a trace");
        kinds.extend(values(&trace).iter().map(|line| line["e"].as_str().map(str::to_owned)));
    }
    assert_eq!(kinds.len(), 15, "{kinds:?}");
}

#[test]
fn a_violation_is_the_last_line_of_a_trace() {
    let lines = values(&broken());
    let first = lines.iter().position(|line| line["e"] == "violation");
    assert_eq!(first, Some(lines.len() - 1));
}

#[test]
fn what_is_wrong_with_a_trace_is_said_by_line_key_and_mend() {
    let first = "{\"t\":5,\"e\":\"holm\",\"version\":3,\"world\":\"core\",\"seed\":1,\
                 \"members\":[{\"node\":1,\"island\":1}],\"links\":[],\"faults_end\":0}\n";
    check(first).expect("it is whole");
    for (more, said) in [
        ("{\"t\":5,\"e\":\"del", "line 2: no JSON from column 15 on; is the file whole?"),
        ("[]\n", "line 2: no JSON object; write one for each line"),
        (first, "line 2: a second line of kind `holm`; give one trace at a time"),
        ("{\"t\":5,\"e\":\"stray\"}\n", "line 2: `e` is `stray`; there are holm, sent, delivered"),
        ("{\"e\":\"note\",\"says\":\"\"}\n", "line 2: `t` is missing; write whole microseconds"),
        ("{\"t\":4,\"e\":\"note\",\"says\":\"\"}\n", "line 2: `t` is 4, before the line above"),
        ("{\"t\":5,\"e\":\"delivered\"}\n", "line 2: `id` is missing; add it"),
        ("{\"t\":5,\"e\":\"delivered\",\"id\":-1}\n", "line 2: `id` is -1; write a whole number"),
        ("{\"t\":5,\"e\":\"note\",\"says\":1}\n", "line 2: `says` is 1; write a text"),
        (
            "{\"t\":5,\"e\":\"down\",\"node\":2,\"why\":\"\"}\n",
            "line 2: `node` is 2; write one of the first line's members",
        ),
        (
            "{\"t\":5,\"e\":\"log\",\"node\":1,\"terms\":[[1]]}\n",
            "line 2: `terms` is [[1]]; write a list of pairs of whole numbers",
        ),
        (
            "{\"t\":5,\"e\":\"note\",\"says\":\"\",\"more\":1}\n",
            "line 2: `note` has no key `more`; leave it out",
        ),
        (
            "{\"t\":5,\"e\":\"violation\",\"checker\":\"\",\"says\":\"\"}\n\
             {\"t\":5,\"e\":\"delivered\",\"id\":1}\n",
            "line 3: a line behind the violation, which is the last; leave it out",
        ),
    ] {
        let error = check(&format!("{first}{more}")).expect_err(more).to_string();
        assert!(error.starts_with(said), "{more}: {error}");
    }
    for (text, said) in [
        ("", "line 1: a trace begins with a line of kind `holm`; give what"),
        ("holm\n", "line 1: a trace begins with a line of kind `holm`; give what"),
        (&first.replace("version\":3", "version\":1"), "line 1: `version` is 1, and this build"),
        (&first.replace("\"island\":1", "\"at\":1"), "line 1: `members` is [{\"at\":1"),
        (&first.replace("[],", "[[1,2]],"), "line 1: `links` is [[1,2]]; write a list of pairs"),
    ] {
        let error = check(text).expect_err(text).to_string();
        assert!(error.starts_with(said), "{text}: {error}");
    }
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

fn sim(arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holm-sim"));
    command.args(arguments).current_dir(folder()).output().expect("it is built")
}

#[test]
fn a_seed_a_schedule_and_a_trace_in_a_file_are_shown_alike() {
    let seed = page(&trace(3)).expect("a trace");
    let schedule = Plan::draw(3, Mode::Within).text();
    std::fs::write(folder().join("three.schedule"), schedule).expect("written");
    std::fs::write(folder().join("three.jsonl"), trace(3)).expect("written");
    for (arguments, out) in [
        (vec!["view", "--world", "core", "--seed", "3"], "seed-3.html"),
        (vec!["view", "--world", "core", "three.schedule"], "three.html"),
        (vec!["view", "--world", "core", "three.jsonl", "--out", "given.html"], "given.html"),
    ] {
        let done = sim(&arguments);
        assert!(done.status.success(), "{done:?}");
        let written = std::fs::read_to_string(folder().join(out)).expect("it is there");
        assert!(written == seed, "{out}");
    }
    let whole = trace(3);
    let half = &whole[..700];
    std::fs::write(folder().join("half.jsonl"), half).expect("written");
    let refused = sim(&["view", "--world", "core", "half.jsonl"]);
    assert!(!refused.status.success());
    let says = String::from_utf8_lossy(&refused.stderr).into_owned();
    let place = format!("half.jsonl, line {}: ", half.lines().count());
    assert!(says.starts_with(&place) && says.contains("is the file whole?"), "{says}");
}

/// The document that a browser makes of a page, opened at a place; `None` where there is none.
fn shown(page: &Path, place: &str) -> Option<String> {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let address = format!("file://{}{place}", page.display());
    let profile = format!("--user-data-dir={}", folder().join("browser").display());
    for name in names {
        let output = Command::new(name)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000"])
            .args([&profile, "--dump-dom", &address])
            .output();
        if let Ok(output) = output {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            return Some(String::from_utf8_lossy(&output.stdout).into_owned());
        }
    }
    None
}

#[test]
fn a_browser_shows_the_members_the_messages_and_the_violation() {
    let path: PathBuf = folder().join("broken.html");
    let trace = broken();
    let lines = values(&trace);
    std::fs::write(&path, page(&trace).expect("a trace")).expect("written");
    let Some(last) = shown(&path, "") else {
        // Past what the test harness keeps back.
        let _ = writeln!(
            std::io::stderr(),
            "\nNOT RUN: no Chromium is installed, so nobody has looked at the page of `view`\n"
        );
        return;
    };
    let count = lines.len();
    let body = format!("<body data-line=\"{count}\" data-ready=\"{count}\">");
    assert!(last.contains(&body), "it opens at the violation, without an error");
    let (document, _) = last.split_once("id=\"trace\"").expect("the trace's place");
    let violation = lines[count - 1]["says"].as_str().expect("a text");
    assert!(document.contains(&format!("BROKEN: liveness: {violation}")));
    for member in 1..=3 {
        assert!(document.contains(&format!("id=\"member-{member}\"")));
        assert!(document.contains(&format!("id=\"log-{member}\"")));
    }
    assert!(document.contains("commit-line"));
    // A few lines, not all of them.
    assert!(document.matches("<li").count() < 20);
    let sent = lines.iter().position(|line| line["e"] == "sent").expect("somebody speaks");
    let early = shown(&path, &format!("#line={}", sent + 1)).expect("as before");
    assert!(early.contains(&format!("<body data-line=\"{}\"", sent + 1)));
    assert_eq!(early.matches("class=\"message\"").count(), 1, "one is on its way");
    let arrives = lines[sent]["due"].as_u64().expect("a time");
    let between = shown(&path, &format!("#t={}", arrives - 1)).expect("as before");
    assert!(!between.contains("data-error") && between.contains("class=\"message\""));
}
