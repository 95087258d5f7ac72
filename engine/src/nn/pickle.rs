//! Reads the pickle inside a PyTorch `.pt` file without executing anything.
//!
//! A pickle is a [program](https://github.com/python/cpython/blob/main/Lib/pickletools.py). This interpreter follows
//! every opcode and calls nothing: the few functions that describe tensors and dicts make a tensor or a dict, and every
//! other call makes an opaque value that nobody needs. So a trainer's checkpoint may hold an optimizer, settings and
//! metrics of any class beside its weights.
//! What is kept is bounded: dicts lie in a list and not in each other, tuples are short and flat, and no file makes more
//! than [`MAX_VALUES`] of anything.

mod object;
mod weights;

use std::{collections::HashMap, rc::Rc};

pub(super) use object::PickledTensor;
use object::{Global, Object, StorageType, made};
pub(super) use weights::{StateDict, state_dict};

/// Why a pickle is not a state_dict that Segue reads.
#[derive(Debug, thiserror::Error)]
pub enum PickleError {
    /// The bytes end before the program does.
    #[error("its pickle is cut short")]
    CutShort,
    /// Opcodes in an order that makes no sense.
    #[error("its pickle is damaged ({0})")]
    Damaged(&'static str),
    /// More values than any checkpoint has.
    #[error("its pickle makes more than {MAX_VALUES} {0}, which no checkpoint does")]
    TooMany(&'static str),
    /// A model was saved, not its weights.
    #[error(
        "it holds an object of the class {0}, not the weights alone; load it where its code is, and save \
         torch.save(model.state_dict(), \"weights.pt\")"
    )]
    WholeModel(String),
    /// Neither weights nor anything in which they could be.
    #[error("it holds no weights: no dict with names and tensors")]
    NoWeights,
    /// Tensors, but none of floats: the first one, and what it is.
    #[error("it holds no tensors of floats; the first, {0}, is {1}")]
    NoFloats(String, String),
    /// A name that would fill the memory.
    #[error("the name of a tensor has {0} bytes, more than {MAX_NAME}: {1}")]
    LongName(usize, String),
}

type Result<T> = std::result::Result<T, PickleError>;

/// Values on the stack, in the memo or in dicts, and tensors. The largest SAM 2 with its optimizer takes about 20,000.
pub(super) const MAX_VALUES: usize = 1 << 19;
/// Bytes of a tensor's name.
pub(super) const MAX_NAME: usize = 1024;
/// Dimensions of a tensor.
pub(super) const MAX_DIMENSIONS: usize = 8;

/// The value that a pickle makes.
pub(super) struct Pickle {
    pub top: Object,
    /// Entries with text as key, of all dicts.
    pub dicts: Vec<Vec<(Rc<str>, Object)>>,
    /// Storages that it names, with how many elements each has.
    pub storages: Vec<(Rc<str>, StorageType, usize)>,
}

impl Pickle {
    /// Reads a pickle, and returns the bytes behind it.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, &[u8])> {
        let mut machine = Machine { rest: bytes, ..Machine::default() };
        let top = machine.run()?;
        let Machine { rest, dicts, storages, .. } = machine;
        Ok((Self { top, dicts, storages }, rest))
    }
}

/// The pickle machine: a program, a stack, and a memo of values to use again.
#[derive(Default)]
struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Object>,
    memo: HashMap<usize, Object>,
    dicts: Vec<Vec<(Rc<str>, Object)>>,
    storages: Vec<(Rc<str>, StorageType, usize)>,
    n_entries: usize,
    n_tensors: usize,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Object> {
        loop {
            if self.stack.len() > MAX_VALUES {
                return Err(PickleError::TooMany("values at a time"));
            }
            match self.byte()? {
                b'.' => return self.pop(),
                // PROTO and FRAME say nothing that is needed.
                0x80 => drop(self.take(1)?),
                0x95 => drop(self.take(8)?),
                b'(' => self.stack.push(Object::Mark),
                // POP, POP_MARK, DUP
                b'0' => drop(self.stack.pop()),
                b'1' => drop(self.pop_to_mark()?),
                b'2' => {
                    let top = self.pop()?;
                    self.stack.extend([top.clone(), top]);
                }
                // NONE, NEWTRUE, NEWFALSE
                b'N' => self.push(Object::Plain("None")),
                0x88 | 0x89 => self.push(Object::Plain("a bool")),
                // BININT, BININT1, BININT2, LONG1, LONG4, INT, LONG
                b'J' => self.push_int(4)?,
                b'K' => self.push_int(1)?,
                b'M' => self.push_int(2)?,
                0x8a => self.push_long(1)?,
                0x8b => self.push_long(4)?,
                b'I' | b'L' => {
                    let line = self.line()?.trim_end_matches('L');
                    self.push(line.parse().map_or(Object::Plain("a number"), Object::Int));
                }
                // BINFLOAT, FLOAT
                b'G' => self.skip(8, "a number")?,
                b'F' => drop(self.line().map(|_| self.push(Object::Plain("a number")))?),
                // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8, UNICODE; Python 2's BINSTRING, SHORT_BINSTRING, STRING
                b'X' | b'T' => self.push_string(4)?,
                0x8c | b'U' => self.push_string(1)?,
                0x8d => self.push_string(8)?,
                b'V' | b'S' => {
                    let text = self.line()?.trim_matches(['\'', '"']).into();
                    self.push(Object::Str(text));
                }
                // BINBYTES, SHORT_BINBYTES, BINBYTES8, BYTEARRAY8, NEXT_BUFFER, READONLY_BUFFER
                b'B' => self.skip_bytes(4)?,
                b'C' => self.skip_bytes(1)?,
                0x8e | 0x96 => self.skip_bytes(8)?,
                0x97 => self.push(Object::Plain("bytes")),
                0x98 => {}
                // EMPTY_DICT, DICT, SETITEM, SETITEMS
                b'}' => self.push_dict(),
                b'd' => {
                    let items = self.pop_to_mark()?;
                    self.push_dict();
                    self.set_items(items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set_items(vec![key, value])?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    self.set_items(items)?;
                }
                // Lists and sets hold no weights: EMPTY_LIST, LIST, APPEND, APPENDS, EMPTY_SET, ADDITEMS, FROZENSET
                b']' => self.push(Object::Plain("a list")),
                b'l' => drop(self.pop_to_mark().map(|_| self.push(Object::Plain("a list")))?),
                b'a' => drop(self.pop()?),
                b'e' | 0x90 => drop(self.pop_to_mark()?),
                0x8f => self.push(Object::Plain("a set")),
                0x91 => drop(self.pop_to_mark().map(|_| self.push(Object::Plain("a set")))?),
                // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
                b')' => self.push_tuple_of(0)?,
                0x85 => self.push_tuple_of(1)?,
                0x86 => self.push_tuple_of(2)?,
                0x87 => self.push_tuple_of(3)?,
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.push(Object::tuple(items));
                }
                // BINPUT, LONG_BINPUT, MEMOIZE, PUT, BINGET, LONG_BINGET, GET
                b'q' => self.memorize(1)?,
                b'r' => self.memorize(4)?,
                0x94 => self.memorize(0)?,
                b'p' => {
                    let place = self.number_line()?;
                    self.memorize_at(place)?;
                }
                b'h' => self.recall(1)?,
                b'j' => self.recall(4)?,
                b'g' => {
                    let place = self.number_line()?;
                    self.recall_from(place)?;
                }
                // GLOBAL, STACK_GLOBAL, and EXT1, EXT2, EXT4, which name a class by a number
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push_global(module, name);
                }
                0x93 => match (self.pop()?, self.pop()?) {
                    (Object::Str(name), Object::Str(module)) => self.push_global(&module, &name),
                    _ => return Err(PickleError::Damaged("a name that is not text")),
                },
                0x82 => self.skip(1, "a class")?,
                0x83 => self.skip(2, "a class")?,
                0x84 => self.skip(4, "a class")?,
                // BINPERSID, PERSID
                b'Q' => self.push_storage()?,
                b'P' => drop(self.line().map(|_| self.push(Object::Plain("a reference")))?),
                // REDUCE, NEWOBJ, NEWOBJ_EX, INST, OBJ
                b'R' | 0x81 => {
                    let (arguments, function) = (self.pop()?, self.pop()?);
                    self.call(&function, &arguments)?;
                }
                0x92 => {
                    let (_, arguments, function) = (self.pop()?, self.pop()?, self.pop()?);
                    self.call(&function, &arguments)?;
                }
                b'i' => {
                    let (module, name) = (self.line()?, self.line()?);
                    drop(self.pop_to_mark()?);
                    self.push(Object::Instance(format!("{module}.{name}").into()));
                }
                b'o' => {
                    let class = self.pop_to_mark()?.into_iter().next();
                    let class = class.ok_or(PickleError::Damaged("an object without a class"))?;
                    self.call(&class, &Object::Plain("arguments"))?;
                }
                // BUILD sets attributes, such as an OrderedDict's `_metadata`, which say nothing of weights.
                b'b' => drop(self.pop()?),
                _ => return Err(PickleError::Damaged("an opcode that there is not")),
            }
        }
    }

    fn push(&mut self, object: Object) {
        self.stack.push(object);
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(PickleError::CutShort)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// Passes over the bytes of a value.
    fn skip(&mut self, n_bytes: usize, what: &'static str) -> Result<()> {
        self.take(n_bytes)?;
        self.push(Object::Plain(what));
        Ok(())
    }

    fn skip_bytes(&mut self, n_bytes_of_length: usize) -> Result<()> {
        let length = self.unsigned(n_bytes_of_length)?;
        self.skip(length, "bytes")
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

    fn number_line(&mut self) -> Result<usize> {
        self.line()?.parse().map_err(|_no_number| PickleError::Damaged("a place that is no number"))
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
        // One and two bytes are unsigned, all others two's complement.
        let unused = if n_bytes > 2 { 64 - 8 * n_bytes as u32 } else { 0 };
        let number = (self.unsigned(n_bytes)? as i64) << unused >> unused;
        self.push(Object::Int(number));
        Ok(())
    }

    fn push_long(&mut self, n_bytes_of_length: usize) -> Result<()> {
        let bytes = self.unsigned(n_bytes_of_length)?;
        let bytes = self.take(bytes)?;
        let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut number = [sign; 8];
        match number.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(bytes);
                self.push(Object::Int(i64::from_le_bytes(number)));
            }
            None => self.push(Object::Plain("a number")),
        }
        Ok(())
    }

    fn push_string(&mut self, n_bytes_of_length: usize) -> Result<()> {
        let length = self.unsigned(n_bytes_of_length)?;
        let text = self.take(length)?;
        // Python 2's strings may be bytes, and Python 3's hold half surrogates.
        self.push(match std::str::from_utf8(text) {
            Ok(text) => Object::Str(text.into()),
            Err(_not_utf8) => Object::Plain("text that is not UTF-8"),
        });
        Ok(())
    }

    fn push_tuple_of(&mut self, n: usize) -> Result<()> {
        let mut items = (0..n).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        items.reverse();
        self.push(Object::tuple(items));
        Ok(())
    }

    fn push_dict(&mut self) {
        self.push(Object::Dict(self.dicts.len()));
        self.dicts.push(Vec::new());
    }

    /// Puts items into the dict on top of the stack; an object of another class takes them as well, and nobody needs them.
    fn set_items(&mut self, items: Vec<Object>) -> Result<()> {
        let dict = match self.stack.last() {
            Some(Object::Dict(dict)) => &mut self.dicts[*dict],
            Some(Object::Mark) | None => return Err(PickleError::Damaged("no dict where one is due")),
            Some(_) => return Ok(()),
        };
        self.n_entries += items.len() / 2;
        if self.n_entries > MAX_VALUES {
            return Err(PickleError::TooMany("entries of dicts"));
        }
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            if let Object::Str(key) = key {
                dict.push((key, value));
            }
        }
        Ok(())
    }

    fn memorize(&mut self, n_bytes: usize) -> Result<()> {
        let place = if n_bytes == 0 { self.memo.len() } else { self.unsigned(n_bytes)? };
        self.memorize_at(place)
    }

    fn memorize_at(&mut self, place: usize) -> Result<()> {
        let object = self.stack.last().ok_or(PickleError::Damaged("nothing to remember"))?;
        self.memo.insert(place, object.clone());
        if self.memo.len() > MAX_VALUES { Err(PickleError::TooMany("values to use again")) } else { Ok(()) }
    }

    fn recall(&mut self, n_bytes: usize) -> Result<()> {
        let place = self.unsigned(n_bytes)?;
        self.recall_from(place)
    }

    fn recall_from(&mut self, place: usize) -> Result<()> {
        let object = self.memo.get(&place).ok_or(PickleError::Damaged("a memo that was never made"))?;
        self.stack.push(object.clone());
        Ok(())
    }

    fn push_global(&mut self, module: &str, name: &str) {
        let storage =
            || if let "torch" | "torch.storage" = module { StorageType::of_class(name) } else { None };
        let global = match (module, name) {
            ("collections", "OrderedDict" | "defaultdict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Global::RebuildParameter
            }
            ("torch._tensor", "_rebuild_from_type_v2") => Global::RebuildFromType,
            _ => storage().map_or_else(|| Global::Other(format!("{module}.{name}").into()), Global::Storage),
        };
        self.push(Object::Global(global));
    }

    /// `('storage', type, key, device, n_elements)`
    fn push_storage(&mut self) -> Result<()> {
        const NO_STORAGE: PickleError = PickleError::Damaged("not a storage where one is due");
        let Object::Tuple(id, _) = self.pop()? else { return Err(NO_STORAGE) };
        let (Some(class), Some(Object::Str(key))) = (id.get(1), id.get(2)) else { return Err(NO_STORAGE) };
        // A view of another storage has a sixth field; PyTorch stopped writing them before version 1.
        let n_elements = id.get(4).and_then(Object::size);
        let is_view = id.get(5).is_some_and(|view| matches!(view, Object::Tuple(..)));
        let storage = match (class, n_elements) {
            (Object::Global(Global::Storage(kind)), Some(n)) if !is_view => {
                self.storages.push((key.clone(), *kind, n));
                Object::Storage(*kind, key.clone())
            }
            _ => Object::Plain("a storage of another kind"),
        };
        self.push(storage);
        if self.storages.len() > MAX_VALUES { Err(PickleError::TooMany("storages")) } else { Ok(()) }
    }

    /// Pushes what a call would return, without calling anything.
    fn call(&mut self, function: &Object, arguments: &Object) -> Result<()> {
        if let Object::Global(Global::OrderedDict) = function {
            self.push_dict();
            return Ok(());
        }
        self.push(made(function, arguments));
        self.n_tensors += usize::from(matches!(self.stack.last(), Some(Object::Tensor(_))));
        if self.n_tensors > MAX_VALUES { Err(PickleError::TooMany("tensors")) } else { Ok(()) }
    }
}
