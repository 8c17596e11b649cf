//! From two plates to what the arms train and test on, with every reason to refuse checked first.

use ndarray::{Array4, Axis};
use serde::{Deserialize, Serialize};

use super::BenchmarkError;
use super::arms::PoolKind;
use super::crops::Labelled;
use super::settings::BenchmarkSettings;
use lapsegan_core::labels::{ROUTE, RouteSettings, label_sequence, maps};
use lapsegan_core::plate::compare::{Finding, Role, Scope, Severity, compare};
use lapsegan_core::plate::labelled;
use lapsegan_core::plate::{Calibration, Channel, Modality, Plate, PlateMeta, Split};

/// What the benchmark works on.
#[derive(Clone, Debug)]
pub struct Material {
    /// Real training sequences with labels that may be used, all there are.
    pub real: Vec<Labelled>,
    /// All real training sequences, with labels by a threshold of fluorescence where an arm asks for these; empty where no arm
    /// uses them.
    pub unlabelled: Vec<Labelled>,
    /// Synthetic sequences.
    pub synthetic: Vec<Labelled>,
    /// Held-out real sequences.
    pub test: Vec<Labelled>,
}

/// What was found about two plates before their pixels are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchmarkPlan {
    /// Names of the channels the segmenter sees.
    pub channels: Vec<String>,
    /// How the labels of the real plate came about.
    pub real_label_route: Option<String>,
    /// How the labels of the synthetic plate came about.
    pub synthetic_label_route: Option<String>,
    /// Real training sequences there are.
    pub n_real_train: usize,
    /// Numbers of them that segmenters train on, rising.
    pub n_real: Vec<usize>,
    /// Real sequences whose labels the generator learned its own from; 0 where synthetic labels come from elsewhere.
    pub n_labels_of_generator: usize,
    /// Real training sequences that are read without their labels.
    pub n_unlabelled: usize,
    /// Channel whose threshold labels these, where an arm asks for that.
    pub threshold_channel: Option<String>,
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
/// [`BenchmarkError::Input`] for missing labels, channels or splits, other sizes, and for leakage: held-out groups
/// the generator was trained on, or that the real training part shares.
pub fn plan(
    real: &Plate,
    synthetic: &Plate,
    settings: &BenchmarkSettings,
) -> Result<BenchmarkPlan, BenchmarkError> {
    settings.check()?;
    for (role, plate) in [("real", real), ("synthetic", synthetic)] {
        if !plate.meta.label_names().contains(&settings.label.as_str()) {
            let names = plate.meta.label_names();
            let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(BenchmarkError::input(
                format!(
                    "{}: the {role} plate has no labels named {}, it has {there}",
                    plate.path.display(),
                    settings.label
                ),
                "name one that is there with --label, or make labels with `prepare --labels` and train on them",
            ));
        }
    }
    let channels: Vec<String> = match settings.channels.as_slice() {
        [] => real.meta.channels.iter().take(1).map(|c| c.name.clone()).collect(),
        named => named.to_vec(),
    };
    let (train, test) = (training(real, synthetic)?, real.indices(Split::Test));
    for (split, found) in [("train", &train), ("test", &test)] {
        if found.is_empty() {
            return Err(BenchmarkError::input(
                format!("{}: no sequence of split {split}", real.path.display()),
                "prepare the plate with groups for train and test",
            ));
        }
    }
    if synthetic.wells.is_empty() {
        return Err(BenchmarkError::input(
            format!("{}: no sequences", synthetic.path.display()),
            "generate some with `generate --count`",
        ));
    }
    let comparison = compare(real, synthetic, Scope { channels: Some(&channels), held_out: &[Split::Test] });
    let leaked_groups = comparison.leaked_groups();
    let mut notes =
        comparison.unless(|finding| refused(finding, settings.allow_leakage)).map_err(|finding| {
            let plate = match finding {
                Finding::SharedGroups { .. } | Finding::MissingChannel { plate: Role::Real, .. } => real,
                _ => synthetic,
            };
            BenchmarkError::input(format!("{}: {finding}", plate.path.display()), finding.hint())
        })?;
    notes.extend(note_on_truth(real.meta.label_route()));
    if !synthetic.meta.labelled.is_empty() {
        notes.push(format!(
            "Real sequences to train on are drawn from the {} whose labels the generator learned from.",
            train.len()
        ));
    }
    let experiment = settings.experiment()?;
    let (n_real, too_many) = numbers(&settings.real_sequences, train.len());
    if !too_many.is_empty() {
        let asked: Vec<String> = too_many.iter().map(usize::to_string).collect();
        notes.push(format!(
            "{} real training sequences were asked for, {} are there: every seed trains on all of them.",
            asked.join(" and "),
            train.len()
        ));
    }
    let joint = synthetic.meta.label_route() == Some(maps::ROUTE);
    let n_labels_of_generator = if joint { train.len() } else { 0 };
    if joint && n_real[0] < n_labels_of_generator {
        notes.push(format!(
            "The generator learned its labels from {n_labels_of_generator} real sequences: beside fewer, the synthetic ones \
             bring labels along that the other arms do not have."
        ));
    }
    if !settings.segmenter.is_empty() && channels.len() > 1 {
        return Err(BenchmarkError::input(
            format!(
                "--segmenter {} is given images of one channel, not {}",
                settings.segmenter,
                channels.join(", ")
            ),
            "name one --channel",
        ));
    }
    let threshold_channel =
        experiment.uses(PoolKind::Thresholded).then(|| threshold_channel(real)).transpose()?;
    let uses_unlabelled = threshold_channel.is_some() || experiment.uses(PoolKind::Taught);
    let n_unlabelled = if uses_unlabelled { real.indices(Split::Train).len() } else { 0 };
    if threshold_channel.is_some() && real.meta.label_route() == Some(ROUTE) {
        notes.push("The labels of the real plate came from such a threshold themselves: arm pseudo_labels knows the truth.".into());
    }
    if uses_unlabelled && n_real.last() == Some(&n_unlabelled) {
        notes.push(
            "With all real sequences no unlabelled one is left: pseudo_labels trains on them as arm real does, and \
             self_training as real_strong."
                .into(),
        );
    }

    let n_synthetic = match settings.synthetic_sequences {
        0 => synthetic.wells.len(),
        limit => limit.min(synthetic.wells.len()),
    };
    Ok(BenchmarkPlan {
        notes,
        channels,
        real_label_route: real.meta.label_route().map(str::to_owned),
        synthetic_label_route: synthetic.meta.label_route().map(str::to_owned),
        n_real_train: train.len(),
        n_real,
        n_labels_of_generator,
        n_unlabelled,
        threshold_channel,
        n_synthetic,
        n_test: test.len(),
        test_groups: real.groups(&[Split::Test]).into_iter().map(|group| group.name).collect(),
        leaked_groups,
        single_movie: real.meta.single_movie,
    })
}

/// Returns the numbers of sequences that are there, rising, and those asked for that are more.
fn numbers(wanted: &[usize], there: usize) -> (Vec<usize>, Vec<usize>) {
    let all = |n: &usize| if *n == 0 { there } else { (*n).min(there) };
    let mut numbers: Vec<usize> = wanted.iter().map(all).collect();
    numbers.sort_unstable();
    numbers.dedup();
    (numbers, wanted.iter().copied().filter(|n| *n > there).collect())
}

/// Returns the channel that labels by threshold come from: the last one that shows fluorescence.
fn threshold_channel(real: &Plate) -> Result<String, BenchmarkError> {
    let shows = |channel: &&Channel| channel.modality() == Some(Modality::Fluorescence);
    real.meta.channels.iter().rev().find(shows).map(|channel| channel.name.clone()).ok_or_else(|| {
        BenchmarkError::input(
            format!(
                "{}: arm pseudo_labels needs fluorescence, and none of the channels ({}) is known to show it",
                real.path.display(),
                real.meta.channel_names().join(", ")
            ),
            "leave out the arm, or name the channel with `prepare --fluorescence`",
        )
    })
}

/// Returns whether the benchmark cannot go on: crops of both plates have one size whatever the frames have, but a
/// segmenter must not be tested on what the generator has seen.
fn refused(finding: &Finding, allow_leakage: bool) -> bool {
    match finding {
        Finding::Size { .. } => false,
        Finding::Leakage { .. } | Finding::SameNames { other_recording: None, .. } => !allow_leakage,
        _ => finding.severity() == Severity::Refuse,
    }
}

/// Returns what follows from the way in which the labels of the test sequences were made.
fn note_on_truth(route: Option<&str>) -> Option<String> {
    match route {
        Some("annotation") => None,
        Some("phantom_truth") => {
            Some("The truth is simulated (phantom_truth): the result says nothing about real cells.".into())
        }
        Some(route) => Some(format!(
            "The truth of the test sequences was made by {route}, not by people: scores tell how well that route is imitated."
        )),
        None => Some("The real plate does not say how its labels came about.".into()),
    }
}

/// What a segmenter sees of the plates.
pub struct View<'a> {
    /// Names of its channels.
    pub channels: &'a [String],
    /// Their calibration, that of the real plate for all.
    pub calibration: Vec<Calibration>,
    /// Label image.
    pub label: &'a str,
}

impl View<'_> {
    /// Reads sequences; `on_sequence` is called after each. The plate has the channels, see [`channel_indices`].
    ///
    /// # Errors
    /// [`BenchmarkError::Data`] for a damaged plate, [`BenchmarkError::Input`] without the label image.
    pub fn read(
        &self,
        plate: &Plate,
        indices: &[usize],
        on_sequence: &mut dyn FnMut(),
    ) -> Result<Vec<Labelled>, BenchmarkError> {
        let channels = channel_indices(&plate.meta, self.channels).unwrap_or_default();
        let mut sequences = Vec::with_capacity(indices.len());
        for &index in indices {
            let (well, meta) = &plate.wells[index];
            let mut sequence = plate.read(index)?;
            let counts: Array4<u16> = sequence.image.select(Axis(1), &channels);
            let labels = sequence.labels.remove(self.label).ok_or_else(|| {
                BenchmarkError::input(format!("no labels {}", self.label), "prepare the plate again").at(well)
            })?;
            let (name, group) = (well.clone(), meta.split_group.clone());
            sequences.push(Labelled::new(name, group, counts.view(), labels.ids, &self.calibration));
            on_sequence();
        }
        Ok(sequences)
    }
}

/// Returns the real training sequences whose labels may be used beside a synthetic plate: all, or those that its
/// generator learned its labels from. As indices into the real plate.
///
/// # Errors
/// [`BenchmarkError::Input`] where one of these is not there.
pub fn training(real: &Plate, synthetic: &Plate) -> Result<Vec<usize>, BenchmarkError> {
    if synthetic.meta.labelled.is_empty() {
        return Ok(real.indices(Split::Train));
    }
    labelled::find(real, &synthetic.meta.labelled).map_err(|missing| {
        BenchmarkError::input(
            format!(
                "{}: the labels of {} were learned from a sequence that is not there, {} frame {}",
                real.path.display(),
                synthetic.path.display(),
                missing.source,
                missing.first_frame
            ),
            "compare with the plate that the generator was trained on",
        )
    })
}

/// Returns the positions of channels in a plate.
///
/// # Errors
/// The first name that is not there.
pub fn channel_indices(meta: &PlateMeta, names: &[String]) -> Result<Vec<usize>, String> {
    names
        .iter()
        .map(|name| meta.channels.iter().position(|c| c.name == *name).ok_or_else(|| name.clone()))
        .collect()
}

/// Returns the calibrations of channels that are there.
pub fn calibrations(meta: &PlateMeta, names: &[String]) -> Vec<Calibration> {
    let find = |name: &String| meta.channels.iter().find(|c| c.name == *name).map(|c| c.calibration);
    names.iter().filter_map(find).collect()
}

/// Returns the real training sequences without their labels, with those that a threshold of a channel gives instead.
fn unlabelled(
    real: &Plate,
    view: &View,
    channel: Option<&String>,
    on_sequence: &mut dyn FnMut(),
) -> Result<Vec<Labelled>, BenchmarkError> {
    let indices = real.indices(Split::Train);
    let mut sequences = view.read(real, &indices, on_sequence)?;
    for sequence in &mut sequences {
        sequence.labels.fill(0);
    }
    let Some(channel) = channel else { return Ok(sequences) };
    let name = std::slice::from_ref(channel);
    let fluorescence =
        View { channels: name, calibration: calibrations(&real.meta, name), label: view.label };
    let bright: Vec<Labelled> = fluorescence.read(real, &indices, &mut || ())?;
    let planes =
        bright.iter().flat_map(|s| s.image.outer_iter().map(|frame| frame.index_axis_move(Axis(0), 0)));
    let Some(settings) = RouteSettings::estimate(planes).filter(RouteSettings::finds_two_classes) else {
        return Err(BenchmarkError::input(
            format!("{}: no threshold parts cells from background in channel {channel}", real.path.display()),
            "leave out arm pseudo_labels",
        ));
    };
    for (sequence, bright) in sequences.iter_mut().zip(bright) {
        sequence.labels = label_sequence(bright.image.index_axis(Axis(1), 0), &settings).ids;
    }
    Ok(sequences)
}

/// Reads the sequences of a plan; `on_sequence` is called after each of
/// `n_real_train + n_unlabelled + n_synthetic + n_test`.
///
/// Counts of both plates are read with the calibration of the real one. Everything is kept in memory: about 12 bytes
/// per pixel and frame.
///
/// # Errors
/// [`BenchmarkError::Data`] for damaged plates, [`BenchmarkError::Input`] where test or training have no object.
pub fn read(
    real: &Plate,
    synthetic: &Plate,
    plan: &BenchmarkPlan,
    settings: &BenchmarkSettings,
    on_sequence: &mut dyn FnMut(),
) -> Result<Material, BenchmarkError> {
    let view = View {
        channels: &plan.channels,
        calibration: calibrations(&real.meta, &plan.channels),
        label: &settings.label,
    };
    let synthetic_indices: Vec<usize> = (0..plan.n_synthetic).collect();
    let material = Material {
        real: view.read(real, &training(real, synthetic)?, on_sequence)?,
        unlabelled: if plan.n_unlabelled > 0 {
            unlabelled(real, &view, plan.threshold_channel.as_ref(), on_sequence)?
        } else {
            Vec::new()
        },
        synthetic: view.read(synthetic, &synthetic_indices, on_sequence)?,
        test: view.read(real, &real.indices(Split::Test), on_sequence)?,
    };
    for (what, sequences) in
        [("real train", &material.real), ("synthetic", &material.synthetic), ("test", &material.test)]
    {
        if sequences.iter().all(|s| s.labels.iter().all(|&id| id == 0)) {
            return Err(BenchmarkError::input(
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
