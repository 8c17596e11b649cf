//! Flags whose value is one of some words. The words stand beside the enum that a setting is; clap stays out of there.

use clap::builder::{PossibleValue, PossibleValuesParser};

/// A word and what it means, in one line for the help page; empty where the word says it all.
pub type Word = (&'static str, &'static str);

/// Returns a parser that takes these words only and lists them in help and errors.
pub fn words(words: &[Word]) -> PossibleValuesParser {
    words
        .iter()
        .map(|(word, meaning)| {
            let value = PossibleValue::new(*word);
            if meaning.is_empty() { value } else { value.help(*meaning) }
        })
        .collect::<Vec<_>>()
        .into()
}
