//! What a pickle may name and call: an ordered dict, a storage, a tensor over a storage.

use std::rc::Rc;

use super::pickle::{Machine, Step, Storages};
use super::value::{Dict, Global, Key, Node, Scalar, Storage, TensorRef, Value, kind};

/// Most axes of a tensor; the networks have five.
const MOST_AXES: usize = 8;

/// Returns what a `GLOBAL` names.
pub(super) fn global(module: &str, name: &str, scripted: bool) -> Step<Global> {
    let storage = |scalar| Ok(Global::Storage(scalar));
    match (module, name) {
        ("collections", "OrderedDict") => Ok(Global::OrderedDict),
        ("torch._utils", "_rebuild_tensor_v2") => Ok(Global::RebuildTensor),
        ("torch._utils", "_rebuild_tensor") => Ok(Global::RebuildOldTensor),
        ("torch._utils", "_rebuild_parameter") => Ok(Global::RebuildParameter),
        ("torch", "FloatStorage") => storage(Scalar::Float),
        ("torch", "HalfStorage") => storage(Scalar::Half),
        ("torch", "BFloat16Storage") => storage(Scalar::BFloat16),
        ("torch", "DoubleStorage") => storage(Scalar::Double),
        ("torch", "LongStorage") => storage(Scalar::Long),
        ("torch", "IntStorage") => storage(Scalar::Int),
        (module, _) if scripted && module.starts_with("__torch__") => Ok(Global::ScriptModule),
        (
            "torch.jit._pickle",
            "build_intlist" | "build_doublelist" | "build_boollist" | "build_tensorlist",
        ) if scripted => Ok(Global::ScriptList),
        _ => Err(format!("{module}.{name} is not among the names that are read; nothing was called")),
    }
}

/// Carries out a `NEWOBJ`: an empty module of a TorchScript archive.
pub(super) fn object(machine: &mut Machine, class: &Value, arguments: &Value) -> Step<Value> {
    match (class, machine.elements(arguments)?) {
        (Value::Global(Global::ScriptModule), []) => Ok(machine.add(Node::Dict(Dict::script_module()))),
        (other, _) => Err(format!("an object of {}", kind(other, &machine.nodes))),
    }
}

/// Carries out a `REDUCE`.
pub(super) fn call(machine: &mut Machine, function: &Value, arguments: &Value) -> Step<Value> {
    let arguments = machine.elements(arguments)?;
    match (function, arguments) {
        (Value::Global(Global::OrderedDict), []) => Ok(machine.add(Node::Dict(Dict::ordered()))),
        // Python 2 gives the items along.
        (Value::Global(Global::OrderedDict), [items]) => {
            let items = items.clone();
            ordered(machine, &items)
        }
        (Value::Global(Global::ScriptList), [items]) => Ok(items.clone()),
        // Storage, offset, size, stride, requires_grad, hooks.
        (
            Value::Global(Global::RebuildTensor),
            [Value::Storage(storage), Value::Int(offset), size, stride, Value::Bool(_), hooks],
        ) => {
            expect_no_hooks(machine, hooks)?;
            let tensor = view(storage, *offset, numbers(machine, size)?, numbers(machine, stride)?)?;
            Ok(Value::Tensor(Rc::new(tensor)))
        }
        (
            Value::Global(Global::RebuildOldTensor),
            [Value::Storage(storage), Value::Int(offset), size, stride],
        ) => {
            let tensor = view(storage, *offset, numbers(machine, size)?, numbers(machine, stride)?)?;
            Ok(Value::Tensor(Rc::new(tensor)))
        }
        // Tensor, requires_grad, hooks.
        (Value::Global(Global::RebuildParameter), [Value::Tensor(tensor), Value::Bool(_), hooks]) => {
            expect_no_hooks(machine, hooks)?;
            Ok(Value::Tensor(Rc::clone(tensor)))
        }
        (Value::Global(known), _) => Err(format!("{known:?} with arguments that torch.save does not write")),
        (other, _) => Err(format!("a call of {}", kind(other, &machine.nodes))),
    }
}

fn ordered(machine: &mut Machine, items: &Value) -> Step<Value> {
    let wrong = || "OrderedDict with arguments that torch.save does not write".to_owned();
    let Some(Node::List(pairs)) = machine.node(items) else { return Err(wrong()) };
    let n = pairs.len();
    machine.count_copies(n)?;
    let Some(Node::List(pairs)) = machine.node(items) else { return Err(wrong()) };
    let mut dict = Dict::ordered();
    for pair in pairs {
        match machine.node(pair) {
            Some(Node::List(pair) | Node::Tuple(pair)) => match &pair[..] {
                [Value::Text(key), value] => dict
                    .insert(Key::Text(Rc::clone(key)), value.clone())
                    .map_err(|key| format!("key {key} is there twice"))?,
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        }
    }
    Ok(machine.add(Node::Dict(dict)))
}

/// Returns the storage of a persistent id `("storage", class, key, location, length)`; the old form adds `None`.
pub(super) fn storage(machine: &mut Machine, id: &Value) -> Step<Value> {
    let (tag, scalar, key, len) = match machine.elements(id)? {
        [
            Value::Text(tag),
            Value::Global(Global::Storage(scalar)),
            Value::Text(key),
            Value::Text(_),
            Value::Int(len),
        ]
        | [
            Value::Text(tag),
            Value::Global(Global::Storage(scalar)),
            Value::Text(key),
            Value::Text(_),
            Value::Int(len),
            Value::None,
        ] => (Rc::clone(tag), *scalar, Rc::clone(key), *len),
        _ => return Err("a persistent id that is no storage".into()),
    };
    if tag.as_ref() != "storage" {
        return Err(format!("a persistent id of kind {:.40}, expected storage", tag.as_ref()));
    }
    if key.is_empty() || key.len() > 20 || !key.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("storage {key:.40}, expected a number"));
    }
    let bytes = u64::try_from(len).ok().and_then(|len| len.checked_mul(scalar.bytes()));
    match machine.storages {
        Storages::Entries(length) => {
            let Some(entry) = length(&key) else {
                return Err(format!("storage {key} is missing in the file"));
            };
            if bytes != Some(entry) {
                return Err(format!(
                    "storage {key} of {len} {scalar:?} numbers has {entry} bytes in the file"
                ));
            }
        }
        Storages::Within(most) => {
            if bytes.is_none_or(|bytes| bytes > most) {
                return Err(format!("storage {key} of {len} {scalar:?} numbers in a file of {most} bytes"));
            }
        }
    }
    let storage = Rc::new(Storage { scalar, key: key.as_ref().to_owned(), len: len as u64 });
    let known = machine.found.entry(storage.key.clone()).or_insert_with(|| Rc::clone(&storage));
    if **known != *storage {
        return Err(format!("storage {key} is there twice, as {known:?} and {storage:?}"));
    }
    Ok(Value::Storage(storage))
}

fn expect_no_hooks(machine: &Machine, hooks: &Value) -> Step<()> {
    match machine.node(hooks) {
        Some(Node::Dict(dict)) if dict.items.is_empty() => Ok(()),
        _ => Err("a tensor with hooks".into()),
    }
}

/// Returns the elements of a tuple of extents or strides.
fn numbers(machine: &Machine, value: &Value) -> Step<Vec<i64>> {
    let elements = machine.elements(value)?;
    if elements.len() > MOST_AXES {
        return Err(format!("{} axes, at most {MOST_AXES} are read", elements.len()));
    }
    let number = |value: &Value| match value {
        Value::Int(number) if *number >= 0 => Ok(*number),
        Value::Int(number) => Err(format!("a negative size or stride, {number}")),
        other => Err(format!("{} as size or stride", kind(other, &machine.nodes))),
    };
    elements.iter().map(number).collect()
}

/// Checks that a view lies inside its storage and has no more elements than it.
fn view(storage: &Rc<Storage>, offset: i64, size: Vec<i64>, stride: Vec<i64>) -> Step<TensorRef> {
    let outside = || {
        format!(
            "a tensor of size {size:?}, stride {stride:?} from {offset} does not fit into storage {} of {} numbers",
            storage.key, storage.len
        )
    };
    if size.len() != stride.len() {
        return Err(format!("size {size:?} and stride {stride:?} of different lengths"));
    }
    let start = u64::try_from(offset).map_err(|_| outside())?;
    let count = size.iter().try_fold(1_u64, |n, &extent| n.checked_mul(extent as u64));
    let last = size.iter().zip(&stride).try_fold(0_u64, |at, (&extent, &step)| {
        at.checked_add((extent as u64).saturating_sub(1).checked_mul(step as u64)?)
    });
    let (Some(count), Some(last)) = (count, last) else { return Err(outside()) };
    let span = if count == 0 { 0 } else { last.checked_add(1).ok_or_else(outside)? };
    if count > storage.len || start.checked_add(span).is_none_or(|end| end > storage.len) {
        return Err(outside());
    }
    Ok(TensorRef { storage: Rc::clone(storage), offset: start, size, stride, span })
}
