//! The weights in what a trainer saved beside much else.

use std::{collections::BTreeMap, rc::Rc};

use super::{MAX_NAME, Pickle, PickleError, PickledTensor, object::Object};
use crate::nn::checkpoint::quoted;

/// What a checkpoint calls its weights.
#[derive(Default)]
pub(in crate::nn) struct StateDict {
    pub tensors: Vec<(Rc<str>, Rc<PickledTensor>)>,
    /// Entries that are no tensors of floats, and what they are.
    pub others: Vec<(Rc<str>, String)>,
}

/// Keys of weights averaged over the training, which trainers evaluate: RT-DETR, D-FINE, timm, BasicSR.
const AVERAGED: [&str; 7] =
    ["ema", "ema_model", "model_ema", "ema_state_dict", "state_dict_ema", "ema_weights", "params_ema"];
/// Keys of weights, the likeliest first: Meta's trainer, Lightning, PyTorch's tutorials, and others.
const PLAIN: [&str; 12] = [
    "model",
    "state_dict",
    "model_state_dict",
    "module",
    "model_state",
    "sam2",
    "sam",
    "net",
    "network",
    "weights",
    "params",
    "shadow",
];
/// Dicts in dicts that weights are looked for in.
const MAX_DEPTH: usize = 4;

/// The weights: of dicts that hold tensors by name the one that is meant to be used.
pub(in crate::nn) fn state_dict(pickle: &Pickle, n_bytes: usize) -> Result<StateDict, PickleError> {
    let found = match &pickle.top {
        Object::Dict(top) => Search::new(&pickle.dicts).find(*top, MAX_DEPTH),
        _ => None,
    };
    let Some(found) = found else { return Err(no_weights(pickle)) };
    let mut weights = StateDict::default();
    let mut n_left = n_bytes;
    for (name, value) in &pickle.dicts[found] {
        // A dict has each of its names once, so that all of them together are not longer than the file.
        let fits = name.len() <= MAX_NAME && name.len() <= n_left;
        if !fits && matches!(value, Object::Tensor(_)) {
            let start: String = name.chars().take(40).chain("…".chars()).collect();
            return Err(match name.len() {
                n if n > MAX_NAME => PickleError::LongName(n, start),
                _ => PickleError::Damaged("names that repeat"),
            });
        }
        n_left = n_left.saturating_sub(name.len());
        match value {
            Object::Tensor(tensor) => weights.tensors.push((name.clone(), tensor.clone())),
            Object::Instance(what) if fits => weights.others.push((name.clone(), format!("a {what}"))),
            Object::Plain(what) if fits => weights.others.push((name.clone(), (*what).to_owned())),
            _ => {}
        }
    }
    Ok(weights)
}

/// The search for the dict with the weights; each dict is searched once, even if dicts hold each other.
struct Search<'a> {
    dicts: &'a [Vec<(Rc<str>, Object)>],
    /// Tensors of each dict.
    n_tensors: Vec<usize>,
    /// What was found in each dict that was searched.
    found: BTreeMap<usize, Option<usize>>,
}

impl<'a> Search<'a> {
    fn new(dicts: &'a [Vec<(Rc<str>, Object)>]) -> Self {
        let is_tensor = |(_, value): &&(Rc<str>, Object)| matches!(value, Object::Tensor(_));
        let n_tensors = dicts.iter().map(|dict| dict.iter().filter(is_tensor).count()).collect();
        Self { dicts, n_tensors, found: BTreeMap::new() }
    }

    /// The place of the dict with the weights in another, or that of this one.
    fn find(&mut self, dict: usize, depth: usize) -> Option<usize> {
        if let Some(found) = self.found.get(&dict) {
            return *found;
        }
        self.found.insert(dict, None);
        let found = self.look(dict, depth);
        self.found.insert(dict, found);
        found
    }

    fn look(&mut self, dict: usize, depth: usize) -> Option<usize> {
        let mut inner = BTreeMap::new();
        for (name, value) in self.dicts[dict].iter().filter(|_| depth > 0) {
            if let Object::Dict(value) = value {
                inner.insert(&**name, *value);
            }
        }
        let under = |keys: &'static [&'static str]| keys.iter().filter_map(|key| inner.get(key).copied());
        let averaged = under(&AVERAGED).find_map(|dict| self.find(dict, depth - 1));
        let plain = under(&PLAIN).find_map(|dict| self.find(dict, depth - 1));
        let plain = plain.or_else(|| (self.n_tensors[dict] > 0).then_some(dict));
        match (averaged, plain) {
            // Only some of the weights may have been averaged.
            (Some(averaged), Some(plain)) if self.n_tensors[averaged] < self.n_tensors[plain] => Some(plain),
            (None, None) => {
                let others = inner.into_iter().filter(|(name, _)| !name.starts_with("optim"));
                let found: Vec<usize> = others.filter_map(|(_, dict)| self.find(dict, depth - 1)).collect();
                found.into_iter().max_by_key(|found| self.n_tensors[*found])
            }
            (averaged, plain) => averaged.or(plain),
        }
    }
}

/// Says what the file holds in place of weights.
fn no_weights(pickle: &Pickle) -> PickleError {
    let class = |value: &Object| if let Object::Instance(class) = value { Some(class.clone()) } else { None };
    let keys = || AVERAGED.into_iter().chain(PLAIN);
    let inside = |dict: &usize| {
        let entries = &pickle.dicts[*dict];
        keys().find_map(|key| entries.iter().find(|(name, _)| &**name == key).and_then(|(_, v)| class(v)))
    };
    let whole = match &pickle.top {
        Object::Dict(dict) => inside(dict),
        top => class(top),
    };
    let odd = || {
        let mut entries = pickle.dicts.iter().flatten().filter(|(name, _)| name.len() <= MAX_NAME);
        entries.find_map(|(name, value)| match value {
            Object::Instance(what) if what.starts_with("tensor of ") => Some((name, format!("a {what}"))),
            Object::Plain(what) if what.starts_with("a tensor ") => Some((name, (*what).to_owned())),
            _ => None,
        })
    };
    match whole {
        Some(class) => PickleError::WholeModel(class.chars().take(80).collect()),
        None => match odd() {
            Some((name, what)) => PickleError::NoFloats(quoted(name), what),
            None => PickleError::NoWeights,
        },
    }
}
