//! Progress: a bar on a terminal, a plain line now and then elsewhere. The library only calls a callback. At the end,
//! a few lines for people.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time between plain lines where stderr is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(15);

/// Prints a text for people on stderr, line by line; nothing with `--quiet`.
pub fn say(text: &str) {
    for line in text.lines() {
        tracing::info!("{line}");
    }
}

/// A bar with a title, a total and the time left.
#[derive(Debug)]
pub struct Progress {
    title: String,
    total: u64,
    done: AtomicU64,
    bar: Option<ProgressBar>,
    quiet: bool,
    last_line: Mutex<Instant>,
}

impl Progress {
    /// Starts a bar of `total` steps.
    pub fn new(title: &str, total: u64, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style =
                ProgressStyle::with_template("{msg:<28} {bar:30} {pos}/{len} {elapsed_precise} left {eta}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style).with_message(title.to_owned())
        });
        let (title, last_line) = (title.to_owned(), Mutex::new(Instant::now()));
        Self { title, total, done: AtomicU64::new(0), bar, quiet, last_line }
    }

    /// Shows that one more step is done.
    pub fn step(&self) {
        self.set(self.done.fetch_add(1, Ordering::Relaxed) + 1);
    }

    /// Shows that `done` steps are done.
    pub fn set(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        } else if !self.quiet
            && let Ok(mut last) = self.last_line.lock()
            && (last.elapsed() > LINE_INTERVAL || done == self.total)
        {
            *last = Instant::now();
            tracing::info!("{}: {done} of {}", self.title, self.total);
        }
    }

    /// Prints a line above the bar.
    pub fn line(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.suspend(|| tracing::info!("{text}"));
        } else {
            tracing::info!("{text}");
        }
    }

    /// Ends the bar and leaves it on the screen.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}
