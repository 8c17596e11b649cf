//! The frame of every `main`: parse, log, work, print one JSON result or one error.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

use super::args::{Common, LogFormat};
use super::failure::Failure;
use super::signals;
use crate::error::Exit;
use crate::output;

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
    signals::watch();
    let flags: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(odd) = flags.iter().find(|flag| flag.to_str().is_none()) {
        // Paths stand in JSON, in results and in run.json, which knows Unicode only.
        return end(&Failure::usage(
            format!("argument {}: is not Unicode (UTF-8)", odd.display()),
            "rename the file or folder, or reach it by a link with another name",
        ));
    }
    if flags.first().is_some_and(|f| f == "--version" || f == "-V") {
        let as_json = flags.iter().any(|f| f == "--json");
        return print(&version(name, libraries, as_json))
            .map_or_else(|failure| end(&failure), |()| ExitCode::SUCCESS);
    }
    let args = match A::try_parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() => {
            let _ = error.print();
            return ExitCode::from(Exit::Usage as u8);
        }
        // Help is a result, too.
        Err(error) => {
            return written(error.print()).map_or_else(|failure| end(&failure), |()| ExitCode::SUCCESS);
        }
    };
    start_logging(name, args.as_ref());
    let outcome = execute(args);
    signals::give_way();
    let printed = outcome.and_then(|mut result| {
        add_warnings(&mut result, output::take_warnings());
        print(&format!("{result:#}"))
    });
    printed.map_or_else(|failure| end(&failure), |()| ExitCode::SUCCESS)
}

fn end(failure: &Failure) -> ExitCode {
    if let Some(findings) = &failure.findings {
        // The exit code is that of the failure, whether somebody reads them or not.
        let _ = print(&format!("{findings:#}"));
    }
    report(failure);
    ExitCode::from(failure.exit as u8)
}

fn version(name: &str, libraries: fn() -> Value, as_json: bool) -> String {
    if !as_json {
        return format!("{name} {}", env!("CARGO_PKG_VERSION"));
    }
    let mut version = json!({
        "name": name,
        "version": env!("CARGO_PKG_VERSION"),
        "ome_zarr": "0.5",
    });
    if let (Value::Object(all), Value::Object(more)) = (&mut version, libraries()) {
        all.extend(more);
    }
    format!("{version:#}")
}

/// Adds what was warned of concerning outputs, most of which is known only when the result is written already.
fn add_warnings(result: &mut Value, warnings: Vec<String>) {
    let Some(fields) = result.as_object_mut().filter(|_| !warnings.is_empty()) else { return };
    let all = fields.entry("warnings").or_insert_with(|| json!([]));
    if let Some(all) = all.as_array_mut() {
        all.extend(warnings.into_iter().map(Value::String));
    }
}

/// Prints a text to stdout.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout();
    written(writeln!(stdout, "{text}").and_then(|()| stdout.flush()))
}

/// A result that nobody can read is an error. A closed pipe is the reader's choice, and so is a closed stdout.
fn written(result: std::io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure {
            message: format!("the result cannot be written to stdout: {e}"),
            hint: Some("all other outputs are complete; free space, or send stdout elsewhere".into()),
            exit: Exit::Failed,
            findings: None,
        }),
        _ => Ok(()),
    }
}

/// Prints a failure to stderr. Nothing can be done where that is closed or full.
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
    // A line that cannot be written must not end a run: told of it, the subscriber would print a line about that.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let started = match common.log_format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder.with_target(false).without_time().with_ansi(false).try_init(),
    };
    if let Err(error) = started {
        let _ = writeln!(std::io::stderr(), "warning: no log lines: {error}");
    }
}
