//! What the label images of a plate are: their names, what kind of thing they show, and how they came about.
//!
//! [`objects`] is the only place that chooses a label. Every program that needs the labels of objects and was given no
//! name calls it, so that no two programs choose differently.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::LabelError;

/// Name of the label that was structure before labels had a kind (plate format 1, folders given by that name).
pub const STRUCTURE: &str = "structure";

/// What a label image shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelKind {
    /// Things that are counted and followed, such as cells: one id each.
    Objects,
    /// What stays in place, such as the trap: any id means that it is there.
    Structure,
}

impl LabelKind {
    /// Returns the kind that a name stands for where nothing else says it.
    pub fn of_name(name: &str) -> Self {
        if name == STRUCTURE { Self::Structure } else { Self::Objects }
    }
}

/// One label image that every sequence of a plate carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelMeta {
    /// Name as the user gave it, such as `cells`.
    pub name: String,
    /// What it shows.
    pub kind: LabelKind,
    /// How it came about, such as `annotation`, `phantom_truth` or `fluorescence_threshold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
}

/// Returns the label of objects that is meant: the one named `wanted`, or the only one there is.
///
/// # Errors
/// [`LabelError`] with the names, where none or several could be meant.
pub fn objects<'a>(labels: &'a [LabelMeta], wanted: Option<&str>) -> Result<&'a LabelMeta, LabelError> {
    let names = || labels.iter().map(|label| label.name.clone()).collect();
    if let Some(wanted) = wanted {
        let found = labels.iter().find(|label| label.name == wanted);
        let label = found.ok_or_else(|| LabelError::Unknown { wanted: wanted.to_owned(), there: names() })?;
        return match label.kind {
            LabelKind::Objects => Ok(label),
            LabelKind::Structure => Err(LabelError::NotObjects { wanted: wanted.to_owned() }),
        };
    }
    only(labels, LabelKind::Objects)?.ok_or_else(|| LabelError::None { there: names() })
}

/// Returns the label of structure, where there is one.
///
/// # Errors
/// [`LabelError::Several`] with their names, where there are several.
pub fn structure(labels: &[LabelMeta]) -> Result<Option<&LabelMeta>, LabelError> {
    only(labels, LabelKind::Structure)
}

fn only(labels: &[LabelMeta], kind: LabelKind) -> Result<Option<&LabelMeta>, LabelError> {
    let all: Vec<&LabelMeta> = of_kind(labels, kind).collect();
    if all.len() > 1 {
        let names = all.iter().map(|label| label.name.clone()).collect();
        return Err(match kind {
            LabelKind::Objects => LabelError::Several { names },
            LabelKind::Structure => LabelError::SeveralStructures { names },
        });
    }
    Ok(all.first().copied())
}

/// Returns the labels of a kind, in storage order.
pub fn of_kind(labels: &[LabelMeta], kind: LabelKind) -> impl Iterator<Item = &LabelMeta> {
    labels.iter().filter(move |label| label.kind == kind)
}

/// Brings the plate metadata of format 1 into today's form: there `labels` were names with one route for all.
pub(super) fn upgrade(meta: &mut Value) {
    let Some(meta) = meta.as_object_mut() else { return };
    let route = meta.remove("label_route").filter(|route| !route.is_null());
    let Some(labels) = meta.get_mut("labels").and_then(Value::as_array_mut) else { return };
    for label in labels {
        if let Some(name) = label.as_str() {
            let kind = LabelKind::of_name(name);
            *label = json!({ "name": name, "kind": kind });
            if let Some(route) = &route {
                label["route"] = route.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Advice, Exit};

    fn label(name: &str) -> LabelMeta {
        LabelMeta { name: name.into(), kind: LabelKind::of_name(name), route: None }
    }

    #[test]
    fn the_only_label_of_objects_is_chosen_beside_structure() {
        let labels = [label("structure"), label("nuclei")];
        assert_eq!(objects(&labels, None).unwrap().name, "nuclei");
        assert_eq!(objects(&labels, Some("nuclei")).unwrap().name, "nuclei");
    }

    #[test]
    fn several_labels_are_a_usage_error_that_names_them() {
        let labels = [label("zeta"), label("alpha")];
        let error = objects(&labels, None).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        assert!(error.to_string().contains("zeta, alpha"), "{error}");
        assert_eq!(objects(&labels, Some("alpha")).unwrap().name, "alpha");
    }

    #[test]
    fn unknown_missing_and_structural_labels_are_told_apart() {
        let labels = [label("structure")];
        let told = |wanted| objects(&labels, wanted).unwrap_err().to_string();
        assert_eq!(told(None), "no labels of objects, there is structure");
        assert_eq!(told(Some("cells")), "no labels named cells, there is structure");
        assert!(told(Some("structure")).contains("are structure"));
        assert_eq!(objects(&[], None).unwrap_err().to_string(), "no labels of objects, there are none");
    }

    #[test]
    fn labels_of_format_1_get_a_kind_and_their_route() {
        let mut old = json!({ "labels": ["cells", "structure"], "label_route": "annotation", "seed": 1 });
        upgrade(&mut old);
        let labels: Vec<LabelMeta> = serde_json::from_value(old["labels"].clone()).unwrap();
        assert_eq!(labels[0], LabelMeta { route: Some("annotation".into()), ..label("cells") });
        assert_eq!(labels[1].kind, LabelKind::Structure);
        let today = json!({ "labels": labels, "seed": 1 });
        assert_eq!(old, today);
        let mut again = today.clone();
        upgrade(&mut again);
        assert_eq!(again, today);
    }
}
