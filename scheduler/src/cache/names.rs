//! Which answers an invalidation's key names.

use super::entry::About;
use super::fingerprint::Key;

/// Hexadecimal digits that are taken for the beginning of a hash.
const MIN_HASH: usize = 8;

/// What a key names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Names {
    Table(String),
    Prefix(String),
    /// Of hashes.
    Hash(String),
}

impl Names {
    pub(super) fn of(key: &str) -> Self {
        let lower = key.trim().to_lowercase();
        if let Some(prefix) = lower.strip_suffix('*') {
            return Self::Prefix(prefix.to_owned());
        }
        let is_hash = lower.len() >= MIN_HASH && lower.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hash {
            return Self::Hash(lower);
        }
        Self::Table(match lower.contains('.') {
            true => lower,
            false => format!("public.{lower}"),
        })
    }

    /// Whether any of them names an entry.
    pub(super) fn any(names: &[Self], key: &Key, about: &About) -> bool {
        let reads = about
            .reads
            .iter()
            .map(|(schema, name)| format!("{schema}.{name}"));
        let tables: Vec<String> = reads
            .chain(about.tables.iter().cloned())
            .map(|name| name.to_lowercase())
            .collect();
        let hash = key.to_string();
        names.iter().any(|name| match name {
            Self::Table(name) => tables.contains(name),
            Self::Prefix(prefix) => {
                hash.starts_with(prefix) || tables.iter().any(|table| table.starts_with(prefix))
            }
            Self::Hash(begin) => hash.starts_with(begin),
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn keys_name_answers() {
        let key = Key::parse(&"0123abcd".repeat(8)).unwrap();
        let about = About {
            principal: String::new(),
            reads: vec![("s".to_owned(), "View".to_owned())],
            tables: vec!["public.cdn_logs".to_owned()],
            versions: Vec::new(),
            plan: String::new(),
            shards: 0,
            missing_shards: 0,
            created_at: DateTime::UNIX_EPOCH,
            invalidation: 0,
        };
        let check = |given: &[&str], named: bool| {
            let names: Vec<_> = given.iter().map(|key| Names::of(key)).collect();
            assert_eq!(Names::any(&names, &key, &about), named, "{given:?}");
        };
        for given in [
            "public.cdn_logs",
            "cdn_logs",
            "s.view",
            "s.*",
            "public.cdn*",
            "*",
            "0123ABCD",
            "0123*",
        ] {
            check(&[given], true);
        }
        for given in ["public.cdn", "s.cdn_logs", "public.r*", "0123abce", "view"] {
            check(&[given], false);
        }
        check(&["public.other", "s.view"], true);
        check(&[], false);
    }
}
