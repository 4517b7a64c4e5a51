//! What was measured, as rows: the floor's and Kilter's samples, taken in turn, and what must hold.
//!
//! Reads   samples.   Writes  the tables of BENCHMARKS.md, between two markers.
//! Never   leaves a sample out, nor rounds a ratio in Kilter's favour.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

/// What the ratio of the medians, Kilter's to the floor's, must be.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    AtLeast(f64),
    AtMost(f64),
    /// Stated, not judged.
    Told,
}

#[derive(Debug, Clone)]
pub struct Row {
    pub work: String,
    pub unit: &'static str,
    pub floor: Vec<f64>,
    pub kilter: Vec<f64>,
    pub wanted: Wanted,
    pub notes: Vec<String>,
}

impl Row {
    pub fn new(work: &str, unit: &'static str, wanted: Wanted) -> Self {
        let (floor, kilter) = (Vec::new(), Vec::new());
        Self { work: work.to_owned(), unit, floor, kilter, wanted, notes: Vec::new() }
    }

    /// Kilter's median by the floor's; none without a floor.
    pub fn ratio(&self) -> Option<f64> {
        let floor = median(&self.floor).filter(|f| *f > 0.0)?;
        Some(median(&self.kilter)? / floor)
    }

    pub fn holds(&self) -> Option<bool> {
        match (self.wanted, self.ratio()) {
            (Wanted::AtLeast(least), Some(ratio)) => Some(ratio >= least),
            (Wanted::AtMost(most), Some(ratio)) => Some(ratio <= most),
            _ => None,
        }
    }

    fn line(&self) -> String {
        let shown = |samples: &[f64]| median(samples).map_or("–".to_owned(), number);
        let (wanted, sign) = match self.wanted {
            Wanted::AtLeast(least) => (format!("≥ {least}"), self.holds()),
            Wanted::AtMost(most) => (format!("≤ {most}"), self.holds()),
            Wanted::Told => ("–".to_owned(), None),
        };
        let verdict = match sign {
            Some(true) => " reached",
            Some(false) => " **missed**",
            None => "",
        };
        let ratio = self.ratio().map_or("–".to_owned(), |r| format!("{r:.3}"));
        let (floor, kilter) = (shown(&self.floor), shown(&self.kilter));
        let (spread, notes) = (spread(&self.kilter), self.notes.join("; "));
        let (work, unit) = (&self.work, self.unit);
        format!(
            "| {work} | {unit} | {floor} | {kilter} ({spread}) | {ratio} | {wanted}{verdict} | {notes} |"
        )
    }
}

pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

fn spread(samples: &[f64]) -> String {
    let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
    let most = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if samples.is_empty() {
        "–".to_owned()
    } else {
        format!("{}–{}", number(least), number(most))
    }
}

/// Three figures that count.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1000.0 => format!("{value:.0}"),
        v if v >= 100.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

const HEAD: &str = "| work | unit | floor | Kilter (least–most) | ratio | wanted | notes |\n|---|---|---|---|---|---|---|\n";

pub fn table(rows: &[Row]) -> String {
    let mut out = HEAD.to_owned();
    for row in rows {
        let _ = writeln!(out, "{}", row.line());
    }
    out
}

/// Puts the rows where those of the same name stood before, between the markers of that name.
pub fn write(page: &Path, name: &str, head: &str, rows: &[Row]) -> Result<()> {
    let text = std::fs::read_to_string(page).with_context(|| format!("read {}", page.display()))?;
    let (begin, end) = (format!("<!-- bench {name} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = text.split_once(&begin).with_context(|| format!("find {begin}"))?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("find {end}"))?;
    let text = format!("{before}{begin}{head}\n\n{}{end}{after}", table(rows));
    std::fs::write(page, text).with_context(|| format!("write {}", page.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_whatever_the_order() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_ratio_is_judged_by_what_is_wanted() {
        let mut row = Row::new("w", "1/s", Wanted::AtLeast(0.4));
        (row.floor, row.kilter) = (vec![10.0], vec![4.0]);
        assert_eq!(row.holds(), Some(true));
        row.kilter = vec![3.9];
        assert_eq!(row.holds(), Some(false));
        row.wanted = Wanted::AtMost(0.4);
        assert_eq!(row.holds(), Some(true));
        row.floor.clear();
        assert_eq!(row.holds(), None);
    }
}
