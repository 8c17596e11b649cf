//! What is compared with what, and when it is refused.
//!
//! The reference is n held-out real sequences (val and test). Compared with it are n synthetic sequences (the value), n
//! real training sequences (the floor: what real data reach), n sequences of the training mean with matched noise (the
//! baseline), and n of an untrained generator where given. All sets have the same n, because all these distances shrink
//! with n. Everything is normalised by the calibration of the real plate. No synthetic sequence is left out by its split.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::EvaluationError;
use super::sliced::PATCH;
use super::stream::{Purpose, pick, stream};
use crate::data::plate::{Origin, Plate, PlateMeta, Split};

/// Fewest sequences per set.
pub const LEAST: usize = 4;

/// Below this many sequences per set a report says that they are few.
const FEW: usize = 30;

/// How much is drawn. Small plates are used whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Draws of sequences, patches, directions and noise; scores are means over them. 1 to 100
    pub draws: usize,
    /// Draws of half of the split groups of every set, from which standard errors are estimated. 2 to 100
    pub half_draws: usize,
    /// 7x7 patches per image and level of the sliced Wasserstein distance (128 in the ProGAN article). 1 to 4096
    pub swd_patches: usize,
    /// Most patches per set and level; with many images fewer are drawn from each. At least 64
    pub swd_max_patches: usize,
    /// Directions per draw (4 x 128 in the ProGAN article, which are 4 draws here). 1 to 4096
    pub swd_directions: usize,
    /// Most sequences of a part that are read; of larger parts a seeded choice is used. At least 4
    pub max_sequences: usize,
    /// Sequences of each set on the contact sheets. 0 to 64
    pub sheet_sequences: usize,
}

impl Settings {
    /// Returns the settings that reported numbers use.
    pub fn standard() -> Self {
        Self {
            draws: 4,
            half_draws: 8,
            swd_patches: 128,
            swd_max_patches: 16384,
            swd_directions: 128,
            max_sequences: 1000,
            sheet_sequences: 6,
        }
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// [`EvaluationError::Setting`] naming the setting.
    pub fn check(&self) -> Result<(), EvaluationError> {
        let ranges = [
            ("draws", self.draws, 1, 100),
            ("half_draws", self.half_draws, 2, 100),
            ("swd_patches", self.swd_patches, 1, 4096),
            ("swd_max_patches", self.swd_max_patches, 64, 1 << 24),
            ("swd_directions", self.swd_directions, 1, 4096),
            ("max_sequences", self.max_sequences, LEAST, 1_000_000),
            ("sheet_sequences", self.sheet_sequences, 0, 64),
        ];
        match ranges.into_iter().find(|(_, value, low, high)| !(low..=high).contains(&value)) {
            None => Ok(()),
            Some((name, value, low, high)) => {
                Err(EvaluationError::Setting { name, value, expected: format!("{low} to {high}") })
            }
        }
    }
}

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
pub struct Part {
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
pub struct Plan {
    /// Sequences per set.
    pub n: usize,
    /// Images per set, frames of all sequences.
    pub images: usize,
    /// Held-out real sequences.
    pub reference: Part,
    /// Real training sequences, for floor and baseline.
    pub training: Part,
    /// Synthetic sequences.
    pub synthetic: Part,
    /// Sequences of the untrained generator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrained: Option<Part>,
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
) -> Result<Plan, EvaluationError> {
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
    for other in std::iter::once(plates.synthetic).chain(plates.untrained) {
        refuse_other_form(real, other)?;
    }
    refuse_shared_group(real)?;

    let limit = settings.max_sequences;
    let held_out = |split| matches!(split, Split::Val | Split::Test);
    let reference = part(real, held_out, limit, seed, 0);
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
    let mut plan = Plan {
        n,
        images: n * real.meta.frames,
        reference,
        training,
        synthetic,
        untrained,
        warnings: Vec::new(),
    };
    plan.warnings = warnings(plates, &plan);
    Ok(plan)
}

/// Returns the last part of a path, by which reports call a plate.
pub fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}

fn part(plate: &Plate, wanted: impl Fn(Split) -> bool, limit: usize, seed: u64, index: usize) -> Part {
    let all: Vec<usize> = (0..plate.wells.len()).filter(|i| wanted(plate.wells[*i].1.split)).collect();
    let picks = pick(&mut stream(seed, Purpose::Pool, 0, index), all.len(), limit);
    let indices: Vec<usize> = picks.into_iter().map(|i| all[i]).collect();
    let groups: BTreeSet<&str> = indices.iter().map(|i| plate.wells[*i].1.split_group.as_str()).collect();
    Part { available: all.len(), read: indices.len(), groups: groups.len(), indices }
}

fn refuse_tiny_images(plate: &Plate) -> Result<(), EvaluationError> {
    let PlateMeta { height, width, .. } = plate.meta;
    if height.min(width) >= PATCH {
        return Ok(());
    }
    Err(EvaluationError::TooSmall { plate: name(&plate.path), height, width, least: PATCH })
}

fn refuse_other_form(real: &Plate, other: &Plate) -> Result<(), EvaluationError> {
    let channels =
        |meta: &PlateMeta| meta.channels.iter().map(|c| c.name.clone()).collect::<Vec<_>>().join(", ");
    let (expected, found) = (channels(&real.meta), channels(&other.meta));
    if expected != found {
        return Err(EvaluationError::Channels { plate: name(&other.path), found, expected });
    }
    let size = |meta: &PlateMeta| format!("{} frames of {}x{} pixels", meta.frames, meta.height, meta.width);
    let (expected, found) = (size(&real.meta), size(&other.meta));
    if expected != found {
        return Err(EvaluationError::Size { plate: name(&other.path), found, expected });
    }
    Ok(())
}

fn refuse_shared_group(real: &Plate) -> Result<(), EvaluationError> {
    let held_out = held_out_groups(real);
    let shared =
        real.wells.iter().find(|(_, s)| s.split == Split::Train && held_out.contains(s.split_group.as_str()));
    match shared {
        None => Ok(()),
        Some((_, sequence)) => {
            Err(EvaluationError::SharedGroup { plate: name(&real.path), group: sequence.split_group.clone() })
        }
    }
}

fn held_out_groups(real: &Plate) -> BTreeSet<&str> {
    real.wells.iter().filter(|(_, s)| s.split != Split::Train).map(|(_, s)| s.split_group.as_str()).collect()
}

fn warnings(plates: &Plates, plan: &Plan) -> Vec<String> {
    let (real, synthetic) = (&plates.real.meta, &plates.synthetic.meta);
    let mut warnings = Vec::new();
    let mut warn = |holds: bool, text: String| {
        if holds {
            warnings.push(text);
        }
    };
    warn(
        real.single_movie,
        "One movie: training and held-out parts are blocks of the same recording. These numbers say nothing about a new movie.".into(),
    );
    let n = plan.n;
    warn(
        n < FEW,
        format!(
            "Only {n} sequences per set: small differences between value and floor mean nothing. Compare with at least {FEW}."
        ),
    );
    let groups = plan.reference.groups;
    warn(
        !real.single_movie && groups < 3,
        format!(
            "The {} held-out sequences come from {groups} group(s) (such as positions): sequences of one group resemble each other, so they count for less than their number.",
            plan.reference.read
        ),
    );
    warn(
        synthetic.origin != Origin::Synthetic,
        format!(
            "The plate given as synthetic is a {}, not the output of a generator.",
            origin(synthetic.origin)
        ),
    );
    warn(real.origin == Origin::Synthetic, "The plate given as real is the output of a generator.".into());
    let held_out = held_out_groups(plates.real);
    let seen: Vec<&str> =
        synthetic.trained_on.iter().map(String::as_str).filter(|g| held_out.contains(g)).collect();
    warn(
        !seen.is_empty(),
        format!(
            "The generator was trained on {} of the {} held-out groups ({}): the comparison is not held out.",
            seen.len(),
            held_out.len(),
            listed(&seen)
        ),
    );
    warn(
        synthetic.origin == Origin::Synthetic && synthetic.trained_on.is_empty(),
        "The synthetic plate does not say what its generator was trained on: it cannot be checked that the reference was held out.".into(),
    );
    let other_range: Vec<&str> = real
        .channels
        .iter()
        .zip(&synthetic.channels)
        .filter(|(a, b)| (a.calibration.lo, a.calibration.hi) != (b.calibration.lo, b.calibration.hi))
        .map(|(a, _)| a.name.as_str())
        .collect();
    warn(
        !other_range.is_empty(),
        format!(
            "The synthetic plate has another calibration ({}): its counts are read in the range of the real plate.",
            listed(&other_range)
        ),
    );
    warn(
        real.normalise == "original",
        "The real plate was normalised frame by frame (normalise original), the generator's counts were made with the median range: brightness that varies between frames counts as a difference here.".into(),
    );
    warn(
        real.pixel_size_um.is_some()
            && synthetic.pixel_size_um.is_some()
            && real.pixel_size_um != synthetic.pixel_size_um,
        "The plates have different pixel sizes: spectra and textures are compared per pixel.".into(),
    );
    warnings
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Recording => "recording",
        Origin::Phantom => "phantom",
        Origin::Synthetic => "synthetic plate",
    }
}

/// Returns the first few names.
fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    if names.len() > 5 { format!("{shown}, ...") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::plate::{Calibration, Channel, SequenceMeta};
    use crate::error::{Advice, Exit};

    fn plate(origin: Origin, parts: &[(Split, usize)]) -> Plate {
        let channel = |name: &str| Channel {
            name: name.to_owned(),
            color: [255; 3],
            calibration: Calibration { lo: 100.0, hi: 900.0, clipped_low: 0.0, clipped_high: 0.0 },
        };
        let sequence = |(i, split): (usize, Split)| {
            let meta = SequenceMeta {
                source: "drawn".into(),
                first_frame: 0,
                split,
                split_group: format!("{split:?}-{}", i % 3),
                frame_ranges: None,
            };
            (format!("A/{i}"), meta)
        };
        let splits = parts.iter().flat_map(|(split, n)| vec![*split; *n]);
        Plate {
            path: format!("{}.ome.zarr", self::origin(origin)).into(),
            meta: PlateMeta {
                tool: "test".into(),
                version: "0".into(),
                origin,
                seed: 0,
                frames: 3,
                height: 32,
                width: 32,
                channels: vec![channel("phase"), channel("gfp")],
                labels: Vec::new(),
                label_route: None,
                pixel_size_um: None,
                frame_interval_s: None,
                single_movie: false,
                normalise: "percentile".into(),
                trained_on: if origin == Origin::Synthetic { vec!["Train-0".into()] } else { Vec::new() },
                notes: Vec::new(),
                part: None,
            },
            wells: splits.enumerate().map(sequence).collect(),
        }
    }

    fn real() -> Plate {
        plate(Origin::Recording, &[(Split::Train, 100), (Split::Val, 20), (Split::Test, 30)])
    }

    fn planned(real: &Plate, synthetic: &Plate) -> Result<Plan, EvaluationError> {
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
        phantom.meta.trained_on = vec!["Val-1".into()];
        phantom.meta.channels[1].calibration.hi = 800.0;
        let text = planned(&movie, &phantom).unwrap().warnings.join(" ");
        for part in ["One movie", "Only 8 sequences", "is a phantom", "trained on 1 of the", "(gfp)"] {
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
            (planned(&leaking, &synthetic), "group Test-1"),
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
    fn settings_out_of_range_are_usage_errors() {
        let settings = Settings { draws: 0, ..Settings::standard() };
        assert_eq!(settings.check().unwrap_err().exit(), Exit::Usage);
        let (real, synthetic) = (real(), plate(Origin::Synthetic, &[(Split::Train, 50)]));
        let plates = Plates { real: &real, synthetic: &synthetic, untrained: None };
        assert_eq!(plan(&plates, Some(3), &Settings::standard(), 0).unwrap_err().exit(), Exit::Usage);
        assert_eq!(plan(&plates, Some(10), &Settings::standard(), 0).unwrap().n, 10);
    }
}
