//! SIGINT and SIGTERM as requests that a long loop answers between its steps, with a limit to how long they wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use super::failure::Failure;
use super::run::report;
use crate::error::Exit;

/// How long a step may go on after a signal. Schedulers send SIGKILL after 5 s and more.
const PATIENCE: Duration = Duration::from_secs(4);
/// How often the waiting thread looks.
const PULSE: Duration = Duration::from_millis(50);

/// The signals that have come, shared with a thread that ends the program where nobody answers them.
#[derive(Clone, Debug)]
pub struct Signals {
    interrupt: Arc<AtomicBool>,
    terminate: Arc<AtomicBool>,
    answered: Arc<AtomicBool>,
}

impl Signals {
    /// Catches both signals from now on.
    ///
    /// Where [`Signals::answer`] is not called within 4 s of a signal, the program ends on the spot with the exit code of
    /// the signal. Files it was writing keep their partial names: whatever has its final name is whole.
    pub fn catch() -> Result<Self, Failure> {
        let flag = |signal| {
            let raised = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal, Arc::clone(&raised)).map(|_| raised)
        };
        let failed = |e: std::io::Error| Failure {
            message: format!("cannot catch signals: {e}"),
            hint: None,
            exit: Exit::Failed,
        };
        let signals = Self {
            interrupt: flag(SIGINT).map_err(failed)?,
            terminate: flag(SIGTERM).map_err(failed)?,
            answered: Arc::default(),
        };
        let watched = signals.clone();
        thread::spawn(move || watched.wait());
        Ok(signals)
    }

    /// Returns why to stop, where a signal has come. Who gets a reason is expected to write what is needed and to return.
    pub fn answer(&self) -> Option<(String, Exit)> {
        let reason = self.raised();
        if reason.is_some() {
            self.answered.store(true, Ordering::Relaxed);
        }
        reason
    }

    /// Says that the loop is over: what follows is short and is not cut off.
    pub fn finish(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    fn raised(&self) -> Option<(String, Exit)> {
        if self.interrupt.load(Ordering::Relaxed) {
            Some(("interrupted".to_owned(), Exit::Interrupted))
        } else if self.terminate.load(Ordering::Relaxed) {
            Some(("terminated".to_owned(), Exit::Terminated))
        } else {
            None
        }
    }

    /// Ends the program where a signal is not answered in time.
    fn wait(&self) {
        let mut since = None;
        while !self.answered.load(Ordering::Relaxed) {
            thread::sleep(PULSE);
            let Some((reason, exit)) = self.raised() else { continue };
            if since.get_or_insert_with(Instant::now).elapsed() < PATIENCE {
                continue;
            }
            if self.answered.load(Ordering::Relaxed) {
                return;
            }
            report(&Failure {
                message: format!("{reason} in the middle of a long step; the checkpoint before it stays"),
                hint: Some("run the same command again with --resume".into()),
                exit,
            });
            // Not std's exit: that would tear down libtorch while its threads are computing.
            signal_hook::low_level::exit(exit as i32);
        }
    }
}
