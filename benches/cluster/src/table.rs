//! The tables: medians of rounds, a line a subject.

use crate::cluster::Measured;
use crate::load::{Work, count};
use crate::subject::Subject;

/// What all rounds saw.
#[derive(Default)]
pub(crate) struct Seen(Vec<(Subject, Work, usize, Measured)>);

impl Seen {
    pub(crate) fn add(&mut self, subject: Subject, work: Work, clients: usize, seen: Measured) {
        self.0.push((subject, work, clients, seen));
    }

    /// Prints what was seen of this work.
    pub(crate) fn print(&self, work: Work, subjects: &[Subject], clients: &[usize]) {
        let title = match work {
            Work::Add => "increments of one counter",
            Work::Put => "puts of 128 bytes",
            Work::Read => "linearizable reads",
        };
        println!("\n{title}: a second; of the floor; p50, p99, p99.9 in microseconds; server");
        println!("processor time in microseconds each; anonymous memory of a member in MB");
        for subject in subjects.iter().filter(|subject| subject.does(work)) {
            for clients in clients {
                let rounds = self.of(*subject, work, *clients);
                if rounds.is_empty() {
                    continue;
                }
                let rate = median(&rounds, |seen| seen.loaded.rate());
                let floor = self.of(Subject::Floor, Work::Put, *clients);
                let floor = median(&floor, |seen| seen.loaded.rate());
                let of_floor = if floor > 0.0 { rate / floor } else { 0.0 };
                let micros =
                    |nanos: fn(&Measured) -> u64| median(&rounds, |seen| count(nanos(seen)) / 1e3);
                let each =
                    |seen: &Measured| count(seen.cpu) / count(seen.loaded.total.max(1)) / 1e3;
                let failed: u64 = rounds.iter().map(|seen| seen.loaded.failed).sum();
                println!(
                    "{:<26}{clients:>5}{rate:>9.0}{of_floor:>6.2}{:>8.0}{:>8.0}{:>8.0}{:>7.1}{:>7.1}{}",
                    subject.name(),
                    micros(|seen| seen.loaded.p50),
                    micros(|seen| seen.loaded.p99),
                    micros(|seen| seen.loaded.p999),
                    median(&rounds, each),
                    median(&rounds, |seen| count(seen.anonymous) / 1e6),
                    if failed > 0 { format!("  {failed} FAILED") } else { String::new() },
                );
            }
        }
    }

    fn of(&self, subject: Subject, work: Work, clients: usize) -> Vec<Measured> {
        let these = self.0.iter().filter(|(s, w, c, _)| (*s, *w, *c) == (subject, work, clients));
        these.map(|(_, _, _, seen)| *seen).collect()
    }
}

fn median(rounds: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    middle(rounds.iter().map(of).collect())
}

/// The middle one; of an even number the higher of the two; 0 of none.
pub(crate) fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
