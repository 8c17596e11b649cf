//! Networks and optimiser states in a checkpoint of the published training program.
//!
//! Keys: `generator_ema`, `generator`, `generator_optimizer`, `discriminator`, `discriminator_optimizer`,
//! `path_length_regularization` (always empty). Data parallelism and the augmentation wrapper prefix the names.

use std::rc::Rc;

use crate::torch_file::{Dict, Key, Pickle, TensorRef, Value, kind};

/// Prefixes of a generator's names, the first that fits is taken. A resumed run wraps the averaged one twice.
const GENERATOR_PREFIXES: &[&str] = &["module.module.", "module.", ""];
/// Prefixes of a discriminator's names: with augmentation wrapper and data parallelism, without either.
const DISCRIMINATOR_PREFIXES: &[&str] = &["discriminator.module.", "discriminator.", "module.", ""];
/// Most paths in the list of what was ignored.
const MOST_IGNORED: usize = 100;

/// What a checkpoint consists of.
#[derive(Debug)]
pub struct Parts {
    /// The moving average of the generator.
    pub generator_ema: Network,
    /// The generator.
    pub generator: Network,
    /// The discriminator.
    pub discriminator: Network,
    /// Adam of the generator, where it was saved.
    pub generator_optimizer: Option<Optimizer>,
    /// Adam of the discriminator, where it was saved.
    pub discriminator_optimizer: Option<Optimizer>,
    /// Paths of keys that were read but mean nothing here.
    pub ignored: Vec<String>,
}

/// The tensors of a network in the order of the file, without prefix.
#[derive(Debug)]
pub struct Network {
    /// Name in the checkpoint, such as `generator_ema`.
    pub key: &'static str,
    /// Names and tensors: parameters and buffers.
    pub tensors: Vec<(String, Rc<TensorRef>)>,
}

/// State of an Adam.
#[derive(Debug)]
pub struct Optimizer {
    /// Name in the checkpoint.
    pub key: &'static str,
    /// Number of parameters per group.
    pub groups: Vec<usize>,
    /// State per parameter, counted through all groups; `None` where it never had a gradient.
    pub states: Vec<Option<ParameterState>>,
}

/// State of one parameter.
#[derive(Debug)]
pub struct ParameterState {
    /// Steps taken.
    pub step: Step,
    /// Running mean of the gradient.
    pub exp_avg: Rc<TensorRef>,
    /// Running mean of its square.
    pub exp_avg_sq: Rc<TensorRef>,
}

/// A number of steps: a plain number in files of torch before 1.12, a tensor in later ones.
#[derive(Debug)]
pub enum Step {
    /// A plain number.
    Number(i64),
    /// A tensor of one element.
    Tensor(Rc<TensorRef>),
}

/// What does not fit, and where.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) place: String,
    pub(super) problem: String,
}

impl Parts {
    /// Returns all tensors, each as often as it is named.
    pub fn tensors(&self) -> impl Iterator<Item = &TensorRef> {
        let networks = [&self.generator_ema, &self.generator, &self.discriminator];
        let optimizers = [&self.generator_optimizer, &self.discriminator_optimizer];
        let states = optimizers.into_iter().flatten().flat_map(|o| o.states.iter().flatten());
        let moments = states.flat_map(|s| [&s.exp_avg, &s.exp_avg_sq]);
        networks.into_iter().flat_map(|n| n.tensors.iter().map(|(_, t)| t)).chain(moments).map(Rc::as_ref)
    }
}

impl Network {
    /// Returns a tensor's size, `None` where there is no tensor of that name.
    pub fn size(&self, name: &str) -> Option<&[i64]> {
        self.tensor(name).map(|t| &t.size[..])
    }

    /// Returns a tensor.
    pub fn tensor(&self, name: &str) -> Option<&TensorRef> {
        self.tensors.iter().find(|(n, _)| n == name).map(|(_, t)| t.as_ref())
    }
}

/// Finds the parts of a checkpoint.
pub(super) fn find(pickle: &Pickle) -> Result<Parts, Wrong> {
    let root = dict(pickle, Some(&pickle.root), "checkpoint")?;
    let mut ignored = Vec::new();
    let networks: [(&str, &[&str], &str); 3] = [
        ("generator_ema", GENERATOR_PREFIXES, "constant_input_1."),
        ("generator", GENERATOR_PREFIXES, "constant_input_1."),
        ("discriminator", DISCRIMINATOR_PREFIXES, "encoder_blocks.0."),
    ];
    let mut found = Vec::new();
    for (key, prefixes, probe) in networks {
        found.push(network(pickle, root, key, prefixes, probe, &mut ignored)?);
    }
    let mut optimizer = |key| match root.get(key) {
        None | Some(Value::None) => Ok(None),
        Some(value) => optimizer(pickle, value, key, &mut ignored).map(Some),
    };
    let generator_optimizer = optimizer("generator_optimizer")?;
    let discriminator_optimizer = optimizer("discriminator_optimizer")?;
    let known = networks.map(|(key, ..)| key);
    for (key, value) in &root.items {
        let name = key.to_string();
        let empty = pickle.dict(value).is_some_and(|d| d.items.is_empty());
        let is_known =
            known.contains(&name.as_str()) || name.ends_with("_optimizer") && root.get(&name).is_some();
        if !(is_known || name == "path_length_regularization" && empty) {
            ignore(&mut ignored, name);
        }
    }
    let mut found = found.into_iter();
    let mut next = || found.next().ok_or_else(|| wrong("checkpoint", "three networks expected"));
    Ok(Parts {
        generator_ema: next()?,
        generator: next()?,
        discriminator: next()?,
        generator_optimizer,
        discriminator_optimizer,
        ignored,
    })
}

/// Returns a network without the prefix of its names; names without it are ignored.
fn network(
    pickle: &Pickle,
    root: &Dict,
    key: &'static str,
    prefixes: &[&str],
    probe: &str,
    ignored: &mut Vec<String>,
) -> Result<Network, Wrong> {
    let state = dict(pickle, root.get(key), key)?;
    let begins = |prefix: &str| {
        let start = format!("{prefix}{probe}");
        state.items.iter().any(|(key, _)| matches!(key, Key::Text(name) if name.starts_with(&start)))
    };
    let Some(prefix) = prefixes.iter().find(|prefix| begins(prefix)) else {
        return Err(wrong(
            key,
            format!("no tensor {probe}*, expected a state_dict of the published network"),
        ));
    };
    let mut tensors = Vec::new();
    for (name, value) in &state.items {
        let name = name.to_string();
        let place = || format!("{key}.{name}");
        match (name.strip_prefix(prefix), value) {
            (Some(short), Value::Tensor(tensor)) => tensors.push((short.to_owned(), Rc::clone(tensor))),
            (Some(_), other) => return Err(expected(&place(), "a tensor", other, pickle)),
            (None, _) => ignore(ignored, place()),
        }
    }
    Ok(Network { key, tensors })
}

fn optimizer(
    pickle: &Pickle,
    value: &Value,
    key: &'static str,
    ignored: &mut Vec<String>,
) -> Result<Optimizer, Wrong> {
    let all = dict(pickle, Some(value), key)?;
    let place = format!("{key}.param_groups");
    let groups = all.get("param_groups").and_then(|v| pickle.list(v));
    let groups = groups.ok_or_else(|| wrong(&place, "missing, expected a list of groups"))?;
    let (mut sizes, mut count) = (Vec::new(), 0);
    for group in groups {
        let group = dict(pickle, Some(group), &place)?;
        let numbers = group.get("params").and_then(|v| pickle.list(v));
        let numbers = numbers.ok_or_else(|| wrong(&place, "a group without its list params"))?;
        let counted = numbers
            .iter()
            .enumerate()
            .all(|(i, n)| matches!(n, Value::Int(n) if usize::try_from(*n) == Ok(count + i)));
        if !counted {
            return Err(wrong(&place, "params are not numbered through all groups, expected 0, 1, 2, ..."));
        }
        sizes.push(numbers.len());
        count += numbers.len();
    }
    let mut states: Vec<Option<ParameterState>> = Vec::new();
    states.resize_with(count, || None);
    let place = format!("{key}.state");
    for (number, value) in &dict(pickle, all.get("state"), &place)?.items {
        let place = format!("{place}.{number}");
        let slot = match number {
            Key::Int(n) => usize::try_from(*n).ok().and_then(|n| states.get_mut(n)),
            Key::Text(_) => None,
        };
        let slot = slot.ok_or_else(|| wrong(&place, format!("no such parameter, expected 0 to {count}")))?;
        let state = dict(pickle, Some(value), &place)?;
        let tensor = |name: &str| match state.get(name) {
            Some(Value::Tensor(tensor)) => Ok(Rc::clone(tensor)),
            other => {
                Err(expected(&format!("{place}.{name}"), "a tensor", other.unwrap_or(&Value::None), pickle))
            }
        };
        let step = match state.get("step") {
            Some(Value::Int(step)) if *step > 0 => Step::Number(*step),
            Some(Value::Tensor(step)) if step.bytes() == step.storage.scalar.bytes() => {
                Step::Tensor(Rc::clone(step))
            }
            other => {
                let other = other.unwrap_or(&Value::None);
                return Err(expected(&format!("{place}.step"), "a positive number", other, pickle));
            }
        };
        *slot = Some(ParameterState { step, exp_avg: tensor("exp_avg")?, exp_avg_sq: tensor("exp_avg_sq")? });
        for (name, _) in &state.items {
            let known = ["step", "exp_avg", "exp_avg_sq"].iter().any(|k| name.to_string() == *k);
            if !known {
                ignore(ignored, format!("{key}.state.*.{name}"));
            }
        }
    }
    Ok(Optimizer { key, groups: sizes, states })
}

/// Notes a path that means nothing here, once, and not more of them than a person reads.
fn ignore(ignored: &mut Vec<String>, path: String) {
    if ignored.len() < MOST_IGNORED && !ignored.contains(&path) {
        ignored.push(path);
    }
}

fn dict<'a>(pickle: &'a Pickle, value: Option<&Value>, place: &str) -> Result<&'a Dict, Wrong> {
    let value = value.ok_or_else(|| wrong(place, "missing, expected a dict"))?;
    pickle.dict(value).ok_or_else(|| expected(place, "a dict", value, pickle))
}

fn expected(place: &str, what: &str, found: &Value, pickle: &Pickle) -> Wrong {
    wrong(place, format!("{}, expected {what}", kind(found, &pickle.nodes)))
}

fn wrong(place: &str, problem: impl Into<String>) -> Wrong {
    Wrong { place: place.into(), problem: problem.into() }
}
