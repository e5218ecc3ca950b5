//! Tables for people: columns aligned, numbers to the right.
//!
//! Widths come from the first rows, so that a large result starts to show early and is never held
//! in memory; a later value that is wider sticks out.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::ArrayFormatter;

use super::cell::{Timestamps, flat, format_options};
use super::{Encode, Expanded, Screen, record};
use crate::shell::style::{Style, cut, printable, width};

/// Rows that are held back to find the widths.
const ROWS_HELD: usize = 1_000;
/// A column is not made narrower than this.
const NARROWEST: usize = 20;
/// Between columns stand a space, a bar and a space.
const GAP: usize = 3;

pub(super) struct Table {
    columns: Vec<Column>,
    screen: Screen,
    timestamps: Timestamps,
    held: Vec<Vec<Cell>>,
    layout: Option<Layout>,
    rows: u64,
    has_cut: bool,
}

pub(super) struct Column {
    pub(super) name: String,
    is_number: bool,
}

/// A value's lines; none for NULL.
pub(super) struct Cell(pub(super) Option<String>);

impl Cell {
    pub(super) fn lines(&self) -> Vec<&str> {
        self.0
            .as_deref()
            .map_or_else(|| vec!["NULL"], |text| text.split('\n').collect())
    }

    fn width(&self) -> usize {
        self.lines().into_iter().map(width).max().unwrap_or_default()
    }

    fn has_breaks(&self) -> bool {
        self.0.as_deref().is_some_and(|text| text.contains('\n'))
    }
}

enum Layout {
    /// A width for each column, and whether longer values are cut to it.
    Rows(Vec<(usize, bool)>),
    Records,
}

impl Table {
    pub(super) fn new(schema: &SchemaRef, screen: Screen) -> Self {
        let columns = schema.fields().iter().map(|field| Column {
            name: printable(field.name()).replace('\n', "\\n"),
            is_number: is_number(field.data_type()),
        });
        Self {
            columns: columns.collect(),
            screen,
            timestamps: Timestamps::of(schema),
            held: Vec::new(),
            layout: None,
            rows: 0,
            has_cut: false,
        }
    }

    /// Prints what is held back, after the header if there was none yet.
    fn flush(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        let style = self.screen.style;
        let mut text = String::new();
        let layout = self.layout.get_or_insert_with(|| {
            let layout = lay_out(&self.columns, &held, self.screen);
            if let Layout::Rows(widths) = &layout {
                header(&mut text, &self.columns, widths, style);
            }
            layout
        });
        for cells in &held {
            self.rows += 1;
            match layout {
                Layout::Rows(widths) => {
                    self.has_cut |= row(&mut text, &self.columns, widths, cells, style);
                }
                Layout::Records => {
                    record::render(&mut text, self.rows, &self.columns, cells, self.screen);
                }
            }
        }
        out.extend_from_slice(text.as_bytes());
    }
}

impl Encode for Table {
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let options = format_options(self.timestamps);
        let columns = batch
            .schema_ref()
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| flat(field, column, self.timestamps))
            .collect::<Result<Vec<_>, _>>()?;
        let formatters = columns
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let cells = columns.iter().zip(&formatters).map(|(column, formatter)| {
                let text = || printable(&formatter.value(row).to_string()).into_owned();
                Cell((!column.is_null(row)).then(text))
            });
            self.held.push(cells.collect());
            if self.held.len() >= ROWS_HELD {
                self.flush(out);
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.flush(out);
        let rows = self.rows;
        let plural = if rows == 1 { "" } else { "s" };
        let cut = if self.has_cut {
            "; long values are cut: \\format csv shows them whole"
        } else {
            ""
        };
        out.extend_from_slice(format!("({rows} row{plural}{cut})\n").as_bytes());
        Ok(())
    }
}

fn is_number(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_number(values),
        other => other.is_numeric(),
    }
}

fn lay_out(columns: &[Column], rows: &[Vec<Cell>], screen: Screen) -> Layout {
    if screen.expanded == Expanded::On {
        return Layout::Records;
    }
    let mut widths: Vec<usize> = columns.iter().map(|column| width(&column.name)).collect();
    let mut is_fixed: Vec<bool> = columns.iter().map(|column| column.is_number).collect();
    for cells in rows {
        for (index, cell) in cells.iter().enumerate() {
            widths[index] = widths[index].max(cell.width());
            // Text of several lines, a plan say, is worth more whole than aligned.
            is_fixed[index] |= cell.has_breaks();
        }
    }
    let Some(limit) = screen.columns else {
        return Layout::Rows(widths.into_iter().map(|width| (width, false)).collect());
    };
    let natural = widths.clone();
    if !shrink(&mut widths, &is_fixed, limit) && screen.expanded == Expanded::Auto && columns.len() > 1 {
        let has_plan = is_fixed
            .iter()
            .zip(columns)
            .any(|(fixed, column)| *fixed && !column.is_number);
        if !has_plan {
            return Layout::Records;
        }
    }
    let is_cut = natural
        .iter()
        .zip(&widths)
        .map(|(natural, width)| width < natural);
    Layout::Rows(widths.iter().copied().zip(is_cut).collect())
}

/// Makes the widest columns narrower until all fit; whether they do.
fn shrink(widths: &mut [usize], is_fixed: &[bool], limit: usize) -> bool {
    let total = |widths: &[usize]| {
        widths
            .iter()
            .map(|width| width + GAP)
            .sum::<usize>()
            .saturating_sub(1)
    };
    loop {
        let excess = total(widths).saturating_sub(limit);
        if excess == 0 {
            return true;
        }
        let widest = (0..widths.len())
            .filter(|index| !is_fixed[*index] && widths[*index] > NARROWEST)
            .max_by_key(|index| widths[*index]);
        let Some(widest) = widest else { return false };
        // Down to the next widest at once, then a step at a time.
        let second = (0..widths.len())
            .filter(|index| *index != widest && !is_fixed[*index])
            .map(|index| widths[index])
            .max()
            .unwrap_or_default();
        let step = excess.min((widths[widest] - second.min(widths[widest])).max(1));
        widths[widest] = widths[widest].saturating_sub(step).max(NARROWEST);
    }
}

fn header(text: &mut String, columns: &[Column], widths: &[(usize, bool)], style: Style) {
    let names = columns.iter().zip(widths).map(|(column, (limit, _))| {
        let name = cut(&column.name, *limit);
        format!(
            " {} ",
            align(&style.strong(&name), width(&name), *limit, column.is_number)
        )
    });
    push_line(text, &names.collect::<Vec<_>>().join("|"));
    let rules = widths.iter().map(|(limit, _)| "-".repeat(limit + 2));
    push_line(text, &rules.collect::<Vec<_>>().join("+"));
}

/// Prints a row, in as many lines as its highest cell has; whether something was cut.
fn row(
    text: &mut String,
    columns: &[Column],
    widths: &[(usize, bool)],
    cells: &[Cell],
    style: Style,
) -> bool {
    let mut has_cut = false;
    let cells: Vec<(Vec<&str>, bool)> = cells
        .iter()
        .map(|cell| (cell.lines(), cell.0.is_none()))
        .collect();
    let height = cells
        .iter()
        .map(|(lines, _)| lines.len())
        .max()
        .unwrap_or_default();
    for number in 0..height {
        let mut parts = Vec::with_capacity(cells.len());
        for ((lines, is_null), (column, (limit, is_cut))) in cells.iter().zip(columns.iter().zip(widths)) {
            let line = lines.get(number).copied().unwrap_or_default();
            let shown = if *is_cut { cut(line, *limit) } else { line.into() };
            has_cut |= shown.len() != line.len();
            // The sign that the value goes on in the next line.
            let mark = if number + 1 < lines.len() { '+' } else { ' ' };
            let colored = if *is_null && number == 0 {
                style.faint(&shown)
            } else {
                shown.to_string()
            };
            let aligned = align(&colored, width(&shown), *limit, column.is_number);
            parts.push(format!(" {aligned}{mark}"));
        }
        push_line(text, &parts.join("|"));
    }
    has_cut
}

fn align(shown: &str, shown_width: usize, limit: usize, right: bool) -> String {
    let padding = " ".repeat(limit.saturating_sub(shown_width));
    if right {
        format!("{padding}{shown}")
    } else {
        format!("{shown}{padding}")
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}
