//! `generate interpolate`: a walk through the latent space, as a plate and as an animation.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use clap::Args;
use serde_json::json;

use super::plate::{LatentArgs, Making, PlateArgs, SamplingFlags, Setup, dry_run, fields, noted};
use crate::generation::GenerationSettings;
use crate::generation::latent::{self, SequenceKey};
use crate::generation::latents::Noise;
use crate::generation::picks::{Chosen, Picks};
use crate::generation::run::Generation;
use crate::generation::scenes::GivenScenes;
use crate::generation::walk::{self, Points, Space, WalkCurve};
use lapsegan_core::cli::preview::{self, SHEET_SEQUENCES};
use lapsegan_core::cli::words::words;
use lapsegan_core::cli::{Common, Failure, Outcome};
use lapsegan_core::report::{Animation, AnimationForm, Panel, ReportError, overview};

/// Names of the animations in the plate.
const WALK_PNG: &str = "walk.png";
const WALK_GIF: &str = "walk.gif";

/// Most sequences of a walk.
const MOST_POINTS: usize = 100_000;

/// Walk from sequence to sequence through the latent space
///
/// Writes a plate whose wells are the steps of the walk, in order, and inside it walk.png, an animation (APNG) that
/// browsers and slide programmes play: time to the right, channels downwards, labels as outlines. Sequences are named by
/// their numbers, as on the contact sheet of a plate that `generate` made with the same --seed.
#[derive(Args, Debug)]
pub(super) struct InterpolateArgs {
    #[command(flatten)]
    plate: PlateArgs,

    #[command(flatten)]
    latents: LatentArgs,

    /// Sequences to walk through: 0,4,8-11; SEED:NUMBER for another seed [default: 0-5]
    #[arg(long, value_name = "LIST", help_heading = "Walk")]
    sequences: Option<Picks>,

    /// Which latents are walked through [default: w]
    #[arg(long, value_parser = words(&Space::WORDS), help_heading = "Walk")]
    space: Option<String>,

    /// How points lie between sequences [default: linear in w, slerp in z]
    #[arg(long, value_parser = words(&WalkCurve::WORDS), help_heading = "Walk")]
    curve: Option<String>,

    /// Steps from each sequence to the next [default: 12]
    #[arg(long, value_name = "N", help_heading = "Walk", conflicts_with = "points")]
    steps: Option<usize>,

    /// Points of the whole walk instead, both ends included
    #[arg(long, value_name = "N", help_heading = "Walk")]
    points: Option<usize>,

    /// Go back to the first sequence at the end
    #[arg(long = "loop", help_heading = "Walk")]
    closed: bool,

    /// Noise of the layers along the way [default: fixed]
    #[arg(long, value_parser = words(&NOISE), help_heading = "Walk")]
    noise: Option<String>,

    /// As the published script: 16 sequences, straight in z, 1600 points, stored noise, 60 a second
    ///
    /// Each of these can still be given by its flag.
    #[arg(long, help_heading = "Walk")]
    original: bool,

    /// Steps a second in the animation [default: 12]
    #[arg(long, value_name = "N", help_heading = "Output", value_parser = clap::value_parser!(u16).range(1..=100))]
    fps: Option<u16>,

    /// Also write the animation as walk.gif, for programmes that do not play APNG; 256 colours a frame
    #[arg(long, help_heading = "Output")]
    gif: bool,

    #[command(flatten)]
    sampling: SamplingFlags,

    #[command(flatten)]
    pub(super) common: Common,
}

/// Words of `--noise`.
const NOISE: [(&str, &str); 3] = [
    ("fixed", "That of the first sequence"),
    ("varying", "Another at every step"),
    ("stored", "The generator's own, as the published script does"),
];

pub(super) const EXAMPLES: &str = "\
Examples:
  generate interpolate --checkpoint run --output walk.ome.zarr --sequences 7,12,19 --loop --gif
  generate interpolate --checkpoint run --latents kept.ome.zarr --output walk.ome.zarr --curve cubic";

/// The walk as it was asked for.
struct Plan {
    sequences: Picks,
    space: Space,
    curve: WalkCurve,
    points: Points,
    noise: String,
    per_second: u16,
    positions: Vec<f64>,
}

/// Runs the command.
pub(super) fn execute(args: &InterpolateArgs) -> Outcome {
    let common = &args.common;
    let plan = Plan::new(args)?;
    let slow = args.sampling.allow_slow_bfloat16;
    let mut setup =
        Setup::new(&GenerationSettings::standard(), &args.plate, &args.sampling, slow, common, |files| {
            args.latents.add(files)
        })?;
    setup.settings.count = plan.positions.len() as u64;
    let latents = setup.latents(&args.latents)?;
    let walk = json!({ "walk": {
        "sequences": plan.sequences.0.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "space": plan.space,
        "curve": plan.curve,
        "points": plan.points,
        "loop": args.closed,
        "noise": plan.noise,
        "fps": plan.per_second,
    }});
    setup.request(common.seed, None).labels()?;
    if common.dry_run {
        return Ok(dry_run(&setup, &args.plate.output, plan.positions.len(), fields(walk)));
    }
    setup.warn_of_no_labels(common)?;
    setup.record.input("checkpoint", &setup.checkpoint.path)?;
    let generation = setup.request(common.seed, None).open(setup.device)?;
    let latents = args.latents.latents.as_deref().zip(latents);
    let chosen = plan.sequences.find(generation.sampler(), common.seed, latents)?;
    let names = plan.names(&chosen);
    let scenes = plan.scenes(&generation, &chosen, args.closed, common.seed);
    let generation = generation.drawing(scenes, names);

    let note = format!("a walk in {} through {}", plan.space.word(), chosen.names.join(", "));
    let making = Making::begin(&args.plate, common, noted(&generation, note), plan.positions.len())?;
    let film = Mutex::new(Film::new(making.writer.folder(), plan.positions.len(), plan.per_second, args.gif));
    making.write_all(&generation, &|index, sequence| {
        let width = plan.positions.len().to_string().len();
        let caption = format!("{:>width$}/{}", index + 1, plan.positions.len());
        let panel = preview::panel(caption, &making.meta, sequence);
        film.lock().unwrap_or_else(PoisonError::into_inner).take(index, panel);
    })?;
    let sheet = film.into_inner().unwrap_or_else(PoisonError::into_inner).finish()?;
    if args.latents.save_latents {
        making.keep_latents(&generation.latents(&(0..setup.settings.count).collect::<Vec<_>>()))?;
    }
    let output = &args.plate.output;
    let result = json!({
        "animation": output.join(WALK_PNG),
        "gif": args.gif.then(|| output.join(WALK_GIF)),
    });
    making.finish(&setup, &overview(&sheet), &generation, fields(walk), fields(result))
}

impl Plan {
    fn new(args: &InterpolateArgs) -> Result<Self, Failure> {
        let original = args.original;
        let sequences = args
            .sequences
            .clone()
            .unwrap_or_else(|| (if original { "0-15" } else { "0-5" }).parse().expect("a list in order"));
        if sequences.0.len() < 2 {
            return Err(Failure::usage(
                "--sequences: a walk needs two sequences at least",
                "name them by number, as in --sequences 3,17",
            ));
        }
        let word = args.space.as_deref().unwrap_or(if original { "z" } else { "w" });
        let space = if word == "z" { Space::Z } else { Space::W };
        let curve = match (args.curve.as_deref(), space) {
            (Some("cubic"), _) => WalkCurve::Cubic,
            (Some("slerp"), _) => WalkCurve::Slerp,
            (None, Space::Z) if !original => WalkCurve::Slerp,
            _ => WalkCurve::Linear,
        };
        if curve == WalkCurve::Slerp && space == Space::W {
            return Err(Failure::usage(
                "--curve slerp: latents in w lie on no sphere",
                "take --space z, or --curve linear or cubic",
            ));
        }
        if space == Space::Z && args.latents.latents.is_some() {
            return Err(Failure::usage(
                format!(
                    "{}: a file of latents holds w, which cannot be taken back to z",
                    if args.space.is_some() { "--space z" } else { "--original, which walks in z" }
                ),
                "leave it out, or name the sequences by number without --latents",
            ));
        }
        let points = match (args.steps, args.points) {
            (Some(steps), _) => Points::Steps(steps),
            (None, Some(points)) => Points::All(points),
            (None, None) if original => Points::All(1600),
            (None, None) => Points::Steps(12),
        };
        let total = match points {
            Points::Steps(steps) => steps.saturating_mul(sequences.0.len()),
            Points::All(points) => points,
        };
        if !(1..=MOST_POINTS).contains(&total) {
            return Err(Failure::usage(
                format!("--steps or --points: a walk of {total} sequences, expected 1 to {MOST_POINTS}"),
                "12 steps from each sequence to the next are usual",
            ));
        }
        let positions = walk::positions(sequences.0.len(), points, args.closed);
        let noise = args.noise.clone().unwrap_or_else(|| (if original { "stored" } else { "fixed" }).into());
        let per_second = args.fps.unwrap_or(if original { 60 } else { 12 });
        Ok(Self { sequences, space, curve, points, noise, per_second, positions })
    }

    /// Returns where each point lies, in words.
    fn names(&self, chosen: &Chosen) -> Vec<String> {
        let name = |position: &f64| {
            let (from, to, t) = walk::between(chosen.names.len(), *position);
            if t == 0.0 {
                format!("walk at {}", chosen.names[from])
            } else {
                format!("walk {t:.3} of the way from {} to {}", chosen.names[from], chosen.names[to])
            }
        };
        self.positions.iter().map(name).collect()
    }

    fn scenes(&self, generation: &Generation, chosen: &Chosen, closed: bool, seed: u64) -> GivenScenes {
        let sampler = generation.sampler();
        let through = |keyframes| walk::latents(keyframes, &self.positions, self.curve, closed);
        let ws = match (&chosen.z, self.space) {
            (Some(z), Space::Z) => sampler.latents_of_z(&through(z)),
            _ => through(&chosen.ws),
        };
        let noise = match self.noise.as_str() {
            "stored" => Noise::Maps(sampler.stored_noise()),
            "varying" => {
                let n = self.positions.len() as u64;
                Noise::Keys((0..n).map(|index| SequenceKey { seed, index }).collect())
            }
            _ => match chosen.noise.select(&[0]) {
                Noise::Keys(keys) => Noise::Maps(latent::draw_keys(sampler.draws(), keys.into_iter()).noise),
                maps @ Noise::Maps(_) => maps,
            },
        };
        GivenScenes::new(&ws, noise)
    }
}

/// Puts pictures in order that come out of it, into animations and onto a sheet.
struct Film {
    folder: std::path::PathBuf,
    frames: usize,
    per_second: u16,
    gif: bool,
    next: u64,
    waiting: BTreeMap<u64, Panel>,
    sheet: Vec<Panel>,
    animations: Vec<Animation>,
    problem: Option<ReportError>,
}

impl Film {
    fn new(folder: &Path, frames: usize, per_second: u16, gif: bool) -> Self {
        Self {
            folder: folder.to_owned(),
            frames,
            per_second,
            gif,
            next: 0,
            waiting: BTreeMap::new(),
            sheet: Vec::new(),
            animations: Vec::new(),
            problem: None,
        }
    }

    fn take(&mut self, index: u64, panel: Panel) {
        self.waiting.insert(index, panel);
        while let Some(panel) = self.waiting.remove(&self.next) {
            if self.problem.is_none() {
                self.problem = self.show(&panel).err();
            }
            // Evenly spread, the first and the last among them.
            let on_sheet = |i: usize| i * (SHEET_SEQUENCES - 1) / self.frames.saturating_sub(1).max(1);
            let i = self.next as usize;
            if self.frames <= SHEET_SEQUENCES || i == 0 || on_sheet(i) != on_sheet(i - 1) {
                self.sheet.push(panel);
            }
            self.next += 1;
        }
    }

    fn show(&mut self, panel: &Panel) -> Result<(), ReportError> {
        let image = overview(std::slice::from_ref(panel));
        if self.animations.is_empty() {
            let forms = [(WALK_PNG, AnimationForm::Apng), (WALK_GIF, AnimationForm::Gif)];
            for (name, form) in forms.into_iter().take(1 + usize::from(self.gif)) {
                let (path, size) = (self.folder.join(name), (image.width, image.height));
                self.animations.push(Animation::create(&path, form, size, self.frames, self.per_second)?);
            }
        }
        self.animations.iter_mut().try_for_each(|animation| animation.push(&image))
    }

    fn finish(self) -> Result<Vec<Panel>, ReportError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        self.animations.into_iter().try_for_each(Animation::finish)?;
        Ok(self.sheet)
    }
}
