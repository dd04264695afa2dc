//! A plot of the appended records as SVG, written by hand: bars, as long as the logarithm of the
//! rate, one group for each way and size.

use crate::appending::Table;
use crate::subjects::{FLOORS, SUBJECTS};
use std::fmt::Write;

const BAR: usize = 14;
const LABEL: usize = 150;
const WIDTH: usize = 560;
/// The shortest bar stands for so many records a second, the longest for a million times as many.
const LEAST: f64 = 100.0;
const DECADES: f64 = 6.0;

/// An SVG document.
pub(crate) fn appended(tables: &[Table]) -> String {
    let group = BAR * (SUBJECTS.len() + 2);
    let (width, height) = (LABEL + WIDTH + 100, group * tables.len());
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut top = 0;
    for table in tables {
        top += BAR;
        let title = format!("{}, {} B: records/s, logarithmic", table.way.name, table.size);
        text(&mut svg, LABEL, top, "font-weight=\"bold\"", &title);
        for (at, rate) in table.rates.iter().enumerate() {
            top += BAR;
            text(&mut svg, 4, top, "", SUBJECTS[at].name);
            let Some(rate) = rate else { continue };
            #[expect(clippy::cast_precision_loss, reason = "pixels")]
            let length = ((rate / LEAST).log10() / DECADES).clamp(0.0, 1.0) * WIDTH as f64;
            let fill = if at < FLOORS {
                "#999"
            } else if at == FLOORS {
                "#06c"
            } else {
                "#c96"
            };
            let (y, high) = (top - BAR + 4, BAR - 2);
            let _ = writeln!(
                svg,
                "<rect x=\"{LABEL}\" y=\"{y}\" width=\"{length:.0}\" height=\"{high}\" \
                 fill=\"{fill}\"/>"
            );
            let at = format!("x=\"{:.0}\" y=\"{top}\"", 4.0 + length + 150.0);
            let _ = writeln!(svg, "<text {at}>{rate:.0}</text>");
        }
        top += BAR;
    }
    svg.push_str("</svg>\n");
    svg
}

fn text(svg: &mut String, x: usize, y: usize, style: &str, words: &str) {
    let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" {style}>{words}</text>");
}
