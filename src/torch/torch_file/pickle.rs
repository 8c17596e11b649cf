//! A pickle machine that can build plain data and tensors, and nothing else.
//!
//! Pickle is a program for a stack machine whose `GLOBAL` and `REDUCE` call any Python function. Here `GLOBAL` knows
//! a handful of names and `REDUCE` has one arm for each, see `rebuild.rs`; every other opcode is an error.
//! Work and memory are bounded by the number of opcodes, which is limited.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::opcodes as op;
use super::rebuild;
use super::value::{Dict, Key, Node, Pickle, Storage, Value, kind};

/// Longest pickle. The published one has less than 1 MiB.
pub(super) const MOST_BYTES: u64 = 16 << 20;
/// Most opcodes. The published one has about 100,000.
const MOST_OPCODES: usize = 1 << 20;
/// Highest stack. `torch.save` writes dict items in parts of 1,000.
const MOST_STACK: usize = 1 << 14;
/// Most open marks: how deeply containers may be nested while they are built.
const MOST_MARKS: usize = 64;
/// Longest text.
const MOST_TEXT: u32 = 1 << 12;

/// Where and why a pickle was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The opcode.
    pub(super) opcode: u8,
    /// Its byte offset.
    pub(super) offset: usize,
    /// What is wrong.
    pub(super) problem: String,
}

/// What is known of the storages before the pickle is read.
#[derive(Clone, Copy)]
pub(super) enum Storages<'a> {
    /// The length in bytes of each that is there.
    Entries(&'a dyn Fn(&str) -> Option<u64>),
    /// They follow later, in at most so many bytes.
    Within(u64),
}

/// Runs a pickle. Modules of TorchScript are known only where `scripted`.
pub(super) fn load(bytes: &[u8], storages: Storages, scripted: bool) -> Result<Pickle, Fault> {
    let (pickle, end) = load_first(bytes, storages, scripted)?;
    if end == bytes.len() {
        return Ok(pickle);
    }
    Err(Fault { opcode: op::STOP, offset: end - 1, problem: format!("{} bytes follow", bytes.len() - end) })
}

/// Runs the pickle that bytes begin with, and returns where it ends.
pub(super) fn load_first(bytes: &[u8], storages: Storages, scripted: bool) -> Result<(Pickle, usize), Fault> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        nodes: Vec::new(),
        storages,
        found: BTreeMap::new(),
        scripted,
        copied: 0,
    };
    for _ in 0..MOST_OPCODES {
        let offset = machine.at;
        let Some(&opcode) = bytes.get(offset) else {
            let problem = "the pickle ends without it: incomplete".into();
            return Err(Fault { opcode: op::STOP, offset, problem });
        };
        machine.at += 1;
        match machine.step(opcode) {
            Ok(None) => {}
            Ok(Some(root)) => {
                let pickle = Pickle { nodes: machine.nodes, root, storages: machine.found };
                return Ok((pickle, machine.at));
            }
            Err(problem) => return Err(Fault { opcode, offset, problem }),
        }
    }
    let opcode = bytes.get(machine.at).copied().unwrap_or(op::STOP);
    Err(Fault { opcode, offset: machine.at, problem: format!("more than {MOST_OPCODES} opcodes") })
}

pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    pub(super) nodes: Vec<Node>,
    pub(super) storages: Storages<'a>,
    pub(super) found: BTreeMap<String, Rc<Storage>>,
    pub(super) scripted: bool,
    /// Items that were copied from one container into another.
    copied: usize,
}

/// A problem without its place, which [`load`] adds.
pub(super) type Step<T> = Result<T, String>;

impl Machine<'_> {
    /// Carries out one opcode; returns the result at `STOP`.
    fn step(&mut self, opcode: u8) -> Step<Option<Value>> {
        match opcode {
            op::PROTO => match self.take::<1>()? {
                [2] => {}
                [other] => return Err(format!("protocol {other}, expected 2, which torch.save writes")),
            },
            op::STOP => return self.stop().map(Some),
            op::MARK => {
                if self.marks.len() == MOST_MARKS {
                    return Err(format!("nested deeper than {MOST_MARKS} levels"));
                }
                self.marks.push(self.stack.len());
            }
            op::NONE => self.push(Value::None)?,
            op::NEWTRUE | op::NEWFALSE => self.push(Value::Bool(opcode == op::NEWTRUE))?,
            op::BININT => {
                let number = i32::from_le_bytes(self.take()?);
                self.push(Value::Int(number.into()))?;
            }
            op::BININT1 => {
                let [number] = self.take()?;
                self.push(Value::Int(number.into()))?;
            }
            op::BININT2 => {
                let number = u16::from_le_bytes(self.take()?);
                self.push(Value::Int(number.into()))?;
            }
            op::LONG1 => {
                let number = self.long()?;
                self.push(Value::Int(number))?;
            }
            op::BINFLOAT => {
                self.take::<8>()?;
                self.push(Value::Float)?;
            }
            op::BINUNICODE => {
                let length = u32::from_le_bytes(self.take()?);
                if length > MOST_TEXT {
                    return Err(format!("a text of {length} bytes, at most {MOST_TEXT} are read"));
                }
                self.text(length as usize)?;
            }
            op::SHORT_BINSTRING => {
                let [length] = self.take()?;
                self.text(length.into())?;
            }
            op::EMPTY_TUPLE => self.tuple(0)?,
            op::TUPLE1 => self.tuple(1)?,
            op::TUPLE2 => self.tuple(2)?,
            op::TUPLE3 => self.tuple(3)?,
            op::TUPLE => {
                let items = self.since_mark()?;
                self.push_node(Node::Tuple(items))?;
            }
            op::EMPTY_LIST => self.push_node(Node::List(Vec::new()))?,
            op::EMPTY_DICT => self.push_node(Node::Dict(Dict::default()))?,
            op::APPEND => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            op::APPENDS => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            op::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(vec![key, value])?;
            }
            op::SETITEMS => {
                let items = self.since_mark()?;
                self.set_items(items)?;
            }
            op::BINPUT => {
                let [place] = self.take()?;
                self.put(place.into())?;
            }
            op::LONG_BINPUT => {
                let place = u32::from_le_bytes(self.take()?);
                self.put(place)?;
            }
            op::BINGET => {
                let [place] = self.take()?;
                self.get(place.into())?;
            }
            op::LONG_BINGET => {
                let place = u32::from_le_bytes(self.take()?);
                self.get(place)?;
            }
            op::GLOBAL => {
                let (module, name) = (self.line()?, self.line()?);
                let global = rebuild::global(&module, &name, self.scripted)?;
                self.push(Value::Global(global))?;
            }
            op::REDUCE => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                let made = rebuild::call(self, &function, &arguments)?;
                self.push(made)?;
            }
            op::NEWOBJ => {
                let arguments = self.pop()?;
                let class = self.pop()?;
                let made = rebuild::object(self, &class, &arguments)?;
                self.push(made)?;
            }
            op::BUILD => {
                let state = self.pop()?;
                self.build(&state)?;
            }
            op::BINPERSID => {
                let id = self.pop()?;
                let storage = rebuild::storage(self, &id)?;
                self.push(storage)?;
            }
            _ => return Err("an opcode that torch.save does not write; it is not carried out".into()),
        }
        Ok(None)
    }

    fn stop(&mut self) -> Step<Value> {
        let root = self.pop()?;
        if !self.stack.is_empty() || !self.marks.is_empty() {
            return Err("values are left on the stack".into());
        }
        Ok(root)
    }

    fn text(&mut self, length: usize) -> Step<()> {
        let text = std::str::from_utf8(self.slice(length)?).map_err(|e| e.to_string())?;
        let text = Value::Text(text.into());
        self.push(text)
    }

    /// Reads an integer of at most eight bytes.
    fn long(&mut self) -> Step<i64> {
        let [length] = self.take()?;
        if length > 8 {
            return Err(format!("a whole number of {length} bytes, at most 8 are read"));
        }
        let bytes = self.slice(length.into())?;
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut all = [if negative { 0xff } else { 0 }; 8];
        all[..bytes.len()].copy_from_slice(bytes);
        Ok(i64::from_le_bytes(all))
    }

    fn tuple(&mut self, length: usize) -> Step<()> {
        let floor = self.floor();
        if self.stack.len() < floor + length {
            return Err("the stack holds too few values".into());
        }
        let items = self.stack.split_off(self.stack.len() - length);
        self.push_node(Node::Tuple(items))
    }

    fn append(&mut self, items: Vec<Value>) -> Step<()> {
        let Value::Container(id) = *self.top()? else { return Err("there is no list to append to".into()) };
        let Node::List(list) = &mut self.nodes[id] else {
            return Err("there is no list to append to".into());
        };
        list.extend(items);
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Value>) -> Step<()> {
        let Value::Container(id) = *self.top()? else { return Err("there is no dict to fill".into()) };
        let Node::Dict(dict) = &mut self.nodes[id] else { return Err("there is no dict to fill".into()) };
        if !items.len().is_multiple_of(2) {
            return Err("a key has no value".into());
        }
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            let key = match key {
                Value::Int(number) => Key::Int(number),
                Value::Text(text) => Key::Text(text),
                _ => return Err("a key that is neither text nor whole number".into()),
            };
            dict.insert(key, value).map_err(|key| format!("key {key} is there twice"))?;
        }
        Ok(())
    }

    /// Attributes: a state_dict has versions of its modules in `_metadata`, which say nothing about these networks; those
    /// of a script's module are its tensors and modules.
    fn build(&mut self, state: &Value) -> Step<()> {
        let (target, state) = (self.node(self.top()?), self.node(state));
        match (target, state) {
            (Some(Node::Dict(target)), Some(Node::Dict(state))) if target.script_module => {
                let items: Vec<Value> =
                    state.items.iter().flat_map(|(key, value)| [key.value(), value.clone()]).collect();
                self.count_copies(items.len())?;
                self.set_items(items)
            }
            (Some(Node::Dict(target)), Some(Node::Dict(state))) if target.ordered => {
                let other = state.items.iter().find(|(key, _)| *key != Key::Text("_metadata".into()));
                other.map_or(Ok(()), |(key, _)| Err(format!("attribute {key}, only _metadata is known")))
            }
            _ => Err("attributes of something else than an OrderedDict".into()),
        }
    }

    /// Counts copied items, so that one container under many names cannot fill the memory.
    pub(super) fn count_copies(&mut self, n: usize) -> Step<()> {
        self.copied += n;
        if self.copied > MOST_OPCODES {
            return Err(format!("more than {MOST_OPCODES} items are copied"));
        }
        Ok(())
    }

    fn put(&mut self, place: u32) -> Step<()> {
        let value = self.top()?.clone();
        self.memo.insert(place, value);
        Ok(())
    }

    fn get(&mut self, place: u32) -> Step<()> {
        let value = self.memo.get(&place).cloned().ok_or_else(|| format!("nothing is stored at {place}"))?;
        self.push(value)
    }

    pub(super) fn node(&self, value: &Value) -> Option<&Node> {
        match value {
            Value::Container(id) => Some(&self.nodes[*id]),
            _ => None,
        }
    }

    /// Returns the elements of a tuple.
    pub(super) fn elements(&self, value: &Value) -> Step<&[Value]> {
        match self.node(value) {
            Some(Node::Tuple(items)) => Ok(items),
            _ => Err(format!("{}, expected a tuple", kind(value, &self.nodes))),
        }
    }

    pub(super) fn add(&mut self, node: Node) -> Value {
        self.nodes.push(node);
        Value::Container(self.nodes.len() - 1)
    }

    fn push_node(&mut self, node: Node) -> Step<()> {
        let value = self.add(node);
        self.push(value)
    }

    fn push(&mut self, value: Value) -> Step<()> {
        if self.stack.len() == MOST_STACK {
            return Err(format!("more than {MOST_STACK} values on the stack: nested too deeply"));
        }
        self.stack.push(value);
        Ok(())
    }

    /// Values below the last mark are out of reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Step<&Value> {
        let above = self.stack.len() > self.floor();
        self.stack.last().filter(|_| above).ok_or_else(|| "the stack is empty".into())
    }

    fn pop(&mut self) -> Step<Value> {
        self.top()?;
        self.stack.pop().ok_or_else(|| "the stack is empty".into())
    }

    fn since_mark(&mut self) -> Step<Vec<Value>> {
        let mark = self.marks.pop().ok_or("there is no mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn slice(&mut self, length: usize) -> Step<&[u8]> {
        let rest = &self.bytes[self.at..];
        let slice = rest
            .get(..length)
            .ok_or_else(|| format!("{length} bytes wanted, {} are left: incomplete", rest.len()))?;
        self.at += length;
        Ok(slice)
    }

    fn take<const N: usize>(&mut self) -> Step<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.slice(N)?);
        Ok(bytes)
    }

    /// Reads up to the next line feed.
    fn line(&mut self) -> Step<String> {
        let rest = &self.bytes[self.at..];
        // No name that is known has a hundred letters.
        let end = rest.iter().take(200).position(|&b| b == b'\n').ok_or("a name without end")?;
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        self.at += end + 1;
        Ok(line)
    }
}
