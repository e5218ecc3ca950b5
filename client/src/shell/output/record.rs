//! Rows with a line for each column, for tables wider than the terminal.

use super::Screen;
use super::table::{Cell, Column};
use crate::shell::style::width;

pub(super) fn render(text: &mut String, number: u64, columns: &[Column], cells: &[Cell], screen: Screen) {
    let style = screen.style;
    let names = columns
        .iter()
        .map(|column| width(&column.name))
        .max()
        .unwrap_or_default();
    let title = format!("-[ RECORD {number} ]");
    let rule = "-".repeat((names + 2).saturating_sub(title.len()));
    text.push_str(&format!("{title}{rule}\n"));
    for (column, cell) in columns.iter().zip(cells) {
        for (index, line) in cell.lines().into_iter().enumerate() {
            let name = if index == 0 { column.name.as_str() } else { "" };
            let padding = " ".repeat(names.saturating_sub(width(name)));
            let line = if cell.0.is_none() {
                style.faint(line)
            } else {
                line.to_owned()
            };
            let row = format!("{}{padding} | {line}", style.strong(name));
            text.push_str(row.trim_end());
            text.push('\n');
        }
    }
}
