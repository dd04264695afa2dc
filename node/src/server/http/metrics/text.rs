//! Prometheus' text format, version 0.0.4: [`Text`] has families, each with its samples behind it.

use crate::measures::Distribution;
use std::fmt::{Display, Write};

/// A text that grows by a family, then by its samples.
#[derive(Default)]
pub(super) struct Text {
    text: String,
    family: &'static str,
}

impl Text {
    /// Begins a family: its name, its kind, and what it is.
    pub(super) fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// A family with one sample that has no labels.
    pub(super) fn single(
        &mut self,
        name: &'static str,
        kind: &str,
        help: &str,
        value: impl Display,
    ) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// One more sample of the family that was begun last.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.sample_of("", labels, value);
    }

    /// The samples of a histogram of the family that was begun last, of durations in microseconds.
    pub(super) fn seconds(&mut self, labels: &[(&str, &str)], found: &Distribution) {
        self.histogram(labels, found, |micros| Decimal { value: micros, digits: 6 });
    }

    /// The samples of a histogram of the family that was begun last, of numbers.
    pub(super) fn numbers(&mut self, labels: &[(&str, &str)], found: &Distribution) {
        self.histogram(labels, found, |value| Decimal { value, digits: 0 });
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        found: &Distribution,
        shown: impl Fn(u64) -> Decimal,
    ) {
        let mut so_far = 0;
        for (at, count) in found.counts.iter().enumerate() {
            so_far += count;
            let bound =
                found.bounds.get(at).map_or("+Inf".into(), |bound| shown(*bound).to_string());
            self.sample_of("_bucket", &[labels, &[("le", bound.as_str())]].concat(), so_far);
        }
        self.sample_of("_sum", labels, shown(found.sum));
        self.sample_of("_count", labels, so_far);
    }

    fn sample_of(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let name = self.family;
        if labels.is_empty() {
            return self.line(format_args!("{name}{suffix} {value}"));
        }
        let labels: Vec<_> =
            labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        self.line(format_args!("{name}{suffix}{{{}}} {value}", labels.join(",")));
    }

    fn line(&mut self, line: impl Display) {
        writeln!(self.text, "{line}").expect("writing to a String can't fail");
    }
}

/// A number in units that are 10^`digits` in one.
pub(super) struct Decimal {
    pub(super) value: u64,
    pub(super) digits: u32,
}

impl Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let one = 10_u64.pow(self.digits);
        let (whole, part) = (self.value / one, self.value % one);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let width = usize::try_from(self.digits).unwrap_or(0);
        let part = format!("{part:0width$}");
        write!(f, "{whole}.{}", part.trim_end_matches('0'))
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
