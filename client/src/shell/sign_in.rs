//! Who asks and whom to trust, from options, variables, files and the terminal. A password or token is
//! never an option itself: every user of a machine can read the options of its processes.

use std::borrow::Cow;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::history::MemHistory;
use rustyline::{Behavior, ColorMode, Completer, Config, Editor, Helper, Hinter, Validator};
use watershed_core::{Error, Result, SqlState};

use super::style::width;
use crate::connect::{ConnectOptions, Credentials, Secret};

const USER: &str = "WATERSHED_USER";
const PASSWORD: &str = "WATERSHED_PASSWORD";
const TOKEN: &str = "WATERSHED_TOKEN";
const AUTHORITIES: &str = "WATERSHED_CA";

/// Who asks, and whom to trust.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Access {
    /// Trust certificates of the authorities in this PEM file, instead of those this machine trusts;
    /// also WATERSHED_CA
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// Ask as this user; also WATERSHED_USER. WATERSHED_PASSWORD holds the password, else it is asked for
    #[arg(long, value_name = "NAME", conflicts_with = "token_file")]
    pub user: Option<String>,

    /// Read the user's password from a file
    #[arg(long, value_name = "FILE", conflicts_with = "token_file")]
    pub password_file: Option<PathBuf>,

    /// Ask as the one whom the token in this file was made for; WATERSHED_TOKEN holds one, too
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

impl Access {
    /// Finds out what is needed to connect. Options come before variables, and a token before a user.
    pub(super) fn resolve(
        &self,
        url: &str,
        variable: impl Fn(&str) -> Option<String>,
        ask: impl FnOnce(&str) -> Result<Option<String>>,
    ) -> Result<ConnectOptions> {
        // Who sets the variable means servers with TLS; who gives the option, this one.
        let usual = || variable(AUTHORITIES).filter(|_| !is_plain(url));
        Ok(ConnectOptions {
            authorities: self.ca.clone().or_else(|| usual().map(PathBuf::from)),
            credentials: self.credentials(variable, ask)?,
        })
    }

    fn credentials(
        &self,
        variable: impl Fn(&str) -> Option<String>,
        ask: impl FnOnce(&str) -> Result<Option<String>>,
    ) -> Result<Credentials> {
        if let Some(file) = &self.token_file {
            return Ok(Credentials::Token(Secret::new(line_of(file)?)));
        }
        if self.user.is_none()
            && self.password_file.is_none()
            && let Some(token) = variable(TOKEN)
        {
            return Ok(Credentials::Token(Secret::new(token)));
        }
        let Some(user) = self.user.clone().or_else(|| variable(USER)) else {
            return match self.password_file {
                None => Ok(Credentials::Anonymous),
                Some(_) => Err(usage("there is a password, but no user").with_hint("Give --user.")),
            };
        };
        let password = match (&self.password_file, variable(PASSWORD)) {
            (Some(file), _) => Some(line_of(file)?),
            (None, Some(password)) => Some(password),
            (None, None) => ask(&user)?,
        };
        match password {
            Some(password) => Ok(Credentials::Password {
                user,
                password: Secret::new(password),
            }),
            None => Err(usage(format!("there is no password for user \"{user}\""))
                .with_hint(format!("Give --password-file, or set {PASSWORD}."))),
        }
    }
}

/// What a variable of the environment holds. An empty one is none.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What to warn of: secrets that others on the way can read.
pub(super) fn warning(url: &str, access: &ConnectOptions) -> Option<String> {
    let what = match access.credentials {
        Credentials::Anonymous => return None,
        Credentials::Password { .. } => "password",
        Credentials::Token(_) => "token",
    };
    let authority = url.split_once("://").map_or(url, |(_, authority)| authority);
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let is_here = ["localhost", "[::1]"].contains(&host) || host.starts_with("127.");
    (is_plain(url) && !is_here)
        .then(|| format!("the {what} is sent unencrypted; an address that starts with https:// encrypts it"))
}

/// Whether an address is one without TLS.
fn is_plain(url: &str) -> bool {
    let scheme = url.split_once("://").map_or("http", |(scheme, _)| scheme);
    ["http", "grpc", "grpc+tcp"].contains(&scheme)
}

/// The first line of a file. Editors end it with a line break that is no part of a password.
fn line_of(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| usage(format!("cannot read {}", file.display())).with_detail(error.to_string()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Asks for a password, if somebody is there to be asked.
pub(super) fn ask(user: &str) -> Result<Option<String>> {
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    match read_hidden(&format!("Password of {user}: ")) {
        Ok(password) => Ok(Some(password)),
        Err(ReadlineError::Interrupted | ReadlineError::Eof) => Ok(None),
        Err(error) => Err(Error::new(SqlState::IoError, "cannot ask for the password")
            .with_detail(error.to_string())
            .with_hint(format!("Give --password-file, or set {PASSWORD}."))),
    }
}

fn read_hidden(prompt: &str) -> rustyline::Result<String> {
    // Questions never go where the data goes.
    let config = Config::builder().behavior(Behavior::PreferTerm).build();
    let mut editor = Editor::with_history(config, MemHistory::new())?;
    // Without colours, what is typed would be shown as it is.
    editor.set_color_mode(ColorMode::Forced);
    editor.set_auto_add_history(false);
    editor.set_helper(Some(Hidden));
    editor.readline(prompt)
}

/// Shows nothing of what is typed, not even its length to those who look over a shoulder.
#[derive(Completer, Helper, Hinter, Validator)]
struct Hidden;

impl Highlighter for Hidden {
    fn highlight<'l>(&self, line: &'l str, _position: usize) -> Cow<'l, str> {
        Cow::Owned(" ".repeat(width(line)))
    }

    fn highlight_char(&self, _line: &str, _position: usize, _kind: CmdKind) -> bool {
        true
    }
}

fn usage(message: impl Into<String>) -> Error {
    Error::new(SqlState::InvalidParameterValue, message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        access: Access,
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    /// What options and variables come to; the terminal says `asked`.
    fn resolve(options: &[&str], variables: &[(&str, &str)], asked: Option<&str>) -> Result<ConnectOptions> {
        let line = Line::try_parse_from(["sql"].iter().chain(options)).unwrap();
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        line.access.resolve("https://db.example:1", variable, |_| {
            Ok(asked.map(ToOwned::to_owned))
        })
    }

    #[track_caller]
    fn check(options: &[&str], variables: &[(&str, &str)], asked: Option<&str>, expected: &str) {
        let found = match resolve(options, variables, asked) {
            Ok(found) => match found.credentials {
                Credentials::Anonymous => "anonymous".to_owned(),
                Credentials::Password { user, password } => format!("{user}:{}", password.expose()),
                Credentials::Token(token) => format!("token {}", token.expose()),
            },
            Err(error) => error.message().to_owned(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn where_credentials_come_from() {
        let password = file("from file\nand more\n");
        let password = password.path().to_str().unwrap();
        let token = file("t1\r\n");
        let token = token.path().to_str().unwrap();
        check(&[], &[], None, "anonymous");
        check(&["--user", "ada"], &[], Some("asked"), "ada:asked");
        check(
            &["--user", "ada"],
            &[(PASSWORD, "p"), (USER, "bob")],
            Some("asked"),
            "ada:p",
        );
        check(&[], &[(PASSWORD, "p"), (USER, "bob")], None, "bob:p");
        check(
            &["--password-file", password],
            &[(PASSWORD, "p"), (USER, "bob"), (TOKEN, "t2")],
            None,
            "bob:from file",
        );
        check(
            &["--token-file", token],
            &[(USER, "bob"), (TOKEN, "t2")],
            None,
            "token t1",
        );
        check(&[], &[(USER, "bob"), (TOKEN, "t2")], None, "token t2");
        check(
            &["--user", "ada"],
            &[(PASSWORD, "p"), (TOKEN, "t2")],
            None,
            "ada:p",
        );
        check(
            &["--user", "ada"],
            &[],
            None,
            "there is no password for user \"ada\"",
        );
        check(
            &["--password-file", password],
            &[],
            None,
            "there is a password, but no user",
        );
        check(
            &["--user", "ada", "--password-file", "/no/file"],
            &[],
            None,
            "cannot read /no/file",
        );
        assert!(Line::try_parse_from(["sql", "--user", "ada", "--token-file", token]).is_err());
        assert!(Line::try_parse_from(["sql", "--password", "secret"]).is_err());
    }

    #[test]
    fn whom_to_trust() {
        let authorities = |options: &[&str], variables: &[(&str, &str)]| {
            resolve(options, variables, None).unwrap().authorities
        };
        assert_eq!(authorities(&[], &[]), None);
        let variables = [(AUTHORITIES, "/v")];
        assert_eq!(authorities(&[], &variables), Some("/v".into()));
        assert_eq!(authorities(&["--ca", "/o"], &variables), Some("/o".into()));
        let plain = |access: Access| {
            let found = access.resolve("localhost:1", |_| Some("/v".into()), |_| Ok(None));
            found.unwrap().authorities
        };
        assert_eq!(plain(Access::default()), None);
        let given = Access {
            ca: Some("/o".into()),
            ..Access::default()
        };
        assert_eq!(plain(given), Some("/o".into()), "which is refused later");
    }

    #[test]
    fn secrets_on_the_open_network_are_warned_of() {
        let check = |url: &str, is_warned: bool| {
            let access = resolve(&[], &[(TOKEN, "t")], None).unwrap();
            assert_eq!(warning(url, &access).is_some(), is_warned, "{url}");
        };
        check("https://db.example:1", false);
        check("grpc+tls://db.example:1", false);
        check("http://127.0.0.1:1", false);
        check("grpc://[::1]:1", false);
        check("localhost:1", false);
        check("http://db.example:1", true);
        check("db.example:1", true);
        assert_eq!(warning("http://db.example:1", &ConnectOptions::default()), None);
    }
}
