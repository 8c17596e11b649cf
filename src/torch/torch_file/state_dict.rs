//! All tensors of a file by their dotted names, however it nests them.

use std::io::{Read, Seek};
use std::rc::Rc;

use super::file::TorchFile;
use super::value::{Dict, Key, Pickle, TensorRef, Value};

/// Deepest nesting of dicts or modules.
const MOST_DEPTH: usize = 16;
/// Most tensors.
const MOST_TENSORS: usize = 100_000;

impl<R: Read + Seek> TorchFile<R> {
    /// Returns the tensors with their names: keys of a state_dict, of dicts around it, and of the modules of a TorchScript
    /// archive, joined by dots. Other values are left out. Empty where the file holds no dict.
    pub fn named_tensors(&self) -> Vec<(String, Rc<TensorRef>)> {
        let mut found = Vec::new();
        if let Some(root) = self.pickle.dict(&self.pickle.root) {
            collect(&self.pickle, root, "", 0, &mut found);
        }
        found
    }
}

fn collect(
    pickle: &Pickle,
    dict: &Dict,
    prefix: &str,
    depth: usize,
    found: &mut Vec<(String, Rc<TensorRef>)>,
) {
    // A hostile file may hold a dict that holds itself.
    if depth == MOST_DEPTH {
        return;
    }
    for (key, value) in &dict.items {
        let Key::Text(key) = key else { continue };
        if found.len() == MOST_TENSORS || key.len() > 200 {
            return;
        }
        let name = format!("{prefix}{key}");
        match value {
            Value::Tensor(tensor) => found.push((name, Rc::clone(tensor))),
            value => {
                if let Some(inner) = pickle.dict(value) {
                    collect(pickle, inner, &format!("{name}."), depth + 1, found);
                }
            }
        }
    }
}
