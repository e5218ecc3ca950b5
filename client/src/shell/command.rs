//! Commands of the shell itself: lines that start with a backslash.

use std::path::{Path, PathBuf};

use watershed_core::error::nearest;
use watershed_core::{Error, Result, SqlState};

use super::output::{Expanded, Format};
use super::script::Script;
use super::split::Statement;
use super::statement::{Ended, INCLUDES_MAX, Interrupts, Shell, say, say_error};

/// Every command, with what follows it and what it does.
pub(super) const COMMANDS: &[(&str, &str, &str)] = &[
    ("?", "", "this help"),
    ("d", "[NAME]", "tables and views, or the columns of one"),
    ("dn", "", "schemas"),
    ("dt", "", "tables"),
    ("dv", "", "views"),
    ("format", "[table|csv|json|arrow]", "how rows are printed"),
    ("i", "FILE", "run the statements of a file"),
    ("q", "", "quit"),
    ("timing", "[on|off]", "tell how long each statement took"),
    ("x", "[on|off|auto]", "print a line for each column"),
];

#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    /// A statement that tells it.
    Ask(String),
    Format(Option<Format>),
    Include(PathBuf),
    Quit,
    Timing(Option<bool>),
    Expanded(Expanded),
}

impl Shell {
    /// Runs a command, given without its backslash.
    pub(super) async fn run_command(&mut self, text: &str, interrupts: &mut Interrupts) -> Ended {
        let command = match parse(text) {
            Ok(command) => command,
            Err(error) => {
                say_error(&error, None, None);
                return Ended::Failed;
            }
        };
        match command {
            Command::Help => say(&help()),
            Command::Ask(sql) => {
                let statement = Statement { text: sql, line: 1 };
                return self.run_statement(&statement, None, interrupts).await;
            }
            Command::Format(format) => {
                self.format = format.unwrap_or(self.format);
                say(&format!("Rows are printed as {}.", self.format.name()));
            }
            Command::Include(path) => return self.include(&path, interrupts).await,
            Command::Quit => return Ended::Quit,
            Command::Timing(timing) => {
                self.timing = timing.unwrap_or(!self.timing);
                say(&format!("Timing is {}.", if self.timing { "on" } else { "off" }));
            }
            Command::Expanded(expanded) => self.expanded = expanded,
        }
        Ended::Well
    }

    async fn include(&mut self, path: &Path, interrupts: &mut Interrupts) -> Ended {
        if self.includes >= INCLUDES_MAX {
            say(&format!("files include each other more than {INCLUDES_MAX} deep"));
            return Ended::Failed;
        }
        let mut script = match Script::of_file(path) {
            Ok(script) => script,
            Err(text) => {
                say(&text);
                return Ended::Failed;
            }
        };
        self.includes += 1;
        let ended = self.run_script(&mut script, interrupts).await;
        self.includes -= 1;
        ended
    }
}

fn parse(text: &str) -> Result<Command> {
    let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let argument = argument.trim().trim_end_matches(';').trim_end();
    let listing = |filter: &str| {
        Command::Ask(format!(
            "SELECT table_schema AS schema, table_name AS name, table_type AS type \
             FROM information_schema.tables WHERE table_schema <> 'information_schema'{filter} ORDER BY 1, 2"
        ))
    };
    let command = match name.trim_end_matches(';') {
        "?" | "h" | "help" => Command::Help,
        "d" if argument.is_empty() => listing(""),
        "d" => Command::Ask(format!("DESCRIBE {}", relation(argument)?)),
        "dt" => listing(" AND table_type <> 'VIEW'"),
        "dv" => listing(" AND table_type = 'VIEW'"),
        "dn" => Command::Ask(
            "SELECT DISTINCT schema_name AS schema FROM information_schema.schemata ORDER BY 1".to_owned(),
        ),
        "format" if argument.is_empty() => Command::Format(None),
        "format" => Command::Format(Some(choice(argument, &Format::ALL)?)),
        "i" if argument.is_empty() => return Err(usage("\\i needs the name of a file")),
        "i" => Command::Include(PathBuf::from(argument.trim_matches('\''))),
        "q" | "quit" => Command::Quit,
        "timing" if argument.is_empty() => Command::Timing(None),
        "timing" => Command::Timing(Some(choice(argument, &[("on", true), ("off", false)])?)),
        "x" if argument.is_empty() => Command::Expanded(Expanded::On),
        "x" => Command::Expanded(choice(
            argument,
            &[
                ("on", Expanded::On),
                ("off", Expanded::Off),
                ("auto", Expanded::Auto),
            ],
        )?),
        unknown => {
            let error = usage(&format!("unknown command \\{unknown}"));
            let near = nearest(unknown, COMMANDS.iter().map(|(name, ..)| *name));
            return Err(match near.filter(|_| unknown.len() > 2) {
                Some(near) => error.with_hint(format!("Did you mean \\{near}?")),
                None => error.with_hint("\\? lists the commands."),
            });
        }
    };
    Ok(command)
}

/// A name, perhaps with that of its schema, and nothing that would make another statement of it.
fn relation(text: &str) -> Result<&str> {
    let mut is_quoted = false;
    let is_name = text.chars().all(|character| {
        if character == '"' {
            is_quoted = !is_quoted;
        }
        is_quoted || character == '"' || character == '_' || character == '.' || character.is_alphanumeric()
    });
    if is_name && !is_quoted {
        Ok(text)
    } else {
        Err(usage(&format!("\"{text}\" is not the name of a table or view")))
    }
}

fn choice<T: Copy>(given: &str, known: &[(&str, T)]) -> Result<T> {
    let found = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(given));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        usage(&format!("unknown choice \"{given}\""))
            .with_hint(format!("Choose one of {}.", names.join(", ")))
    })
}

fn usage(message: &str) -> Error {
    Error::new(SqlState::InvalidParameterValue, message)
}

fn help() -> String {
    let mut text = String::from("Statements end with a semicolon and may have many lines.\n\n");
    for (name, argument, description) in COMMANDS {
        text.push_str(&format!("  {:32}{description}\n", format!("\\{name} {argument}")));
    }
    text.push_str("\nTab completes, Ctrl-C cancels a statement or clears the line, Ctrl-D quits.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, hint: Option<&str>) {
        let error = parse(text).unwrap_err();
        assert_eq!(error.hint(), hint, "{error}");
    }

    #[test]
    fn commands() {
        assert_eq!(parse("q").unwrap(), Command::Quit);
        assert_eq!(parse("timing").unwrap(), Command::Timing(None));
        assert_eq!(parse("timing ON;").unwrap(), Command::Timing(Some(true)));
        assert_eq!(parse("format json").unwrap(), Command::Format(Some(Format::Json)));
        assert_eq!(parse("i a b.sql").unwrap(), Command::Include("a b.sql".into()));
        assert_eq!(
            parse("d  public.\"My Table\"").unwrap(),
            Command::Ask("DESCRIBE public.\"My Table\"".into())
        );
        assert!(matches!(parse("dv;").unwrap(), Command::Ask(sql) if sql.contains("= 'VIEW'")));
    }

    #[test]
    fn mistakes() {
        refused("timng", Some("Did you mean \\timing?"));
        refused("zz", Some("\\? lists the commands."));
        refused("format xml", Some("Choose one of table, csv, json, arrow."));
        refused("d t; DROP TABLE t", None);
        refused("d \"t", None);
        refused("i", None);
    }

    #[test]
    fn help_names_every_command() {
        for (name, ..) in COMMANDS {
            assert!(help().contains(&format!("\\{name} ")), "{name}");
            assert!(
                parse(&format!("{name} x"))
                    .err()
                    .is_none_or(|error| !error.message().contains("unknown command"))
            );
        }
    }
}
