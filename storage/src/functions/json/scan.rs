//! Parts of JSON as slices of its text. Of what is no JSON there are no parts.

use std::borrow::Cow;

use super::path::Step;

/// The value at a path.
pub(super) fn at<'j>(json: &'j str, steps: &[Step]) -> Option<&'j str> {
    let mut value = whole(json)?;
    for step in steps {
        value = match step {
            Step::Key(key) => member(value, key)?,
            Step::Index(index) => item(value, *index)?,
            Step::Either(key) if value.starts_with('{') => member(value, key)?,
            Step::Either(index) => item(value, index.parse().ok()?)?,
        };
    }
    Some(value)
}

/// The value of a key of an object. Of several the last counts.
pub(super) fn member<'j>(json: &'j str, key: &str) -> Option<&'j str> {
    let members = Parts::of(json, '{')?;
    members
        .filter_map(|(name, value)| (string(name?)? == key).then_some(value))
        .last()
}

/// An element of a list, counted from 0 or, where the index is negative, from the end.
pub(super) fn item(json: &str, index: i64) -> Option<&str> {
    let mut items = Parts::of(json, '[')?;
    let place = match usize::try_from(index) {
        Ok(place) => place,
        Err(_) => {
            let count = Parts::of(json, '[')?.count();
            count.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
        }
    };
    items.nth(place).map(|(_, value)| value)
}

/// The number of items of a list.
pub(super) fn count(json: &str) -> Option<usize> {
    Some(Parts::of(json, '[')?.count())
}

/// Whether a text is a key of an object, an element of a list or the value itself.
pub(super) fn has_key(json: &str, key: &str) -> bool {
    let is_key = |text: &str| string(text).is_some_and(|text| text == key);
    if let Some(mut members) = Parts::of(json, '{') {
        return members.any(|(name, _)| name.is_some_and(is_key));
    }
    match Parts::of(json, '[') {
        Some(mut items) => items.any(|(_, item)| is_key(item)),
        None => is_key(json.trim()),
    }
}

/// A value as text: without quotes, and none of null.
pub(super) fn text(value: &str) -> Option<Cow<'_, str>> {
    match value {
        "null" => None,
        value if value.starts_with('"') => string(value),
        value => Some(value.into()),
    }
}

/// What a text in quotes means.
fn string(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    match inner.contains('\\') {
        true => serde_json::from_str::<String>(quoted).ok().map(Cow::Owned),
        false => Some(inner.into()),
    }
}

/// A value alone, without blanks around it.
fn whole(json: &str) -> Option<&str> {
    let json = json.trim_matches(BLANKS);
    (end(json, 0)? == json.len()).then_some(json)
}

const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// The members of an object, with their names in quotes, or the items of a list.
struct Parts<'j> {
    json: &'j str,
    at: usize,
    close: u8,
}

impl<'j> Parts<'j> {
    fn of(json: &'j str, open: char) -> Option<Self> {
        let json = json.trim_matches(BLANKS);
        json.starts_with(open).then_some(Self {
            json,
            at: 1,
            close: if open == '{' { b'}' } else { b']' },
        })
    }

    fn byte(&mut self) -> Option<u8> {
        self.at = blanks(self.json, self.at);
        self.json.as_bytes().get(self.at).copied()
    }

    fn value(&mut self) -> Option<&'j str> {
        self.byte()?;
        let begin = self.at;
        self.at = end(self.json, begin)?;
        self.json.get(begin..self.at)
    }
}

impl<'j> Iterator for Parts<'j> {
    type Item = (Option<&'j str>, &'j str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.byte()? == self.close {
            return None;
        }
        let mut name = None;
        if self.close == b'}' {
            name = Some(self.value()?);
            if self.byte()? != b':' {
                return None;
            }
            self.at += 1;
        }
        let value = self.value()?;
        if self.byte()? == b',' {
            self.at += 1;
        }
        Some((name, value))
    }
}

fn blanks(json: &str, from: usize) -> usize {
    let rest = json.as_bytes().get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// Where the value that begins there ends.
fn end(json: &str, begin: usize) -> Option<usize> {
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (begin, 0_usize);
    loop {
        match bytes.get(at)? {
            b'"' => at = end_of_string(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => {
                if depth == 0 {
                    return None;
                }
                at += 1;
            }
            _ => {
                let rest = bytes.get(at..)?;
                let is_sign = |byte: &&u8| {
                    !matches!(**byte, b',' | b':' | b'{' | b'}' | b'[' | b']' | b'"')
                        && !byte.is_ascii_whitespace()
                };
                at += rest.iter().take_while(is_sign).count();
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

fn end_of_string(bytes: &[u8], begin: usize) -> Option<usize> {
    let mut at = begin + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str =
        r#" {"a": {"b": [1, "x\"y", null, {"c": 1e2}]}, "d": "ü", "a\u0062": true, "e": {}, "f": []} "#;

    #[test]
    fn parts() {
        let key = |key: &str| Step::Key(key.to_owned());
        let check =
            |steps: &[Step], expected: Option<&str>| assert_eq!(at(JSON, steps), expected, "{steps:?}");
        check(&[key("d")], Some("\"ü\""));
        check(&[key("ab")], Some("true"));
        check(&[key("e")], Some("{}"));
        check(&[key("f"), Step::Index(0)], None);
        check(&[key("a"), key("b"), Step::Index(-1)], Some("{\"c\": 1e2}"));
        check(
            &[key("a"), key("b"), Step::Either("1".to_owned())],
            Some("\"x\\\"y\""),
        );
        check(&[key("a"), key("b"), key("1")], None);
        check(&[key("z")], None);
        check(&[Step::Index(0)], None);
        check(&[], Some(JSON.trim()));
        assert_eq!(member("{\"a\":1,\"a\":2}", "a"), Some("2"));
        assert_eq!(text("\"x\\\"y\"").unwrap(), "x\"y");
        assert_eq!(text("null"), None);
        assert_eq!(text("1e2").unwrap(), "1e2");
    }

    #[test]
    fn keys() {
        assert!(has_key(JSON, "ab") && !has_key(JSON, "b"));
        assert!(has_key("[\"a\", 1]", "a") && !has_key("[\"a\", 1]", "1"));
        assert!(has_key(" \"a\"", "a"));
    }

    #[test]
    fn what_is_no_json_has_no_parts() {
        for json in ["", "{", "{\"a\"", "{\"a\":", "[1", "\"", "}", "{\"a\":}", "[,]"] {
            assert_eq!(at(json, &[Step::Key("a".to_owned())]), None, "{json}");
            assert_eq!(item(json, -1), None, "{json}");
        }
    }
}
