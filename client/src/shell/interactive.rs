//! The shell at a terminal.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use rustyline::completion::{Completer, FilenameCompleter};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Behavior, CompletionType, Config, Context, Editor, Helper, Highlighter, Hinter};
use tokio::runtime::Handle;
use watershed_core::{Error, Result, SqlState};

use super::complete::offers;
use super::names::Names;
use super::split::{Item, Splitter, is_complete};
use super::statement::{Ended, Interrupts, Shell, say, say_error};

const PROMPT: &str = "watershed> ";
const HISTORY_MAX: usize = 10_000;

/// Reads and runs until the person leaves.
pub(super) async fn run(mut shell: Shell) -> ExitCode {
    let path = history_path();
    let mut editor = match open(&shell, path.as_deref()) {
        Ok(editor) => editor,
        Err(error) => {
            say(&format!("cannot use the terminal: {error}"));
            return ExitCode::FAILURE;
        }
    };
    say(&format!(
        "Connected to {}. \\? helps, \\q quits.",
        shell.client.url()
    ));
    loop {
        // The editor blocks its thread while the person thinks.
        let read = tokio::task::spawn_blocking(move || {
            let line = editor.readline(PROMPT);
            (editor, line)
        });
        let line = match read.await {
            Ok((returned, line)) => {
                editor = returned;
                line
            }
            Err(error) => {
                say(&format!("the line editor failed: {error}"));
                return ExitCode::FAILURE;
            }
        };
        let text = match line {
            Ok(text) => text,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return ExitCode::SUCCESS,
            Err(error) => {
                say(&format!("cannot read from the terminal: {error}"));
                return ExitCode::FAILURE;
            }
        };
        remember(&mut editor, text.trim(), path.as_deref());
        match Box::pin(run_text(&mut shell, &text)).await {
            Ok(Ended::Quit | Ended::Unread) => return ExitCode::SUCCESS,
            Ok(Ended::Well | Ended::Failed | Ended::Interrupted) => {}
            Err(error) => say_error(&error, None, None),
        }
    }
}

/// Runs what was entered, up to the first error.
async fn run_text(shell: &mut Shell, text: &str) -> Result<Ended> {
    let mut splitter = Splitter::default();
    match text.trim() {
        "quit" | "exit" => return Ok(Ended::Quit),
        "help" => splitter.push("\\?")?,
        _ => splitter.push(text)?,
    }
    let mut interrupts = Interrupts::listen().map_err(|error| {
        Error::new(SqlState::IoError, "cannot listen for Ctrl-C").with_detail(error.to_string())
    })?;
    while let Some(item) = splitter.finish() {
        let ended = match item {
            Item::Statement(statement) => shell.run_statement(&statement, None, &mut interrupts).await,
            Item::Command(command) => shell.run_command(&command, &mut interrupts).await,
        };
        if ended != Ended::Well {
            return Ok(ended);
        }
    }
    Ok(Ended::Well)
}

type Terminal = Editor<Assistant, FileHistory>;

fn open(shell: &Shell, history: Option<&Path>) -> rustyline::Result<Terminal> {
    let config = Config::builder()
        .max_history_size(HISTORY_MAX)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        // Prompts never go where the data goes.
        .behavior(Behavior::PreferTerm)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(Assistant {
        names: Arc::clone(&shell.names),
        runtime: Handle::current(),
        files: FilenameCompleter::new(),
    }));
    if let Some(path) = history
        && path.exists()
        && let Err(error) = editor.load_history(path)
    {
        say(&format!("cannot read the history in {}: {error}", path.display()));
    }
    Ok(editor)
}

fn remember(editor: &mut Terminal, text: &str, path: Option<&Path>) {
    let kept = editor.add_history_entry(text).and_then(|is_new| {
        let Some(path) = path.filter(|_| is_new) else {
            return Ok(());
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        editor.append_history(path)
    });
    if let Err(error) = kept {
        // Said once more with each line, it would be a nuisance.
        tracing::debug!(%error, "the history was not written");
    }
}

/// `$XDG_STATE_HOME/watershed/history`, by default in `~/.local/state`.
fn history_path() -> Option<PathBuf> {
    let folder = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("watershed").join("history"))
}

/// What helps while a line is edited.
#[derive(Helper, Highlighter, Hinter)]
struct Assistant {
    names: Arc<Names>,
    runtime: Handle,
    files: FilenameCompleter,
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(
        &self,
        text: &str,
        at: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        if text.starts_with("\\i ") {
            let (start, files) = self.files.complete_path(text, at)?;
            return Ok((start, files.into_iter().map(|file| file.replacement).collect()));
        }
        let offers = offers(text, at, &self.names.known(&self.runtime));
        Ok((offers.start, offers.texts))
    }
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        let is_word = matches!(text.trim(), "quit" | "exit" | "help");
        Ok(if is_word || is_complete(text) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}
