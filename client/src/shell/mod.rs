//! `watershed sql`: the shell, and the client for scripts.
//!
//! Data goes to stdout and everything else to stderr. The exit code says how it went: 0 well, 1 a
//! statement failed (the rest of the script was not run), 2 wrong usage, 3 no connection, 130
//! interrupted, 141 nobody read the output any more.

mod command;
mod complete;
mod interactive;
mod keywords;
mod names;
mod output;
mod progress;
mod report;
mod script;
mod sign_in;
mod split;
mod statement;
mod style;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use watershed_core::{Error, SqlState};

use crate::connect::Client;
pub use output::Format;
use script::Script;
pub use sign_in::Access;
use statement::{Ended, Interrupts, Shell};

/// Asks a server: interactively, or what `--command`, `--file` or stdin say.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Address of the server; https:// for TLS
    #[arg(long, env = "WATERSHED_URL", default_value = "http://127.0.0.1:32010")]
    pub url: String,

    #[command(flatten)]
    pub access: Access,

    /// Run these statements and exit; may be given several times
    #[arg(short, long, value_name = "SQL", conflicts_with = "file")]
    pub command: Vec<String>,

    /// Run the statements of a file and exit; - is stdin
    #[arg(short, long)]
    pub file: Option<PathBuf>,

    /// How rows are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,

    /// Tell on stderr how long each statement took
    #[arg(long)]
    pub timing: bool,

    /// Show no progress on stderr
    #[arg(long)]
    pub no_progress: bool,
}

const USAGE: u8 = 2;
const NO_CONNECTION: u8 = 3;

/// Runs the shell to its end.
pub async fn run(options: Options) -> ExitCode {
    if options.format == Format::Arrow && std::io::stdout().is_terminal() {
        statement::say("an Arrow stream is not for terminals: redirect stdout, or choose another --format");
        return ExitCode::from(USAGE);
    }
    let is_interactive =
        options.command.is_empty() && options.file.is_none() && std::io::stdin().is_terminal();
    let scripts = match open(&options, is_interactive) {
        Ok(scripts) => scripts,
        Err(text) => {
            statement::say(&text);
            return ExitCode::from(USAGE);
        }
    };
    let client = match connect(&options).await {
        Ok(client) => client,
        Err(error) => {
            statement::say_error(&error, None, None);
            // What is read before connecting are the files that options name.
            let is_usage = matches!(error.code(), SqlState::InvalidParameterValue | SqlState::IoError);
            return ExitCode::from(if is_usage { USAGE } else { NO_CONNECTION });
        }
    };
    let mut shell = Shell::new(client, &options);
    if is_interactive {
        return interactive::run(shell).await;
    }
    let mut interrupts = match Interrupts::listen() {
        Ok(interrupts) => interrupts,
        Err(error) => {
            statement::say(&format!("cannot listen for Ctrl-C: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let mut scripts = scripts.into_iter();
    while let Some(mut script) = scripts.next() {
        let ended = Box::pin(shell.run_script(&mut script, &mut interrupts)).await;
        match ended {
            Ended::Well => {}
            Ended::Quit => break,
            // With nothing left to do it does not matter that nobody reads on.
            Ended::Unread if scripts.len() == 0 && script.is_at_end().await => break,
            other => return ExitCode::from(other.exit_code()),
        }
    }
    ExitCode::SUCCESS
}

async fn connect(options: &Options) -> Result<Client, Error> {
    let access = options
        .access
        .resolve(&options.url, sign_in::variable, sign_in::ask)?;
    if let Some(warning) = sign_in::warning(&options.url, &access) {
        statement::say_warning(&warning);
    }
    Client::connect_with(&options.url, access).await
}

/// What is to be run, one after the other.
fn open(options: &Options, is_interactive: bool) -> Result<Vec<Script>, String> {
    if is_interactive {
        return Ok(Vec::new());
    }
    if !options.command.is_empty() {
        return Ok(options.command.iter().map(|text| Script::of_text(text)).collect());
    }
    let script = match &options.file {
        Some(path) if path.as_os_str() != "-" => Script::of_file(path),
        _ => Ok(Script::of_stdin()),
    };
    script.map(|script| vec![script])
}
