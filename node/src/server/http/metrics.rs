//! The numbers behind `/metrics`: [`Metrics`] counts HTTP requests; the rest comes from the node,
//! in the words of etcd's metrics where it has the same thing.

mod member;
mod peers;
mod text;

use super::engine::Engine;
use crate::measures::Distribution;
use axum::http::{Method, StatusCode};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use text::Text;

/// The upper bounds of the durations of requests, in microseconds: 256 µs, and four times as much
/// each time, to 67 s.
const MICROS: [u64; 10] =
    [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864];

/// How many answers went out, by route, method and status, and how long each route took. Routes are
/// the router's patterns and methods come from a fixed list, so clients can't make it grow.
#[derive(Default)]
pub(super) struct Metrics {
    answers: Mutex<BTreeMap<(String, &'static str, u16), u64>>,
    durations: Mutex<BTreeMap<String, Distribution>>,
}

impl Metrics {
    pub(super) fn count(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::DELETE => "DELETE",
            _ => "other",
        };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry((route.to_owned(), method, status.as_u16())).or_default() += 1;
        drop(answers);
        let mut durations = self.durations.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = || {
            let counts = vec![0; MICROS.len() + 1];
            Distribution { bounds: &MICROS, counts, sum: 0 }
        };
        let of_route = durations.entry(route.to_owned()).or_insert_with(empty);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        of_route.counts[MICROS.partition_point(|bound| *bound < micros)] += 1;
        of_route.sum += micros;
    }

    /// All that there is to say, at this moment.
    pub(super) fn text(&self, engine: &Engine, refused: &BTreeMap<&'static str, u64>) -> String {
        let (status, measured) = (engine.status(), engine.measures());
        let mut text = Text::default();
        member::states(&mut text, &status);
        member::work(&mut text, &status, &measured);
        member::durations(&mut text, &measured);
        peers::reached(&mut text, &status, &measured);
        peers::links(&mut text, &status);
        self.http(&mut text, refused);
        text.finish()
    }

    fn http(&self, text: &mut Text, refused: &BTreeMap<&'static str, u64>) {
        text.family("holm_http_answers_total", "counter", "HTTP answers.");
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for ((route, method, status), count) in answers.iter() {
            let status = status.to_string();
            text.sample(
                &[("route", route.as_str()), ("method", method), ("status", &status)],
                count,
            );
        }
        drop(answers);
        let help = "How long HTTP requests took, from their head to their answer.";
        text.family("holm_http_request_duration_seconds", "histogram", help);
        let durations = self.durations.lock().unwrap_or_else(PoisonError::into_inner);
        for (route, durations) in durations.iter() {
            text.seconds(&[("route", route)], durations);
        }
        text.family("holm_http_refused_total", "counter", "HTTP refused for a limit.");
        for (limit, count) in refused {
            text.sample(&[("limit", limit)], count);
        }
    }
}
