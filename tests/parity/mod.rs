//! Golden numbers of the published implementation.
//!
//! The folder is `LAPSEGAN_PARITY_DIR`, by default `tests/fixtures/parity`, whose README explains keys and
//! tolerances. Every file that is there is run, by its keys: other names, seeds, sizes and configurations are fine.

mod augment;
mod data;
mod discriminator;
mod generator;
mod iterations;
mod layers;
mod losses;
mod operators;
mod optimiser;
mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

/// Tolerance of forward values.
const FORWARD: f64 = 1e-5;
/// Tolerance of gradients.
const GRADIENT: f64 = 1e-4;

/// The tensors of a fixture file, or of one case in it.
struct Case {
    name: String,
    tensors: BTreeMap<String, Tensor>,
}

/// What a file is about, each with a key that no other kind of file has.
const FAMILIES: [(&str, &str); 16] = [
    ("train_iterations", "trap_weights"),
    ("discriminator", "cfg.encoder_channels"),
    ("generator", "out.image_z1"),
    ("cutmix", "in.pred_real"),
    ("topk", "sel.in.pred"),
    ("ada_pipeline", "draw.u"),
    ("ada_p", "*.is_real"),
    ("ada_geometric", "*.iso.scale"),
    ("adam_clip_ema", "adam.p0"),
    ("losses", "pl.in.grads"),
    ("data_metrics", "frechet.real"),
    ("ops_upfirdn2d", "*.up_down_pad"),
    ("ops_basic", "mbstd.x"),
    ("style_mapping", "w.layers.1.weight"),
    ("modulated_conv", "*.out.modulated_style"),
    ("d_blocks", "*.w.main_mapping.0.weight"),
];

/// Reads all files of the folder that are about `family`, whatever they are called.
///
/// A test that found none would pass without having tested anything, so this is a failure, in another folder too.
fn fixtures(family: &str) -> Vec<Case> {
    let folder = std::env::var_os("LAPSEGAN_PARITY_DIR")
        .map_or_else(|| crate::support::root().join("tests/fixtures/parity"), PathBuf::from);
    fixtures_in(&folder, family)
}

fn fixtures_in(folder: &Path, family: &str) -> Vec<Case> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no golden numbers (*.safetensors) in {}", folder.display());
    let cases: Vec<Case> =
        paths.iter().filter(|path| family_of(path) == family).map(|path| read(path)).collect();
    assert!(!cases.is_empty(), "no case of {family} in {}", folder.display());
    cases
}

fn read(path: &Path) -> Case {
    let tensors = Tensor::read_safetensors(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Case { name: format!("{name}: "), tensors: tensors.into_iter().collect() }
}

/// Tells what a file is about by its keys.
fn family_of(path: &Path) -> &'static str {
    let bytes = std::fs::read(path).unwrap();
    let header = serde_json::from_slice::<serde_json::Value>(
        &bytes[8..8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize],
    );
    let header = header.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let keys: Vec<&String> = header.as_object().unwrap().keys().collect();
    let has = |wanted: &str| match wanted.strip_prefix("*") {
        Some(end) => keys.iter().any(|key| key.ends_with(end)),
        None => keys.iter().any(|key| *key == wanted),
    };
    FAMILIES
        .iter()
        .find(|(_, key)| has(key))
        .unwrap_or_else(|| panic!("{}: no test knows its keys", path.display()))
        .0
}

impl Case {
    fn get(&self, key: &str) -> &Tensor {
        self.tensors.get(key).unwrap_or_else(|| panic!("{}: no key {key}", self.name))
    }

    fn has(&self, key: &str) -> bool {
        self.tensors.contains_key(key)
    }

    /// Returns the keys below a prefix as a case of their own.
    fn below(&self, prefix: &str) -> Self {
        let tensors = self
            .tensors
            .iter()
            .filter_map(|(key, t)| Some((key.strip_prefix(prefix)?.to_owned(), t.shallow_clone())))
            .collect();
        Self { name: format!("{}{prefix}", self.name), tensors }
    }

    /// Returns the names before the first dot: the cases of a file.
    fn cases(&self) -> Vec<Self> {
        let mut names: Vec<&str> =
            self.tensors.keys().filter(|k| k.contains('.')).filter_map(|k| k.split('.').next()).collect();
        names.dedup();
        assert!(!names.is_empty(), "{}: no case", self.name);
        names.into_iter().map(|name| self.below(&format!("{name}."))).collect()
    }

    /// Returns an input that requires a gradient.
    fn input(&self, key: &str) -> Tensor {
        self.get(key).copy().set_requires_grad(true)
    }

    /// Copies the weights `w.*` into a store.
    fn load(&self, vs: &VarStore, prefix: &str) {
        let tensors = self.tensors.iter().map(|(k, t)| (k.clone(), t.shallow_clone())).collect();
        lapsegan::model::weights::load(vs, &tensors, prefix, &self.name).unwrap();
    }

    fn expect(&self, key: &str, actual: &Tensor, tolerance: f64) {
        let expected = self.get(key);
        assert_eq!(actual.size(), expected.size(), "{}{key}: shape", self.name);
        let error = relative_error(actual, expected);
        assert!(error <= tolerance, "{}{key}: error {error:.2e} above {tolerance:.0e}", self.name);
    }

    /// Compares the gradients of `loss` with respect to all variables with the keys `{prefix}{variable}`. Where a file
    /// lists gradients of most variables, one without a key must get none; some files list a selection.
    fn expect_gradients(&self, loss: &Tensor, vs: &VarStore, prefix: &str) {
        let variables: Vec<(String, Tensor)> =
            lapsegan::model::weights::sorted(vs).into_iter().filter(|(_, t)| t.requires_grad()).collect();
        let tensors: Vec<&Tensor> = variables.iter().map(|(_, t)| t).collect();
        let gradients = Tensor::run_backward(&[loss], &tensors, true, false);
        let listed = self.tensors.keys().filter(|key| key.starts_with(prefix)).count();
        let complete = 2 * listed > variables.len();
        let mut compared = 0;
        for ((name, _), gradient) in variables.iter().zip(gradients) {
            let key = format!("{prefix}{name}");
            if self.has(&key) {
                // Autograd may reach a parameter with zeros only; Adam treats both alike.
                let zero = self.get(&key).abs().max().double_value(&[]) == 0.0;
                assert!(gradient.defined() || zero, "{}{key}: no gradient", self.name);
                if gradient.defined() {
                    self.expect(&key, &gradient, GRADIENT);
                }
                compared += 1;
            } else if complete {
                assert!(!gradient.defined(), "{}{key}: gets a gradient, expected none", self.name);
            }
        }
        assert!(compared > 0, "{}: no gradient below {prefix}", self.name);
    }

    /// Compares the gradient of `loss` with respect to an input.
    fn expect_input_gradient(&self, loss: &Tensor, input: &Tensor, key: &str) {
        let gradient = &Tensor::run_backward(&[loss], &[input], true, false)[0];
        self.expect(key, gradient, GRADIENT);
    }
}

/// Returns `max |a - b| / max |b|`.
fn relative_error(actual: &Tensor, expected: &Tensor) -> f64 {
    let (actual, expected) = (actual.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let largest = expected.abs().max().double_value(&[]).max(1e-30);
    (actual - expected).abs().max().double_value(&[]) / largest
}

fn store() -> VarStore {
    VarStore::new(Device::Cpu)
}

fn weighted_sum(y: &Tensor, cotangent: &Tensor) -> Tensor {
    (y * cotangent).sum(Kind::Float)
}

#[test]
fn a_folder_without_a_case_fails() {
    let folder = tempfile::tempdir().unwrap();
    let fails = || std::panic::catch_unwind(|| fixtures_in(folder.path(), "losses")).is_err();
    assert!(fails());
    let other = crate::support::root().join("tests/fixtures/parity");
    let other = std::fs::read_dir(other).unwrap().map(|entry| entry.unwrap().path());
    let mut other = other.filter(|path| path.extension().is_some_and(|e| e == "safetensors"));
    let other = other.find(|path| family_of(path) != "losses").unwrap();
    std::fs::copy(other, folder.path().join("other.safetensors")).unwrap();
    assert!(fails());
}
