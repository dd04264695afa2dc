//! The OpenAPI document that is served, and which role each operation needs: [`document`] puts it
//! together from the parts in `openapi/`, one for each area of routes. A test holds it against the
//! router, so an area's routes and its part land together.

use crate::server::access::{Needs, Role};
use axum::http::Method;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What all operations share.
const BASE: &str = include_str!("openapi/base.json");
/// The areas. Each has `paths`, and `schemas` of its own if it needs them.
const PARTS: [&str; 7] = [
    include_str!("openapi/backup.json"),
    include_str!("openapi/counters.json"),
    include_str!("openapi/keys.json"),
    include_str!("openapi/members.json"),
    include_str!("openapi/observe.json"),
    include_str!("openapi/rendezvous.json"),
    include_str!("openapi/session_keys.json"),
];
/// The keys of a path that are operations.
const METHODS: [&str; 7] = ["get", "head", "post", "put", "delete", "patch", "options"];

/// The document, and what is read from it.
pub(super) struct Document {
    text: String,
    /// By path, then by method.
    needs: BTreeMap<String, BTreeMap<String, Needs>>,
}

/// The one document of this program.
pub(super) fn document() -> &'static Document {
    static DOCUMENT: LazyLock<Document> = LazyLock::new(Document::of_parts);
    &DOCUMENT
}

impl Document {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What a request needs that was matched to a route's `path`. A route without a document is
    /// kept for those who may do everything.
    pub(super) fn needs(&self, path: Option<&str>, method: &Method) -> Needs {
        // What is not there may be asked for by whoever may ask for anything.
        let nothing_there = Needs::Role(Role::Read);
        let Some(path) = path else { return nothing_there };
        let Some(operations) = self.needs.get(path) else { return Needs::Role(Role::Admin) };
        let method = if method == Method::HEAD { "get".into() } else { lower(method) };
        operations.get(&method).copied().unwrap_or(nothing_there)
    }

    /// The methods of a route's `path`, in words.
    pub(super) fn methods(&self, path: Option<&str>) -> Option<String> {
        let methods: Vec<_> =
            self.needs.get(path?)?.keys().map(|name| name.to_uppercase()).collect();
        let (last, others) = methods.split_last()?;
        Some(if others.is_empty() {
            last.clone()
        } else {
            format!("{} or {last}", others.join(", "))
        })
    }

    fn of_parts() -> Self {
        let mut whole = parsed(BASE);
        whole["info"]["version"] = env!("CARGO_PKG_VERSION").into();
        let mut paths = Map::new();
        for part in PARTS.map(parsed) {
            for (path, mut operations) in taken(part.get("paths")) {
                for method in METHODS {
                    if let Some(operation) = operations.get_mut(method) {
                        complete(method, operation);
                    }
                }
                assert!(paths.insert(path.clone(), operations).is_none(), "{path} stands twice");
            }
            for (name, schema) in taken(part.get("schemas")) {
                whole["components"]["schemas"][name] = schema;
            }
        }
        let needs = paths.iter().map(|(path, operations)| (path.clone(), needs(operations)));
        let needs = needs.collect();
        whole["paths"] = Value::Object(paths);
        Self { text: format!("{whole:#}\n"), needs }
    }
}

/// Adds the answers that operations of a kind have in common.
fn complete(method: &str, operation: &mut Value) {
    let open = operation.get("security").is_some();
    let body = method != "get";
    let common = [
        ("400", true),
        ("401", !open),
        ("403", !open),
        ("408", body),
        ("413", body),
        ("429", true),
        ("503", body),
    ];
    let responses = &mut operation["responses"];
    for (status, _) in common.into_iter().filter(|(_, applies)| *applies) {
        if responses.get(status).is_none() {
            responses[status] = json!({ "$ref": format!("#/components/responses/{status}") });
        }
    }
    responses["default"] = json!({ "description": "A defect of holm." });
}

fn needs(operations: &Value) -> BTreeMap<String, Needs> {
    let operation = |method: &str| {
        let operation = operations.get(method)?;
        let role = operation.get("x-holm-role").and_then(Value::as_str);
        let needs = match role.map(str::parse) {
            Some(Ok(role)) => Needs::Role(role),
            Some(Err(problem)) => panic!("x-holm-role: {problem}"),
            None => Needs::Nothing,
        };
        Some((method.to_owned(), needs))
    };
    METHODS.into_iter().filter_map(operation).collect()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("the parts of the document are JSON")
}

fn taken(object: Option<&Value>) -> Map<String, Value> {
    object.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn lower(method: &Method) -> String {
    method.as_str().to_ascii_lowercase()
}
