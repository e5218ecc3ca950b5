//! The bytes of a CSV file as rows of fields.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};
use watershed_core::error::Result;

use super::{CsvDialect, ROW_MAX, damaged, row_too_long};

/// Splits bytes into rows of fields.
pub(super) struct Fields {
    reader: Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    /// What of these belongs to the row that is being read.
    text_used: usize,
    ends_used: usize,
    path: String,
    blanks: Blanks,
}

/// Finds blank lines. The reader passes over them; in a file with one column they are rows with an empty field.
#[derive(Debug, Default)]
struct Blanks {
    /// Whether the file has one column, known after its first row.
    are_rows: bool,
    /// Whether lines end otherwise than usual, or some are comments.
    unusual: bool,
    first: bool,
    /// The line after the last row.
    line: u64,
    /// Whether that row ended with a carriage return, so that a line feed may follow.
    returned: bool,
}

impl Blanks {
    /// Blank lines before a row, which has been read up to `line`. `end` is its last byte, if it was not cut off by
    /// the end of the file.
    fn before(&mut self, row: &Row<'_>, line: u64, end: Option<u8>) -> u64 {
        let within = row.text.iter().filter(|byte| **byte == b'\n').count() as u64;
        let own = within + u64::from(end == Some(b'\n'));
        let blanks = line.saturating_sub(self.line + own);
        (self.line, self.returned) = (line, end == Some(b'\r'));
        if !std::mem::replace(&mut self.first, false) {
            return if self.are_rows { blanks } else { 0 };
        }
        self.are_rows = row.len() == 1 && !self.unusual;
        0
    }

    /// Blank lines after the last row, where no other has begun up to `line`.
    fn after(&mut self, line: u64) -> u64 {
        let blanks = line.saturating_sub(self.line);
        self.line = line.max(self.line);
        if self.are_rows { blanks } else { 0 }
    }

    /// Looks at the first byte after a row.
    fn next(&mut self, byte: u8) {
        if std::mem::take(&mut self.returned) && byte == b'\n' {
            self.line += 1;
        }
    }
}

impl Fields {
    pub(super) fn new(dialect: &CsvDialect, path: &str) -> Self {
        let mut builder = ReaderBuilder::new();
        builder
            .delimiter(dialect.delimiter)
            .quoting(dialect.quote.is_some())
            .quote(dialect.quote.unwrap_or(b'"'))
            .escape(dialect.escape)
            .double_quote(true)
            .comment(dialect.comment);
        if let Some(terminator) = dialect.terminator {
            builder.terminator(Terminator::Any(terminator));
        }
        Self {
            reader: builder.build(),
            text: vec![0; 4 << 10],
            ends: vec![0; 64],
            text_used: 0,
            ends_used: 0,
            path: path.to_owned(),
            blanks: Blanks {
                unusual: dialect.terminator.is_some() || dialect.comment.is_some(),
                first: true,
                line: 1,
                ..Blanks::default()
            },
        }
    }

    /// Calls `each` with every row that is complete. Empty bytes are the end of the file. It goes on for as long as
    /// `each` gives true.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<()> {
        let mut rest = bytes;
        loop {
            // Nothing would be taken for the end of the file.
            if rest.is_empty() && !bytes.is_empty() {
                return Ok(());
            }
            if let Some(byte) = rest.first() {
                self.blanks.next(*byte);
            }
            let (result, read, wrote, ended) = self.reader.read_record(
                rest,
                &mut self.text[self.text_used..],
                &mut self.ends[self.ends_used..],
            );
            let end = read.checked_sub(1).and_then(|last| rest.get(last)).copied();
            rest = &rest[read..];
            self.text_used += wrote;
            self.ends_used += ended;
            match result {
                ReadRecordResult::InputEmpty | ReadRecordResult::End => {
                    if self.text_used == 0 && self.ends_used == 0 {
                        let line = self.reader.line();
                        each_blank(self.blanks.after(line), line, &mut each)?;
                    }
                    return Ok(());
                }
                ReadRecordResult::OutputFull if self.text.len() > ROW_MAX => {
                    return Err(row_too_long(&self.path, self.reader.line()));
                }
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => {
                    let row = Row {
                        text: &self.text[..self.text_used],
                        ends: &self.ends[..self.ends_used],
                        line: self.reader.line(),
                    };
                    let blanks = self.blanks.before(&row, row.line, end);
                    let go_on = each_blank(blanks, row.line, &mut each)? && each(&row)?;
                    self.text_used = 0;
                    self.ends_used = 0;
                    if !go_on {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// Calls `each` with rows of one empty field, as long as it gives true.
fn each_blank(count: u64, line: u64, each: &mut impl FnMut(&Row<'_>) -> Result<bool>) -> Result<bool> {
    let row = Row {
        text: &[],
        ends: &[0],
        line,
    };
    for _ in 0..count {
        if !each(&row)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// One row of a file.
pub(super) struct Row<'a> {
    text: &'a [u8],
    ends: &'a [usize],
    /// The line that follows it.
    pub(super) line: u64,
}

impl Row<'_> {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn field(&self, place: usize) -> Option<&[u8]> {
        let start = match place.checked_sub(1) {
            None => 0,
            Some(before) => *self.ends.get(before)?,
        };
        self.text.get(start..*self.ends.get(place)?)
    }

    /// The names that a header gives, each of them once.
    pub(super) fn names(&self, path: &str) -> Result<Vec<String>> {
        let mut names: Vec<String> = Vec::with_capacity(self.len());
        let mut known = std::collections::HashSet::new();
        for place in 0..self.len() {
            let name = std::str::from_utf8(self.field(place).unwrap_or_default())
                .map_err(|_| damaged(path, 1, "a file is not UTF-8"))?;
            let plain = match name.trim() {
                "" => format!("column{place}"),
                name => name.to_owned(),
            };
            let mut name = plain.clone();
            let mut count = 0;
            while !known.insert(name.clone()) {
                count += 1;
                name = format!("{plain}_{count}");
            }
            names.push(name);
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Compression;
    use super::*;

    const DIALECT: CsvDialect = CsvDialect {
        header: true,
        positional: false,
        closed: false,
        delimiter: b',',
        quote: Some(b'"'),
        escape: None,
        comment: None,
        terminator: None,
        null_value: None,
        null_regex: None,
        compression: Compression::None,
    };

    /// The rows of bytes that come in pieces of a size.
    fn rows(bytes: &str, size: usize) -> Vec<Vec<String>> {
        let mut fields = Fields::new(&DIALECT, "a.csv");
        let mut rows = Vec::new();
        let mut each = |row: &Row<'_>| {
            let texts = (0..row.len()).map(|place| row.field(place).unwrap().to_vec());
            rows.push(texts.map(|text| String::from_utf8(text).unwrap()).collect());
            Ok(true)
        };
        for piece in bytes.as_bytes().chunks(size) {
            fields.push(piece, &mut each).unwrap();
        }
        fields.push(&[], &mut each).unwrap();
        rows
    }

    #[test]
    fn blank_lines_are_rows_of_a_file_with_one_column() {
        for (bytes, expected) in [
            ("a\n1\n\n3\n", vec!["a", "1", "", "3"]),
            ("a\r\n1\r\n\r\n3\r\n", vec!["a", "1", "", "3"]),
            ("a\n\n", vec!["a", ""]),
            ("a\n1\n\n\n", vec!["a", "1", "", ""]),
            ("a\n1\n\n3", vec!["a", "1", "", "3"]),
            ("\n\na\n1\n", vec!["a", "1"]),
            (
                "a\n\"x\n\ny\"\n\n\"\"\n\"\nz\"\n",
                vec!["a", "x\n\ny", "", "", "\nz"],
            ),
            ("a\n\"x\r\ny\"\r\n\r\n2\r\n", vec!["a", "x\r\ny", "", "2"]),
            ("a\r1\r2\r", vec!["a", "1", "2"]),
        ] {
            for size in 1..=bytes.len() {
                let found: Vec<String> = rows(bytes, size).into_iter().flatten().collect();
                assert_eq!(found, expected, "{bytes:?} in pieces of {size}");
            }
        }
        assert_eq!(rows("a,b\n\n1,2\n\n", 3), [["a", "b"], ["1", "2"]]);
    }
}
