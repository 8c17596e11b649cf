//! The evaluation from plates to results.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::EvaluationError;
use super::baseline::MeanImage;
use super::draws::{keyed_rng, pick, pick_by_group};
use super::memorisation::search::{self, Searched, memorisation};
use super::pool::{self, Pool, Stack};
use super::protocol::{ComparisonPlan, Plates, name};
use super::result::{BySet, ChannelResult, Curves, Draws, Evaluation, Protocol, findings, metric_results};
use super::settings::Settings;
use super::statistics::{self, Named, OF_CHANNEL, OF_CHANNELS, OF_OBJECTS, Typical};
use super::suite::{self, Metric, Summary, Texture};
use crate::plate::Calibration;
use crate::seed::Stream;

/// Bins of the histograms in reports.
const BINS: usize = 64;

/// Name of the results of all channels together.
pub const ALL_CHANNELS: &str = "all channels";
/// Name of the results of the labelled objects.
pub const OBJECTS: &str = "objects";

/// Directions are this many times fewer in draws of halves, which only serve standard errors.
const FEWER_DIRECTIONS: usize = 4;

/// The sequences of one draw.
struct Sets {
    reference: Pool,
    /// Name and sequences, in the order synthetic, training, baseline, untrained.
    others: Vec<(&'static str, Pool)>,
}

/// Returns how many steps [`evaluate`] has: sequences to read, channels to compare in each draw, and sequences that look
/// for their nearest.
pub fn steps(plates: &Plates, plan: &ComparisonPlan, settings: &Settings) -> u64 {
    let reads = plan.reference.read + plan.training.read + plan.synthetic.read;
    let reads = reads + plan.untrained.as_ref().map_or(0, |p| p.read);
    let scopes = scopes(plates.real.meta.channels.len(), plan.label.is_some()).len();
    (reads + (settings.draws + settings.half_draws) * scopes) as u64 + search::steps(plan)
}

/// Compares plates as planned.
///
/// `progress` is called with the number of steps done, from several threads.
///
/// # Errors
/// [`EvaluationError::Data`] where a sequence cannot be read.
pub fn evaluate(
    plates: &Plates,
    plan: &ComparisonPlan,
    settings: &Settings,
    seed: u64,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Evaluation, EvaluationError> {
    let meta = &plates.real.meta;
    let calibrations: Vec<Calibration> = meta.channels.iter().map(|c| c.calibration).collect();
    let label = plan.label.as_deref();
    let scopes = scopes(calibrations.len(), label.is_some());
    let done = AtomicU64::new(0);
    let tick = || progress(done.fetch_add(1, Ordering::Relaxed) + 1);

    let reference = pool::read(plates.real, &plan.reference.indices, &calibrations, label, &tick)?;
    let training = pool::read(plates.real, &plan.training.indices, &calibrations, label, &tick)?;
    let synthetic = pool::read(plates.synthetic, &plan.synthetic.indices, &calibrations, label, &tick)?;
    let untrained = match (plates.untrained, &plan.untrained) {
        (Some(plate), Some(part)) => Some(pool::read(plate, &part.indices, &calibrations, label, &tick)?),
        _ => None,
    };
    let searched = Searched { synthetic: &synthetic, training: &training, held_out: &reference };
    let memorisation = memorisation(searched, plates, plan, seed, &tick);
    let means: Vec<MeanImage> = training.stacks.iter().map(MeanImage::of).collect();

    let mut full = vec![Draws::default(); scopes.len()];
    let mut halves = full.clone();
    let mut shown = Vec::new();
    for draw in 0..settings.draws {
        let drawn = |pool: &Pool, index: usize| {
            let picks = pick(&mut keyed_rng(seed, Stream::RealismPicks, draw, index), pool.len(), plan.n);
            pool.select(&picks)
        };
        let baseline = means
            .iter()
            .enumerate()
            .map(|(c, m)| m.draw(&mut keyed_rng(seed, Stream::RealismNoise, draw, c), plan.n));
        let mut others = vec![
            ("synthetic", drawn(&synthetic, 2)),
            ("training", drawn(&training, 1)),
            ("baseline", Pool::independent(baseline.collect())),
        ];
        others.extend(untrained.as_ref().map(|pool| ("untrained", drawn(pool, 3))));
        let sets = Sets { reference: drawn(&reference, 0), others };
        let texture = Texture {
            patches_per_image: settings.swd_patches.min(settings.swd_max_patches.div_ceil(plan.images)),
            directions: settings.swd_directions,
            seed,
            draw,
        };
        let first = score(&sets, &texture, &scopes, &mut full, &tick);
        if draw == 0 {
            shown = first;
        }
        for half in (draw..settings.half_draws).step_by(settings.draws) {
            let texture = Texture {
                directions: texture.directions.div_ceil(FEWER_DIRECTIONS),
                draw: settings.draws + half,
                ..texture
            };
            score(&sets.half(seed, half), &texture, &scopes, &mut halves, &tick);
        }
    }

    let metrics: Vec<Vec<Metric>> =
        scopes.iter().map(|scope| scope.metrics(meta.frames, meta.height, meta.width)).collect();
    let channels = scopes.iter().zip(&metrics).zip(full.iter().zip(&halves)).zip(shown).map(
        |(((scope, metrics), (full, halves)), shown)| {
            let metrics = metric_results(metrics, full, halves, plan.n / 2, plan.n);
            let name = match scope {
                Scope::Channel(channel) => meta.channels[*channel].name.clone(),
                Scope::Together => ALL_CHANNELS.to_owned(),
                Scope::Objects => OBJECTS.to_owned(),
            };
            let (curves, typical) = (shown.curves, shown.typical);
            ChannelResult { name, findings: findings(&metrics), metrics, typical, curves }
        },
    );
    Ok(Evaluation {
        format: 1,
        program: "evaluate",
        real: name(&plates.real.path),
        synthetic: name(&plates.synthetic.path),
        untrained: plates.untrained.map(|p| name(&p.path)),
        protocol: Protocol { plan: plan.clone(), seed, settings: *settings },
        warnings: plan.warnings.iter().cloned().chain(memorisation.warning()).collect(),
        definitions: metrics.iter().flatten().map(|m| (m.key.clone(), m.definition.clone())).collect(),
        channels: channels.collect(),
        memorisation,
        features: None,
    })
}

/// What is compared at a time.
#[derive(Clone, Copy, Debug)]
enum Scope {
    /// One channel.
    Channel(usize),
    /// All channels together.
    Together,
    /// The labelled objects.
    Objects,
}

/// Returns what there is to compare.
fn scopes(channels: usize, objects: bool) -> Vec<Scope> {
    let mut all: Vec<Scope> = (0..channels).map(Scope::Channel).collect();
    all.extend((channels > 1).then_some(Scope::Together));
    all.extend(objects.then_some(Scope::Objects));
    all
}

impl Scope {
    fn metrics(self, frames: usize, height: usize, width: usize) -> Vec<Metric> {
        fn of<F>(all: &[(Named, F)]) -> impl Iterator<Item = Metric> {
            all.iter().map(|(named, _)| named.metric())
        }
        match self {
            Self::Channel(_) => {
                suite::metrics(frames, height, width).into_iter().chain(of(OF_CHANNEL)).collect()
            }
            Self::Together => {
                suite::texture_metrics(height, width).into_iter().chain(of(OF_CHANNELS)).collect()
            }
            Self::Objects => of(OF_OBJECTS).collect(),
        }
    }
}

/// What the page shows of a scope, of the first draw.
#[derive(Default)]
struct Shown {
    curves: Option<Curves>,
    typical: Vec<Typical>,
}

impl Sets {
    fn synthetic(&self) -> Option<&Pool> {
        self.others.iter().find(|(set, _)| *set == "synthetic").map(|(_, pool)| pool)
    }

    /// Returns a seeded half of every set: half of its groups, because sequences of one group resemble each other.
    fn half(&self, seed: u64, half: usize) -> Self {
        let of = |pool: &Pool, index: usize| {
            let mut rng = keyed_rng(seed, Stream::RealismHalves, half, index);
            pool.select(&pick_by_group(&mut rng, &pool.groups, pool.len() / 2))
        };
        let others = self.others.iter().enumerate().map(|(i, (set, pool))| (*set, of(pool, i + 1)));
        Self { reference: of(&self.reference, 0), others: others.collect() }
    }
}

/// Adds the scores of every scope and returns what is shown of them.
fn score(
    sets: &Sets,
    texture: &Texture,
    scopes: &[Scope],
    draws: &mut [Draws],
    tick: &dyn Fn(),
) -> Vec<Shown> {
    let scored = scopes.iter().zip(draws).map(|(scope, draws)| {
        let shown = match *scope {
            Scope::Channel(channel) => score_channel(sets, texture, channel, draws),
            Scope::Together => score_together(sets, texture, draws),
            Scope::Objects => score_objects(sets, draws),
        };
        tick();
        shown
    });
    scored.collect()
}

/// Adds the scores of one channel.
fn score_channel(sets: &Sets, texture: &Texture, channel: usize, draws: &mut Draws) -> Shown {
    let named = statistics::names(OF_CHANNEL);
    let like = &sets.reference.stacks[channel];
    let reference = suite::summarise(like, texture, channel, 0);
    let mut summaries = vec![("reference", reference)];
    for (set, pool) in &sets.others {
        let stack = &pool.stacks[channel];
        let summary = suite::summarise(stack, texture, channel, 1);
        let mut scores = suite::compare(&summaries[0].1, &summary, like);
        scores.extend(statistics::compare(&named, &like.samples, &stack.samples));
        record(draws, set, scores);
        summaries.push((set, summary));
    }
    let typical = sets.synthetic().map_or_else(Vec::new, |synthetic| {
        statistics::typical(&named, &like.samples, &synthetic.stacks[channel].samples)
    });
    Shown { curves: Some(curves(&summaries, &like.calibration)), typical }
}

/// Adds the scores of all channels together.
fn score_together(sets: &Sets, texture: &Texture, draws: &mut Draws) -> Shown {
    let named = statistics::names(OF_CHANNELS);
    let index = sets.reference.stacks.len();
    let side = sets.reference.stacks.first().map_or(0, Stack::side);
    let joint =
        |pool: &Pool, side| suite::projections(&pool.stacks.iter().collect::<Vec<_>>(), texture, index, side);
    let reference = joint(&sets.reference, 0);
    for (set, pool) in &sets.others {
        let mut scores = suite::compare_textures(&reference, &joint(pool, 1), side);
        scores.extend(statistics::compare(&named, &sets.reference.together, &pool.together));
        record(draws, set, scores);
    }
    let typical = sets.synthetic().map_or_else(Vec::new, |synthetic| {
        statistics::typical(&named, &sets.reference.together, &synthetic.together)
    });
    Shown { curves: None, typical }
}

/// Adds the scores of the labelled objects; sets without labels have none.
fn score_objects(sets: &Sets, draws: &mut Draws) -> Shown {
    let named = statistics::names(OF_OBJECTS);
    let Some(reference) = &sets.reference.objects else { return Shown::default() };
    for (set, pool) in &sets.others {
        if let Some(objects) = &pool.objects {
            record(draws, set, statistics::compare(&named, reference, objects).into_iter().collect());
        }
    }
    let synthetic = sets.synthetic().and_then(|pool| pool.objects.as_ref());
    let typical = synthetic.map_or_else(Vec::new, |objects| statistics::typical(&named, reference, objects));
    Shown { curves: None, typical }
}

fn record(draws: &mut Draws, set: &str, scores: suite::MetricValues) {
    let scores_of = match set {
        "synthetic" => &mut draws.value,
        "training" => &mut draws.floor,
        "baseline" => &mut draws.baseline,
        _ => &mut draws.untrained,
    };
    scores_of.push(scores);
}

fn curves(summaries: &[(&'static str, Summary)], calibration: &Calibration) -> Curves {
    // The widest of real and synthetic changes, without the last 0.2 %, fills the plot.
    let shown = summaries.iter().filter(|(set, _)| matches!(*set, "reference" | "synthetic"));
    let up_to = shown.map(|(_, s)| s.change.quantile(calibration, 0.998)).fold(0.0, f64::max);
    // One count at least, so that frames that never change still have a histogram.
    let up_to = up_to.max(1.0 / (calibration.hi - calibration.lo));
    let by_set = |of: &dyn Fn(&Summary) -> Vec<f64>| -> BySet {
        summaries.iter().map(|(set, s)| (*set, of(s))).collect()
    };
    let change = by_set(&|s| shares(s.change.binned(calibration, BINS, up_to)));
    let changes = change.values().flatten().any(|share| *share > 0.0);
    Curves {
        spectrum: by_set(&|s| s.power.to_vec()),
        intensity: by_set(&|s| shares(s.intensity.binned(calibration, BINS))),
        change: if changes { change } else { BTreeMap::new() },
        change_up_to: up_to,
    }
}

fn shares(mut counts: Vec<f64>) -> Vec<f64> {
    let total: f64 = counts.iter().sum();
    if total > 0.0 {
        for n in &mut counts {
            *n /= total;
        }
    }
    counts
}
