//! Patterns of paths: `*`, `?`, `[a-z]`, `{a,b}` within a name, and `**` for any number of folders.

/// Alternatives that one pattern may stand for.
const ALTERNATIVES_MAX: usize = 1_000;

/// Whether a path has signs of a pattern.
pub(super) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', '{'])
}

/// A pattern that has been read: one list of name patterns per alternative.
#[derive(Debug, Clone)]
pub(super) struct Glob {
    alternatives: Vec<Vec<String>>,
}

impl Glob {
    /// Reads a pattern; `None` if it has too many alternatives.
    pub(super) fn parse(pattern: &str) -> Option<Self> {
        let alternatives = expand(pattern)?
            .into_iter()
            .map(|one| {
                one.split('/')
                    .filter(|part| !part.is_empty())
                    .map(str::to_owned)
                    .collect()
            })
            .collect();
        Some(Self { alternatives })
    }

    /// The folders that every match lies in: the names before the first that is a pattern.
    pub(super) fn base(&self) -> Vec<String> {
        let mut bases = self.alternatives.iter().map(|parts| {
            let folders = parts.split_last().map_or(&[][..], |(_, folders)| folders);
            folders
                .iter()
                .take_while(|part| !is_pattern(part))
                .cloned()
                .collect::<Vec<_>>()
        });
        let first = bases.next().unwrap_or_default();
        bases.fold(first, |base, other| {
            base.into_iter()
                .zip(other)
                .take_while(|(a, b)| a == b)
                .map(|(a, _)| a)
                .collect()
        })
    }

    /// Whether the path of a file matches. A pattern that names a folder takes the files in it.
    pub(super) fn matches(&self, path: &[&str]) -> bool {
        self.alternatives.iter().any(|parts| matches(parts, path))
    }
}

/// The alternatives of all `{a,b}`.
fn expand(pattern: &str) -> Option<Vec<String>> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(next) = open.pop() {
        if done.len() + open.len() > ALTERNATIVES_MAX {
            return None;
        }
        let Some((start, end)) = braces(&next) else {
            done.push(next);
            continue;
        };
        for part in choices(&next[start + 1..end]) {
            open.push(format!("{}{part}{}", &next[..start], &next[end + 1..]));
        }
    }
    Some(done)
}

/// The first pair of braces that belong together.
fn braces(pattern: &str) -> Option<(usize, usize)> {
    let start = pattern.find('{')?;
    let mut depth = 0_usize;
    for (place, sign) in pattern.char_indices().skip_while(|(place, _)| *place < start) {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((start, place));
        }
    }
    None
}

/// The parts between the commas that are in no inner braces.
fn choices(list: &str) -> Vec<&str> {
    let (mut depth, mut start) = (0_usize, 0);
    let mut found = Vec::new();
    for (place, sign) in list.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.push(&list[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    found.push(&list[start..]);
    found
}

fn matches(parts: &[String], path: &[&str]) -> bool {
    // Whether the names so far match the first `i` parts.
    let mut state = vec![false; parts.len() + 1];
    state[0] = true;
    let open = |state: &mut Vec<bool>| {
        for (index, part) in parts.iter().enumerate() {
            if part == "**" && state[index] {
                state[index + 1] = true;
            }
        }
    };
    open(&mut state);
    for name in path {
        let mut next = vec![false; parts.len() + 1];
        for (index, part) in parts.iter().enumerate() {
            if !state[index] {
                continue;
            }
            if part == "**" {
                next[index] = true;
            } else if name_matches(part, name) {
                next[index + 1] = true;
            }
        }
        // All files below a folder that matched.
        next[parts.len()] |= state[parts.len()];
        open(&mut next);
        state = next;
    }
    state.last().copied().unwrap_or_default()
}

/// Whether one name matches, in time that a pattern of many `*` does not blow up.
fn name_matches(pattern: &str, name: &str) -> bool {
    let pattern = read(pattern);
    let mut state = vec![false; pattern.len() + 1];
    state[0] = true;
    let open = |state: &mut Vec<bool>| {
        for (index, sign) in pattern.iter().enumerate() {
            if matches!(sign, Sign::Any) && state[index] {
                state[index + 1] = true;
            }
        }
    };
    open(&mut state);
    for found in name.chars() {
        let mut next = vec![false; pattern.len() + 1];
        for (index, sign) in pattern.iter().enumerate() {
            if !state[index] {
                continue;
            }
            match sign {
                Sign::Any => next[index] = true,
                Sign::One => next[index + 1] = true,
                Sign::Is(wanted) => next[index + 1] |= *wanted == found,
                Sign::In { ranges, negated } => {
                    let inside = ranges.iter().any(|(from, to)| (*from..=*to).contains(&found));
                    next[index + 1] |= inside != *negated;
                }
            }
        }
        open(&mut next);
        state = next;
    }
    state.last().copied().unwrap_or_default()
}

enum Sign {
    Any,
    One,
    Is(char),
    In {
        ranges: Vec<(char, char)>,
        negated: bool,
    },
}

fn read(pattern: &str) -> Vec<Sign> {
    let signs: Vec<char> = pattern.chars().collect();
    let mut found = Vec::new();
    let mut place = 0;
    while let Some(sign) = signs.get(place) {
        place += 1;
        found.push(match sign {
            '*' => Sign::Any,
            '?' => Sign::One,
            '[' => match signs[place..].iter().skip(1).position(|sign| *sign == ']') {
                Some(length) => {
                    let mut set = &signs[place..place + length + 1];
                    place += length + 2;
                    let negated = matches!(set.first(), Some('!' | '^')) && set.len() > 1;
                    if negated {
                        set = &set[1..];
                    }
                    Sign::In {
                        ranges: ranges(set),
                        negated,
                    }
                }
                None => Sign::Is('['),
            },
            other => Sign::Is(*other),
        });
    }
    found
}

fn ranges(set: &[char]) -> Vec<(char, char)> {
    let mut found = Vec::new();
    let mut rest = set;
    while let Some(from) = rest.first() {
        match rest {
            [from, '-', to, ..] => {
                found.push((*from, *to));
                rest = &rest[3..];
            }
            _ => {
                found.push((*from, *from));
                rest = &rest[1..];
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        fn check(pattern: &str, path: &str, expected: bool) {
            let path: Vec<_> = path.split('/').collect();
            assert_eq!(
                Glob::parse(pattern).unwrap().matches(&path),
                expected,
                "{pattern} {path:?}"
            );
        }
        check("data/*.parquet", "data/a.parquet", true);
        check("data/*.parquet", "data/b/a.parquet", false);
        check("data/**/*.parquet", "data/a.parquet", true);
        check("data/**/*.parquet", "data/b/c/a.parquet", true);
        check("data/**", "data/b/c/a.csv", true);
        check("data/*", "data/b/c/a.csv", true);
        check("data/y=*/m=0[1-3]/*", "data/y=2024/m=02/x", true);
        check("data/y=*/m=0[1-3]/*", "data/y=2024/m=04/x", false);
        check("data/y=*/m=0[!1-3]/*", "data/y=2024/m=04/x", true);
        check("d/{a,b{1,2}}.csv", "d/b2.csv", true);
        check("d/{a,b{1,2}}.csv", "d/b.csv", false);
        check("d/?.csv", "d/ä.csv", true);
        check("d/a[.csv", "d/a[.csv", true);
        check("d/***********b", "d/aaaaaaaaaaaaaaaaaaaaaaaaaaaa", false);
    }

    #[test]
    fn bases() {
        let base = |pattern| Glob::parse(pattern).unwrap().base().join("/");
        assert_eq!(base("a/b/*.csv"), "a/b");
        assert_eq!(base("a/{b,c}/x.csv"), "a");
        assert_eq!(base("a/b/x=*/c/y.csv"), "a/b");
        assert_eq!(base("*.csv"), "");
    }
}
