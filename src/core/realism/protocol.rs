//! What is compared with what, and when it is refused.
//!
//! The reference is n held-out real sequences (val and test). Compared with it are n synthetic sequences (the value), n
//! real training sequences (the floor: what real data reach), n sequences of the training mean with matched noise (the
//! baseline), and n of an untrained generator where given. All sets have the same n, because all these distances shrink
//! with n. Everything is normalised by the calibration of the real plate. No synthetic sequence is left out by its split.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::EvaluationError;
use super::draws::{keyed_rng, pick};
use super::settings::{LEAST, Settings};
use super::sliced::PATCH;
use crate::plate::compare::{Finding, Scope, Severity, compare};
use crate::plate::labels::objects;
use crate::plate::{Plate, PlateMeta, Split};
use crate::seed::Stream;

/// Below this many sequences per set a report says that they are few.
const FEW: usize = 30;

/// Splits that are held out from the generator.
const HELD_OUT: &[Split] = &[Split::Val, Split::Test];

/// The plates of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Plates<'a> {
    /// Real recordings with a held-out part.
    pub real: &'a Plate,
    /// What a generator made of their training part.
    pub synthetic: &'a Plate,
    /// What the same generator made before training.
    pub untrained: Option<&'a Plate>,
}

/// The part of a plate that a set is drawn from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Selection {
    /// Sequences there are.
    pub available: usize,
    /// Sequences that are read; each draw uses n of them.
    pub read: usize,
    /// Different split groups among those read.
    pub groups: usize,
    /// Their indices in the plate.
    #[serde(skip)]
    pub indices: Vec<usize>,
}

/// What is going to be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComparisonPlan {
    /// Sequences per set.
    pub n: usize,
    /// Images per set, frames of all sequences.
    pub images: usize,
    /// Held-out real sequences.
    pub reference: Selection,
    /// Real training sequences, for floor and baseline.
    pub training: Selection,
    /// Synthetic sequences.
    pub synthetic: Selection,
    /// Sequences of the untrained generator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrained: Option<Selection>,
    /// Label whose objects are compared; `None` where the plates do not share one.
    pub label: Option<String>,
    /// What limits the conclusions, in plain words.
    pub warnings: Vec<String>,
}

/// Decides what is compared, without reading pixels. `count` caps n.
///
/// # Errors
/// [`EvaluationError`] where plates do not fit together, nothing is held out, or a set is too small.
pub fn plan(
    plates: &Plates,
    count: Option<usize>,
    settings: &Settings,
    seed: u64,
) -> Result<ComparisonPlan, EvaluationError> {
    settings.check()?;
    if let Some(value) = count.filter(|n| *n < LEAST) {
        return Err(EvaluationError::Setting {
            name: "--count",
            value,
            expected: format!("at least {LEAST}"),
        });
    }
    let real = plates.real;
    refuse_tiny_images(real)?;
    let mut sentences = judge(real, plates.synthetic)?;
    if let Some(untrained) = plates.untrained {
        // Its form must fit; what it was trained on is nothing.
        judge(real, untrained)?;
    }

    let limit = settings.max_sequences;
    let reference = part(real, |split| HELD_OUT.contains(&split), limit, seed, 0);
    if reference.available == 0 {
        return Err(EvaluationError::NothingHeldOut { plate: name(&real.path), least: LEAST });
    }
    let training = part(real, |split| split == Split::Train, limit, seed, 1);
    let synthetic = part(plates.synthetic, |_| true, limit, seed, 2);
    let untrained = plates.untrained.map(|plate| part(plate, |_| true, limit, seed, 3));

    let mut n = count.unwrap_or(usize::MAX);
    let sets = [
        (real, "held-out sequences (split val or test)", Some(&reference)),
        (real, "training sequences (split train)", Some(&training)),
        (plates.synthetic, "synthetic sequences", Some(&synthetic)),
        (plates.untrained.unwrap_or(real), "synthetic sequences", untrained.as_ref()),
    ];
    for (plate, what, part) in sets {
        let Some(part) = part else { continue };
        if part.available < LEAST {
            let (plate, found) = (name(&plate.path), part.available);
            return Err(EvaluationError::TooFew { plate, what, found, least: LEAST });
        }
        n = n.min(part.read);
    }
    if n < FEW {
        sentences.insert(0, format!(
            "Only {n} sequences per set: small differences between value and floor mean nothing. Compare with at least {FEW}."
        ));
    }
    Ok(ComparisonPlan {
        n,
        images: n * real.meta.frames,
        reference,
        training,
        synthetic,
        untrained,
        label: shared_label(real, plates.synthetic),
        warnings: sentences,
    })
}

/// Returns the label of objects that both plates have, where it is clear which one is meant.
fn shared_label(real: &Plate, synthetic: &Plate) -> Option<String> {
    let of = |plate: &Plate| objects(&plate.meta.labels, None).ok().map(|label| label.name.clone());
    of(real).filter(|name| of(synthetic).as_ref() == Some(name))
}

/// Returns the last part of a path, by which reports call a plate.
pub fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}

fn part(plate: &Plate, wanted: impl Fn(Split) -> bool, limit: usize, seed: u64, index: usize) -> Selection {
    let all: Vec<usize> = (0..plate.wells.len()).filter(|i| wanted(plate.wells[*i].1.split)).collect();
    let picks = pick(&mut keyed_rng(seed, Stream::RealismPool, 0, index), all.len(), limit);
    let indices: Vec<usize> = picks.into_iter().map(|i| all[i]).collect();
    let groups: BTreeSet<&str> = indices.iter().map(|i| plate.wells[*i].1.split_group.as_str()).collect();
    Selection { available: all.len(), read: indices.len(), groups: groups.len(), indices }
}

fn refuse_tiny_images(plate: &Plate) -> Result<(), EvaluationError> {
    let PlateMeta { height, width, .. } = plate.meta;
    if height.min(width) >= PATCH {
        return Ok(());
    }
    Err(EvaluationError::TooSmall { plate: name(&plate.path), height, width, least: PATCH })
}

/// Returns what limits a comparison with the held-out part of a real plate.
///
/// # Errors
/// [`EvaluationError::Incomparable`] where the plates do not belong together.
pub fn judge(real: &Plate, other: &Plate) -> Result<Vec<String>, EvaluationError> {
    compare(real, other, Scope { channels: None, held_out: HELD_OUT })
        .unless(|finding| finding.severity() == Severity::Refuse)
        .map_err(|finding| {
            let of_real = matches!(finding, Finding::SharedGroups { .. });
            let plate = name(if of_real { &real.path } else { &other.path });
            EvaluationError::Incomparable { plate, finding }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Advice, Exit};
    use crate::plate::groups::SplitGroup;
    use crate::plate::{Calibration, Channel, Origin, SequenceMeta};

    fn plate(origin: Origin, parts: &[(Split, usize)]) -> Plate {
        let channel = |name: &str| Channel {
            name: name.to_owned(),
            color: [255; 3],
            recorded: None,
            calibration: Calibration { lo: 100.0, hi: 900.0, clipped_low: 0.0, clipped_high: 0.0 },
        };
        let sequence = |(i, split): (usize, Split)| {
            let meta = SequenceMeta {
                source: "drawn".into(),
                first_frame: 0,
                split,
                split_group: format!("{split:?}-{}", i % 3),
                frame_ranges: None,
                label_margin: None,
            };
            (format!("A/{i}"), meta)
        };
        let splits = parts.iter().flat_map(|(split, n)| vec![*split; *n]);
        let group = |i: usize| {
            let split = ["Train", "Val", "Test"][i / 3];
            SplitGroup::new(format!("{split}-{}", i % 3), [i as u64])
        };
        let groups: Vec<SplitGroup> = (0..9).map(group).collect();
        Plate {
            path: format!("{origin:?}.ome.zarr").into(),
            meta: PlateMeta {
                groups: groups.clone(),
                trained_on: if origin == Origin::Synthetic { groups[..1].to_vec() } else { Vec::new() },
                ..PlateMeta::new("test", origin, [3, 32, 32], vec![channel("phase"), channel("gfp")])
            },
            wells: splits.enumerate().map(sequence).collect(),
        }
    }

    fn real() -> Plate {
        plate(Origin::Recording, &[(Split::Train, 100), (Split::Val, 20), (Split::Test, 30)])
    }

    fn planned(real: &Plate, synthetic: &Plate) -> Result<ComparisonPlan, EvaluationError> {
        let plates = Plates { real, synthetic, untrained: None };
        plan(&plates, None, &Settings::standard(), 0)
    }

    #[test]
    fn all_sets_have_the_size_of_the_smallest() {
        let plan = planned(&real(), &plate(Origin::Synthetic, &[(Split::Train, 200)])).unwrap();
        assert_eq!((plan.n, plan.images), (50, 150));
        assert_eq!((plan.reference.read, plan.training.read, plan.synthetic.read), (50, 100, 200));
        assert_eq!(plan.warnings, Vec::<String>::new());
    }

    #[test]
    fn doubtful_comparisons_are_done_with_a_warning() {
        let mut movie = real();
        movie.meta.single_movie = true;
        let mut phantom = plate(Origin::Phantom, &[(Split::Train, 8)]);
        phantom.meta.trained_on = vec![SplitGroup::new("xy", [4])];
        phantom.meta.channels[1].calibration.hi = 800.0;
        let text = planned(&movie, &phantom).unwrap().warnings.join(" ");
        for part in
            ["one movie", "Only 8 sequences", "is a phantom", "1 of the 6 held-out groups (Val-1", "gfp"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn comparisons_without_meaning_are_refused_with_advice() {
        let synthetic = plate(Origin::Synthetic, &[(Split::Train, 50)]);
        let mut other_channel = synthetic_like(&synthetic);
        other_channel.meta.channels[1].name = "rfp".into();
        let mut larger = synthetic_like(&synthetic);
        larger.meta.width = 64;
        let few = plate(Origin::Synthetic, &[(Split::Train, 3)]);
        let no_test = plate(Origin::Recording, &[(Split::Train, 50)]);
        let mut leaking = real();
        leaking.wells[0].1.split_group = "Test-1".into();
        let cases = [
            (planned(&real(), &other_channel), "phase, rfp"),
            (planned(&real(), &larger), "3 frames of 32x64"),
            (planned(&real(), &few), "3 synthetic sequences, expected at least 4"),
            (planned(&no_test, &synthetic), "no held-out sequences"),
            (planned(&leaking, &synthetic), "Recording.ome.zarr: Held-out groups of the real plate"),
        ];
        for (result, part) in cases {
            let error = result.unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.exit(), Exit::BadInput);
            assert!(error.hint().is_some(), "{error}");
        }
    }

    fn synthetic_like(plate: &Plate) -> Plate {
        Plate { path: plate.path.clone(), meta: plate.meta.clone(), wells: plate.wells.clone() }
    }

    #[test]
    fn count_caps_the_sets_and_must_leave_enough() {
        let (real, synthetic) = (real(), plate(Origin::Synthetic, &[(Split::Train, 50)]));
        let plates = Plates { real: &real, synthetic: &synthetic, untrained: None };
        assert_eq!(plan(&plates, Some(3), &Settings::standard(), 0).unwrap_err().exit(), Exit::Usage);
        assert_eq!(plan(&plates, Some(10), &Settings::standard(), 0).unwrap().n, 10);
    }
}
