//! The generator: one mapping network, one stack of convolutions per domain, shared styles.

use tch::nn::{Init, Path, init};
use tch::{Kind, Tensor};

use super::config::{ModelConfig, Wiring};
use super::equalized::{STANDARD_NORMAL, channels_last};
use super::fused;
use super::grain::Grain;
use super::mapping::Mapping;
use super::modulated_conv::{Mode, Style};
use super::noise::DrawShape;
use super::range::ChannelRange;
use super::synthesis::{OutputBlock, StyledConv};

/// Source of the noise of a layer: called with domain, layer (0 is the 4 px layer) and resolution, returns
/// `[N or 1, 1, resolution, resolution]`. After the last layer comes the grain, `[N or 1, T, resolution, resolution]`.
pub type NoiseSource<'a> = dyn FnMut(usize, usize, i64) -> Tensor + 'a;

/// The multi-domain skip generator.
#[derive(Debug)]
pub struct Generator {
    mapping: Mapping,
    stacks: Vec<Stack>,
    noise_buffers: Vec<Tensor>,
    grain: Option<Grain>,
    wiring: Wiring,
    range: Option<ChannelRange>,
    precision: Kind,
    latent: i64,
    latent_slots: i64,
    frames: i64,
}

/// The convolutions of one domain.
#[derive(Debug)]
struct Stack {
    constant_input: Tensor, // [1, C, 4, 4]
    start: StyledConv,
    start_output: OutputBlock,
    main: Vec<StyledConv>, // up and plain in turn, two per doubling
    outputs: Vec<OutputBlock>,
}

impl Generator {
    /// Makes all parameters and the noise buffers under their published names.
    pub fn new(vs: &Path, config: &ModelConfig) -> Self {
        let sizes = &config.generator;
        let mapping = Mapping::new(&(vs / "style_mapping"), sizes.latent, sizes.mapping_depth);
        let stacks = (0..config.maps().len()).map(|domain| Stack::new(vs, config, domain)).collect();
        let noises = vs / "noises";
        let noise_buffers = (0..2 * sizes.channels.len() - 1)
            .map(|layer| {
                let size = noise_resolution(layer);
                let name = if layer == 0 { "noise_start".into() } else { format!("noise_{}", layer - 1) };
                let values = init(STANDARD_NORMAL, &[1, 1, size, size], vs.device());
                noises.add(&name, values, false)
            })
            .collect();
        Self {
            mapping,
            stacks,
            noise_buffers,
            grain: Grain::new(vs, config),
            wiring: sizes.wiring,
            range: ChannelRange::new(config, vs.device()),
            precision: config.precision.kind(),
            latent: sizes.latent,
            latent_slots: sizes.latent_slots(),
            frames: config.frames as i64,
        }
    }

    /// Maps latents. `z [N, Z] -> w [N, Z]`
    pub fn map(&self, z: &Tensor) -> Tensor {
        self.mapping.forward(z)
    }

    /// Repeats `w` for every layer. `[N, Z] -> ws [N, L, Z]`
    pub fn broadcast(&self, w: &Tensor) -> Tensor {
        w.unsqueeze(1).expand([-1, self.latent_slots, -1], false)
    }

    /// Mixes styles: slots where `first` is set from the first latents, the others from the second.
    ///
    /// `w1, w2 [N, Z]`, `first [L, 1]`, see [`Generator::first_slots`] `-> ws [N, L, Z]`
    pub fn mix(&self, w1: &Tensor, w2: &Tensor, first: &Tensor) -> Tensor {
        w1.unsqueeze(1).where_self(first, &w2.unsqueeze(1))
    }

    /// Returns which slots are below `inject_index`, on the CPU. `[L, 1]`, bool
    pub fn first_slots(&self, inject_index: i64) -> Tensor {
        let slots: Vec<bool> = (0..self.latent_slots).map(|slot| slot < inject_index).collect();
        Tensor::from_slice(&slots).unsqueeze(1)
    }

    /// Synthesises sequences from one latent per layer. `ws [N, L, Z] -> [N, C, T, H, W]`, unbounded, data is in [0, 1].
    pub fn synthesise(&self, ws: &Tensor, noise: &mut NoiseSource) -> Tensor {
        let n = ws.size()[0];
        let slot = |j: usize| ws.select(1, j as i64); // [N, L, Z] -> [N, Z]
        let mut features: Vec<Tensor> = Vec::new();
        let mut images: Vec<Tensor> = Vec::new();
        // The first domain owns the affine maps; the others reuse its styles.
        let (mut conv_style, mut output_style) = (None, None);
        for (domain, stack) in self.stacks.iter().enumerate() {
            // Everything after follows the kind of the constant input.
            let constant = stack.constant_input.to_kind(self.precision);
            let constant = channels_last(&constant.expand([n, -1, -1, -1], false));
            let (h, style) = stack.start.forward(
                &constant,
                &style_of(&slot(0), conv_style.as_ref()),
                &noise(domain, 0, 4),
            );
            conv_style.get_or_insert(style);
            let (h, read) = fused::fork(&h);
            let (image, style) =
                stack.start_output.forward(&read, &style_of(&slot(1), output_style.as_ref()), None);
            output_style.get_or_insert(style);
            features.push(h);
            images.push(image);
        }
        for i in 0..self.stacks[0].outputs.len() {
            for layer in [2 * i, 2 * i + 1] {
                let mut shared = None;
                let latent = slot(layer + 1);
                for (domain, stack) in self.stacks.iter().enumerate().take(self.live_domains()) {
                    let noise = noise(domain, layer + 1, noise_resolution(layer + 1));
                    let style = style_of(&latent, shared.as_ref());
                    let (h, style) = stack.main[layer].forward(&features[domain], &style, &noise);
                    features[domain] = h;
                    shared.get_or_insert(style);
                }
            }
            let mut shared = None;
            let latent = slot(2 * i + 3);
            for (domain, stack) in self.stacks.iter().enumerate() {
                // Reference: the published code feeds every domain's output block from the first domain's features.
                let source = domain.min(self.live_domains() - 1);
                let style = style_of(&latent, shared.as_ref());
                let (kept, read) = fused::fork(&features[source]);
                features[source] = kept;
                let (image, style) = stack.outputs[i].forward(&read, &style, Some(&images[domain]));
                images[domain] = image;
                shared.get_or_insert(style);
            }
        }
        // D x [N, M T, H, W] -> D x [N, M, T, H, W] -> [N, C, T, H, W]
        let split: Vec<Tensor> = images.iter().map(|planes| planes.unflatten(1, [-1, self.frames])).collect();
        let images = Tensor::cat(&split, 1);
        let images = match &self.grain {
            Some(grain) => grain.add(&images, noise, self.noise_buffers.len()),
            None => images,
        };
        match &self.range {
            Some(range) => range.restore(&images),
            None => images,
        }
    }

    /// Returns the stored noise, the same for every sample and domain.
    pub fn fixed_noise(&self) -> impl FnMut(usize, usize, i64) -> Tensor + '_ {
        |_, layer, _| match &self.grain {
            Some(grain) if layer == self.noise_buffers.len() => grain.stored.shallow_clone(),
            _ => self.noise_buffers[layer].shallow_clone(),
        }
    }

    /// Returns what it takes besides its weights.
    pub fn draws(&self) -> DrawShape {
        let grain = self.grain.as_ref().map(|grain| (grain.domains, self.frames));
        DrawShape { latent: self.latent, domains: self.stacks.len(), layers: self.noise_buffers.len(), grain }
    }

    /// Returns the width of `z` and `w`.
    pub fn latent_size(&self) -> i64 {
        self.latent
    }

    /// Returns the number of latent slots L.
    pub fn latent_slots(&self) -> i64 {
        self.latent_slots
    }

    /// Returns the number of noise layers: one at 4 px, two per doubling.
    pub fn noise_layers(&self) -> usize {
        self.noise_buffers.len()
    }

    /// Returns the number of domains whose main convolutions influence the image.
    fn live_domains(&self) -> usize {
        if self.wiring == Wiring::Original { 1 } else { self.stacks.len() }
    }
}

/// Returns rows and columns of a noise layer: 4, then 8, 8, 16, 16, ...
pub fn noise_resolution(layer: usize) -> i64 {
    4 << layer.div_ceil(2)
}

fn style_of<'a>(latent: &'a Tensor, shared: Option<&'a Tensor>) -> Style<'a> {
    shared.map_or(Style::Latent(latent), Style::Shared)
}

impl Stack {
    fn new(vs: &Path, config: &ModelConfig, domain: usize) -> Self {
        let sizes = &config.generator;
        let planes = (config.maps()[domain] * config.frames) as i64;
        let (c, gain, noise_gain) = (&sizes.channels, sizes.skip_gain, sizes.noise_gain);
        let latent = (domain == 0).then_some(sizes.latent);
        let constant = if sizes.random_constant { STANDARD_NORMAL } else { Init::Const(1.0) };
        let at = |part: &str| vs / format!("{part}_{}", domain + 1);
        let (main_path, output_path) = (at("main_convolutions"), at("output_blocks"));
        let doublings = 0..c.len() - 1;
        Self {
            constant_input: at("constant_input").var("input", &[1, c[0], 4, 4], constant),
            start: StyledConv::new(&at("starting_convolution"), c[0], c[0], latent, Mode::Plain, noise_gain),
            start_output: OutputBlock::new(&at("starting_output_block"), c[0], planes, latent, true, gain),
            main: doublings
                .clone()
                .flat_map(|i| {
                    [
                        StyledConv::new(
                            &(&main_path / (2 * i)),
                            c[i],
                            c[i + 1],
                            latent,
                            Mode::Up,
                            noise_gain,
                        ),
                        StyledConv::new(
                            &(&main_path / (2 * i + 1)),
                            c[i + 1],
                            c[i + 1],
                            latent,
                            Mode::Plain,
                            noise_gain,
                        ),
                    ]
                })
                .collect(),
            outputs: doublings
                .map(|i| OutputBlock::new(&(&output_path / i), c[i + 1], planes, latent, false, gain))
                .collect(),
        }
    }
}
