//! What every error of this package can tell besides its message: an exit code and a way out.
//!
//! Each stage has one error enum of its own (`DataError`, `TrainingError`, ...), whose messages say what, where and
//! what was expected. Advice is not part of the message: the programs print it on a `hint:` line of its own.

mod data;
mod label;
mod output;

pub use data::DataError;
pub use label::LabelError;
pub use output::OutputError;

/// Process exit codes, the same in all five programs. Pipeline engines retry 130-145.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The work failed for a reason that is not one of the below.
    Failed = 1,
    /// Arguments or configuration make no sense.
    Usage = 2,
    /// An input is there, but its content cannot be used.
    BadInput = 65,
    /// An input is not there.
    InputMissing = 66,
    /// The device asked for is not available.
    NoDevice = 69,
    /// The output exists and `--overwrite` was not given.
    OutputExists = 73,
    /// Stopped by SIGINT after writing a checkpoint.
    Interrupted = 130,
    /// The GPU, or the machine, ran out of memory.
    GpuMemory = 137,
    /// The time budget was used up; a checkpoint was written.
    TimeBudget = 140,
    /// Stopped by SIGTERM after writing a checkpoint.
    Terminated = 143,
}

/// An error with an exit code and, where one is known, advice.
pub trait Advice: std::error::Error + Send + Sync + 'static {
    /// Returns the exit code that a program ends with because of this error.
    fn exit(&self) -> Exit;

    /// Returns one sentence on what to do about it, without a full stop.
    fn hint(&self) -> Option<String> {
        None
    }
}
