//! What a pickle may hold here: plain data and tensors that are not read yet.
//!
//! Containers refer to each other by number, so that neither depth nor cycles of a hostile file can exhaust the stack.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::rc::Rc;

/// A value. Containers are numbers into the [`Pickle`] they belong to.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// Which one means nothing here.
    Float,
    Text(Rc<str>),
    /// A tuple, list or dict.
    Container(usize),
    Tensor(Rc<TensorRef>),
    /// Something that only a pickle machine uses.
    Global(Global),
    /// As `Global`.
    Storage(Rc<Storage>),
}

/// The names that may stand in a pickle. Nothing else is known, so that nothing else can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`
    RebuildTensor,
    /// `torch._utils._rebuild_tensor`, of torch before 0.4.
    RebuildOldTensor,
    /// `torch._utils._rebuild_parameter`
    RebuildParameter,
    /// A module of a TorchScript archive.
    ScriptModule,
    /// What TorchScript wraps lists in.
    ScriptList,
    /// `torch.FloatStorage` and the like.
    Storage(Scalar),
}

/// Type of the numbers in a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// 32-bit float.
    Float,
    /// 16-bit float.
    Half,
    /// 16-bit float with the exponent of 32 bits.
    BFloat16,
    /// 64-bit float.
    Double,
    /// 64-bit integer.
    Long,
    /// 32-bit integer.
    Int,
}

impl Scalar {
    /// Returns bytes per number.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Half | Self::BFloat16 => 2,
            Self::Float | Self::Int => 4,
            Self::Double | Self::Long => 8,
        }
    }
}

/// A storage: an entry `data/{key}` of the container, or a part of a file of the old form. Its length has been checked.
#[derive(Debug, PartialEq, Eq)]
pub struct Storage {
    /// Type of its numbers.
    pub scalar: Scalar,
    /// Name of the entry.
    pub key: String,
    /// How many numbers.
    pub len: u64,
}

/// A view into a storage, checked to lie inside it and to have no more elements than it.
#[derive(Debug, PartialEq, Eq)]
pub struct TensorRef {
    /// Where its numbers are.
    pub storage: Rc<Storage>,
    /// First number.
    pub offset: u64,
    /// Extent per axis.
    pub size: Vec<i64>,
    /// Numbers between neighbours, per axis.
    pub stride: Vec<i64>,
    /// Numbers from the first to the last one, both included; 0 for an empty tensor.
    pub span: u64,
}

impl TensorRef {
    /// Returns the bytes of its elements.
    pub fn bytes(&self) -> u64 {
        // Checked when it was made: at most the length of its storage.
        self.size.iter().product::<i64>() as u64 * self.storage.scalar.bytes()
    }
}

/// Key of a dict.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Int(i64),
    Text(Rc<str>),
}

impl Key {
    /// Returns it as a value.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Int(number) => Value::Int(*number),
            Self::Text(text) => Value::Text(Rc::clone(text)),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Int(number) => write!(f, "{number}"),
            // A name of a hostile file may be long.
            Self::Text(text) => write!(f, "{text:.120}"),
        }
    }
}

/// A dict in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Dict {
    /// Keys with their values.
    pub(crate) items: Vec<(Key, Value)>,
    places: HashMap<Key, usize>,
    /// Whether it is an `OrderedDict`, which alone may carry attributes.
    pub(crate) ordered: bool,
    /// Whether it stands for a module of a TorchScript archive, whose attributes become its items.
    pub(crate) script_module: bool,
}

impl Dict {
    /// Returns an empty `OrderedDict`.
    pub(crate) fn ordered() -> Self {
        Self { ordered: true, ..Self::default() }
    }

    /// Returns a module of a TorchScript archive without attributes.
    pub(crate) fn script_module() -> Self {
        Self { script_module: true, ..Self::default() }
    }

    /// Adds an item; gives the key back where it is there already.
    pub(crate) fn insert(&mut self, key: Key, value: Value) -> Result<(), Key> {
        if self.places.contains_key(&key) {
            return Err(key);
        }
        self.places.insert(key.clone(), self.items.len());
        self.items.push((key, value));
        Ok(())
    }

    /// Returns the value of a text key.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.places.get(&Key::Text(key.into())).map(|&place| &self.items[place].1)
    }
}

#[derive(Debug)]
pub(crate) enum Node {
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Dict),
}

/// A pickle that was read.
#[derive(Debug)]
pub(crate) struct Pickle {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: Value,
    /// Storages by key, those that no tensor uses too.
    pub(crate) storages: BTreeMap<String, Rc<Storage>>,
}

impl Pickle {
    /// Returns a dict, `None` where the value is something else.
    pub(crate) fn dict(&self, value: &Value) -> Option<&Dict> {
        match value {
            Value::Container(id) => match &self.nodes[*id] {
                Node::Dict(dict) => Some(dict),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the elements of a list, `None` where the value is something else.
    pub(crate) fn list(&self, value: &Value) -> Option<&[Value]> {
        match value {
            Value::Container(id) => match &self.nodes[*id] {
                Node::List(all) => Some(all),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Returns what a value is, for messages.
pub(crate) fn kind(value: &Value, nodes: &[Node]) -> &'static str {
    match value {
        Value::None => "None",
        Value::Bool(_) => "a truth value",
        Value::Int(_) => "a whole number",
        Value::Float => "a float",
        Value::Text(_) => "a text",
        Value::Tensor(_) => "a tensor",
        Value::Global(_) => "a name of a class or function",
        Value::Storage(_) => "a storage",
        Value::Container(id) => match nodes[*id] {
            Node::Tuple(_) => "a tuple",
            Node::List(_) => "a list",
            Node::Dict(_) => "a dict",
        },
    }
}
