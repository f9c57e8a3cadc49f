//! Aligned columns.

use super::look::{Line, Look, Tone};
use crate::text;

/// Rows of cells in aligned columns, with other lines between them.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
    indent: usize,
}

/// One column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    title: &'static str,
    to_right: bool,
    /// Least width to which it is cut; without it the column is never cut.
    min: Option<usize>,
    /// The column with the highest rank is left out first when there is no room; rank 0 never is.
    rank: u8,
}

/// A piece of text in a table.
pub(crate) type Cell = (Tone, String);

enum Row {
    Cells(Vec<Cell>),
    Line(Line),
}

impl Column {
    /// A column of text, aligned left.
    pub(crate) fn left(title: &'static str) -> Self {
        Self {
            title,
            to_right: false,
            min: None,
            rank: 0,
        }
    }

    /// A column of numbers, aligned right.
    pub(crate) fn right(title: &'static str) -> Self {
        Self {
            to_right: true,
            ..Self::left(title)
        }
    }

    /// Lets the column be cut, down to `min`.
    pub(crate) fn at_least(self, min: usize) -> Self {
        Self {
            min: Some(min),
            ..self
        }
    }

    /// Sets the rank at which the column is left out.
    pub(crate) fn rank(self, rank: u8) -> Self {
        Self { rank, ..self }
    }
}

impl Table {
    const GAP: &str = "  ";

    /// A table without rows, indented by `indent` columns.
    pub(crate) fn new(columns: Vec<Column>, indent: usize) -> Self {
        Self {
            columns,
            rows: vec![],
            indent,
        }
    }

    /// Adds a row: one cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        let safe = |(tone, text): Cell| (tone, text::line(&text));
        self.rows
            .push(Row::Cells(cells.into_iter().map(safe).collect()));
    }

    /// Adds a line outside the columns.
    pub(crate) fn line(&mut self, line: Line) {
        self.rows.push(Row::Line(line));
    }

    /// Adds the titles of the columns.
    pub(crate) fn titles(&mut self) {
        let titles = self
            .columns
            .iter()
            .map(|column| (Tone::Dim, column.title.to_owned()));
        self.rows.push(Row::Cells(titles.collect()));
    }

    /// The table in this look, cut to its width.
    pub(crate) fn render(&self, look: &Look) -> Vec<Line> {
        let widths = self.widths(look);
        self.rows
            .iter()
            .map(|row| match row {
                Row::Cells(cells) => self.cells(cells, &widths, look),
                Row::Line(line) => line.clone(),
            })
            .collect()
    }

    /// The width of every column that is shown.
    fn widths(&self, look: &Look) -> Vec<Option<usize>> {
        let mut widths: Vec<Option<usize>> = (0..self.columns.len())
            .map(|i| Some(self.natural_width(i)))
            .collect();
        let total = |widths: &[Option<usize>]| {
            let shown = widths.iter().flatten();
            self.indent
                + shown.clone().sum::<usize>()
                + shown.count().saturating_sub(1) * Self::GAP.len()
        };
        let least = |widths: &[Option<usize>]| {
            let least = self.columns.iter().zip(widths).map(|(column, width)| {
                width.map(|width| column.min.map_or(width, |min| width.min(min)))
            });
            total(&least.collect::<Vec<_>>())
        };
        while least(&widths) > look.width {
            let shown =
                (0..widths.len()).filter(|&i| widths[i].is_some() && self.columns[i].rank > 0);
            // One without a figure in any row goes first.
            match shown.max_by_key(|&i| (self.is_blank(i), self.columns[i].rank)) {
                Some(i) => widths[i] = None,
                None => break,
            }
        }
        while total(&widths) > look.width {
            let can = |i: &usize| {
                widths[*i].is_some_and(|w| self.columns[*i].min.is_some_and(|min| w > min))
            };
            match (0..widths.len()).filter(can).max_by_key(|&i| widths[i]) {
                Some(widest) => widths[widest] = widths[widest].map(|width| width - 1),
                None => break,
            }
        }
        widths
    }

    fn is_blank(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().filter_map(|row| match row {
            Row::Cells(cells) => Some(&*cells[column].1),
            Row::Line(_) => None,
        });
        cells.all(|text| ["", "-", self.columns[column].title].contains(&text))
    }

    fn natural_width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| match row {
            Row::Cells(cells) => Some(text::width(&cells[column].1)),
            Row::Line(_) => None,
        });
        cells.max().unwrap_or(0)
    }

    fn cells(&self, cells: &[Cell], widths: &[Option<usize>], look: &Look) -> Line {
        let mut line = Line::new().plain(" ".repeat(self.indent));
        let shown = || {
            widths
                .iter()
                .enumerate()
                .filter_map(|(i, width)| width.map(|width| (i, width)))
        };
        // Blanks after the last text are left out.
        let last = shown()
            .map(|(i, _)| i)
            .filter(|&i| !cells[i].1.is_empty())
            .max()
            .unwrap_or(0);
        let first = shown().next().map_or(0, |(i, _)| i);
        for (i, width) in shown().take_while(|(i, _)| *i <= last) {
            let (tone, text) = &cells[i];
            let text = text::cut(text, width, look.ellipsis());
            let fill = " ".repeat(width.saturating_sub(text::width(&text)));
            if i != first {
                line = line.plain(Self::GAP);
            }
            line = match (self.columns[i].to_right, i == last) {
                (true, _) => line.plain(fill).put(*tone, text),
                (false, true) => line.put(*tone, text),
                (false, false) => line.put(*tone, text).plain(fill),
            };
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: usize) -> String {
        let look = Look {
            color: false,
            unicode: true,
            width,
            demo: false,
        };
        let columns = vec![
            Column::left("name").at_least(4),
            Column::left("model").rank(1),
            Column::right("tokens"),
        ];
        let mut table = Table::new(columns, 1);
        table.titles();
        for (name, model, tokens) in [("a long name", "haiku", "1.2 k"), ("日本語", "opus", "")]
        {
            let cells = [name, model, tokens].map(|text| (Tone::Plain, text.to_owned()));
            table.row(cells.to_vec());
        }
        super::super::look::page(&table.render(&look), &look)
    }

    #[test]
    fn columns_are_aligned_cut_and_left_out() {
        insta::assert_snapshot!(shown(40) + &shown(22) + &shown(16), @r"
        name         model  tokens
        a long name  haiku   1.2 k
        日本語       opus
        name    model  tokens
        a lon…  haiku   1.2 k
        日本語  opus
        name     tokens
        a long…   1.2 k
        日本語
        ");
    }
}
