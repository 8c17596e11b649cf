//! All tensors of a file by their dotted names, however it nests them.

use std::io::{Read, Seek};
use std::rc::Rc;

use super::file::TorchFile;
use super::value::{Dict, Key, Pickle, TensorRef, Value};

/// Deepest nesting of dicts or modules.
const MOST_DEPTH: usize = 16;
/// Most items that are looked at: a hostile file may hold one dict under many names, or in itself.
const MOST_ITEMS: usize = 1 << 20;

impl<R: Read + Seek> TorchFile<R> {
    /// Returns the tensors with their names: keys of a state_dict, of dicts around it, and of the modules of a TorchScript
    /// archive, joined by dots. Other values are left out. Empty where the file holds no dict.
    pub fn named_tensors(&self) -> Vec<(String, Rc<TensorRef>)> {
        let mut walk = Walk { pickle: &self.pickle, found: Vec::new(), left: MOST_ITEMS };
        if let Some(root) = self.pickle.dict(&self.pickle.root) {
            walk.collect(root, "", 0);
        }
        walk.found
    }
}

/// A walk through nested dicts.
struct Walk<'a> {
    pickle: &'a Pickle,
    found: Vec<(String, Rc<TensorRef>)>,
    /// Items that may still be looked at.
    left: usize,
}

impl Walk<'_> {
    fn collect(&mut self, dict: &Dict, prefix: &str, depth: usize) {
        if depth == MOST_DEPTH {
            return;
        }
        for (key, value) in &dict.items {
            let Some(left) = self.left.checked_sub(1) else { return };
            self.left = left;
            let Key::Text(key) = key else { continue };
            if key.len() > 200 {
                continue;
            }
            let name = format!("{prefix}{key}");
            match value {
                Value::Tensor(tensor) => self.found.push((name, Rc::clone(tensor))),
                value => {
                    if let Some(inner) = self.pickle.dict(value) {
                        self.collect(inner, &format!("{name}."), depth + 1);
                    }
                }
            }
        }
    }
}
