//! A plot as SVG, written by hand: points joined by a line, both axes from zero on, so that a slope
//! is a slope.

use std::fmt::Write;

/// What the axes and the whole say.
#[derive(Clone, Copy, Debug)]
pub struct Titles<'a> {
    /// Above the plot: what goes up.
    pub up: &'a str,
    /// Below it: what goes to the right.
    pub right: &'a str,
}

const LEFT: f64 = 80.0;
const WIDTH: f64 = 520.0;
const TOP: f64 = 40.0;
const HEIGHT: f64 = 300.0;

/// The document. Each point is named by its place to the right.
#[must_use]
pub fn line(titles: Titles<'_>, points: &[(f64, f64)]) -> String {
    let most = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).fold(f64::MIN_POSITIVE, f64::max);
    let (length, highest) = (most(|point| point.0), most(|point| point.1) * 1.1);
    let (bottom, end) = (TOP + HEIGHT, LEFT + WIDTH);
    let (mut joined, mut marks) = (String::new(), String::new());
    for (x, y) in points {
        let (at, up) = (LEFT + WIDTH * x / length, bottom - HEIGHT * y / highest);
        // Writing to a string can't fail.
        let _ = write!(joined, "{at:.1},{up:.1} ");
        let _ = writeln!(
            marks,
            "<circle cx='{at:.1}' cy='{up:.1}' r='3' fill='#06c'/>\
             <text x='{at:.1}' y='{:.0}' text-anchor='middle'>{x:.0}</text>",
            bottom + 16.0
        );
    }
    let Titles { up, right } = titles;
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='640' height='400' \
         font-family='sans-serif' font-size='11'>\n\
         <rect width='100%' height='100%' fill='white'/>\n\
         <path d='M{LEFT} {TOP}V{bottom}H{end}' fill='none' stroke='black'/>\n\
         <polyline points='{joined}' fill='none' stroke='#06c' stroke-width='2'/>\n\
         {marks}\
         <text x='{LEFT}' y='25'>{up}</text>\n\
         <text x='{}' y='{}' text-anchor='end'>{highest:.0}</text>\n\
         <text x='{}' y='{bottom}' text-anchor='end'>0</text>\n\
         <text x='{end}' y='{}' text-anchor='end'>{right}</text>\n\
         </svg>\n",
        LEFT - 5.0,
        TOP + 5.0,
        LEFT - 5.0,
        bottom + 34.0
    )
}
