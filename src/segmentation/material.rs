//! From two plates to what the arms train and test on, with every reason to refuse checked first.

use std::collections::BTreeSet;

use ndarray::{Array4, Axis};
use serde::{Deserialize, Serialize};

use super::SegmentationError;
use super::examples::Labelled;
use super::settings::Settings;
use crate::data::plate::{Calibration, Origin, Plate, PlateMeta, Split};

/// What the benchmark works on.
#[derive(Clone, Debug)]
pub struct Material {
    /// Real training sequences, all there are.
    pub real: Vec<Labelled>,
    /// Synthetic sequences.
    pub synthetic: Vec<Labelled>,
    /// Held-out real sequences.
    pub test: Vec<Labelled>,
}

/// What was found about two plates before their pixels are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Names of the channels the segmenter sees.
    pub channels: Vec<String>,
    /// How the labels of the real plate came about.
    pub real_label_route: Option<String>,
    /// How the labels of the synthetic plate came about.
    pub synthetic_label_route: Option<String>,
    /// Real training sequences there are.
    pub n_real_train: usize,
    /// Synthetic sequences used.
    pub n_synthetic: usize,
    /// Held-out real sequences.
    pub n_test: usize,
    /// Split groups of the held-out sequences.
    pub test_groups: Vec<String>,
    /// Held-out groups that the generator was trained on; empty but with `allow_leakage`.
    pub leaked_groups: Vec<String>,
    /// Train, val and test are blocks of one movie.
    pub single_movie: bool,
    /// What limits the conclusions, in sentences.
    pub notes: Vec<String>,
}

/// Checks that two plates can be compared.
///
/// # Errors
/// [`SegmentationError::Input`] for missing labels, channels or splits, other sizes, and for leakage: held-out groups
/// the generator was trained on, or that the real training part shares.
pub fn plan(real: &Plate, synthetic: &Plate, settings: &Settings) -> Result<Plan, SegmentationError> {
    settings.check()?;
    for (role, plate) in [("real", real), ("synthetic", synthetic)] {
        if !plate.meta.labels.contains(&settings.label) {
            let there =
                if plate.meta.labels.is_empty() { "none".to_owned() } else { plate.meta.labels.join(", ") };
            return Err(SegmentationError::input(
                format!(
                    "{}: the {role} plate has no labels named {}, it has {there}",
                    plate.path.display(),
                    settings.label
                ),
                "name one that is there with --label, or make labels with `prepare --labels` and train on them",
            ));
        }
    }
    let channels = match settings.channels.as_slice() {
        [] => real.meta.channels.iter().take(1).map(|c| c.name.clone()).collect(),
        named => named.to_vec(),
    };
    for (role, plate) in [("real", real), ("synthetic", synthetic)] {
        channel_indices(&plate.meta, &channels).map_err(|name| {
            let there: Vec<&str> = plate.meta.channels.iter().map(|c| c.name.as_str()).collect();
            SegmentationError::input(
                format!(
                    "{}: the {role} plate has no channel {name}, it has {}",
                    plate.path.display(),
                    there.join(", ")
                ),
                "both plates must name their channels alike; choose with --channel",
            )
        })?;
    }
    let (train, test) = (real.indices(Split::Train), real.indices(Split::Test));
    for (split, found) in [("train", &train), ("test", &test)] {
        if found.is_empty() {
            return Err(SegmentationError::input(
                format!("{}: no sequence of split {split}", real.path.display()),
                "prepare the plate with groups for train and test",
            ));
        }
    }
    if synthetic.wells.is_empty() {
        return Err(SegmentationError::input(
            format!("{}: no sequences", synthetic.path.display()),
            "generate some with `generate --count`",
        ));
    }
    let groups = |indices: &[usize]| -> BTreeSet<String> {
        indices.iter().map(|&i| real.wells[i].1.split_group.clone()).collect()
    };
    let test_groups = groups(&test);
    refuse_overlap(&test_groups, &groups(&train), "are in the train split as well", false)?;
    let trained_on: BTreeSet<String> = synthetic.meta.trained_on.iter().cloned().collect();
    refuse_overlap(&test_groups, &trained_on, "were seen by the generator", settings.allow_leakage)?;
    let leaked_groups: Vec<String> = test_groups.intersection(&trained_on).cloned().collect();

    let n_synthetic = match settings.synthetic_sequences {
        0 => synthetic.wells.len(),
        limit => limit.min(synthetic.wells.len()),
    };
    Ok(Plan {
        notes: notes(real, synthetic, settings, &channels, &leaked_groups, train.len()),
        channels,
        real_label_route: real.meta.label_route.clone(),
        synthetic_label_route: synthetic.meta.label_route.clone(),
        n_real_train: train.len(),
        n_synthetic,
        n_test: test.len(),
        test_groups: test_groups.into_iter().collect(),
        leaked_groups,
        single_movie: real.meta.single_movie,
    })
}

fn refuse_overlap(
    test: &BTreeSet<String>,
    other: &BTreeSet<String>,
    what: &str,
    allowed: bool,
) -> Result<(), SegmentationError> {
    let shared: Vec<&str> = test.intersection(other).map(String::as_str).collect();
    if shared.is_empty() || allowed {
        return Ok(());
    }
    let listed = shared.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    let more = if shared.len() > 5 { format!(" and {} more", shared.len() - 5) } else { String::new() };
    Err(SegmentationError::input(
        format!("test groups {listed}{more} {what}: scores on them would be no evidence"),
        "train the generator on the train split of this plate, or pass --allow-leakage to see the numbers anyway",
    ))
}

fn notes(
    real: &Plate,
    synthetic: &Plate,
    settings: &Settings,
    channels: &[String],
    leaked: &[String],
    n_train: usize,
) -> Vec<String> {
    let mut notes = Vec::new();
    if real.meta.single_movie {
        notes.push(
            "Train and test are blocks of one movie: the result holds for this movie and is no evidence for a new one.".into(),
        );
    }
    if !leaked.is_empty() {
        notes.push(format!(
            "The generator was trained on test groups ({}): the result is no evidence.",
            leaked.join(", ")
        ));
    }
    match real.meta.label_route.as_deref() {
        Some("annotation") => {}
        Some("phantom_truth") => {
            notes.push("The truth is simulated (phantom_truth): the result says nothing about real cells.".into());
        }
        Some(route) => notes.push(format!(
            "The truth of the test sequences was made by {route}, not by people: scores tell how well that route is imitated."
        )),
        None => notes.push("The real plate does not say how its labels came about.".into()),
    }
    if synthetic.meta.origin == Origin::Synthetic && synthetic.meta.trained_on.is_empty() {
        notes.push("The synthetic plate does not say what its generator was trained on: leakage cannot be ruled out.".into());
    }
    if synthetic.meta.origin != Origin::Synthetic {
        notes.push(
            "The synthetic plate was not made by a generator; read \"synthetic\" as \"the second plate\"."
                .into(),
        );
    }
    if n_train < settings.real_sequences {
        notes.push(format!(
            "{} real training sequences were asked for, {n_train} are there: every seed trains on all of them.",
            settings.real_sequences
        ));
    }
    let ranges = [real, synthetic].map(|plate| calibrations(&plate.meta, channels));
    for (name, (a, b)) in channels.iter().zip(ranges[0].iter().zip(&ranges[1])) {
        let far = (a.lo - b.lo).abs().max((a.hi - b.hi).abs()) > 0.1 * (a.hi - a.lo);
        if far {
            notes.push(format!(
                "Calibrations of {name} differ: {} to {} counts real, {} to {} synthetic; both are read with that of the real plate.",
                a.lo, a.hi, b.lo, b.hi
            ));
        }
    }
    if let (Some(a), Some(b)) = (real.meta.pixel_size_um, synthetic.meta.pixel_size_um)
        && (a - b).abs() > 1e-3 * a
    {
        notes.push(format!("Pixel sizes differ: {a} um real, {b} um synthetic."));
    }
    notes
}

/// Returns the positions of channels in a plate, or the first name that is not there.
fn channel_indices(meta: &PlateMeta, names: &[String]) -> Result<Vec<usize>, String> {
    names
        .iter()
        .map(|name| meta.channels.iter().position(|c| c.name == *name).ok_or_else(|| name.clone()))
        .collect()
}

/// Returns the calibrations of channels that are there.
fn calibrations(meta: &PlateMeta, names: &[String]) -> Vec<Calibration> {
    let find = |name: &String| meta.channels.iter().find(|c| c.name == *name).map(|c| c.calibration);
    names.iter().filter_map(find).collect()
}

/// Reads the sequences of a plan; `on_sequence` is called after each of `n_real_train + n_synthetic + n_test`.
///
/// Counts of both plates are read with the calibration of the real one. Everything is kept in memory: about 12 bytes
/// per pixel and frame.
///
/// # Errors
/// [`SegmentationError::Data`] for damaged plates, [`SegmentationError::Input`] where test or training have no object.
pub fn read(
    real: &Plate,
    synthetic: &Plate,
    plan: &Plan,
    settings: &Settings,
    on_sequence: &mut dyn FnMut(),
) -> Result<Material, SegmentationError> {
    let calibration = calibrations(&real.meta, &plan.channels);
    let mut load = |plate: &Plate, indices: &[usize]| -> Result<Vec<Labelled>, SegmentationError> {
        let channels = channel_indices(&plate.meta, &plan.channels).unwrap_or_default();
        let mut sequences = Vec::with_capacity(indices.len());
        for &index in indices {
            let (well, meta) = &plate.wells[index];
            let mut sequence = plate.read(index)?;
            let counts: Array4<u16> = sequence.image.select(Axis(1), &channels);
            let labels = sequence.labels.remove(&settings.label).ok_or_else(|| {
                SegmentationError::input(format!("no labels {}", settings.label), "prepare the plate again")
                    .at(well)
            })?;
            let (name, group) = (well.clone(), meta.split_group.clone());
            sequences.push(Labelled::new(name, group, counts.view(), labels.ids, &calibration));
            on_sequence();
        }
        Ok(sequences)
    };
    let synthetic_indices: Vec<usize> = (0..plan.n_synthetic).collect();
    let material = Material {
        real: load(real, &real.indices(Split::Train))?,
        synthetic: load(synthetic, &synthetic_indices)?,
        test: load(real, &real.indices(Split::Test))?,
    };
    for (what, sequences) in
        [("real train", &material.real), ("synthetic", &material.synthetic), ("test", &material.test)]
    {
        if sequences.iter().all(|s| s.labels.iter().all(|&id| id == 0)) {
            return Err(SegmentationError::input(
                format!(
                    "no object in any of the {} {what} sequences (label {})",
                    sequences.len(),
                    settings.label
                ),
                "look at the labels in a viewer; a label route may have found nothing",
            ));
        }
    }
    Ok(material)
}
