//! Which frames of a video are damaged: those whose data are, and those that refer to them.

use std::collections::BTreeSet;

use ffmpeg::codec;
use ffmpeg_next as ffmpeg;

use super::{
    MediaError,
    decode::{Decoder, Mode, PacketInfo},
    index::Index,
};

/// Finds the damaged frames of the stretch that is decoded from packet `start`, or else from the first packet.
///
/// A frame that is decoded after a damaged one may refer to it, whatever its picture looks like: up to the next key frame
/// all are damaged, unless the codec says that no frame refers to the damaged one. None if `go_on`, which is asked now and
/// then, says no. The decoder must be placed again afterwards.
///
/// # Errors
/// The file cannot be read any more.
pub(super) fn examine(
    decoder: &mut Decoder,
    index: &Index,
    start: Option<usize>,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Option<BTreeSet<usize>>, MediaError> {
    let frames: Vec<usize> = index.stretch(start).collect();
    let packet_of = |frame: &usize| index.packet_of(*frame);
    let (packets, first) = (index.packets(), start.unwrap_or(0));
    let Some(last) = frames.iter().map(packet_of).max() else { return Ok(Some(BTreeSet::new())) };
    decoder.start_at(packets, first, Mode::Examine)?;
    let Some(mut damaged) = decoder.examine(last, go_on) else { return Ok(None) };
    // Containers notice that something is lost, but may mark the packet beside the gap.
    let corrupt: Vec<usize> = (first..=last).filter(|n| packets[*n].corrupt).collect();
    if !decoder.reports_concealment() {
        damaged.extend(&corrupt);
    }
    let referred_to = damaged.iter().filter(|n| !is_disposable(packets, **n));
    let spreads_from = referred_to.chain(&corrupt).min().copied();
    let is_damaged = |frame: &usize| {
        let packet = packet_of(frame);
        damaged.contains(&packet)
            || spreads_from.is_some_and(|from| packet > from)
            || lacks_what_it_refers_to(decoder.codec(), index, *frame)
    };
    Ok(Some(frames.into_iter().filter(is_damaged).collect()))
}

/// True if no frame refers to the packet's. Damaged data may say so wrongly, so that its place among the others must say
/// the same: such a frame is shown before one that is decoded earlier.
fn is_disposable(packets: &[PacketInfo], n: usize) -> bool {
    let is_shown_before = |other: &PacketInfo| other.pts > packets[n].pts;
    packets[n].disposable && packets[..n].iter().rev().take(16).any(is_shown_before)
}

/// True if a frame at the start of a video that was cut out of another lacks what it refers to. FFmpeg leaves out most of
/// those frames; these it decodes.
pub(super) fn lacks_what_it_refers_to(codec: codec::Id, index: &Index, frame: usize) -> bool {
    if index.start(frame).is_some() {
        return false;
    }
    let (packet, key) = (index.packet_of(frame), index.first_key());
    match codec {
        codec::Id::HEVC => key.is_none_or(|key| packet < key),
        // Shown before the first key frame and decoded after it.
        codec::Id::H264 => key.is_some_and(|key| packet > key && index.frame_of(key) > Some(frame)),
        _ => false,
    }
}

/// Says which frames of a medium are damaged, as the start of a sentence: "frames 3, 7 to 9 of clip.mp4 are damaged".
pub fn damaged_frames(frames: &BTreeSet<usize>, medium: &str) -> String {
    /// More would not be read.
    const MAX_RANGES: usize = 8;
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &frame in frames {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == frame => *last = frame,
            _ => ranges.push((frame, frame)),
        }
    }
    let mut named: Vec<String> = ranges
        .iter()
        .take(MAX_RANGES)
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first} to {last}") })
        .collect();
    if ranges.len() > MAX_RANGES {
        named.push(format!("… ({} in all)", frames.len()));
    }
    let (noun, verb) = if frames.len() == 1 { ("frame", "is") } else { ("frames", "are") };
    format!("{noun} {} of {medium} {verb} damaged", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_frames_are_told_as_ranges() {
        let told = |frames: &[usize]| damaged_frames(&frames.iter().copied().collect(), "a.mp4");
        assert_eq!(told(&[4]), "frame 4 of a.mp4 is damaged");
        assert_eq!(told(&[40, 41, 42, 43]), "frames 40 to 43 of a.mp4 are damaged");
        assert_eq!(told(&[3, 7, 8]), "frames 3, 7 to 8 of a.mp4 are damaged");
        let many: Vec<usize> = (0..30).map(|n| 2 * n).collect();
        assert_eq!(told(&many), "frames 0, 2, 4, 6, 8, 10, 12, 14, … (30 in all) of a.mp4 are damaged");
    }
}
