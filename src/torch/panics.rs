//! What libtorch's bindings panic with: an operation that fails has no other way to say why.

use std::any::Any;

/// Returns the message of a panic, where it has one.
pub(crate) fn message(panic: &(dyn Any + Send)) -> Option<&str> {
    panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_message_are_read() {
        let caught = |work: fn()| std::panic::catch_unwind(work).unwrap_err();
        assert_eq!(message(&*caught(|| panic!("as it is"))), Some("as it is"));
        let words = || panic!("{}", std::hint::black_box("made"));
        assert_eq!(message(&*caught(words)), Some("made"));
        assert_eq!(message(&*caught(|| std::panic::panic_any(3))), None);
    }
}
