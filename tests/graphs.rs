//! Recorded steps: replayed with other numbers, they leave what plain steps leave, bit by bit.

use lapsegan::graphs::emulated::EmulatedRecorder;
use lapsegan::graphs::{Graph, Graphs, Recorder};
use lapsegan::model::{LabelLearning, Precision, composed};
use lapsegan::training::augment::Geometry;
use lapsegan::training::inputs::Inputs;
use lapsegan::training::iteration::iterate;
use lapsegan::training::state::State;
use lapsegan::training::steps::Steps;
use lapsegan::training::{Config, Preset, TrainingError, schedule};
use lapsegan_core::labels::maps::LabelMap;
use tch::{Device, Kind, Tensor};

use super::steps::narrow;

/// The whole recipe, every phase due in every iteration, and the rules change while it runs.
fn everything(iterations: u64) -> Config {
    let mut config = narrow(Preset::Paper, 16, Precision::Float32);
    config.model.generator.grain_gain = 1.0;
    let recipe = &mut config.training;
    recipe.kimg = (iterations * recipe.batch as u64) as f64 / 1000.0;
    (recipe.r1_interval, recipe.path_length.interval) = (1, 1);
    recipe.cut_mix.probability = 1.0;
    recipe.wrong_order.start = 0.5;
    (recipe.top_k.start, recipe.top_k.end) = (0.4, 0.8);
    (recipe.ada.geometry, recipe.ada.initial_p, recipe.ada.interval) = (Geometry::Composed, 0.3, 2);
    recipe.style_mixing_probability = 0.5;
    config
}

/// Returns everything that a run of some iterations leaves: networks, average, optimisers, statistics.
fn run(config: &Config, steps: &mut Steps) -> Result<Vec<(String, Tensor)>, TrainingError> {
    let recipe = &config.training;
    let mut state = State::new(config, 3, Device::Cpu);
    let size = config.model.resolution as i64;
    let weight = Tensor::ones([1, 1, 1, size, size], (Kind::Float, Device::Cpu)) * 1.5;
    for iteration in 1..=recipe.iterations() {
        state.iteration = iteration;
        let moment = schedule::moment(iteration, recipe);
        let real = Tensor::arange(recipe.batch as i64 * 6 * size * size, (Kind::Float, Device::Cpu));
        let real = (real * (0.01 * iteration as f64)).sin().view([-1, 2, 3, size, size]);
        let inputs = Inputs { config: recipe, moment, run_seed: 3, iteration, real: &real };
        composed(|| iterate(&inputs, (iteration > 4).then_some(&weight), &mut state, steps))?;
        state.sequences_seen += recipe.batch as u64;
    }
    let mut left = vec![("path length".to_owned(), state.path_length_mean.copy())];
    left.push(("ada".to_owned(), Tensor::from(state.ada.p)));
    left.push(("labels ada".to_owned(), Tensor::from(state.labels_ada.p)));
    for (name, vs) in [
        ("generator", &state.generator.vs),
        ("average", &state.generator_ema.vs),
        ("discriminator", &state.discriminator.vs),
    ] {
        let variables = vs.variables().into_iter();
        left.extend(variables.map(|(key, tensor)| (format!("{name}.{key}"), tensor.detach().copy())));
    }
    for (name, adam) in [("generator", &state.generator_adam), ("discriminator", &state.discriminator_adam)] {
        for (i, moments) in adam.state().into_iter().enumerate() {
            let Some(moments) = moments else { continue };
            left.push((format!("{name} adam {i} step"), Tensor::from(moments.step)));
            left.push((format!("{name} adam {i}"), moments.exp_avg_sq));
        }
    }
    left.extend(state.since_tick.to_tensors());
    left.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(left)
}

#[test]
fn replayed_steps_leave_the_same_bytes_as_plain_ones() {
    for (micro_batch, iterations, few_labels) in [(0, 9, false), (2, 8, false), (2, 8, true)] {
        let mut config = everything(iterations);
        if few_labels {
            // The second channel is a label map, which every other sequence has.
            config.model.domains = 1;
            config.model.label_maps = vec![LabelMap::Structure];
            config.model.label_learning = LabelLearning::Read;
            config.training.labels.every = 2;
            config.validate().unwrap();
        }
        config.training.micro_batch = lapsegan::training::micro_batch::MicroBatch::Size(micro_batch);
        let plain = run(&config, &mut Steps::plain()).unwrap();
        let mut steps = Steps::recorded(Box::new(EmulatedRecorder), Graphs::On);
        let replayed = run(&config, &mut steps).unwrap();
        assert_eq!(plain.len(), replayed.len());
        let differ: Vec<&String> = plain
            .iter()
            .zip(&replayed)
            .filter(|((_, a), (_, b))| a.to_kind(Kind::Double) != b.to_kind(Kind::Double))
            .map(|((name, _), _)| name)
            .collect();
        assert!(differ.is_empty(), "differ: {differ:?}");
        let counts = steps.recordings();
        assert!(counts.len() == 6 && counts.iter().all(|(_, n)| *n >= 1), "recorded: {counts:?}");
    }
}

/// Records nothing that is worth replaying.
#[derive(Debug)]
struct Broken(&'static str);

impl Recorder for Broken {
    fn record(&self, work: &mut dyn FnMut()) -> Result<Box<dyn Graph>, String> {
        if self.0 == "record" {
            return Err("at item: the stream is being recorded".into());
        }
        assert_ne!(self.0, "memory", "CUDA out of memory. Tried to allocate 20.00 GiB");
        work();
        Ok(Box::new(Self("nothing is done")))
    }
}

impl Graph for Broken {
    fn replay(&self) -> Result<(), String> {
        Ok(())
    }
}

#[test]
fn steps_that_cannot_be_recorded_or_replayed_wrongly_are_executed_as_they_are() {
    let config = everything(4);
    let plain = run(&config, &mut Steps::plain()).unwrap();
    for what in ["memory", "record", "replay"] {
        let mut steps = Steps::recorded(Box::new(Broken(what)), Graphs::Auto);
        assert!(run(&config, &mut steps).unwrap() == plain, "{what}");
        if what == "memory" {
            continue;
        }
        let error = run(&config, &mut Steps::recorded(Box::new(Broken(what)), Graphs::On)).unwrap_err();
        assert!(error.to_string().contains("cannot be recorded"), "{error}");
    }
    let error = Steps::on(Device::Cpu, Graphs::On).unwrap_err();
    assert!(error.to_string().contains("the device is no GPU"), "{error}");
}
