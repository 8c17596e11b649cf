//! The survey of label images: what they hold is counted, and objects are linked where their ids are no tracks.
//!
//! Frames come once, in order. Kept are counts, one number a frame, the ids of one position, the last frame, and for
//! labels that are linked eight bytes an object; never more pixels than that frame.

use std::collections::BTreeMap;

use ndarray::{Array2, Array3, ArrayView2, Axis};
use rayon::prelude::*;

use crate::error::DataError;
use crate::input::source::{Source, Survey};
use crate::labels::link::{Linker, kept_ids};
use crate::labels::survey::{MeasuredFrame, MeasuredObject, Shared, measure, shared};
use crate::plate::{LabelKind, LabelMeta};
use crate::prepare::label_forms::{LabelForm, LabelForms};
use crate::prepare::label_quality::{Following, LabelQuality, ObjectPixels, ObjectsPerFrame, smaller};
use crate::prepare::linked_labels::Tracks;

/// Most ids of a position that are told apart; images given as labels may have as many as pixels.
const MOST_IDS: usize = 1 << 20;
/// Most objects, in all frames together, that are linked: half a gigabyte.
const MOST_LINKED: usize = 1 << 26;

/// What was found in labels, and the tracks of those that were linked.
#[derive(Debug, Default)]
pub struct SurveyedLabels {
    /// What each label holds, in the order of the source.
    pub quality: Vec<LabelQuality>,
    /// Tracks of the labels whose ids are none.
    pub tracks: Tracks,
}

/// The survey of all labels of a source, while its frames are read.
#[derive(Debug)]
pub struct LabelsSurvey {
    tallies: Vec<Tally>,
    tracks: Tracks,
    /// Objects that were linked.
    linked: usize,
}

#[derive(Debug)]
struct Tally {
    label: LabelMeta,
    form: Option<LabelForm>,
    /// Objects of every frame.
    counts: Vec<u32>,
    /// How often an object has so many pixels.
    areas: BTreeMap<u32, u64>,
    pixels: u64,
    in_pieces: u64,
    contacts: u64,
    insides: u64,
    covered: usize,
    /// Ids of the objects that covered a frame, two of them at most.
    covering: Vec<u32>,
    following: Following,
    /// Ids of this position, and whether several frames show them.
    seen: BTreeMap<u32, bool>,
    ids: u64,
    several: u64,
    divisions: u64,
    linker: Linker,
    last: Option<Last>,
}

/// The last frame that was seen.
#[derive(Debug)]
struct Last {
    position: usize,
    frame: usize,
    plane: Array2<u32>,
    objects: Vec<MeasuredObject>,
}

impl LabelsSurvey {
    /// Starts the survey of the labels of a source.
    pub fn new(source: &dyn Source, forms: &LabelForms) -> Self {
        let tallies = source.labels().into_iter().map(|label| Tally::new(forms.of(&label), label)).collect();
        Self { tallies, tracks: Tracks::new(), linked: 0 }
    }

    /// Adds consecutive frames of a position, later than those before.
    ///
    /// # Errors
    /// [`DataError::Labels`] for more objects to link than memory can be expected to hold.
    pub fn add(
        &mut self,
        position: usize,
        first: usize,
        labels: &BTreeMap<String, Array3<u32>>,
    ) -> Result<(), DataError> {
        for tally in &mut self.tallies {
            let Some(frames) = labels.get(&tally.label.name) else { continue };
            self.linked += tally.add(position, first, frames, &mut self.tracks);
            if self.linked > MOST_LINKED {
                return Err(DataError::Labels {
                    labels: tally.label.name.clone(),
                    found: format!("more than {MOST_LINKED} objects in all frames"),
                    hint: "objects this many are rarely meant: check the folder, or link them elsewhere and leave \
                           --labels-are out"
                        .into(),
                });
            }
        }
        Ok(())
    }

    /// Ends the survey; `survey` knows what downscaling left.
    ///
    /// # Errors
    /// [`DataError::Labels`] where there are labels of objects and none of them has an object in any frame.
    pub fn finish(self, survey: &Survey) -> Result<SurveyedLabels, DataError> {
        let mut tracks = self.tracks;
        let finish = |tally: Tally| tally.finish(survey, &mut tracks);
        let quality: Vec<LabelQuality> = self.tallies.into_iter().map(finish).collect();
        refuse_empty(&quality)?;
        Ok(SurveyedLabels { quality, tracks })
    }
}

/// Refuses labels of objects that have none at all; one of several may be empty.
fn refuse_empty(quality: &[LabelQuality]) -> Result<(), DataError> {
    let objects: Vec<&LabelQuality> = quality.iter().filter(|q| q.kind == LabelKind::Objects).collect();
    let Some(first) = objects.first().filter(|_| objects.iter().all(|q| q.ids == 0)) else { return Ok(()) };
    let names: Vec<&str> = objects.iter().map(|q| q.name.as_str()).collect();
    let lost = objects.iter().filter_map(|q| q.downscaled).find(|downscaled| downscaled.before > 0);
    Err(DataError::Labels {
        labels: names.join(", "),
        found: match lost {
            Some(down) => format!(
                "no object in any of {} frames, as all {} are too small for --downscale {}",
                first.frames, down.before, down.factor
            ),
            None => format!("no object in any of {} frames, expected numbers above 0", first.frames),
        },
        hint: match lost {
            Some(down) => smaller(down),
            None => "check the folder, or leave --labels out where there are no objects".into(),
        },
    })
}

impl Tally {
    fn new(form: Option<LabelForm>, label: LabelMeta) -> Self {
        Self {
            label,
            form,
            counts: Vec::new(),
            areas: BTreeMap::new(),
            pixels: 0,
            in_pieces: 0,
            contacts: 0,
            insides: 0,
            covered: 0,
            covering: Vec::new(),
            following: Following { numbered: true, ..Following::default() },
            seen: BTreeMap::new(),
            ids: 0,
            several: 0,
            divisions: 0,
            linker: Linker::default(),
            last: None,
        }
    }

    fn is_linked(&self) -> bool {
        self.form.is_some_and(|form| form != LabelForm::Tracked)
    }

    /// Adds frames and returns how many objects were linked.
    fn add(&mut self, position: usize, first: usize, frames: &Array3<u32>, tracks: &mut Tracks) -> usize {
        if self.last.as_ref().is_some_and(|last| last.position != position) {
            self.end_position(tracks);
        }
        let planes: Vec<ArrayView2<'_, u32>> = frames.outer_iter().collect();
        let before = self.last.as_ref().filter(|last| last.frame + 1 == first).map(|last| last.plane.view());
        // Frames are measured in parallel and added in order, so that threads change nothing.
        let measured: Vec<MeasuredFrame> = planes.par_iter().map(|plane| measure(*plane)).collect();
        // Structure is not followed. Nor are ids by the million in an image given as tracks, which would take a second.
        let (follows, linked) = (self.form.is_some(), self.is_linked());
        let overlap = |t: usize| {
            let before = if t == 0 { before } else { Some(planes[t - 1]) };
            before
                .filter(|_| follows && (linked || !measured[t].is_scattered()))
                .map(|before| shared(before, planes[t]))
        };
        let overlaps: Vec<Option<Vec<Shared>>> = (0..planes.len()).into_par_iter().map(overlap).collect();
        let mut linked = 0;
        let mut objects = self.last.take().map(|last| last.objects).unwrap_or_default();
        for (t, (frame, overlap)) in (first..).zip(measured.into_iter().zip(overlaps)) {
            self.count(&frame, frames.len_of(Axis(1)) * frames.len_of(Axis(2)));
            if self.is_linked() {
                let map = self.linker.add(planes[t - first], &frame.objects, overlap.as_deref());
                linked += map.len();
                for &track in map.values() {
                    self.see(track);
                }
                let positions = tracks.entry(self.label.name.clone()).or_default();
                positions.entry(position).or_default().frames.insert(t, map.into_iter().collect());
            } else {
                for object in &frame.objects {
                    self.see(object.id);
                }
                self.following.numbered &= frame.is_numbered();
                if let Some(overlap) = overlap {
                    let (linked, kept) = kept_ids(&objects, &frame.objects, &overlap);
                    self.following.objects += frame.objects.len() as u64;
                    self.following.linked += linked;
                    self.following.kept += kept;
                }
            }
            objects = frame.objects;
        }
        if let Some(plane) = planes.last() {
            let frame = first + planes.len() - 1;
            self.last = Some(Last { position, frame, plane: plane.to_owned(), objects });
        }
        linked
    }

    fn count(&mut self, frame: &MeasuredFrame, pixels: usize) {
        self.counts.push(frame.objects.len() as u32);
        self.pixels += pixels as u64;
        self.contacts += frame.contacts;
        self.insides += frame.insides;
        for object in &frame.objects {
            *self.areas.entry(object.area).or_default() += 1;
            self.in_pieces += u64::from(object.pieces > 1);
        }
        if let Some(object) = frame.objects.iter().find(|o| 2 * o.area as usize > pixels) {
            self.covered += 1;
            if self.covering.len() < 2 && !self.covering.contains(&object.id) {
                self.covering.push(object.id);
            }
        }
    }

    fn see(&mut self, id: u32) {
        if let Some(several) = self.seen.get_mut(&id) {
            *several = true;
        } else if self.seen.len() < MOST_IDS {
            self.seen.insert(id, false);
        }
    }

    fn end_position(&mut self, tracks: &mut Tracks) {
        self.ids += self.seen.len() as u64;
        self.several += self.seen.values().filter(|several| **several).count() as u64;
        self.seen.clear();
        let linker = std::mem::take(&mut self.linker);
        self.divisions += linker.parents().len() as u64;
        if let (Some(last), Some(positions)) = (self.last.take(), tracks.get_mut(&self.label.name)) {
            positions.entry(last.position).or_default().parents = linker.parents().clone();
        }
    }

    fn finish(mut self, survey: &Survey, tracks: &mut Tracks) -> LabelQuality {
        self.end_position(tracks);
        let linked = self.is_linked();
        self.counts.sort_unstable();
        let count = |at: usize| self.counts.get(at).map_or(0, |&n| n as usize);
        let objects: u64 = self.areas.values().sum();
        let labelled: u64 = self.areas.iter().map(|(&area, &n)| u64::from(area) * n).sum();
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        LabelQuality {
            kind: self.label.kind,
            form: self.form,
            frames: self.counts.len(),
            frames_without_objects: self.counts.iter().filter(|&&n| n == 0).count(),
            objects_per_frame: ObjectsPerFrame {
                min: count(0),
                median: count(self.counts.len() / 2),
                max: count(self.counts.len().saturating_sub(1)),
            },
            object_px: (objects > 0).then(|| ObjectPixels {
                p5: quantile(&self.areas, 0.05),
                median: quantile(&self.areas, 0.5),
                p95: quantile(&self.areas, 0.95),
            }),
            coverage: share(labelled, self.pixels),
            ids: self.ids,
            tracks: self.several,
            divisions: linked.then_some(self.divisions),
            in_pieces: share(self.in_pieces, objects),
            contacts: share(self.contacts, self.contacts + self.insides),
            frames_covered: self.covered,
            covering_id: self.covering.first().copied().filter(|_| self.covering.len() == 1 && !linked),
            following: (self.form == Some(LabelForm::Tracked)).then_some(self.following),
            downscaled: survey.downscaled(&self.label.name),
            name: self.label.name,
        }
    }
}

/// Returns the smallest value that at least the share `q` of all counted values does not exceed.
fn quantile(counts: &BTreeMap<u32, u64>, q: f64) -> u32 {
    let rank = (q * counts.values().sum::<u64>() as f64).ceil().max(1.0) as u64;
    let mut sum = 0;
    for (&value, &n) in counts {
        sum += n;
        if sum >= rank {
            return value;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use proptest::prelude::*;

    use super::*;
    use crate::error::{Advice, Exit};
    use crate::input::source::{Extent, Frames};
    use crate::labels;
    use crate::labels::link::link;

    /// Labels of some positions, as they stand in files.
    struct Drawn(Vec<Vec<Array2<u32>>>);

    impl Source for Drawn {
        fn channels(&self) -> Vec<String> {
            Vec::new()
        }

        fn labels(&self) -> Vec<LabelMeta> {
            vec![LabelMeta { name: "cells".into(), kind: LabelKind::Objects, route: None }]
        }

        #[allow(clippy::single_range_in_vec_init)] // one run of frames
        fn extent(&self) -> Extent {
            let position = |(i, frames): (usize, &Vec<_>)| (i.to_string(), vec![0..frames.len()]);
            Extent { positions: self.0.iter().enumerate().map(position).collect(), size: self.0[0][0].dim() }
        }

        fn load(
            &self,
            position: usize,
            range: Range<usize>,
            _: Option<&Survey>,
        ) -> Result<Frames, DataError> {
            let frames: Vec<_> = self.0[position][range].iter().map(|frame| frame.view()).collect();
            let ids = ndarray::stack(Axis(0), &frames).unwrap();
            Ok(Frames { image: ndarray::Array4::zeros((0, 0, 0, 0)), labels: [("cells".into(), ids)].into() })
        }

        fn parents(&self, _: usize, _: &str) -> BTreeMap<u32, u32> {
            BTreeMap::new()
        }

        fn describe(&self, _: usize, _: Range<usize>) -> String {
            String::new()
        }
    }

    fn survey(drawn: &Drawn, form: LabelForm, per_load: usize) -> Result<SurveyedLabels, DataError> {
        let forms = LabelForms([("cells".into(), form)].into());
        let mut survey = LabelsSurvey::new(drawn, &forms);
        for (position, frames) in drawn.0.iter().enumerate() {
            for first in (0..frames.len()).step_by(per_load) {
                let range = first..(first + per_load).min(frames.len());
                survey.add(position, first, &drawn.load(position, range, None)?.labels)?;
            }
        }
        survey.finish(&Survey::new(0))
    }

    #[test]
    fn objects_frames_and_ids_are_counted() {
        let empty = Array2::zeros((2, 6));
        let drawn = Drawn(vec![
            vec![labels![[1 1 . 2 . .] [1 1 . 2 . .]], labels![[1 1 . . . .] [1 1 . . . 4]]],
            vec![empty, labels![[1 . . . . .] [. . . . . .]]],
        ]);
        let found = &survey(&drawn, LabelForm::Tracked, 9).unwrap().quality[0];
        assert_eq!(found.objects_per_frame, ObjectsPerFrame { min: 0, median: 2, max: 2 });
        assert_eq!((found.frames, found.frames_without_objects), (4, 1));
        assert_eq!(found.object_px, Some(ObjectPixels { p5: 1, median: 2, p95: 4 }));
        assert_eq!(found.coverage, 12.0 / 48.0);
        // 1, 2, 4 and, in another position, 1.
        assert_eq!((found.ids, found.tracks), (4, 1));
        assert_eq!(found.following, Some(Following { objects: 3, linked: 1, kept: 1, numbered: false }));
    }

    #[test]
    fn labels_without_any_object_are_refused() {
        let error = survey(&Drawn(vec![vec![Array2::zeros((4, 4)); 3]]), LabelForm::Tracked, 2).unwrap_err();
        assert_eq!(error.exit(), Exit::BadInput);
        assert_eq!(error.to_string(), "labels cells: no object in any of 3 frames, expected numbers above 0");
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_background_that_is_not_0_covers_the_frames() {
        let frame = labels![[255 255 255] [255 1 255] [255 255 255]];
        let found = survey(&Drawn(vec![vec![frame; 3]]), LabelForm::Tracked, 2).unwrap();
        assert_eq!((found.quality[0].frames_covered, found.quality[0].covering_id), (3, Some(255)));
    }

    proptest! {
        /// Frames are loaded in parts; where they are cut changes neither numbers nor tracks, and the tracks are those
        /// of the whole movie.
        #[test]
        fn parts_make_no_difference(
            pixels in prop::collection::vec(0_u32..4, 3 * 40), per_load in 1_usize..6, tracked in any::<bool>(),
        ) {
            let frames: Vec<Array2<u32>> =
                pixels.chunks(20).map(|frame| Array2::from_shape_vec((4, 5), frame.to_vec()).unwrap()).collect();
            let drawn = Drawn(vec![frames.clone(), frames[..2].to_vec()]);
            let form = if tracked { LabelForm::Tracked } else { LabelForm::Untracked };
            let Ok(whole) = survey(&drawn, form, 9) else { return Ok(()) };
            let parts = survey(&drawn, form, per_load).unwrap();
            prop_assert_eq!(&whole.quality, &parts.quality);
            let linked = crate::prepare::linked_labels::LinkedLabels { source: &drawn, tracks: &parts.tracks };
            let read = linked.load(0, 1..6, None).unwrap();
            let expected = link(&frames);
            if tracked {
                prop_assert_eq!(&read.labels["cells"].index_axis(Axis(0), 0), &frames[1].view());
            } else {
                prop_assert_eq!(read.labels["cells"].view(), expected.ids.slice(ndarray::s![1.., .., ..]));
                prop_assert_eq!(linked.parents(0, "cells"), expected.parents);
            }
        }
    }
}
