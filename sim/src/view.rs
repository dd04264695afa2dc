//! A trace as one HTML file that needs nothing else: `page`. The script and the style stand beside
//! this file and are put into the page, and the trace with them, so that it can be sent, kept and
//! opened without a network; the page forbids itself to ask one for anything.

use crate::coverage::World;
use crate::schedule::Class;
use crate::trace::{TraceError, check};
use serde_json::{Value, json};

const FRAME: &str = include_str!("view/page.html");
const STYLE: &str = include_str!("view/view.css");
/// The scripts, in this order.
const SCRIPTS: [&str; 2] = [include_str!("view/index.js"), include_str!("view/view.js")];

/// The page that shows a trace, given as [`Trace::json`](crate::trace::Trace::json) writes it.
///
/// # Errors
/// If the text is no trace.
pub fn page(trace: &str) -> Result<String, TraceError> {
    check(trace)?;
    let first = trace.lines().next().unwrap_or_default();
    let first: Value = serde_json::from_str(first).unwrap_or_default();
    let title = format!("holm-sim, {} world, seed {}", text(&first["world"]), first["seed"]);
    let words = World::Core.words().iter().chain(World::Node.words());
    let classes: serde_json::Map<String, Value> =
        words.map(|(word, class, _)| ((*word).to_owned(), json!(name(*class)))).collect();
    let classes = Value::Object(classes).to_string();
    let fill = |key: &str| match key {
        "title" => Some(in_markup(&title)),
        "style" => Some(STYLE.to_owned()),
        "script" => Some(SCRIPTS.concat()),
        "classes" => Some(in_script(&classes)),
        "trace" => Some(in_script(trace)),
        _ => None,
    };
    // In one go: what is put in is not looked at again.
    let mut parts = FRAME.split("{{");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (key, rest) = part.split_once("}}").expect("the frame's own keys");
        out.push_str(&fill(key).expect("a key that is known"));
        out.push_str(rest);
    }
    Ok(out)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// JSON in a script's element: nothing in it can end that, or begin a comment.
fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c")
}

fn in_markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

const fn name(class: Class) -> &'static str {
    match class {
        Class::Link => "link",
        Class::Process => "process",
        Class::Disk => "disk",
        Class::Clock => "clock",
        Class::Operator => "operator",
        Class::Client => "client",
    }
}
