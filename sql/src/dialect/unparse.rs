//! Definitions written as statements that give them again: the canonical form of `SHOW CREATE`.

use sqlparser::keywords::{ALL_KEYWORDS, ALL_KEYWORDS_INDEX, Keyword};
use sqlparser::keywords::{RESERVED_FOR_COLUMN_ALIAS, RESERVED_FOR_IDENTIFIER, RESERVED_FOR_TABLE_ALIAS};
use watershed_storage::layout::{Column, TableLayout};

use crate::catalog::{ExternalDef, LiveDef, Object, TableDef, ViewDef};

/// The statement that makes an object as it is.
pub fn show_create(object: &Object) -> String {
    match object {
        Object::Table(def) => table(def),
        Object::External(def) => external(def),
        Object::View(def) => view(def),
        Object::Live(def) => live(def),
    }
}

/// A name as SQL writes it: quoted where it would fold or be taken for a keyword.
pub fn identifier(name: &str) -> String {
    let plain = name
        .chars()
        .enumerate()
        .all(|(i, c)| c == '_' || c.is_ascii_lowercase() || (i > 0 && c.is_ascii_digit()));
    if plain && !name.is_empty() && !reserved(name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// A text as SQL writes it.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn reserved(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let Ok(index) = ALL_KEYWORDS.binary_search(&upper.as_str()) else {
        return false;
    };
    let keyword = ALL_KEYWORDS_INDEX[index];
    RESERVED_FOR_COLUMN_ALIAS.contains(&keyword)
        || RESERVED_FOR_TABLE_ALIAS.contains(&keyword)
        || RESERVED_FOR_IDENTIFIER.contains(&keyword)
        || matches!(
            keyword,
            Keyword::PRIMARY
                | Keyword::CONSTRAINT
                | Keyword::UNIQUE
                | Keyword::CHECK
                | Keyword::FOREIGN
                | Keyword::TABLE
                | Keyword::NOT
                | Keyword::NULL
                | Keyword::TRUE
                | Keyword::FALSE
                | Keyword::AND
                | Keyword::OR
                | Keyword::IN
                | Keyword::IS
                | Keyword::ALL
                | Keyword::AS
                | Keyword::BETWEEN
                | Keyword::LIKE
                | Keyword::WHEN
                | Keyword::THEN
                | Keyword::ELSE
                | Keyword::DISTINCT
        )
}

fn names(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| identifier(name)).collect();
    names.join(", ")
}

fn full_name(schema: &str, name: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(name))
}

/// `(…)`, a column a line. Key columns need no NOT NULL of their own.
fn columns(columns: &[Column], key: &[String]) -> String {
    let mut lines: Vec<String> = columns
        .iter()
        .map(|column| {
            let mut line = format!("  {} {}", identifier(&column.name), column.sql_type());
            if !column.nullable && !key.contains(&column.name) {
                line.push_str(" NOT NULL");
            }
            if let Some(expr) = &column.generated {
                line.push_str(&format!(" GENERATED ALWAYS AS ({expr})"));
            }
            if let Some(comment) = &column.comment {
                line.push_str(&format!(" COMMENT {}", literal(comment)));
            }
            line
        })
        .collect();
    if !key.is_empty() {
        lines.push(format!("  PRIMARY KEY ({})", names(key)));
    }
    format!("(\n{}\n)", lines.join(",\n"))
}

fn table(def: &TableDef) -> String {
    let layout: &TableLayout = &def.layout;
    let mut text = format!(
        "CREATE TABLE {} {}",
        full_name(&def.schema, &def.name),
        columns(&layout.columns, &layout.primary_key)
    );
    if !layout.partition_by.is_empty() {
        text.push_str(&format!("\nPARTITIONED BY ({})", names(&layout.partition_by)));
    }
    let sorted = format!("SORTED BY ({})", names(&layout.sort_by));
    match &layout.sharding {
        Some(sharding) => {
            text.push_str(&format!("\nCLUSTERED BY ({})", identifier(&sharding.key)));
            if !layout.sort_by.is_empty() {
                text.push_str(&format!(" {sorted}"));
            }
            text.push_str(&format!(" INTO {} BUCKETS", sharding.shards));
            let map = layout.shard_map.as_deref();
            // The default by the key's name goes without saying; anything else is said.
            if map != crate::catalog::default_shard_map(&sharding.key) {
                text.push_str(&format!(
                    "\nWITH (shard_map = {})",
                    literal(map.unwrap_or("none"))
                ));
            }
        }
        None if !layout.sort_by.is_empty() => text.push_str(&format!("\n{sorted}")),
        None => {}
    }
    text
}

fn external(def: &ExternalDef) -> String {
    let mut text = format!("CREATE EXTERNAL TABLE {}", full_name(&def.schema, &def.name));
    if !def.columns.is_empty() {
        text.push_str(&format!(" {}", columns(&def.columns, &[])));
    }
    text.push_str(&format!("\nSTORED AS {}", def.format.as_str()));
    if !def.partition_by.is_empty() {
        text.push_str(&format!("\nPARTITIONED BY ({})", names(&def.partition_by)));
    }
    text.push_str(&format!("\nLOCATION {}", literal(&def.location)));
    if !def.options.is_empty() {
        let options: Vec<_> = def
            .options
            .iter()
            .map(|(name, value)| format!("{} {}", literal(name), literal(value)))
            .collect();
        text.push_str(&format!("\nOPTIONS ({})", options.join(", ")));
    }
    text
}

fn view(def: &ViewDef) -> String {
    let list = if def.columns.is_empty() {
        String::new()
    } else {
        format!(" ({})", names(&def.columns))
    };
    format!(
        "CREATE VIEW {}{list} AS\n{}",
        full_name(&def.schema, &def.name),
        def.sql
    )
}

fn live(def: &LiveDef) -> String {
    format!(
        "CREATE TABLE {} {}",
        full_name(&def.schema, &def.name),
        columns(&def.columns, &def.primary_key)
    )
}
