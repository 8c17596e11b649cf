//! What a training is determined by: flags, settings and plate, checked and put together before anything is made.

use tch::Device;

use super::train::RunArgs;
use crate::cli::precision;
use crate::driver;
use crate::graphs::Graphs;
use crate::model::size::{Use, expect_room};
use crate::model::{LabelLearning, Precision};
use crate::training::checkpoint::Identity;
use crate::training::micro_batch::{MicroBatch, bytes_per_sequence, fit};
use crate::training::{Config, Preset};
use lapsegan_core::cli::{Common, Failure, settings};
use lapsegan_core::error::{DataError, Exit};
use lapsegan_core::labels::maps::MappedLabels;
use lapsegan_core::memory;
use lapsegan_core::plate::digest::Digest;
use lapsegan_core::plate::labelled::LabelledSequence;
use lapsegan_core::plate::{Origin, Plate, Split};

/// Share of the memory that is left which `training.micro_batch = "auto"` takes for activations: on a GPU, whose memory
/// is the run's, and in a machine, where others work too.
const GPU_SHARE: f64 = 0.7;
const MACHINE_SHARE: f64 = 0.5;

/// One of so many sequences of a batch has labels, where not all have them.
const EVERY: usize = 4;

/// Returns the arithmetic of the run: what it was begun with, where `auto` goes on, else what this device is fast in.
pub(super) fn arithmetic(args: &RunArgs, wanted: Precision, device: Device) -> Result<Precision, Failure> {
    let begun = || {
        let from = args.resume.as_ref()?;
        precision::of_run(&args.output).or_else(|| precision::of_run(from.as_deref()?))
    };
    let wanted = if wanted == Precision::Auto { begun().unwrap_or(wanted) } else { wanted };
    precision::resolve(wanted, device, args.allow_slow_bfloat16)
}

/// Returns the bytes that a run may still take on its device; `None` where nobody tells.
pub(super) fn free_memory(device: Device) -> Option<u64> {
    match device {
        Device::Cuda(index) => driver::memory(index).map(|[free, _]| free),
        _ => memory::available(),
    }
}

/// Returns how many sequences of a batch are taken at once, where the settings leave that to the program.
pub(super) fn part_that_fits(config: &Config, device: Device) -> MicroBatch {
    let share = match (device, config.training.graphs) {
        (Device::Cpu, _) => MACHINE_SHARE,
        (_, Graphs::Off) => GPU_SHARE,
        // Recorded steps keep memory of their own beside what others use once.
        _ => GPU_SHARE / 2.0,
    };
    let available = free_memory(device).map_or(f64::INFINITY, |bytes| bytes as f64 * share);
    let size = fit(config, available);
    tracing::info!(
        "training.micro_batch: {size} of {} sequences at once, about {:.1} GiB",
        config.training.batch,
        size as f64 * bytes_per_sequence(config) / f64::from(1 << 30)
    );
    MicroBatch::Size(size)
}

/// Returns the configuration, and the labels that it learns. A config file is complete, so the preset under it does not
/// matter.
pub(super) fn resolve(
    args: &RunArgs,
    common: &Common,
    plate: &Plate,
) -> Result<(Config, MappedLabels), Failure> {
    let meta = &plate.meta;
    if meta.height != meta.width || !meta.width.is_power_of_two() || meta.width < 8 {
        return Err(DataError::Metadata {
            path: args.data.clone(),
            field: "lapsegan.height, lapsegan.width".into(),
            found: format!(
                "{} x {}, expected a square of 8 px or a larger power of two",
                meta.height, meta.width
            ),
        }
        .into());
    }
    let labels = || {
        MappedLabels::choose(&meta.labels, args.label.as_deref())
            .map_err(|source| DataError::Label { path: args.data.clone(), source })
    };
    let mut base = args.preset.unwrap_or(Preset::Auto).config(meta.channels.len(), meta.frames, meta.width);
    if args.label_domain || args.label.is_some() || args.labelled.is_some() {
        base.model.label_maps = labels()?.maps();
    }
    if args.labelled.is_some() {
        base.model.label_learning = LabelLearning::Read;
        base.training.labels.every = EVERY;
    }
    let config = settings::resolve(&base, common.config.as_deref(), &common.set, &args.flags)?;
    config.validate()?;
    expect_room(&config.model, Use::Train)?;
    // A config file may ask for label maps too.
    let mapped = if config.model.label_maps.is_empty() { MappedLabels::default() } else { labels()? };
    expect_fit(&config, plate)?;
    Ok((config, mapped))
}

/// Returns the sequences whose labels are learned, counted within the training part; `None` where these are all.
pub(super) fn labelled_sequences(
    args: &RunArgs,
    common: &Common,
    plate: &Plate,
    (config, mapped): (&Config, &MappedLabels),
) -> Result<Option<Vec<usize>>, Failure> {
    if config.model.label_learning == LabelLearning::All {
        return match &args.labelled {
            None => Ok(None),
            Some(_) => Err(Failure::usage(
                "--labelled: the configuration learns from the labels of all sequences",
                "leave out --config, or --labelled",
            )),
        };
    }
    let Some(labelled) = &args.labelled else {
        return Err(Failure::usage(
            "the configuration learns labels from some sequences only, and none are named",
            "say which with --labelled",
        ));
    };
    let training = plate.indices(Split::Train);
    if plate.meta.origin == Origin::Synthetic {
        return Err(Failure::usage(
            "--labelled: the plate is synthetic, and all of its sequences have labels",
            "train on all of them with --label-domain",
        ));
    }
    let objects = mapped.objects.as_ref().map(|label| label.name.as_str());
    let chosen = labelled.choose(plate, objects, common.seed)?;
    tracing::info!("labels are learned from {} of {} training sequences", chosen.len(), training.len());
    Ok(Some(chosen.iter().filter_map(|index| training.iter().position(|i| i == index)).collect()))
}

/// Returns the paths in the plate of the sequences whose labels are learned; `None` where these are all, or none are.
pub(super) fn labelled_names(plate: &Plate, labelled: Option<&[usize]>) -> Option<Vec<String>> {
    let training = plate.indices(Split::Train);
    labelled.map(|chosen| chosen.iter().map(|&i| plate.wells[training[i]].0.clone()).collect())
}

/// Refuses a configuration for data of another form.
fn expect_fit(config: &Config, plate: &Plate) -> Result<(), Failure> {
    let (model, meta) = (&config.model, &plate.meta);
    let data = (meta.channels.len(), meta.frames, meta.width);
    if (model.domains, model.frames, model.resolution) == data {
        return Ok(());
    }
    Err(Failure {
        message: format!(
            "configuration is for {} channels, {} frames, {} px; {} has {}, {}, {} px",
            model.domains,
            model.frames,
            model.resolution,
            plate.path.display(),
            data.0,
            data.1,
            data.2
        ),
        hint: Some("use the config of a run on this data, or leave out --config".into()),
        exit: Exit::BadInput,
        findings: None,
    })
}

pub(super) fn identify(
    plate: &Plate,
    config: Config,
    mapped: MappedLabels,
    labelled: Option<&[usize]>,
    common: &Common,
) -> Result<Identity, Failure> {
    let mut data = plate.meta.clone();
    let training = plate.indices(Split::Train);
    let named = |&i: &usize| LabelledSequence::of(&plate.wells[training[i]].1);
    let synthetic = data.origin == Origin::Synthetic;
    if !synthetic {
        // Of a synthetic plate these are the ones that its own generator learned labels from.
        data.labelled = labelled.into_iter().flatten().map(named).collect();
    }
    (data.trained_on, data.groups) = (plate.training_groups(), Vec::new());
    data.history_unknown |= synthetic && data.trained_on.is_empty();
    let data_sha256 = Digest::of(&plate.path)?.sha256;
    Ok(Identity { config, seed: common.seed, threads: common.thread_count(), data, mapped, data_sha256 })
}
