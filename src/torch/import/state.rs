//! Converts a published checkpoint to a training state: networks, moving average, moments of Adam.

use std::collections::HashSet;
use std::io::{Read, Seek};
use std::rc::Rc;

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::ImportError;
use crate::import::published::{self, Network, Optimizer, Parts, Published, Step, TorchFileError};
use crate::model::Wiring;
use crate::optim::Adam;
use crate::optim::adam::Moments;
use crate::torch_file::TensorRef;
use crate::training::config::Config;
use crate::training::preset::Preset;
use crate::training::state::State;

/// Parts of a domain's stack in the order of the published optimiser's groups; the mapping network comes last of all.
const GROUPS: [&str; 5] =
    ["constant_input", "starting_convolution", "starting_output_block", "main_convolutions", "output_blocks"];

/// Whether the main convolutions of the domains after the first were ever trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondBranch {
    /// There is one domain only.
    Absent,
    /// Never: the published code feeds all output blocks from the first domain's features.
    Untrained,
    /// They were: by another wiring than the published code's.
    Trained,
}

impl SecondBranch {
    /// Returns the name for people and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Untrained => "untrained",
            Self::Trained => "trained",
        }
    }

    /// Returns the wiring with which such a generator was trained.
    pub fn wiring(self) -> Wiring {
        if self == Self::Trained { Wiring::Paper } else { Wiring::Original }
    }
}

/// What was taken over.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Tensors of the three networks.
    pub network_tensors: usize,
    /// Parameters of the generator with moments, of all; `None` where no optimiser was saved.
    pub generator_moments: Option<(usize, usize)>,
    /// As `generator_moments`.
    pub discriminator_moments: Option<(usize, usize)>,
}

/// Looks at the noise strengths and activation biases of the other domains' main convolutions.
///
/// # Errors
/// [`TorchFileError`] where the tensors cannot be read.
pub fn second_branch<R: Read + Seek>(published: &mut Published<R>) -> Result<SecondBranch, TorchFileError> {
    let mut found = SecondBranch::Absent;
    let views = |network: &Network| -> Vec<Rc<TensorRef>> {
        let names: HashSet<&str> = published::second_branch_tensors(network).collect();
        network
            .tensors
            .iter()
            .filter(|(n, _)| names.contains(n.as_str()))
            .map(|(_, t)| Rc::clone(t))
            .collect()
    };
    let parts = &published.parts;
    for view in [views(&parts.generator), views(&parts.generator_ema)].concat() {
        if published.tensor(&view)?.count_nonzero(None::<i64>).int64_value(&[]) != 0 {
            return Ok(SecondBranch::Trained);
        }
        found = SecondBranch::Untrained;
    }
    Ok(found)
}

/// Returns the published recipe with the sizes of a checkpoint.
///
/// # Errors
/// [`TorchFileError::Layout`] where its tensors do not fit together.
pub fn config<R: Read + Seek>(
    published: &Published<R>,
    second_branch: SecondBranch,
) -> Result<Config, TorchFileError> {
    let mut model = published::infer(&published.parts, published.file())?;
    model.generator.wiring = second_branch.wiring();
    let recipe = Preset::Original.config(model.domains, model.frames, model.resolution);
    Ok(Config { model, ..recipe })
}

/// Makes a state of a checkpoint. Its counters stay 0: the file does not say how long it was trained.
///
/// # Errors
/// [`TorchFileError::Layout`] naming the first tensor that is missing, unknown or of another shape.
pub fn state<R: Read + Seek>(
    published: &mut Published<R>,
    config: &Config,
) -> Result<(State, Counts), ImportError> {
    config.model.validate()?;
    let mut state = State::new(config, 0, Device::Cpu);
    let mut network_tensors = 0;
    network_tensors += load(published, |parts| &parts.generator, &state.generator.vs)?;
    network_tensors += load(published, |parts| &parts.generator_ema, &state.generator_ema.vs)?;
    network_tensors += load(published, |parts| &parts.discriminator, &state.discriminator.vs)?;

    let groups: Vec<String> = (1..=config.model.domains)
        .flat_map(|domain| GROUPS.map(|part| format!("{part}_{domain}.")))
        .chain(["style_mapping.".to_owned()])
        .collect();
    let order = ordered(&published.parts.generator, &state.generator.names, &groups);
    let optimizer = published.parts.generator_optimizer.take();
    let names = &state.generator.names;
    let generator_moments = moments(published, optimizer, &order, names, &mut state.generator_adam)?;
    let order = ordered(&published.parts.discriminator, &state.discriminator.names, &[String::new()]);
    let optimizer = published.parts.discriminator_optimizer.take();
    let names = &state.discriminator.names;
    let discriminator_moments = moments(published, optimizer, &order, names, &mut state.discriminator_adam)?;
    Ok((state, Counts { network_tensors, generator_moments, discriminator_moments }))
}

/// Copies a network's tensors into a store, each of one exactly; returns how many.
fn load<R: Read + Seek>(
    published: &mut Published<R>,
    which: impl Fn(&Parts) -> &Network,
    vs: &VarStore,
) -> Result<usize, TorchFileError> {
    let (key, tensors) = (which(&published.parts).key, which(&published.parts).tensors.clone());
    let mut variables = vs.variables();
    let total = variables.len();
    for (name, view) in tensors {
        let place = format!("{key}.{name}");
        let Some(mut variable) = variables.remove(&name) else {
            return Err(wrong(published, &place, "unknown tensor: another network than the published one"));
        };
        expect_size(published, &place, &view, &variable)?;
        let tensor = published.tensor(&view)?.to_kind(Kind::Float);
        // Up-sampling and blur are built in, so that another filter in the file would silently be replaced.
        if name.ends_with(".kernel") && !tensor.allclose(&variable, 1e-5, 1e-6, false) {
            return Err(wrong(published, &place, "another filter than [1, 3, 3, 1]"));
        }
        tch::no_grad(|| variable.copy_(&tensor));
    }
    match variables.keys().min() {
        Some(name) => Err(wrong(published, &format!("{key}.{name}"), "missing")),
        None => Ok(total),
    }
}

/// Returns the parameters group by group, in the order of the file inside each: the order of the optimiser's state.
fn ordered(network: &Network, parameters: &[String], groups: &[String]) -> Vec<Vec<String>> {
    let trainable = |name: &&String| parameters.binary_search(name).is_ok();
    groups
        .iter()
        .map(|group| {
            let names = network.tensors.iter().map(|(name, _)| name);
            names.filter(|name| name.starts_with(group)).filter(trainable).cloned().collect()
        })
        .collect()
}

/// Fills an Adam over the parameters `names`; returns how many have moments, and how many there are.
fn moments<R: Read + Seek>(
    published: &mut Published<R>,
    optimizer: Option<Optimizer>,
    order: &[Vec<String>],
    names: &[String],
    adam: &mut Adam,
) -> Result<Option<(usize, usize)>, TorchFileError> {
    let Some(optimizer) = optimizer else { return Ok(None) };
    let key = optimizer.key;
    let sizes: Vec<usize> = order.iter().map(Vec::len).collect();
    if optimizer.groups != sizes {
        let problem = format!("groups of {:?} parameters, expected {sizes:?}", optimizer.groups);
        return Err(wrong(published, &format!("{key}.param_groups"), &problem));
    }
    let mut filled = 0;
    for (number, (name, state)) in order.iter().flatten().zip(optimizer.states).enumerate() {
        let Some(state) = state else { continue };
        let place = |part: &str| format!("{key}.state.{number}.{part} ({name})");
        let index = names.binary_search(name).expect("the order was made from these names");
        let parameter = adam.parameters()[index].shallow_clone();
        let mut read = |part: &str, view: &TensorRef| {
            expect_size(published, &place(part), view, &parameter)?;
            published.tensor(view).map(|t| t.to_kind(Kind::Float))
        };
        let (exp_avg, exp_avg_sq) =
            (read("exp_avg", &state.exp_avg)?, read("exp_avg_sq", &state.exp_avg_sq)?);
        let step = match state.step {
            Step::Number(step) => step,
            Step::Tensor(view) => {
                let step = published.tensor(&view)?.to_kind(Kind::Double).view(-1).double_value(&[0]);
                if !(step >= 1.0 && step.fract() == 0.0 && step < 1e15) {
                    return Err(wrong(
                        published,
                        &place("step"),
                        &format!("{step}, expected a whole number"),
                    ));
                }
                step as i64
            }
        };
        adam.set_state(index, Some(Moments { step, exp_avg, exp_avg_sq }));
        filled += 1;
    }
    Ok(Some((filled, names.len())))
}

fn expect_size<R: Read + Seek>(
    published: &Published<R>,
    place: &str,
    view: &TensorRef,
    expected: &Tensor,
) -> Result<(), TorchFileError> {
    if view.size == expected.size() {
        return Ok(());
    }
    let problem = format!("has shape {:?}, expected {:?}", view.size, expected.size());
    Err(wrong(published, place, &problem))
}

fn wrong<R: Read + Seek>(published: &Published<R>, place: &str, problem: &str) -> TorchFileError {
    TorchFileError::Layout { file: published.file().into(), place: place.into(), problem: problem.into() }
}
