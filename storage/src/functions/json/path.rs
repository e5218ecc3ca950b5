//! Paths into JSON as texts.

use datafusion::common::Result;
use watershed_core::error::{Error, SqlState};

use crate::error::into_datafusion;

/// One step of a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Key(String),
    /// From the end where it is negative.
    Index(i64),
    /// A key of an object, or an index of a list.
    Either(String),
}

/// A path: `$.a[0]."b c"`, `/a/0`, or a key alone.
#[derive(Debug)]
pub(super) struct Path(Vec<Step>);

impl Path {
    pub(super) fn parse(text: &str) -> Result<Self> {
        if let Some(steps) = text.strip_prefix('$') {
            return after_dollar(steps)
                .map(Self)
                .ok_or_else(|| into_datafusion(refused(text)));
        }
        if let Some(pointer) = text.strip_prefix('/') {
            let steps = pointer.split('/').map(|step| {
                let key = step.replace("~1", "/").replace("~0", "~");
                Step::Either(key)
            });
            return Ok(Self(steps.collect()));
        }
        Ok(Self(vec![Step::Key(text.to_owned())]))
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }
}

fn refused(text: &str) -> Error {
    let many = text.contains('*') || text.contains("..");
    match many {
        true => Error::unsupported(format!("the JSON path {text:?} is of many values"))
            .with_hint("Name one value by its keys and indices, or unnest the list."),
        false => Error::new(
            SqlState::InvalidParameterValue,
            format!("{text:?} is no JSON path"),
        )
        .with_hint("Paths are written as $.key[0].\"another key\" or /key/0."),
    }
}

fn after_dollar(mut rest: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let quote = inner.chars().next().filter(|sign| matches!(sign, '\'' | '"'));
            if let Some(quote) = quote {
                let (key, behind) = inner.strip_prefix(quote)?.split_once(quote)?;
                steps.push(Step::Key(key.to_owned()));
                rest = behind.strip_prefix(']')?;
                continue;
            }
            let (index, behind) = inner.split_once(']')?;
            steps.push(match index.strip_prefix('#') {
                Some(from_end) => Step::Index(from_end.parse().ok().filter(|index| *index < 0)?),
                None => Step::Index(index.trim().parse().ok()?),
            });
            rest = behind;
            continue;
        }
        let inner = rest.strip_prefix('.')?;
        let (key, behind) = match inner.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => inner.split_at(inner.find(['.', '[']).unwrap_or(inner.len())),
        };
        if key.is_empty() || key == "*" {
            return None;
        }
        steps.push(Step::Key(key.to_owned()));
        rest = behind;
    }
    Some(steps)
}

/// The elements of a text such as `{a,"b c",0}`.
pub(super) fn braces(text: &str) -> Result<Vec<String>> {
    elements(text).ok_or_else(|| {
        let error = Error::new(
            SqlState::InvalidTextRepresentation,
            format!("{text:?} is no list of keys"),
        );
        into_datafusion(error.with_hint("Keys are written as '{a,b}' or ARRAY['a', 'b']."))
    })
}

fn elements(text: &str) -> Option<Vec<String>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut elements = Vec::new();
    let mut rest = inner.trim_start();
    if rest.is_empty() {
        return Some(elements);
    }
    loop {
        let element;
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut text = String::new();
            let mut chars = quoted.char_indices();
            let end = loop {
                match chars.next()? {
                    (_, '\\') => text.push(chars.next()?.1),
                    (at, '"') => break at + 1,
                    (_, other) => text.push(other),
                }
            };
            element = text;
            rest = quoted.get(end..)?.trim_start();
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            element = rest.get(..end)?.trim().to_owned();
            rest = rest.get(end..)?;
            if element.is_empty() {
                return None;
            }
        }
        elements.push(element);
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None if rest.is_empty() => return Some(elements),
            None => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_braces() {
        assert_eq!(elements("{a, b,0}").unwrap(), ["a", "b", "0"]);
        assert_eq!(
            elements(r#"{"a,b" , "q\"", c d}"#).unwrap(),
            ["a,b", "q\"", "c d"]
        );
        assert!(elements("{}").unwrap().is_empty());
        for other in ["a", "{a", "{a,}", "{\"a}", "{\"a\"b}"] {
            assert_eq!(elements(other), None, "{other}");
        }
    }

    #[test]
    fn paths() {
        let steps = |text: &str| Path::parse(text).unwrap().0;
        let key = |text: &str| Step::Key(text.to_owned());
        assert_eq!(
            steps("$.a[0].\"b c\"[-1]['d'][#-2]"),
            [
                key("a"),
                Step::Index(0),
                key("b c"),
                Step::Index(-1),
                key("d"),
                Step::Index(-2)
            ]
        );
        assert_eq!(
            steps("/a~1b/0"),
            ["a/b", "0"].map(|step| Step::Either(step.to_owned()))
        );
        assert_eq!(steps("a.b"), [key("a.b")]);
        assert_eq!(steps("$"), []);
        for (text, code) in [
            ("$.*", "0A000"),
            ("$.a[*].x", "0A000"),
            ("$..a", "0A000"),
            ("$a", "22023"),
            ("$.a[x]", "22023"),
            ("$.", "22023"),
        ] {
            let error = crate::error::from_datafusion(Path::parse(text).unwrap_err());
            assert_eq!(error.code().as_str(), code, "{text}");
        }
    }
}
