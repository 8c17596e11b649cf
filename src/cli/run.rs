//! The frame of every `main`: parse, log, work, print one JSON result or one error.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

use super::args::{Common, LogFormat};
use super::failure::Failure;
use crate::error::Exit;

/// What a program ends with: the JSON that goes to stdout, or a failure.
pub type Outcome = Result<Value, Failure>;

/// Runs a program from its command line to its exit code.
///
/// `libraries` names linked libraries for `--version --json`; a program without tensors passes `|| json!({})` and so
/// never loads libtorch.
pub fn program<A>(name: &str, libraries: fn() -> Value, execute: fn(A) -> Outcome) -> ExitCode
where
    A: Parser + AsRef<Common>,
{
    let flags: Vec<String> = std::env::args().skip(1).collect();
    if flags.first().is_some_and(|f| f == "--version" || f == "-V") {
        print_version(name, libraries, flags.iter().any(|f| f == "--json"));
        return ExitCode::SUCCESS;
    }
    let args = A::parse();
    start_logging(name, args.as_ref());
    match execute(args) {
        Ok(result) => {
            emit(&result);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            report(&failure);
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn print_version(name: &str, libraries: fn() -> Value, as_json: bool) {
    if !as_json {
        let _ = writeln!(std::io::stdout(), "{name} {}", env!("CARGO_PKG_VERSION"));
        return;
    }
    let mut version = json!({
        "name": name,
        "version": env!("CARGO_PKG_VERSION"),
        "ome_zarr": "0.5",
        "checkpoint_format": 1,
    });
    if let (Value::Object(all), Value::Object(more)) = (&mut version, libraries()) {
        all.extend(more);
    }
    emit(&version);
}

/// Prints a JSON value to stdout; a closed pipe is the reader's choice, not an error.
fn emit(value: &Value) {
    let text = serde_json::to_string_pretty(value).unwrap_or_else(|e| format!("{{\"error\": \"{e}\"}}"));
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints a failure to stderr.
pub(super) fn report(failure: &Failure) {
    let stopped = matches!(failure.exit, Exit::Interrupted | Exit::Terminated | Exit::TimeBudget);
    let word = if stopped { "stopped" } else { "error" };
    let _ = writeln!(std::io::stderr(), "{word}: {}", failure.message);
    if let Some(hint) = &failure.hint {
        let _ = writeln!(std::io::stderr(), "\nhint: {hint}");
    }
}

fn start_logging(name: &str, common: &Common) {
    // The library, and the program itself.
    let ours = |level: &str| format!("lapsegan={level},{}={level}", name.replace('-', "_"));
    let level = match (common.quiet, common.verbose) {
        (true, _) => "error".to_owned(),
        (false, 0) => format!("{},warn", ours("info")),
        (false, 1) => format!("{},info", ours("debug")),
        (false, _) => "trace".to_owned(),
    };
    let builder =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::new(level)).with_writer(std::io::stderr);
    let started = match common.log_format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder.with_target(false).without_time().with_ansi(false).try_init(),
    };
    if let Err(error) = started {
        let _ = writeln!(std::io::stderr(), "warning: no log lines: {error}");
    }
}
