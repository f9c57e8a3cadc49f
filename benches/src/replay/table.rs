//! Figures and the values they must reach.

use std::io::Write;

/// The value that a figure must reach.
#[derive(Clone, Copy)]
pub(super) enum Need {
    AtLeast(f64),
    AtMost(f64),
    Between(f64, f64),
    /// None; shown for information.
    Nothing,
}

/// Rows of figures.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<[String; 5]>,
    missed: u32,
}

impl Table {
    pub(super) fn row(&mut self, who: &str, what: &str, need: Need, figure: f64) {
        let (required, reached) = match need {
            Need::AtLeast(least) => (format!("≥ {least}"), Some(figure >= least)),
            Need::AtMost(most) => (format!("≤ {most}"), Some(figure <= most)),
            Need::Between(least, most) => (
                format!("{least} to {most}"),
                Some((least..=most).contains(&figure)),
            ),
            Need::Nothing => ("–".to_owned(), None),
        };
        self.missed += u32::from(reached == Some(false));
        let mark = reached.map_or("", |reached| if reached { "✓" } else { "✗" });
        let row = [
            who.to_owned(),
            what.to_owned(),
            required,
            format!("{figure:.2}"),
            mark.to_owned(),
        ];
        say(&row.join(" | "));
        self.rows.push(row);
    }

    /// Whether no required figure was missed.
    pub(super) fn all_reached(&self) -> bool {
        self.missed == 0
    }

    /// Prints all rows as Markdown.
    pub(super) fn print(&self) {
        let mut out = std::io::stdout().lock();
        let mut line = |cells: [&str; 5]| {
            // A closed stdout is ignored.
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        };
        line(["of", "figure", "required", "reached", ""]);
        line(["---", "---", "---", "---:", "---"]);
        for [who, what, required, reached, mark] in &self.rows {
            line([who, what, required, reached, mark]);
        }
    }
}

/// Prints progress; the table follows at the end.
pub(super) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
