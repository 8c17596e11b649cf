//! CPU-seconds of a training iteration by its parts, generation, and the machine's own convolution rate beside them.
//!
//! `cargo test --release --bench iteration -- [--json FILE] [--reps N] [--device cpu|cuda] [--size PX] [--batch N]
//! [--precision float32|bfloat16] [--graphs auto|on|off]`
//!
//! The configuration is the one for which the published code was measured on a CPU: 64 px, generator 64 x 5, latent 128,
//! mapping depth 8, discriminator a quarter of the default widths, batch 8, augmentation on. The yardstick runs the
//! iteration's own convolutions, forward and backward, and nothing else.

use std::time::Instant;

use lapsegan::cli::device;
use lapsegan::graphs::Graphs;
use lapsegan::losses::cut_mix::Cut;
use lapsegan::model::noise::LayerNoise;
use lapsegan::model::{DiscriminatorConfig, Precision};
use lapsegan::optim::ema;
use lapsegan::training::inputs::Inputs;
use lapsegan::training::phases::Shown;
use lapsegan::training::state::State;
use lapsegan::training::steps::Steps;
use lapsegan::training::work::Work;
use lapsegan::training::{Config, Preset, schedule};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

fn main() {
    let options = Options::read();
    let device = device::select(&options.device, 1).expect("a device that is there");
    let mut rows = Vec::new();
    for precision in options.precisions {
        let mut steps = Steps::on(device, options.graphs).expect("graphs where they are asked for");
        rows.push(bench(&options, *precision, device, &mut steps));
    }
    print(&rows);
    let report = json!({ "size_px": options.size, "batch": options.batch, "threads": 1, "device": options.device,
        "graphs": options.graphs,
        "processor": processor(),
        "reps": options.reps, "peak_memory_mib": peak_memory_mib(), "results": rows });
    if let Some(path) = options.json {
        std::fs::write(&path, format!("{report:#}\n")).expect("a file that can be written");
    }
}

/// Repeats that are not measured: after them, what can be recorded is.
const WARM_UP: usize = 5;

/// Both kinds of arithmetic.
const BOTH: [Precision; 2] = [Precision::Float32, Precision::Bfloat16];

struct Options {
    json: Option<String>,
    reps: usize,
    size: usize,
    batch: i64,
    device: String,
    graphs: Graphs,
    precisions: &'static [Precision],
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            json: None,
            reps: 7,
            size: 64,
            batch: 8,
            device: "cpu".into(),
            graphs: Graphs::Auto,
            precisions: &BOTH,
        };
        let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
        while let Some(flag) = arguments.next() {
            let value = arguments.next().unwrap_or_else(|| panic!("{flag} needs a value"));
            match flag.as_str() {
                "--json" => options.json = Some(value),
                "--reps" => options.reps = value.parse().expect("a number"),
                "--size" => options.size = value.parse().expect("a number"),
                "--batch" => options.batch = value.parse().expect("a number"),
                "--device" => options.device = value,
                "--graphs" => options.graphs = serde_json::from_value(json!(value)).expect("auto, on or off"),
                "--precision" if value == "float32" => options.precisions = &BOTH[..1],
                "--precision" if value == "bfloat16" => options.precisions = &BOTH[1..],
                _ => panic!("unknown flag {flag}"),
            }
        }
        options
    }
}

fn configure(options: &Options, precision: Precision) -> Config {
    let mut config = Preset::Paper.config(2, 3, options.size);
    let levels = config.model.generator.channels.len();
    config.model.precision = precision;
    config.model.generator.channels = vec![64; levels];
    config.model.generator.latent = 128;
    let encoder: Vec<i64> = [128, 256, 384, 768, 1024].iter().map(|c| c / 4).collect();
    config.model.discriminator = DiscriminatorConfig::mirrored(&encoder, 1.0);
    config.training.batch = options.batch as usize;
    config
}

/// Times every part of an iteration; each figure is the smallest of all repeats.
fn bench(options: &Options, precision: Precision, device: Device, steps: &mut Steps) -> Value {
    let config = configure(options, precision);
    let recipe = &config.training;
    let mut state = State::new(&config, 0, device);
    let size = options.size as i64;
    let real = Tensor::rand([options.batch, 2, 3, size, size], (Kind::Float, device));
    let map = Cut { y: size / 3, x: size / 2, top_left: true, inverted: false }.map(size, size, device);
    let mut best = [f64::MAX; 5]; // main, R1, cut-mix, path length, generation
    for rep in 0..options.reps + WARM_UP {
        let iteration = rep as u64 + 1;
        let moment = schedule::moment(iteration, recipe);
        let inputs = Inputs { config: recipe, moment, run_seed: 0, iteration, real: &real };
        let mut times = [0.0; 5];
        let mut shown = Vec::new();
        let mut step = |work: Work, state: &mut State, shown: &mut Vec<Shown>| {
            let done = steps.run(&work, state, recipe).expect("graphs where they are asked for");
            if !done.shown.is_empty() {
                *shown = done.shown;
            }
        };
        let handles = |shown: &[Shown]| shown.iter().map(Shown::shallow_clone).collect();
        times[0] = timed(device, || {
            let work = Work::DiscriminatorMain(None, inputs.discriminator(&state));
            step(work, &mut state, &mut shown);
            step(Work::GeneratorMain(None, 1.0, inputs.generator(&state)), &mut state, &mut shown);
            ema::update(&mut state.generator_ema.parameters, &state.generator.parameters, 0.999);
        });
        times[1] = timed(device, || step(Work::DiscriminatorR1(handles(&shown)), &mut state, &mut shown));
        times[2] = timed(device, || {
            step(Work::CutMix(handles(&shown), map.copy()), &mut state, &mut shown);
            step(Work::CutMixConsistency(handles(&shown), map.copy()), &mut state, &mut shown);
        });
        times[3] = timed(device, || {
            step(Work::PathLength(inputs.path_length(&state)), &mut state, &mut shown);
        });
        times[4] = timed(device, || {
            tch::no_grad(|| {
                let generator = &state.generator.net;
                let z = Tensor::randn([options.batch, generator.latent_size()], (Kind::Float, device));
                let ws = generator.broadcast(&generator.map(&z));
                let draw = |_, _, shape: [i64; 4]| Tensor::randn(shape, (Kind::Float, device));
                let noise = LayerNoise::new(generator.draws(), options.batch, draw);
                let images = generator.synthesise(&ws, &mut noise.source());
                assert_eq!(images.size()[0], options.batch);
            });
        });
        if rep >= WARM_UP {
            best.iter_mut().zip(times).for_each(|(best, time)| *best = best.min(time));
        }
    }
    let convolutions = convolutions(&config);
    let (mut flops, mut seconds) = (0.0, 0.0);
    for shape in &convolutions {
        flops += shape.flops(options.batch) * f64::from(shape.passes());
        seconds += shape.time(options.batch, precision.kind(), device, options.reps.min(4));
    }
    let rate = flops / seconds / 1e9;
    let iteration_rate = flops / best[0] / 1e9;
    json!({
        "precision": precision,
        "gflop_plain_iteration": flops / 1e9,
        "plain_s": best[0],
        "r1_s": best[1],
        "cut_mix_s": best[2],
        "path_length_s": best[3],
        "with_r1_and_path_length_s": best[0] + best[1] + best[3],
        "with_cut_mix_s": best[0] + best[2],
        "generate_sequences_per_s": options.batch as f64 / best[4],
        "yardstick_gflop_s": rate,
        "iteration_gflop_s": iteration_rate,
        "share_of_yardstick": iteration_rate / rate,
    })
}

/// A convolution of the networks.
#[derive(Clone, Copy)]
struct Shape {
    inputs: i64,
    outputs: i64,
    size: i64,
    kernel: i64,
    stride: i64,
    /// Passes forward, and forward with backward, in a plain iteration.
    forward: u8,
    both: u8,
}

impl Shape {
    fn flops(self, batch: i64) -> f64 {
        let out = (self.size / self.stride) as f64;
        2.0 * batch as f64 * out * out * (self.inputs * self.outputs * self.kernel * self.kernel) as f64
    }

    /// One for forward, two more for both gradients.
    fn passes(self) -> u8 {
        self.forward + 3 * self.both
    }

    fn time(self, batch: i64, kind: Kind, device: Device, reps: usize) -> f64 {
        let options = (kind, device);
        let x = Tensor::randn([batch, self.size, self.size, self.inputs], options).permute([0, 3, 1, 2]);
        let x = x.set_requires_grad(true);
        let shape = [self.outputs, self.inputs, self.kernel, self.kernel];
        let weight = Tensor::randn(shape, options).set_requires_grad(true);
        let run = || x.conv2d(&weight, None::<Tensor>, self.stride, self.kernel / 2, 1, 1);
        let ones = run().detach().ones_like();
        let (mut forward, mut both) = (f64::MAX, f64::MAX);
        for rep in 0..=reps {
            let f = timed(device, || drop(tch::no_grad(run)));
            let b = timed(device, || {
                let y = run();
                let loss = (&y * &ones).sum(kind);
                drop(Tensor::run_backward(&[loss], &[&x, &weight], false, false));
            });
            if rep > 0 {
                (forward, both) = (forward.min(f), both.min(b));
            }
        }
        forward * f64::from(self.forward) + both * f64::from(self.both)
    }
}

/// Returns the convolutions of both networks with how often an iteration passes them: the generator once forward and
/// once with gradients, the discriminator twice with all gradients and once with that of its input, counted as forward
/// and one more pass.
fn convolutions(config: &Config) -> Vec<Shape> {
    let mut all = Vec::new();
    let model = &config.model;
    let c = &model.generator.channels;
    for _ in model.maps() {
        let conv = |inputs, outputs, size, kernel| Shape {
            inputs,
            outputs,
            size,
            kernel,
            stride: 1,
            forward: 1,
            both: 1,
        };
        all.push(conv(c[0], c[0], 4, 3));
        for i in 1..c.len() {
            // The up-convolution: every output pixel sees one tap.
            all.push(conv(c[i - 1], c[i], 4 << i, 1));
            all.push(conv(c[i], c[i], 4 << i, 3));
        }
    }
    let conv = |inputs, outputs, size, kernel, stride| Shape {
        inputs,
        outputs,
        size,
        kernel,
        stride,
        forward: 2,
        both: 2,
    };
    let (e, d) = (&model.discriminator.encoder, &model.discriminator.decoder);
    let full = model.resolution as i64;
    for (i, &width) in e.iter().enumerate() {
        let (inputs, size) =
            (if i == 0 { (model.channels() * model.frames) as i64 } else { e[i - 1] }, full >> i);
        if i != 2 {
            all.push(conv(inputs, width, size, 3, 1));
            all.push(conv(width, width, size, 3, 1));
        }
        if inputs != width {
            all.push(conv(inputs, width, size, 1, 1));
        }
        if i + 1 < e.len() {
            all.push(conv(width, width, size, 3, 2));
        }
    }
    for (j, &[inputs, outputs]) in d.iter().enumerate() {
        let size = full >> (e.len() - 2 - j);
        all.push(conv(e[e.len() - 1 - j], inputs - e[e.len() - 2 - j], size / 2, 1, 1));
        if j != 1 {
            all.push(conv(inputs, outputs, size, 3, 1));
            all.push(conv(outputs, outputs, size, 3, 1));
        }
        if inputs != outputs {
            all.push(conv(inputs, outputs, size, 1, 1));
        }
    }
    all
}

/// Returns the seconds of a call: of the process on a CPU, of the wall on a GPU.
fn timed(device: Device, work: impl FnOnce()) -> f64 {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
        let start = Instant::now();
        work();
        tch::Cuda::synchronize(index as i64);
        return start.elapsed().as_secs_f64();
    }
    let start = cpu_time();
    work();
    cpu_time() - start
}

fn cpu_time() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

/// Returns the name of the CPU.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn peak_memory_mib() -> u64 {
    lapsegan_core::cli::record::peak_memory_mib()
}

fn print(rows: &[Value]) {
    let name = |row: &Value| row["precision"].as_str().unwrap_or_default().to_owned();
    let names: Vec<String> = rows.iter().map(|row| format!("{:>12}", name(row))).collect();
    println!("{:34}{}", "", names.concat());
    for (key, name) in [
        ("gflop_plain_iteration", "GFLOP of a plain iteration"),
        ("plain_s", "plain iteration, s"),
        ("r1_s", "R1, s"),
        ("path_length_s", "path length, s"),
        ("with_r1_and_path_length_s", "with R1 and path length, s"),
        ("with_cut_mix_s", "with cut-mix, s"),
        ("generate_sequences_per_s", "generation, sequences/s"),
        ("yardstick_gflop_s", "convolutions alone, GFLOP/s"),
        ("iteration_gflop_s", "plain iteration, GFLOP/s"),
        ("share_of_yardstick", "share of the yardstick"),
    ] {
        let values: Vec<f64> = rows.iter().map(|row| row[key].as_f64().unwrap_or(f64::NAN)).collect();
        let figures: Vec<String> = values.iter().map(|value| format!("{value:12.3}")).collect();
        let ratio = match values[..] {
            // Seconds the other way round: more than 1 is faster.
            [a, b] if key.ends_with("_s") && !key.contains("gflop") && !key.contains("per_s") => a / b,
            [a, b] => b / a,
            _ => f64::NAN,
        };
        let ratio = if ratio.is_nan() { String::new() } else { format!("{ratio:10.2}") };
        println!("{name:34}{}{ratio}", figures.concat());
    }
    println!("peak memory {} MiB", peak_memory_mib());
}
