//! JSON as it stands in a file: where records, fields and values begin and end, and what texts say.

use std::borrow::Cow;

/// A place that is not JSON, or not what was expected there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) &'static str);

/// A range of bytes.
pub(super) type Span = (usize, usize);

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Record(Span),
    /// The bytes end before the record does.
    More,
    End,
}

/// Finds one record after another: objects that follow one another, or the objects of a list.
#[derive(Debug, Default)]
pub(super) struct Records {
    began: bool,
    in_list: bool,
    /// Whether a list has an element before, so that a comma must follow.
    after_element: bool,
}

impl Records {
    /// The next record from `start` on. `ended` says that no bytes follow.
    pub(super) fn next(&mut self, bytes: &[u8], start: usize, ended: bool) -> Result<(Next, usize), Broken> {
        let mut place = start;
        if !self.began {
            if !ended && bytes.len() < start + 3 {
                return Ok((Next::More, place));
            }
            if bytes[start..].starts_with(b"\xEF\xBB\xBF") {
                place += 3;
            }
        }
        loop {
            place = skip_blanks(bytes, place);
            let Some(sign) = bytes.get(place) else {
                return match (ended, self.in_list) {
                    (true, true) => Err(Broken("the list of records has no end")),
                    (true, false) => Ok((Next::End, place)),
                    (false, _) => Ok((Next::More, place)),
                };
            };
            let began = std::mem::replace(&mut self.began, true);
            match sign {
                b'[' if !began => self.in_list = true,
                b']' if self.in_list => {
                    self.in_list = false;
                    self.after_element = false;
                }
                b',' if self.in_list && self.after_element => self.after_element = false,
                b'{' if !self.in_list || !self.after_element => {
                    return match value_end(bytes, place, ended)? {
                        None => Ok((Next::More, place)),
                        Some(end) => {
                            self.after_element = true;
                            Ok((Next::Record((place, end)), end))
                        }
                    };
                }
                _ => return Err(Broken("a record is no JSON object")),
            }
            place += 1;
        }
    }
}

fn skip_blanks(bytes: &[u8], start: usize) -> usize {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(|byte| !blank(byte)).unwrap_or(rest.len())
}

/// Where the value that begins at `start` ends; `None` if the bytes end before. Brackets are counted, not read.
pub(super) fn value_end(bytes: &[u8], start: usize, ended: bool) -> Result<Option<usize>, Broken> {
    let cut = |message| match ended {
        true => Err(Broken(message)),
        false => Ok(None),
    };
    match bytes.get(start) {
        None => cut("a value is missing"),
        Some(b'"') => match string_end(bytes, start) {
            Some(end) => Ok(Some(end)),
            None => cut("a text has no end"),
        },
        Some(b'{' | b'[') => {
            let mut open: Vec<u8> = Vec::new();
            let mut place = start;
            while let Some(sign) = bytes.get(place) {
                match sign {
                    b'"' => match string_end(bytes, place) {
                        Some(end) => {
                            place = end;
                            continue;
                        }
                        None => break,
                    },
                    b'{' => open.push(b'}'),
                    b'[' => open.push(b']'),
                    b'}' | b']' => {
                        if open.pop() != Some(*sign) {
                            return Err(Broken("brackets do not belong together"));
                        }
                        if open.is_empty() {
                            return Ok(Some(place + 1));
                        }
                    }
                    _ => {}
                }
                place += 1;
            }
            cut("a bracket is not closed")
        }
        Some(_) => {
            let rest = &bytes[start..];
            let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
            match rest.iter().position(|byte| !part(byte)) {
                Some(0) => Err(Broken("a value is missing")),
                Some(length) => Ok(Some(start + length)),
                None if ended => Ok(Some(bytes.len())),
                None => Ok(None),
            }
        }
    }
}

/// Behind the quote that ends the text which begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut place = start + 1;
    loop {
        let rest = bytes.get(place..)?;
        let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        match rest[found] {
            b'"' => return Some(place + found + 1),
            _ => place += found + 2,
        }
    }
}

/// Calls `each` with the raw key, without its quotes, and the value of every field of an object.
pub(super) fn fields(
    bytes: &[u8],
    object: Span,
    mut each: impl FnMut(&[u8], Span) -> Result<(), Broken>,
) -> Result<(), Broken> {
    items(bytes, object, (b'{', b'}'), |place| {
        if bytes.get(place) != Some(&b'"') {
            return Err(Broken("the name of a field is no text"));
        }
        let end = string_end(bytes, place).ok_or(Broken("a text has no end"))?;
        let colon = skip_blanks(bytes, end);
        if bytes.get(colon) != Some(&b':') {
            return Err(Broken("there is no colon after the name of a field"));
        }
        let value = value_at(bytes, skip_blanks(bytes, colon + 1))?;
        each(&bytes[place + 1..end - 1], value)?;
        Ok(value.1)
    })
}

/// Calls `each` with every element of a list.
pub(super) fn elements(
    bytes: &[u8],
    list: Span,
    mut each: impl FnMut(Span) -> Result<(), Broken>,
) -> Result<(), Broken> {
    items(bytes, list, (b'[', b']'), |place| {
        let value = value_at(bytes, place)?;
        each(value)?;
        Ok(value.1)
    })
}

fn items(
    bytes: &[u8],
    (start, end): Span,
    (opening, closing): (u8, u8),
    mut each: impl FnMut(usize) -> Result<usize, Broken>,
) -> Result<(), Broken> {
    if bytes.get(start) != Some(&opening) {
        return Err(Broken("a value has another form than was expected"));
    }
    let mut place = skip_blanks(bytes, start + 1);
    if bytes.get(place) == Some(&closing) && place + 1 == end {
        return Ok(());
    }
    loop {
        place = skip_blanks(bytes, each(place)?);
        match bytes.get(place) {
            Some(b',') => place = skip_blanks(bytes, place + 1),
            Some(sign) if *sign == closing && place + 1 == end => return Ok(()),
            _ => return Err(Broken("there is no comma between two values")),
        }
    }
}

fn value_at(bytes: &[u8], start: usize) -> Result<Span, Broken> {
    let end = value_end(bytes, start, true)?.ok_or(Broken("a value is missing"))?;
    let scalar = !matches!(bytes.get(start), Some(b'"' | b'{' | b'['));
    if scalar && !is_scalar(&bytes[start..end]) {
        return Err(Broken("a value is no number, text, true, false or null"));
    }
    Ok((start, end))
}

/// Whether a word is a number or one of JSON's words. `NaN` and its like are written by Python.
fn is_scalar(word: &[u8]) -> bool {
    match word {
        b"true" | b"false" | b"null" | b"NaN" | b"Infinity" | b"-Infinity" => true,
        _ => {
            let word = word.strip_prefix(b"-").unwrap_or(word);
            let exponents = word.iter().filter(|byte| matches!(byte, b'e' | b'E')).count();
            word.first().is_some_and(u8::is_ascii_digit)
                && exponents <= 1
                && word
                    .iter()
                    .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
        }
    }
}

/// What a value says: of a text, the text without quotes and escapes; of others, how they are written.
pub(super) fn text(raw: &[u8]) -> Result<Cow<'_, str>, Broken> {
    match raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\"")) {
        Some(inner) => unescaped(inner),
        None => utf8(raw).map(Cow::Borrowed),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Broken> {
    std::str::from_utf8(bytes).map_err(|_| Broken("a text is not UTF-8"))
}

/// A text without its escapes.
pub(super) fn unescaped(inner: &[u8]) -> Result<Cow<'_, str>, Broken> {
    let inner = utf8(inner)?;
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    const BAD: Broken = Broken("an escape in a text is none that JSON has");
    let mut found = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(place) = rest.find('\\') {
        found.push_str(&rest[..place]);
        let mut signs = rest[place + 1..].chars();
        let sign = signs.next().ok_or(BAD)?;
        rest = signs.as_str();
        match sign {
            '"' | '\\' | '/' => found.push(sign),
            'b' => found.push('\u{8}'),
            'f' => found.push('\u{c}'),
            'n' => found.push('\n'),
            'r' => found.push('\r'),
            't' => found.push('\t'),
            'u' => {
                let unit = |text: &str| {
                    let digits = text
                        .get(..4)
                        .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
                    digits.and_then(|digits| u16::from_str_radix(digits, 16).ok())
                };
                let first = unit(rest).ok_or(BAD)?;
                rest = &rest[4..];
                let mut units = vec![first];
                if (0xD800..0xDC00).contains(&first) {
                    let second = rest.strip_prefix("\\u").and_then(unit).ok_or(BAD)?;
                    units.push(second);
                    rest = &rest[6..];
                }
                found.push_str(&String::from_utf16(&units).map_err(|_| BAD)?);
            }
            _ => return Err(BAD),
        }
    }
    found.push_str(rest);
    Ok(Cow::Owned(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> Result<Vec<String>, Broken> {
        let bytes = text.as_bytes();
        // In all ways that a file may come in two parts.
        let mut all = None;
        for cut in 0..=bytes.len() {
            let (mut records, mut place, mut found) = (Records::default(), 0, Vec::new());
            for (end, ended) in [(cut, false), (bytes.len(), true)] {
                loop {
                    let (next, after) = records.next(&bytes[..end], place, ended)?;
                    place = after;
                    match next {
                        Next::Record((start, end)) => found.push(text[start..end].to_owned()),
                        Next::More | Next::End => break,
                    }
                }
            }
            assert_eq!(all.get_or_insert_with(|| found.clone()), &found, "cut at {cut}");
        }
        Ok(all.unwrap())
    }

    #[test]
    fn records_of_files() {
        assert_eq!(
            records("{\"a\":1}\n{\"b\":\"}\"}").unwrap(),
            ["{\"a\":1}", "{\"b\":\"}\"}"]
        );
        assert_eq!(
            records("\u{feff} [ {} , {\"a\":[1]} ]\n").unwrap(),
            ["{}", "{\"a\":[1]}"]
        );
        assert_eq!(records("").unwrap(), Vec::<String>::new());
        assert_eq!(records("{}{}").unwrap().len(), 2);
        for broken in ["[{}", "{]", "1", "[{} {}]", "{\"a\": \"x}", "{},{}"] {
            assert!(records(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn fields_and_elements() {
        let read = |text: &str| {
            let mut found = Vec::new();
            fields(text.as_bytes(), (0, text.len()), |key, (start, end)| {
                found.push(format!("{}={}", unescaped(key)?, &text[start..end]));
                Ok(())
            })
            .map(|()| found)
        };
        assert_eq!(
            read(r#"{"a" : 1.5e3, "b\n":[1, {"c":2}] ,"d":null}"#).unwrap(),
            ["a=1.5e3", "b\n=[1, {\"c\":2}]", "d=null"]
        );
        for broken in [
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            r#"{a:1}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a":nil}"#,
        ] {
            assert!(read(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn texts() {
        assert_eq!(text(br#""a\u00e4\ud83d\ude00\"""#).unwrap(), "aä😀\"");
        assert_eq!(text(b"[1]").unwrap(), "[1]");
        assert!(text(br#""\ud83d""#).is_err());
        assert!(text(br#""\x""#).is_err());
        assert!(text(b"\"\xff\"").is_err());
    }
}
