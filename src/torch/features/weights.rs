//! Weights of a network as users have them: `.pth`, `.pt`, TorchScript archives, safetensors. No code of a file is run.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tch::{Kind, Tensor};

use super::{FeatureError, random};
use crate::torch_file::{Scalar, TorchFile};

/// Files that are published, by what the first eight digits of their SHA-256 have to be: the part of their names that
/// says so.
const PUBLISHED: [(&str, &str); 3] = [
    ("6726825d", "pt_inception-2015-12-05-6726825d.pth"),
    ("0cc3c7bd", "inception_v3_google-0cc3c7bd.pth"),
    ("1a9a5a14", "inception_v3_google-1a9a5a14.pth"),
];

/// Named tensors of a network.
#[derive(Debug)]
pub struct Weights {
    /// Name of the file, for messages.
    pub file: String,
    /// SHA-256 of the file, hexadecimal; of the name and seed of weights that were drawn.
    pub sha256: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Tensors, and what stands before every name: `module.`, for example.
    Tensors(HashMap<String, Tensor>, String),
    /// Drawn when they are asked for.
    Random(u64),
}

impl Weights {
    /// Returns weights that were never trained, see [`random`].
    pub fn random(seed: u64) -> Self {
        let file = format!("random weights of seed {seed}");
        let sha256 = format!("{:x}", Sha256::digest(&file));
        Self { file, sha256, source: Source::Random(seed) }
    }

    /// Reads a file. `probe` is the name of one tensor of the network, which tells what others have put before the names.
    ///
    /// # Errors
    /// [`FeatureError`] of a file that is missing, damaged, or without tensor of that name.
    pub fn read(path: &Path, probe: &str) -> Result<Self, FeatureError> {
        let file = path.display().to_string();
        let (sha256, head) =
            digest(path).map_err(|source| FeatureError::Io { file: file.clone(), source })?;
        let tensors = if is_safetensors(&head) { safetensors(path, &file)? } else { torch_file(path)? };
        let Some(prefix) = prefix(tensors.keys().map(String::as_str), probe) else {
            let mut names: Vec<_> = tensors.keys().map(String::as_str).collect();
            names.sort_unstable();
            names.truncate(3);
            let problem = match names[..] {
                [] => "missing; the file holds no tensor".into(),
                _ => {
                    format!("missing; the file holds {} tensors, such as {}", tensors.len(), names.join(", "))
                }
            };
            return Err(FeatureError::Weights { file, name: probe.into(), problem });
        };
        Ok(Self { file, sha256, source: Source::Tensors(tensors, prefix) })
    }

    /// Returns a tensor of this shape.
    ///
    /// # Errors
    /// [`FeatureError::Weights`] where there is none, where it has another shape, or holds what is no number.
    pub fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, FeatureError> {
        let wrong = |problem| FeatureError::Weights { file: self.file.clone(), name: name.into(), problem };
        let (tensors, prefix) = match &self.source {
            Source::Tensors(tensors, prefix) => (tensors, prefix),
            Source::Random(seed) => return Ok(random::tensor(*seed, name, shape)),
        };
        let Some(tensor) = tensors.get(&format!("{prefix}{name}")) else {
            return Err(wrong("missing".into()));
        };
        if tensor.size() != shape {
            return Err(wrong(format!("has shape {:?}, expected {shape:?}", tensor.size())));
        }
        let tensor = tensor.to_kind(Kind::Float);
        if tensor.isfinite().all().int64_value(&[]) == 0 {
            return Err(wrong("holds values that are no numbers".into()));
        }
        Ok(tensor)
    }

    /// Returns the name under which the file is published, where its digest says so.
    pub fn published(&self) -> Option<&'static str> {
        PUBLISHED.iter().find(|(start, _)| self.sha256.starts_with(start)).map(|&(_, name)| name)
    }
}

/// Returns the digest of a file, and its first bytes.
fn digest(path: &Path) -> std::io::Result<(String, Vec<u8>)> {
    let about = std::fs::metadata(path)?;
    if !about.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "is no regular file"));
    }
    let mut reader = BufReader::new(File::open(path)?);
    let (mut hash, mut block, mut head) = (Sha256::new(), vec![0; 1 << 20], Vec::new());
    loop {
        let n = reader.read(&mut block)?;
        if n == 0 {
            return Ok((format!("{:x}", hash.finalize()), head));
        }
        if head.is_empty() {
            head = block[..n.min(16)].to_vec();
        }
        hash.update(&block[..n]);
    }
}

/// A safetensors file begins with the length of its header, which is JSON.
fn is_safetensors(head: &[u8]) -> bool {
    head.get(8) == Some(&b'{')
}

fn safetensors(path: &Path, file: &str) -> Result<HashMap<String, Tensor>, FeatureError> {
    let damaged = |problem: String| FeatureError::Damaged { file: file.into(), problem };
    let all = Tensor::read_safetensors(path).map_err(|e| damaged(e.to_string()))?;
    Ok(all.into_iter().collect())
}

fn torch_file(path: &Path) -> Result<HashMap<String, Tensor>, FeatureError> {
    let mut file = TorchFile::open(path)?;
    let mut named = file.named_tensors();
    // Counters of batches, which no layer needs.
    named.retain(|(_, tensor)| !matches!(tensor.storage.scalar, Scalar::Long | Scalar::Int));
    file.expect_bounded(named.iter().map(|(_, tensor)| tensor.as_ref()))?;
    let mut tensors = HashMap::new();
    for (name, view) in named {
        tensors.insert(name, file.tensor(&view)?);
    }
    Ok(tensors)
}

/// Returns what stands before `probe` in the shortest name that ends with it.
fn prefix<'a>(names: impl Iterator<Item = &'a str>, probe: &str) -> Option<String> {
    let before = names.filter_map(|name| name.strip_suffix(probe));
    before.filter(|p| p.is_empty() || p.ends_with('.')).min_by_key(|p| p.len()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn what_stands_before_names_is_found() {
        let names = ["module.fc.weight", "other.module.fc.weight", "xfc.weight"];
        assert_eq!(prefix(names.into_iter(), "fc.weight").as_deref(), Some("module."));
        assert_eq!(prefix(["fc.weight"].into_iter(), "fc.weight").as_deref(), Some(""));
        assert_eq!(prefix(["xfc.weight"].into_iter(), "fc.weight"), None);
    }
}
