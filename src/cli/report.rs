//! What a role tells the person who started it. Everything goes to standard error.

use std::io::Write;
use std::process::ExitCode;

use watershed_core::Error;

/// Says a line. There is nobody to tell if that fails.
pub(super) fn say(line: impl std::fmt::Display) {
    writeln!(std::io::stderr().lock(), "{line}").ok();
}

/// Says what went wrong, and gives the exit code for it.
pub(super) fn failure(error: &Error) -> ExitCode {
    say(format_args!("ERROR {}: {error}", error.code()));
    if let Some(detail) = error.detail() {
        say(format_args!("DETAIL: {detail}"));
    }
    if let Some(hint) = error.hint() {
        say(format_args!("HINT: {hint}"));
    }
    ExitCode::FAILURE
}
