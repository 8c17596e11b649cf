//! What the numbers in label images stand for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plate::{LabelKind, LabelMeta};

/// What the numbers in label images of objects stand for. In a plate they always are tracks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelForm {
    /// One number is one object in all frames.
    #[default]
    Tracked,
    /// Any number but 0 is foreground.
    Binary,
    /// One number is one object in its frame.
    Untracked,
}

impl LabelForm {
    /// The words of the settings, with what they mean.
    pub const WORDS: [(&'static str, &'static str); 3] = [
        ("tracked", "One number is one object in all frames"),
        ("binary", "Any number but 0 is foreground; its pieces become objects, linked from frame to frame"),
        ("untracked", "One number is one object in its frame; objects are linked from frame to frame"),
    ];

    /// Returns the form of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Tracked, Self::Binary, Self::Untracked].into_iter().find(|form| form.word() == word)
    }

    /// Returns its word.
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize].0
    }
}

/// The forms of labels by name; one that is not named is tracked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelForms(pub BTreeMap<String, LabelForm>);

impl LabelForms {
    /// Returns the form of a label; structure stays in place and has none.
    pub fn of(&self, label: &LabelMeta) -> Option<LabelForm> {
        let objects = label.kind == LabelKind::Objects;
        objects.then(|| self.0.get(&label.name).copied().unwrap_or_default())
    }

    /// Returns the names of the labels of a form.
    pub fn named(&self, form: LabelForm) -> Vec<String> {
        self.0.iter().filter(|(_, of)| **of == form).map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_files() {
        for (word, _) in LabelForm::WORDS {
            let form = LabelForm::of_word(word).unwrap();
            assert_eq!(serde_json::to_value(form).unwrap(), word);
        }
        assert_eq!(LabelForm::of_word("masks"), None);
    }
}
