//! Memory of the phases of an iteration for every sequence of a part, beside what `training.micro_batch = "auto"` takes
//! them for.
//!
//! `cargo test --release --bench memory -- [--size PX] [--width C] [--encoder C]` runs every phase in the composed
//! forms, which are those of a GPU, with parts of 4 and of 8 sequences, and prints by how much the peak grows for a
//! sequence. Presets small and paper with narrower networks, C feature maps in the generator and in the discriminator's
//! first block: what is kept does not depend on widths. MIMALLOC_PURGE_DELAY=0 gives memory back at once. Linux.

use lapsegan::model::{DiscriminatorConfig, Precision, composed};
use lapsegan::training::inputs::Inputs;
use lapsegan::training::micro_batch::bytes_per_sequence;
use lapsegan::training::state::State;
use lapsegan::training::{Config, Preset, phases, schedule};
use tch::{Device, Kind, Tensor};

const PARTS: [usize; 2] = [4, 8];

fn main() {
    let (mut size, mut width, mut encoder) = (128, 64, 16);
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(flag) = arguments.next() {
        let value = arguments.next().unwrap_or_else(|| panic!("{flag} needs a value"));
        match flag.as_str() {
            "--size" => size = value.parse().expect("a number"),
            "--width" => width = value.parse().expect("a number"),
            "--encoder" => encoder = value.parse().expect("a number"),
            _ => panic!("unknown flag {flag}"),
        }
    }
    println!("{:8}{:16}{:>22}{:>12}", "", "phase", "MiB for a sequence", "of estimate");
    for (name, preset) in [("small", Preset::Small), ("paper", Preset::Paper)] {
        let config = narrow(preset, size, width, encoder);
        let estimate = bytes_per_sequence(&config) / f64::from(1 << 20);
        let [few, many] = PARTS.map(|n| peaks(&config, n));
        for ((phase, few), (_, many)) in few.into_iter().zip(many) {
            let each = (many - few) / (PARTS[1] - PARTS[0]) as f64;
            println!("{name:8}{phase:16}{each:22.1}{:12.2}", each / estimate);
        }
    }
}

fn narrow(preset: Preset, size: usize, width: i64, encoder: i64) -> Config {
    let mut config = preset.config(2, 3, size);
    config.model.precision = Precision::Float32;
    config.model.generator.channels.fill(width);
    config.model.generator.latent = width;
    let first = config.model.discriminator.encoder[0];
    let encoder: Vec<i64> = config.model.discriminator.encoder.iter().map(|c| c * encoder / first).collect();
    config.model.discriminator = DiscriminatorConfig::mirrored(&encoder, 1.0);
    config.training.ada.enabled = false;
    config.training.path_length.batch_fraction = 1.0;
    config
}

/// Returns the peak of every phase above what was in memory before it, in MiB.
fn peaks(config: &Config, n: usize) -> Vec<(&'static str, f64)> {
    let recipe = &config.training;
    let mut state = State::new(config, 0, Device::Cpu);
    let size = config.model.resolution as i64;
    let mut found = Vec::new();
    // The first round makes what is made once.
    for _ in 0..2 {
        found.clear();
        let real = Tensor::rand([n as i64, 2, 3, size, size], (Kind::Float, Device::Cpu));
        let moment = schedule::moment(1, recipe);
        let inputs = Inputs { config: recipe, moment, run_seed: 0, iteration: 1, real: &real };
        let discriminator = inputs.discriminator(&state);
        let generator = inputs.generator(&state);
        let mut shown = Vec::new();
        let mut phase = |name: &'static str, work: &mut dyn FnMut()| {
            let before = reset_peak();
            composed(work);
            found.push((name, kib("VmHWM:") / 1024.0 - before));
        };
        phase("discriminator", &mut || {
            shown = phases::discriminator_main(&mut state, recipe, None, &discriminator).1;
        });
        phase("r1", &mut || drop(phases::discriminator_r1(&mut state, recipe, &mut shown)));
        phase("generator", &mut || drop(phases::generator_main(&mut state, recipe, None, 1.0, &generator)));
        if recipe.path_length.weight > 0.0 {
            let parts = inputs.path_length(&state);
            phase("path length", &mut || drop(phases::generator_path_length(&mut state, recipe, &parts)));
        }
    }
    found
}

/// Makes the peak that of now, and returns it in MiB.
fn reset_peak() -> f64 {
    std::fs::write("/proc/self/clear_refs", "5").expect("a process may reset its own peak");
    kib("VmRSS:") / 1024.0
}

fn kib(field: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux tells about a process");
    let line = text.lines().find(|line| line.starts_with(field)).expect("one of its fields");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
}
