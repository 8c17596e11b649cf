//! Programs of somebody else's that work for this one, and end with it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use super::registry;

/// Runs a program to its end and returns how it ended, with what it said on stderr.
///
/// It leads a process group of its own, which is killed when this program is stopped by a signal.
///
/// # Errors
/// What the system says where it cannot be started.
pub fn run_program(command: &mut Command) -> io::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    let child = {
        // Once this program is being stopped it starts no other one.
        let _leave = registry::changing();
        let child = command.spawn()?;
        registry::add_program(child.id());
        child
    };
    let group = child.id();
    let ended = child.wait_with_output();
    registry::forget_program(group);
    ended
}
