//! `--labels-are`: what the numbers in label images stand for.

use crate::cli::Failure;
use crate::input::recording::Input;
use crate::plate::LabelKind;
use crate::prepare::label_forms::{LabelForm, LabelForms};

/// Returns the forms of labels from `FORM` (all labels of objects) and `NAME=FORM` (one of them, which wins).
///
/// # Errors
/// Wrong usage for unknown words and names, for structure, and for a label that is named twice.
pub fn label_forms(given: &[String], labels: &[Input], structure: &[Input]) -> Result<LabelForms, Failure> {
    let is_structure = |name: &str| {
        LabelKind::of_name(name) == LabelKind::Structure || structure.iter().any(|s| s.name == name)
    };
    let objects: Vec<&str> =
        labels.iter().map(|label| label.name.as_str()).filter(|name| !is_structure(name)).collect();
    let mut all: Option<LabelForm> = None;
    let mut forms = LabelForms::default();
    for word in given {
        let (name, form) = word.split_once('=').map_or((None, word.as_str()), |(n, form)| (Some(n), form));
        let wrong = |found: String| {
            let words = LabelForm::WORDS.map(|(word, _)| word).join(", ");
            Failure::usage(
                format!("--labels-are {word}: {found}"),
                format!("write --labels-are FORM or --labels-are NAME=FORM; forms are {words}"),
            )
        };
        let form = LabelForm::of_word(form).ok_or_else(|| wrong(format!("{form} is no form of labels")))?;
        if objects.is_empty() {
            return Err(wrong("there are no labels of objects".into()));
        }
        let Some(name) = name else {
            if all.replace(form).is_some() {
                return Err(wrong("the form of all labels is given twice".into()));
            }
            continue;
        };
        if is_structure(name) {
            return Err(wrong(format!("{name} is structure, which has no objects")));
        }
        if !objects.contains(&name) {
            return Err(wrong(format!("the labels of objects are {}", objects.join(", "))));
        }
        if forms.0.insert(name.to_owned(), form).is_some() {
            return Err(wrong(format!("{name} is given twice")));
        }
    }
    if let Some(all) = all {
        for name in objects {
            forms.0.entry(name.to_owned()).or_insert(all);
        }
    }
    Ok(forms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(given: &[&str]) -> Result<LabelForms, Failure> {
        let folder = |name: &str| Input { name: name.into(), path: name.into(), part: None };
        let structure = [folder("traps")];
        let labels = [folder("cells"), folder("nuclei"), structure[0].clone()];
        let given: Vec<String> = given.iter().map(|&word| word.to_owned()).collect();
        label_forms(&given, &labels, &structure)
    }

    #[test]
    fn a_form_is_for_all_objects_and_a_name_wins() {
        let found = forms(&["binary", "nuclei=untracked"]).unwrap();
        assert_eq!(found.named(LabelForm::Binary), ["cells"]);
        assert_eq!(found.named(LabelForm::Untracked), ["nuclei"]);
        assert_eq!(forms(&[]).unwrap(), LabelForms::default());
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (given, part) in [
            (&["masks"][..], "masks is no form"),
            (&["cells=masks"], "masks is no form"),
            (&["buds=binary"], "the labels of objects are cells, nuclei"),
            (&["traps=binary"], "traps is structure"),
            (&["binary", "tracked"], "given twice"),
            (&["cells=binary", "cells=tracked"], "cells is given twice"),
        ] {
            let failure = forms(given).unwrap_err();
            assert!(failure.message.contains(part), "{}", failure.message);
        }
        assert!(label_forms(&["binary".into()], &[], &[]).is_err());
    }
}
