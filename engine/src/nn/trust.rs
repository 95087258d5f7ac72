//! Whether a device makes the numbers that the processor makes: found out once a model and device, and kept in a file.
//!
//! A wrong graphics card is worse than a slow one: its masks look like a bad model's.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    device::Device,
    graph::Precision,
    model::Model,
    ops::Attention,
    runtime::{Cancel, RuntimeError, VERSION},
    tensor::{Port, PortKind, Tensor},
};
use crate::file::{user_folders, write_atomically};

/// How far a device is off: the root mean square of the differences as a share of that of the numbers, the worst output's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Verdict {
    off: f32,
}

impl Verdict {
    /// What is wrong, if it is off by more than the precision explains.
    pub(super) fn check(self, precision: Precision) -> Result<(), String> {
        let most = match precision {
            Precision::Full => 0.01,
            Precision::Half => 0.03,
        };
        match self.off {
            off if off <= most => Ok(()),
            off => Err(format!("its numbers are off by {:.1} %", off * 100.0)),
        }
    }
}

/// Tells a model with its weights, and with attention written in one way, from others.
pub(super) fn identity(onnx: &[u8], attention: Attention, weights: &Path) -> String {
    let mut hash = Sha256::new();
    hash.update(onnx);
    hash.update(format!("{attention:?}"));
    if let Ok(file) = weights.metadata() {
        hash.update(file.len().to_le_bytes());
        let since = file.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        hash.update(since.map_or(0, |since| since.as_nanos()).to_le_bytes());
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Runs both on the same inputs. What the processor cannot run or makes no numbers of, such as another's model on sides that
/// it is not made for, says nothing of the device.
pub(super) fn compare(model: &mut Model, reference: &mut Model) -> Result<Verdict, RuntimeError> {
    let ports = reference.inputs();
    let inputs = ports.iter().map(sample).collect::<Result<Vec<Tensor>, _>>()?;
    let inputs: Vec<(&str, &Tensor)> = ports.iter().map(|port| &*port.name).zip(&inputs).collect();
    let Ok(wanted) = reference.run(&inputs, &Cancel::default()) else { return Ok(Verdict { off: 0.0 }) };
    let ours = model.run(&inputs, &Cancel::default())?;
    let off = ours.iter().zip(&wanted).map(|(ours, wanted)| match (ours.numbers(), wanted.numbers()) {
        (Some((_, ours)), Some((_, wanted))) if wanted.iter().all(|v| v.is_finite()) => off(&ours, &wanted),
        _ => 0.0,
    });
    Ok(Verdict { off: off.fold(0.0, f32::max) })
}

/// How far numbers are off: see [`Verdict`].
pub(super) fn off(ours: &[f32], wanted: &[f32]) -> f32 {
    let square =
        |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v) * f64::from(v)).sum::<f64>();
    let apart = square(&mut ours.iter().zip(wanted).map(|(a, b)| a - b));
    let size = square(&mut wanted.iter().copied());
    let off = (apart / size.max(f64::MIN_POSITIVE)).sqrt() as f32;
    // No number at all is as wrong as can be.
    if apart == 0.0 {
        0.0
    } else if off.is_finite() {
        off
    } else {
        f32::MAX
    }
}

/// Numbers for an input: waves of about the size that features have, which as integers are 0, and pictures of all levels.
fn sample(port: &Port) -> Result<Tensor, RuntimeError> {
    let shape: Vec<usize> = port.shape.iter().map(|side| side.unwrap_or(2)).collect();
    let places = 0..shape.iter().product::<usize>();
    let wave = |i: usize| (i as f32 * 0.7).sin() * 0.9;
    match port.kind {
        PortKind::Byte => {
            let level = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 24) as u8;
            Tensor::from_bytes(&shape, places.map(level).collect())
        }
        PortKind::Integer => Tensor::from_integers(&shape, vec![0; places.len()]),
        PortKind::Half => Tensor::from_floats_as_halves(&shape, &places.map(wave).collect::<Vec<f32>>()),
        PortKind::Float | PortKind::Other => Tensor::from_floats(&shape, places.map(wave).collect()),
    }
}

/// Verdicts by what they are of.
type Verdicts = BTreeMap<String, Verdict>;

/// One at a time reads and writes the file.
static FILE: Mutex<()> = Mutex::new(());

fn file() -> Option<PathBuf> {
    Some(user_folders()?.cache_dir().join("devices.json"))
}

fn read(path: &Path) -> Verdicts {
    // What cannot be read is found out again.
    std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn key(device: Device, precision: Precision, identity: &str) -> String {
    format!("{VERSION} {device} {} {precision} {identity}", device.hardware().unwrap_or_default())
}

/// What was found out before.
pub(super) fn remembered(device: Device, precision: Precision, identity: &str) -> Option<Verdict> {
    let _alone = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    read(&file()?).get(&key(device, precision, identity)).copied()
}

/// Keeps what was found out; where that cannot be, it is found out again.
pub(super) fn remember(device: Device, precision: Precision, identity: &str, verdict: Verdict) {
    let _alone = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(path) = file() else { return };
    let mut verdicts = read(&path);
    verdicts.insert(key(device, precision, identity), verdict);
    let Ok(text) = serde_json::to_vec(&verdicts) else { return };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).ok();
    }
    write_atomically(&path, |out| out.write_all(&text)).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_is_told_by_its_share() {
        assert_eq!(off(&[1.0, 2.0], &[1.0, 2.0]), 0.0);
        assert!((off(&[1.01, 2.02], &[1.0, 2.0]) - 0.01).abs() < 1e-4);
        assert_eq!(off(&[f32::NAN, 2.0], &[1.0, 2.0]), f32::MAX);
        assert_eq!(off(&[1.0], &[0.0]), f32::MAX);
        assert_eq!(off(&[0.0], &[0.0]), 0.0);
        assert!(Verdict { off: 0.02 }.check(Precision::Half).is_ok());
        let why = Verdict { off: 0.02 }.check(Precision::Full).unwrap_err();
        assert_eq!(why, "its numbers are off by 2.0 %");
    }

    #[test]
    fn weights_that_change_are_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let write = |text: &[u8]| write_atomically(&path, |out| out.write_all(text)).unwrap();
        write(b"a");
        let first = identity(b"graph", Attention::Fused, &path);
        assert_eq!(first, identity(b"graph", Attention::Fused, &path));
        assert_ne!(first, identity(b"another", Attention::Fused, &path));
        write(b"ab");
        assert_ne!(first, identity(b"graph", Attention::Fused, &path));
    }
}
