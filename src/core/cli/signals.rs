//! SIGINT and SIGTERM: a program without a loop that answers them removes what it has not finished, and ends; a long
//! loop answers between its steps, with a limit to how long they wait.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Incoming;

use super::failure::Failure;
use super::run::report;
use crate::error::Exit;
use crate::output;

/// How long a step may go on after a signal. Schedulers send SIGKILL after 5 s and more.
const PATIENCE: Duration = Duration::from_secs(4);
/// How often the waiting thread looks.
const PULSE: Duration = Duration::from_millis(50);

/// Nobody answers signals: they end the program.
const NOBODY: u8 = 0;
/// A loop answers signals.
const LOOP: u8 = 1;
/// A loop has answered, or is over; what follows is short and is not cut off.
const ANSWERED: u8 = 2;

static INTERRUPT: AtomicBool = AtomicBool::new(false);
static TERMINATE: AtomicBool = AtomicBool::new(false);
static WHO: AtomicU8 = AtomicU8::new(NOBODY);

/// Handles both signals from now on. One that the program was started to ignore, as nohup and background jobs of shells
/// ask for, stays ignored.
pub fn watch() {
    let wanted: Vec<i32> = [SIGINT, SIGTERM].into_iter().filter(|signal| !is_ignored(*signal)).collect();
    // Where signals cannot be caught they end the program as they do any other.
    let Ok(mut incoming) = Incoming::new(wanted) else { return };
    thread::spawn(move || {
        for signal in incoming.forever() {
            let raised = if signal == SIGINT { &INTERRUPT } else { &TERMINATE };
            raised.store(true, Ordering::SeqCst);
            let came = Instant::now();
            while WHO.load(Ordering::SeqCst) == LOOP && came.elapsed() < PATIENCE {
                thread::sleep(PULSE);
            }
            match WHO.load(Ordering::SeqCst) {
                NOBODY => {
                    end("", "nothing was left under a name that is not whole; run the same command again");
                }
                LOOP => {
                    end(
                        " in the middle of a long step; the checkpoint before it stays",
                        "run the same command again with --resume",
                    );
                }
                _ => {}
            }
        }
    });
}

/// Waits for the end of the process where a signal is ending it: whatever went wrong since is not the reason.
pub fn give_way() {
    while output::is_stopping() {
        thread::park();
    }
}

/// The signals that have come, for a loop that answers them.
#[derive(Clone, Copy, Debug)]
pub struct Signals(());

impl Signals {
    /// Answers both signals from now on.
    ///
    /// Where [`Signals::answer`] is not called within 4 s of a signal, the program ends on the spot with the exit code of
    /// the signal. Files it was writing are removed: whatever has its final name is whole.
    pub fn catch() -> Self {
        WHO.store(LOOP, Ordering::SeqCst);
        Self(())
    }

    /// Returns why to stop, where a signal has come. Who gets a reason is expected to write what is needed and to return.
    pub fn answer(&self) -> Option<(String, Exit)> {
        let reason = raised();
        if reason.is_some() {
            WHO.store(ANSWERED, Ordering::SeqCst);
        }
        reason
    }

    /// Says that the loop is over: what follows is short and is not cut off.
    pub fn finish(&self) {
        WHO.store(ANSWERED, Ordering::SeqCst);
    }
}

fn raised() -> Option<(String, Exit)> {
    if INTERRUPT.load(Ordering::SeqCst) {
        Some(("interrupted".to_owned(), Exit::Interrupted))
    } else if TERMINATE.load(Ordering::SeqCst) {
        Some(("terminated".to_owned(), Exit::Terminated))
    } else {
        None
    }
}

/// Removes what is not finished, says why, and ends the process.
fn end(more: &str, hint: &str) {
    output::abandon();
    let Some((reason, exit)) = raised() else { return };
    report(&Failure {
        message: format!("{reason}{more}"),
        hint: Some(hint.to_owned()),
        exit,
        findings: None,
    });
    // Not std's exit: that would tear down libtorch while its threads are computing.
    signal_hook::low_level::exit(exit as i32);
}

/// Returns whether the process ignores a signal, from the mask that the system shows (bit 0 is signal 1).
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}
