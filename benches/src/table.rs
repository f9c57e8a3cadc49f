//! Figures, next to those of a bare loop and their aims.

use std::fmt;
use std::io::Write;
use std::time::Duration;

/// A measured number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    value: f64,
    unit: Unit,
}

#[derive(Clone, Copy, Debug)]
enum Unit {
    Micros,
    Millis,
    Seconds,
    Megabytes,
    Percent,
    Times,
    Count,
    Dollars,
}

impl Figure {
    pub(crate) fn micros_each(total: Duration, count: usize) -> Self {
        Self {
            value: total.as_secs_f64() * 1e6 / count as f64,
            unit: Unit::Micros,
        }
    }

    pub(crate) fn millis(span: Duration) -> Self {
        Self {
            value: span.as_secs_f64() * 1e3,
            unit: Unit::Millis,
        }
    }

    pub(crate) fn seconds(span: Duration) -> Self {
        Self {
            value: span.as_secs_f64(),
            unit: Unit::Seconds,
        }
    }

    pub(crate) fn megabytes(bytes: u64) -> Self {
        Self {
            value: bytes as f64 / 1e6,
            unit: Unit::Megabytes,
        }
    }

    pub(crate) fn percent(part: u64, whole: u64) -> Self {
        Self {
            value: 100.0 * part as f64 / whole.max(1) as f64,
            unit: Unit::Percent,
        }
    }

    pub(crate) fn count(count: u64) -> Self {
        Self {
            value: count as f64,
            unit: Unit::Count,
        }
    }

    pub(crate) fn pico_dollars(pico: u128) -> Self {
        Self {
            value: pico as f64 / 1e12,
            unit: Unit::Dollars,
        }
    }

    /// The ratio to `other`.
    pub(crate) fn over(self, other: Self) -> Self {
        Self {
            value: self.value / other.value,
            unit: Unit::Times,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        match self.unit {
            Unit::Micros => write!(f, "{value:.1} µs"),
            Unit::Millis => write!(f, "{value:.1} ms"),
            Unit::Seconds => write!(f, "{value:.2} s"),
            Unit::Megabytes => write!(f, "{value:.1} MB"),
            Unit::Percent => write!(f, "{value:.1} %"),
            Unit::Times => write!(f, "{value:.2}"),
            Unit::Count => write!(f, "{value:.0}"),
            Unit::Dollars => write!(f, "${value:.4}"),
        }
    }
}

/// The aim of a figure.
#[derive(Clone, Copy)]
pub(crate) enum Aim {
    /// None; shown for information.
    Open,
    /// At most this much, in its own unit.
    AtMost(f64),
    /// At most this many times the figure of the bare loop.
    TimesBare(f64),
}

/// The rows of one group.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 6]>,
    missed: usize,
}

impl Table {
    /// Adds a figure, that of a bare loop, and the aim.
    pub(crate) fn row(&mut self, what: &str, ours: Figure, bare: Option<Figure>, aim: Aim) {
        let ratio = bare
            .map(|bare| ours.over(bare))
            .filter(|ratio| ratio.value.is_finite());
        let (aim, met) = match aim {
            Aim::Open => (None, None),
            Aim::AtMost(most) => {
                let most = Figure {
                    value: most,
                    ..ours
                };
                (Some(format!("≤ {most}")), Some(ours.value <= most.value))
            }
            Aim::TimesBare(most) => (
                Some(format!("≤ {most} × loop")),
                ratio.map(|ratio| ratio.value <= most),
            ),
        };
        self.missed += usize::from(met == Some(false));
        let mark = met.map_or("", |met| if met { "met" } else { "**missed**" });
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        let bare = or_dash(bare.map(|bare| bare.to_string()));
        let ratio = or_dash(ratio.map(|ratio| ratio.to_string()));
        let row = [
            what.to_owned(),
            ours.to_string(),
            bare,
            ratio,
            or_dash(aim),
            mark.to_owned(),
        ];
        // Progress; the table follows at the end of the group.
        say(&row.join(" | "));
        self.rows.push(row);
    }

    /// Number of missed aims.
    pub(crate) fn missed(&self) -> usize {
        self.missed
    }

    /// Prints all rows as Markdown, under a heading.
    pub(crate) fn print(&self, heading: &str) {
        let mut out = std::io::stdout().lock();
        let mut line = |text: &str| {
            // A closed stdout is ignored.
            let _ = writeln!(out, "{text}");
        };
        line(&format!("## {heading}\n"));
        line("| figure | divisi | bare loop | ratio | aim | |");
        line("| --- | ---: | ---: | ---: | --- | --- |");
        for row in &self.rows {
            line(&format!("| {} |", row.join(" | ")));
        }
        line("");
    }
}

/// Prints progress.
pub(crate) fn say(text: &str) {
    // A closed stderr is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_is_judged_by_the_figure_or_by_the_loop() {
        let mut table = Table::default();
        let (one, two) = (Duration::from_secs(1), Duration::from_secs(2));
        table.row("fast", Figure::seconds(one), None, Aim::AtMost(1.0));
        table.row(
            "slow",
            Figure::seconds(two),
            Some(Figure::seconds(one)),
            Aim::TimesBare(1.15),
        );
        table.row(
            "nothing refused",
            Figure::percent(0, 600),
            Some(Figure::percent(0, 600)),
            Aim::Open,
        );
        let rows: Vec<_> = table.rows.iter().map(|row| row.join(" | ")).collect();
        assert_eq!(
            rows,
            [
                "fast | 1.00 s | – | – | ≤ 1.00 s | met",
                "slow | 2.00 s | 1.00 s | 2.00 | ≤ 1.15 × loop | **missed**",
                "nothing refused | 0.0 % | 0.0 % | – | – | ",
            ]
        );
        assert_eq!(table.missed(), 1);
    }
}
