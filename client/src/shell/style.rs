//! Colour, where people look; and text from elsewhere made fit for a terminal.

use std::borrow::Cow;
use std::io::IsTerminal;

use unicode_width::UnicodeWidthChar;

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    color: bool,
}

impl Style {
    #[cfg(test)]
    pub(super) const PLAIN: Self = Self { color: false };

    /// The style for one of the standard streams.
    pub(super) fn of(stream: &impl IsTerminal) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            color: stream.is_terminal() && !refused && !dumb,
        }
    }

    pub(super) fn error(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub(super) fn warning(self, text: &str) -> String {
        self.wrap("1;33", text)
    }

    pub(super) fn strong(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(super) fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Data may hold control characters, and a terminal would obey them. Line breaks stay.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text
        .chars()
        .any(|character| character.is_control() && character != '\n')
    {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' => shown.push('\n'),
            '\t' => shown.push_str("    "),
            '\r' => shown.push_str("\\r"),
            control if control.is_control() => shown.push_str(&format!("\\x{:02x}", u32::from(control))),
            other => shown.push(other),
        }
    }
    Cow::Owned(shown)
}

/// The columns of a terminal that a line takes.
pub(super) fn width(text: &str) -> usize {
    text.chars()
        .map(|character| character.width().unwrap_or_default())
        .sum()
}

/// The line cut to `limit` columns.
pub(super) fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if width(text) <= limit {
        return Cow::Borrowed(text);
    }
    let mut left = limit.saturating_sub(1);
    let kept = text.chars().take_while(|character| {
        let needed = character.width().unwrap_or_default();
        let fits = needed <= left;
        left = left.saturating_sub(needed);
        fits
    });
    Cow::Owned(kept.chain(['…']).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(printable("größe\n"), "größe\n");
        assert_eq!(printable("a\tb\x1b[2J\r"), "a    b\\x1b[2J\\r");
    }

    #[test]
    fn widths() {
        assert_eq!((width("größe"), width("日本")), (5, 4));
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("日本語", 4), "日…");
    }

    #[test]
    fn plain_is_plain() {
        assert_eq!(Style::PLAIN.error("ERROR"), "ERROR");
        assert_eq!(Style { color: true }.faint("NULL"), "\x1b[2mNULL\x1b[0m");
    }
}
