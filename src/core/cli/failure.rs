//! An error on its way out of a program: message with causes, hint, exit code.

use serde_json::Value;

use crate::error::{Advice, Exit};

/// Any stage's error, ready to be printed. `?` makes one from every [`Advice`].
#[derive(Debug)]
pub struct Failure {
    /// What went wrong, where, and what was expected.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Exit code of the process.
    pub exit: Exit,
    /// What goes to stdout nevertheless, where findings are the result.
    pub findings: Option<Box<Value>>,
}

impl Failure {
    /// Returns a failure caused by arguments or configuration that make no sense.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()), exit: Exit::Usage, findings: None }
    }
}

impl<E: Advice> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            let text = inner.to_string();
            // Transparent and `{source}` messages hold their cause already.
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = inner.source();
        }
        Self { message, hint: error.hint(), exit: error.exit(), findings: None }
    }
}
