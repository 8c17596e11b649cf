//! The training loop.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tch::{Device, Tensor};

use super::checkpoint::{self, Identity};
use super::health::{Health, expect_finite};
use super::inputs::Inputs;
use super::iteration::iterate;
use super::loader::{Dataset, Symmetry};
use super::schedule;
use super::state::State;
use super::stats;
use super::steps::Steps;
use super::{TrainingError, samples, tensorboard};
use lapsegan_core::error::DataError;
use lapsegan_core::error::Exit;

/// Everything a run works on.
#[derive(Debug)]
pub struct Run<'a> {
    /// The run folder.
    pub folder: &'a Path,
    /// Configuration, seed, data description.
    pub identity: Identity,
    /// The training split.
    pub dataset: Dataset,
    /// Where the tensors are.
    pub device: Device,
    /// Longest time between checkpoints.
    pub checkpoint_interval: Duration,
    /// Stop, with a checkpoint, after this time.
    pub time_budget: Option<Duration>,
}

/// Progress of the loop, reported to the caller of [`train`].
#[derive(Debug)]
pub enum TrainingEvent {
    /// An iteration is done: kimg so far.
    Progress(f64),
    /// A tick is done.
    Tick {
        /// Kimg so far.
        kimg: f64,
        /// Seconds per kimg during the tick.
        seconds_per_kimg: f64,
        /// Means of losses and gradient norms over the tick.
        means: Vec<(&'static str, f64)>,
    },
}

/// Brings a run folder to the state that the loop starts from: nothing that was recorded later, and a checkpoint.
///
/// # Errors
/// What writing says.
pub fn begin(folder: &Path, state: &State, identity: &Identity, device: Device) -> Result<(), TrainingError> {
    stats::truncate(folder, state.kimg())?;
    tensorboard::truncate(folder, state.sequences_seen)?;
    if state.sequences_seen == 0 {
        let _ = write_samples(folder, state, identity, device)?;
        checkpoint::save(&folder.join("checkpoints"), state, identity)?;
    }
    Ok(())
}

/// Trains until the configured kimg, and returns the last checkpoint.
///
/// The run folder was prepared by [`begin`]. `steps` executes the phases. `stop` is asked once per iteration; a reason makes the loop write a checkpoint and return
/// [`TrainingError::Stopped`].
///
/// # Errors
/// [`TrainingError::Diverged`] where a loss is no number any more, [`TrainingError::Collapsed`], and what writing says.
pub fn train(
    run: &Run,
    state: &mut State,
    steps: &mut Steps,
    stop: &dyn Fn() -> Option<(String, Exit)>,
    watch: &mut dyn FnMut(TrainingEvent),
) -> Result<PathBuf, TrainingError> {
    let config = &run.identity.config.training;
    let symmetry = Symmetry { mirror: config.mirror, dihedral: config.dihedral };
    let checkpoints = run.folder.join("checkpoints");
    let goal = (config.kimg * 1000.0).ceil() as u64;
    let tick = (config.tick_kimg * 1000.0).max(1.0) as u64;
    let channels = run.identity.data.channels.iter().map(|channel| channel.name.clone());
    let maps = run.identity.config.model.label_maps.iter().map(|map| format!("{map:?}").to_lowercase());
    // Sequences without labels have no spread of these.
    let maps = maps.take(if config.labels.every > 0 { 0 } else { usize::MAX });
    let watched: Vec<String> = channels.chain(maps).collect();
    let n_watched = watched.len() as i64;
    let mut health = Health::new(watched);
    let started = Instant::now();
    let (mut tick_started, mut tick_seen) = (Instant::now(), state.sequences_seen);
    let mut last_checkpoint = Instant::now();

    while state.sequences_seen < goal {
        // The batch and all draws follow from the iteration alone.
        state.iteration += 1;
        let moment = schedule::moment(state.iteration, config);
        let real = run.dataset.batch(state.iteration - 1, config.batch, symmetry, &config.labels);
        let weight = run.dataset.trap_weights.as_ref().filter(|_| moment.trap);
        let inputs =
            Inputs { config, moment, run_seed: run.identity.seed, iteration: state.iteration, real: &real };
        iterate(&inputs, weight, state, steps)?;
        state.sequences_seen += config.batch as u64;
        watch(TrainingEvent::Progress(state.kimg()));

        let done = state.sequences_seen >= goal;
        if done || state.sequences_seen / tick > (state.sequences_seen - config.batch as u64) / tick {
            let mut means = state.since_tick.take();
            expect_finite(&means, state.kimg())?;
            health.check_discriminator(&means, config.r1_gamma, state.kimg());
            let samples = write_samples(run.folder, state, &run.identity, run.device)?;
            let [real, generated] =
                [run.dataset.some(samples.size()[0]), samples].map(|x| x.narrow(1, 0, n_watched));
            means.extend(health.check(&real, &generated, state.kimg())?);
            means.push(("ada_p", if config.ada.enabled { state.ada.p } else { 0.0 }));
            if config.labels.every > 0 && config.ada.enabled {
                means.push(("ada_p_labels", state.labels_ada.p));
            }
            let seconds = tick_started.elapsed().as_secs_f64();
            let seconds_per_kimg = seconds / ((state.sequences_seen - tick_seen) as f64 / 1000.0);
            stats::append(run.folder, state.kimg(), seconds_per_kimg, &means)?;
            tensorboard::append(run.folder, state.sequences_seen, seconds_per_kimg, &means)?;
            watch(TrainingEvent::Tick { kimg: state.kimg(), seconds_per_kimg, means });
            (tick_started, tick_seen) = (Instant::now(), state.sequences_seen);
        }

        let budget_used = run.time_budget.filter(|budget| started.elapsed() >= *budget);
        let reason =
            stop().or_else(|| budget_used.map(|_| ("time budget used".to_owned(), Exit::TimeBudget)));
        if !done && (reason.is_some() || last_checkpoint.elapsed() >= run.checkpoint_interval) {
            // A checkpoint of a diverged state would replace one that can still be used.
            expect_finite(&state.since_tick.peek(), state.kimg())?;
            checkpoint::save(&checkpoints, state, &run.identity)?;
            checkpoint::prune(&checkpoints, config.keep_checkpoints)?;
            last_checkpoint = Instant::now();
        }
        if let Some((reason, exit)) = reason.filter(|_| !done) {
            return Err(TrainingError::Stopped { reason, kimg: state.kimg(), exit });
        }
    }
    let last = checkpoint::save(&checkpoints, state, &run.identity)?;
    checkpoint::prune(&checkpoints, config.keep_checkpoints)?;
    Ok(last)
}

/// Writes the sample grid and returns its sequences. `[N, C, T, H, W]`
fn write_samples(
    folder: &Path,
    state: &State,
    identity: &Identity,
    device: Device,
) -> Result<Tensor, TrainingError> {
    let folder = folder.join("samples");
    std::fs::create_dir_all(&folder).map_err(DataError::io(&folder))?;
    let path = folder.join(format!("kimg_{:010.3}.png", state.kimg()));
    samples::write(&path, &state.generator_ema.net, &identity.data, identity.seed, device)
}
