//! What the labels of a recording hold, and what about them makes one doubt that they are what they were given as.

use serde::Serialize;

use crate::input::downscaled::Downscaled;
use crate::plate::LabelKind;
use crate::prepare::label_forms::LabelForm;

/// Ids look like intensities where a frame has at least this many (median) ...
const MANY_IDS: usize = 16;
/// ... and this share of labelled neighbours belongs to two objects. Cells of 4 x 4 pixels without a gap have 0.25.
const MANY_CONTACTS: f64 = 0.4;
/// Ids are not one object each where this share of them falls into pieces.
const MOST_IN_PIECES: f64 = 0.5;
/// Objects can be linked where this share of them lies on one of the frame before.
const MOST_LINKED: f64 = 0.5;
/// Least number of linked objects that says something about ids.
const FEW_LINKED: u64 = 3;
/// Ids are no tracks where fewer than this share of the linked objects keep theirs ...
const FEW_KEPT: f64 = 0.5;
/// ... or fewer than this share, and every frame is numbered from 1 without a gap: tracks that end leave one.
const SOME_KEPT: f64 = 0.95;

/// The labels of one name, over all frames at the plate's pixel size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelQuality {
    /// Label name.
    pub name: String,
    /// Objects or structure.
    pub kind: LabelKind,
    /// What the numbers in the files stand for; structure has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<LabelForm>,
    /// Frames.
    pub frames: usize,
    /// Frames that show no object.
    pub frames_without_objects: usize,
    /// Objects in a frame.
    pub objects_per_frame: ObjectsPerFrame,
    /// Pixels of an object in a frame, where there are objects.
    pub object_px: Option<ObjectPixels>,
    /// Share of the pixels that are labelled, in [0, 1].
    pub coverage: f64,
    /// Ids that differ, summed over positions.
    pub ids: u64,
    /// Of these, ids that several frames show.
    pub tracks: u64,
    /// Objects with a parent, where objects were linked here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub divisions: Option<u64>,
    /// Share of the objects that fall into pieces which do not touch, in [0, 1].
    pub in_pieces: f64,
    /// Share of the labelled pixels side by side that belong to two objects, in [0, 1].
    pub contacts: f64,
    /// Frames in which one object covers more than half of the pixels.
    pub frames_covered: usize,
    /// Its id, where it is always the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covering_id: Option<u32>,
    /// How ids follow objects, for labels that are given as tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub following: Option<Following>,
    /// What downscaling left, where frames were downscaled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downscaled: Option<Downscaled>,
}

/// Objects in a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ObjectsPerFrame {
    /// In the frame with the fewest.
    pub min: usize,
    /// In half of the frames at most.
    pub median: usize,
    /// In the frame with the most.
    pub max: usize,
}

/// Sizes of objects in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectPixels {
    /// 5th percentile.
    pub p5: u32,
    /// Median.
    pub median: u32,
    /// 95th percentile.
    pub p95: u32,
}

/// Whether an object has the id of the object that it lies on in the frame before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Following {
    /// Objects of frames that have a frame before.
    pub objects: u64,
    /// Of these, objects that overlap one of the frame before by an IoU of a third or more.
    pub linked: u64,
    /// Of these, objects with its id.
    pub kept: u64,
    /// Whether every frame is numbered from 1 without a gap.
    pub numbered: bool,
}

impl LabelQuality {
    /// Returns one line for people.
    pub fn line(&self) -> String {
        let Self { name, frames, objects_per_frame: n, ids, tracks, frames_without_objects: without, .. } =
            self;
        if self.ids == 0 {
            return format!("labels {name}: no object in {frames} frames");
        }
        let sizes = self.object_px.map_or_else(String::new, |px| {
            format!("{} to {} px (5 to 95 %), median {}; ", px.p5, px.p95, px.median)
        });
        format!(
            "labels {name}: {} to {} objects a frame, median {}; {sizes}{:.1} % of the pixels; {ids} ids, {tracks} of \
             them in several frames; {without} of {frames} frames without an object",
            n.min,
            n.max,
            n.median,
            100.0 * self.coverage
        )
    }

    /// Returns what was done to the labels, where something was.
    pub fn note(&self) -> Option<String> {
        let Self { name, ids, .. } = self;
        let (what, found) = match self.form? {
            LabelForm::Tracked => return None,
            LabelForm::Binary => ("the pieces of each frame's foreground became objects, which", "binary"),
            LabelForm::Untracked => ("the objects of each frame", "untracked"),
        };
        let divisions = self.divisions.unwrap_or(0);
        Some(format!(
            "labels {name} were given as {found}: {what} were linked from frame to frame to {ids} tracks \
             with {divisions} divisions"
        ))
    }

    /// Returns warnings to read before training on these labels; `alone` where there are no others of objects.
    pub fn warnings(&self, alone: bool) -> Vec<String> {
        let Self { name, objects_per_frame, .. } = self;
        let flag = |form: LabelForm| {
            let of = if alone { String::new() } else { format!("{name}=") };
            format!("--labels-are {of}{}", form.word())
        };
        let mut warnings = Vec::new();
        if self.ids == 0 {
            let hint = "check the folder, and that objects have numbers above 0";
            warnings.push(format!("labels {name}: no object in any of {} frames; hint: {hint}", self.frames));
        } else if self.look_like_intensities() {
            warnings.push(format!(
                "labels {name}: {} ids in a frame (median), and neighbouring pixels rarely have the same: these look like \
                 intensities; hint: is it the folder of an image? One number must be one object",
                objects_per_frame.median
            ));
        } else if self.kind == LabelKind::Objects {
            warnings.extend(self.pieces(&flag(LabelForm::Binary)));
            if warnings.is_empty() {
                warnings.extend(self.untracked(&flag(LabelForm::Untracked)));
            }
            warnings.extend(self.background());
        }
        warnings.extend(self.lost());
        warnings
    }

    fn look_like_intensities(&self) -> bool {
        self.objects_per_frame.median >= MANY_IDS && self.contacts >= MANY_CONTACTS
    }

    fn pieces(&self, flag: &str) -> Option<String> {
        let name = &self.name;
        if self.in_pieces < MOST_IN_PIECES || self.form == Some(LabelForm::Binary) {
            return None;
        }
        Some(if self.objects_per_frame.max == 1 {
            format!(
                "labels {name}: no frame has more than one object, and it falls into pieces that do not touch: a binary \
                 mask? hint: {flag} makes an object of each piece"
            )
        } else {
            format!(
                "labels {name}: {:.0} % of the objects fall into pieces that do not touch: classes instead of objects? \
                 hint: give every object a number of its own; {flag} makes an object of each piece of the foreground",
                100.0 * self.in_pieces
            )
        })
    }

    fn untracked(&self, flag: &str) -> Option<String> {
        let Following { objects, linked, kept, numbered } = self.following?;
        let kept_share = kept as f64 / linked.max(1) as f64;
        let can_be_linked = linked >= FEW_LINKED && linked as f64 >= MOST_LINKED * objects as f64;
        if !can_be_linked || !(kept_share < FEW_KEPT || (numbered && kept_share < SOME_KEPT)) {
            return None;
        }
        Some(format!(
            "labels {}: {linked} objects lie on one of the frame before, and {kept} of them have its id: the ids are no \
             tracks; hint: {flag} links objects by overlap",
            self.name
        ))
    }

    fn background(&self) -> Option<String> {
        let Self { name, frames_covered, .. } = self;
        let with_objects = self.frames - self.frames_without_objects;
        if 2 * frames_covered < with_objects || with_objects == 0 {
            return None;
        }
        let which = self.covering_id.map_or_else(|| "one object".into(), |id| format!("object {id}"));
        Some(format!(
            "labels {name}: {which} covers more than half of the pixels in {frames_covered} of {} frames: the background? \
             hint: background must be 0 in label images",
            self.frames
        ))
    }

    fn lost(&self) -> Option<String> {
        let down = self.downscaled.filter(|d| d.lost > 0)?;
        let Downscaled { factor, before, lost, .. } = down;
        Some(format!(
            "labels {}: {lost} of {before} objects (counted in every frame) are too small for --downscale {factor} and were \
             lost; hint: {}",
            self.name,
            smaller(down)
        ))
    }
}

/// Returns the advice to downscale less.
pub(super) fn smaller(downscaled: Downscaled) -> String {
    match downscaled.smaller() {
        1 => "leave --downscale out".into(),
        factor => format!("try --downscale {factor}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> LabelQuality {
        LabelQuality {
            name: "cells".into(),
            kind: LabelKind::Objects,
            form: Some(LabelForm::Tracked),
            frames: 10,
            frames_without_objects: 1,
            objects_per_frame: ObjectsPerFrame { min: 0, median: 4, max: 6 },
            object_px: Some(ObjectPixels { p5: 20, median: 60, p95: 90 }),
            coverage: 0.125,
            ids: 7,
            tracks: 6,
            divisions: None,
            in_pieces: 0.1,
            contacts: 0.05,
            frames_covered: 2,
            covering_id: Some(3),
            following: Some(Following { objects: 34, linked: 30, kept: 29, numbered: false }),
            downscaled: Some(Downscaled { factor: 2, before: 40, lost: 0, lost_px: 0 }),
        }
    }

    #[test]
    fn good_labels_have_a_line_and_nothing_to_doubt() {
        assert_eq!(good().warnings(true), Vec::<String>::new());
        assert_eq!(good().note(), None);
        assert_eq!(
            good().line(),
            "labels cells: 0 to 6 objects a frame, median 4; 20 to 90 px (5 to 95 %), median 60; 12.5 % of the pixels; \
             7 ids, 6 of them in several frames; 1 of 10 frames without an object"
        );
    }

    #[test]
    fn each_doubt_has_its_warning_and_hint() {
        let one = ObjectsPerFrame { min: 1, median: 1, max: 1 };
        let swapped = |kept, numbered| Some(Following { objects: 34, linked: 30, kept, numbered });
        for (doubtful, parts) in [
            (LabelQuality { ids: 0, ..good() }, ["no object in any of 10 frames", "hint: check the folder"]),
            (
                LabelQuality {
                    contacts: 0.9,
                    objects_per_frame: ObjectsPerFrame { median: 4000, ..one },
                    in_pieces: 1.0,
                    ..good()
                },
                ["look like intensities", "folder of an image"],
            ),
            (
                LabelQuality { in_pieces: 0.9, objects_per_frame: one, ..good() },
                ["a binary mask?", "hint: --labels-are binary"],
            ),
            (LabelQuality { in_pieces: 0.9, ..good() }, ["90 % of the objects fall into pieces", "classes"]),
            (
                LabelQuality { frames_covered: 9, ..good() },
                ["object 3 covers more than half of the pixels in 9 of 10 frames", "must be 0"],
            ),
            (
                LabelQuality { following: swapped(3, false), ..good() },
                ["3 of them have its id", "--labels-are untracked"],
            ),
            (LabelQuality { following: swapped(24, true), ..good() }, ["24 of them", "no tracks"]),
            (
                LabelQuality {
                    downscaled: Some(Downscaled { factor: 4, before: 40, lost: 3, lost_px: 48 }),
                    ..good()
                },
                ["3 of 40 objects", "hint: try --downscale 2"],
            ),
        ] {
            let warnings = doubtful.warnings(true);
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            for part in parts {
                assert!(warnings[0].contains(part), "{warnings:?}");
            }
        }
        let several = LabelQuality { following: swapped(3, false), ..good() }.warnings(false);
        assert!(several[0].contains("--labels-are cells=untracked"), "{several:?}");
        // Tracks of cells that divide or were followed with some errors are tracks.
        assert!(LabelQuality { following: swapped(24, false), ..good() }.warnings(true).is_empty());
    }
}
