//! Reads the pickle inside a PyTorch `.pt` file without executing anything.
//!
//! A pickle is a program. This interpreter knows the few opcodes that write a `state_dict`, and of the names a
//! pickle may call only those that describe tensors; at anything else it stops.
//! Values are trees (a shared dict is refused) of bounded depth, so no file can make it loop or overflow the stack.

use std::{collections::HashMap, rc::Rc};

use super::checkpoint::ElementType;

/// A tensor as a pickle describes it.
#[derive(Debug)]
pub(super) struct PickledTensor {
    pub element_type: ElementType,
    /// Name of the zip entry below `data/` that holds its storage.
    pub storage: Rc<str>,
    /// Number of the tensor's first element in its storage.
    pub first_element: usize,
    pub shape: Vec<usize>,
}

/// Why a pickle is not a state_dict that Segue reads.
#[derive(Debug, thiserror::Error)]
pub enum PickleError {
    /// The bytes end before the program does.
    #[error("its pickle is cut short")]
    CutShort,
    /// Something a state_dict does not need.
    #[error("its pickle asks for {0}, which weights do not need; it was not run")]
    Forbidden(String),
    /// Well-known opcodes in an order that makes no sense.
    #[error("its pickle is damaged ({0})")]
    Damaged(&'static str),
    /// A tensor whose elements do not lie one after the other.
    #[error("tensor {0} is not contiguous")]
    Strided(String),
}

type Result<T> = std::result::Result<T, PickleError>;

const MAX_DEPTH: usize = 32;

#[derive(Clone, Debug)]
enum Object {
    Nothing,
    Int(i64),
    Str(Rc<str>),
    Tuple(Rc<[Self]>, usize),
    Global(Global),
    Storage(ElementType, Rc<str>),
    Tensor(Rc<PickledTensor>),
    /// Reading it back from the memo is refused, so that values stay trees.
    Dict(Option<Vec<(Self, Self)>>, usize),
    Mark,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(ElementType),
}

impl Object {
    fn depth(&self) -> usize {
        match self {
            Self::Tuple(_, depth) | Self::Dict(_, depth) => *depth,
            _ => 0,
        }
    }

    fn tuple(items: Vec<Self>) -> Result<Self> {
        let depth = 1 + items.iter().map(Self::depth).max().unwrap_or(0);
        limit_depth(depth)?;
        Ok(Self::Tuple(items.into(), depth))
    }

    fn size(&self) -> Result<usize> {
        match *self {
            Self::Int(n) => usize::try_from(n).map_err(|_negative| PickleError::Damaged("a negative size")),
            _ => Err(PickleError::Damaged("not a number where one is due")),
        }
    }

    fn sizes(&self) -> Result<Vec<usize>> {
        match self {
            Self::Tuple(items, _) => items.iter().map(Self::size).collect(),
            _ => Err(PickleError::Damaged("not a shape where one is due")),
        }
    }
}

/// The tensors of a `state_dict`, or of the one under the key `model`, in the file's order.
pub(super) fn read_state_dict(bytes: &[u8]) -> Result<Vec<(String, Rc<PickledTensor>)>> {
    let Object::Dict(Some(mut items), _) = Machine { rest: bytes, ..Machine::default() }.run()? else {
        return Err(PickleError::Damaged("it holds no dict"));
    };
    let model = items.iter().position(|(key, _)| matches!(key, Object::Str(k) if &**k == "model"));
    if let Some((_, Object::Dict(Some(inner), _))) = model.map(|i| items.swap_remove(i)) {
        items = inner;
    }
    let tensors = items.into_iter().filter_map(|item| match item {
        (Object::Str(name), Object::Tensor(tensor)) => Some((name.to_string(), tensor)),
        _ => None,
    });
    Ok(tensors.collect())
}

fn limit_depth(depth: usize) -> Result<()> {
    if depth > MAX_DEPTH { Err(PickleError::Damaged("nested too deeply")) } else { Ok(()) }
}

/// The pickle machine: a program, a stack, and a memo of values to use again.
#[derive(Default)]
struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Object>,
    memo: HashMap<usize, Object>,
}

impl<'a> Machine<'a> {
    fn run(mut self) -> Result<Object> {
        loop {
            match self.byte()? {
                b'.' => return self.pop(),
                // PROTO and FRAME say nothing that is needed.
                0x80 => drop(self.take(1)?),
                0x95 => drop(self.take(8)?),
                b'(' => self.stack.push(Object::Mark),
                // NONE, NEWTRUE, NEWFALSE
                b'N' | 0x88 | 0x89 => self.stack.push(Object::Nothing),
                // BININT, BININT1, BININT2, LONG1
                b'J' => self.push_int(4)?,
                b'K' => self.push_int(1)?,
                b'M' => self.push_int(2)?,
                0x8a => {
                    let n_bytes = self.unsigned(1)?;
                    self.push_int(n_bytes)?;
                }
                // BINUNICODE, SHORT_BINUNICODE
                b'X' => self.push_string(4)?,
                0x8c => self.push_string(1)?,
                // EMPTY_DICT, SETITEM, SETITEMS
                b'}' => self.stack.push(Object::Dict(Some(Vec::new()), 1)),
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set_items(vec![key, value])?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    self.set_items(items)?;
                }
                // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
                b')' => self.push_tuple_of(0)?,
                0x85 => self.push_tuple_of(1)?,
                0x86 => self.push_tuple_of(2)?,
                0x87 => self.push_tuple_of(3)?,
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.stack.push(Object::tuple(items)?);
                }
                // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
                b'q' => self.memorize(1)?,
                b'r' => self.memorize(4)?,
                0x94 => self.memorize(0)?,
                b'h' => self.recall(1)?,
                b'j' => self.recall(4)?,
                // GLOBAL, BINPERSID, REDUCE
                b'c' => self.push_global()?,
                b'Q' => self.push_storage()?,
                b'R' => self.reduce()?,
                // BUILD sets an OrderedDict's `_metadata`, which says nothing of weights.
                b'b' => drop(self.pop()?),
                opcode => return Err(PickleError::Forbidden(format!("opcode 0x{opcode:02x}"))),
            }
        }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(PickleError::CutShort)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// A little-endian number of up to eight bytes.
    fn unsigned(&mut self, n_bytes: usize) -> Result<usize> {
        Ok(self.take(n_bytes)?.iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte)))
    }

    fn line(&mut self) -> Result<&'a str> {
        let end = self.rest.iter().position(|&b| b == b'\n').ok_or(PickleError::CutShort)?;
        let line = &self.take(end + 1)?[..end];
        std::str::from_utf8(line).map_err(|_not_utf8| PickleError::Damaged("a name that is not text"))
    }

    fn pop(&mut self) -> Result<Object> {
        match self.stack.pop() {
            Some(Object::Mark) | None => Err(PickleError::Damaged("nothing where a value is due")),
            Some(object) => Ok(object),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Object>> {
        let mark = self.stack.iter().rposition(|o| matches!(o, Object::Mark));
        let items = self.stack.split_off(mark.ok_or(PickleError::Damaged("no mark where one is due"))? + 1);
        self.stack.pop();
        Ok(items)
    }

    fn push_int(&mut self, n_bytes: usize) -> Result<()> {
        if n_bytes > 8 {
            return Err(PickleError::Damaged("a number of more than 64 bits"));
        }
        // One and two bytes are unsigned, all others two's complement.
        let unused = if n_bytes > 2 { 64 - 8 * n_bytes as u32 } else { 0 };
        let number = (self.unsigned(n_bytes)? as i64) << unused >> unused;
        self.stack.push(Object::Int(number));
        Ok(())
    }

    fn push_string(&mut self, n_bytes_of_length: usize) -> Result<()> {
        let length = self.unsigned(n_bytes_of_length)?;
        let text = std::str::from_utf8(self.take(length)?);
        let text = text.map_err(|_not_utf8| PickleError::Damaged("a string that is not UTF-8"))?;
        self.stack.push(Object::Str(text.into()));
        Ok(())
    }

    fn push_tuple_of(&mut self, n: usize) -> Result<()> {
        let mut items = (0..n).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        items.reverse();
        self.stack.push(Object::tuple(items)?);
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Object>) -> Result<()> {
        let Some(Object::Dict(Some(dict), depth)) = self.stack.last_mut() else {
            return Err(PickleError::Damaged("no dict where one is due"));
        };
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            *depth = (*depth).max(1 + value.depth()).max(1 + key.depth());
            dict.push((key, value));
        }
        limit_depth(*depth)
    }

    fn memorize(&mut self, n_bytes: usize) -> Result<()> {
        let place = if n_bytes == 0 { self.memo.len() } else { self.unsigned(n_bytes)? };
        let object = match self.stack.last() {
            None => return Err(PickleError::Damaged("nothing to remember")),
            Some(Object::Dict(_, depth)) => Object::Dict(None, *depth),
            Some(object) => object.clone(),
        };
        self.memo.insert(place, object);
        Ok(())
    }

    fn recall(&mut self, n_bytes: usize) -> Result<()> {
        let place = self.unsigned(n_bytes)?;
        let object = self.memo.get(&place).ok_or(PickleError::Damaged("a memo that was never made"))?;
        self.stack.push(object.clone());
        Ok(())
    }

    fn push_global(&mut self) -> Result<()> {
        let (module, name) = (self.line()?, self.line()?);
        let global = match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch", "FloatStorage") => Global::Storage(ElementType::F32),
            ("torch", "HalfStorage") => Global::Storage(ElementType::F16),
            ("torch", "BFloat16Storage") => Global::Storage(ElementType::Bf16),
            _ => return Err(PickleError::Forbidden(format!("{module}.{name}"))),
        };
        self.stack.push(Object::Global(global));
        Ok(())
    }

    /// `('storage', type, key, device, n_elements)`
    fn push_storage(&mut self) -> Result<()> {
        match self.pop()? {
            Object::Tuple(id, _) => match &id[..] {
                [_, Object::Global(Global::Storage(element_type)), Object::Str(key), ..] => {
                    self.stack.push(Object::Storage(*element_type, key.clone()));
                    Ok(())
                }
                _ => Err(PickleError::Damaged("not a storage where one is due")),
            },
            _ => Err(PickleError::Damaged("not a storage where one is due")),
        }
    }

    fn reduce(&mut self) -> Result<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Object::Global(global), Object::Tuple(arguments, _)) = (function, arguments) else {
            return Err(PickleError::Damaged("a call of something else than a function"));
        };
        let made = match (global, &arguments[..]) {
            (Global::OrderedDict, []) => Object::Dict(Some(Vec::new()), 1),
            (Global::RebuildParameter, [tensor @ Object::Tensor(_), ..]) => tensor.clone(),
            (Global::RebuildTensor, [Object::Storage(element_type, key), first, shape, strides, ..]) => {
                let shape = shape.sizes()?;
                if !is_contiguous(&shape, &strides.sizes()?) {
                    return Err(PickleError::Strided(format!("in storage {key}")));
                }
                Object::Tensor(Rc::new(PickledTensor {
                    element_type: *element_type,
                    storage: key.clone(),
                    first_element: first.size()?,
                    shape,
                }))
            }
            _ => return Err(PickleError::Damaged("a call with arguments that do not fit")),
        };
        self.stack.push(made);
        Ok(())
    }
}

fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1_usize;
    shape.len() == strides.len()
        && shape.iter().zip(strides).rev().all(|(&n, &stride)| {
            let fits = n == 1 || stride == expected;
            expected = expected.saturating_mul(n);
            fits
        })
}
