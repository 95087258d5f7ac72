//! Which packets of a video are frames, in the order they are shown, and where decoding can start for each.
//!
//! A frame is what comes out of the decoder from the first packet on; packets only announce it.
//! Decoding a long video to count its frames takes minutes, so the container's word is taken where it can be trusted:
//! it has to be complete and unambiguous, and the first and last pictures that are decoded have to bear it out.
//! In all other cases (a file that was cut off, fields in packets of their own, frames that an edit list hides,
//! no timestamps, a start without a key frame) the whole video is decoded once, and a fingerprint of each frame is kept:
//! such files are also those where decoding from a key frame may not give what decoding from the start gave.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
};

use ffmpeg::{codec::Id, frame};
use ffmpeg_next as ffmpeg;

use super::{
    MediaError,
    decode::{Decoder, Mode, PacketInfo, Picture},
};

/// Formats that put exactly one shown frame into each packet (hidden frames of VP9 and AV1 travel with shown ones).
const ONE_TO_ONE: [Id; 17] = [
    Id::H264,
    Id::HEVC,
    Id::VP9,
    Id::AV1,
    Id::MJPEG,
    Id::MPEG2VIDEO,
    Id::PRORES,
    Id::DNXHD,
    Id::FFV1,
    Id::PNG,
    Id::JPEG2000,
    Id::HUFFYUV,
    Id::FFVHUFF,
    Id::UTVIDEO,
    Id::CFHD,
    Id::DVVIDEO,
    Id::RAWVIDEO,
];

/// So many first frames are decoded to test what the container says; encoders look less far ahead than this.
const TESTED_HEAD: usize = 48;

/// The end of the video is tested too if it takes no more packets than this from its last key frame.
const TESTED_TAIL: usize = 100;

/// The damaged frames of each examined stretch, by the packet that it is decoded from (`None`: the first packet).
type DamagedFrames = BTreeMap<Option<usize>, Arc<BTreeSet<usize>>>;

/// The frames of a video and its packets, both numbered from 0.
#[derive(Clone)]
pub(super) struct Index {
    packets: Vec<PacketInfo>,
    /// For each frame its packet.
    frames: Vec<usize>,
    /// For each packet its frame, if it has one.
    frame_of: Vec<Option<usize>>,
    /// For each packet the last frame, in the order they are shown, that is decoded by then.
    decoded_until: Vec<usize>,
    /// Packets from which decoding can start, ascending.
    keys: Vec<usize>,
    /// The first packet that the container calls a key frame.
    first_key: Option<usize>,
    /// For each frame that of its picture, if all were decoded.
    fingerprints: Option<Vec<u64>>,
    /// The damaged frames of each stretch that was examined, by the packet that it starts from.
    damaged: Arc<Mutex<DamagedFrames>>,
}

impl Index {
    /// Reads the packets of the whole file, and decodes as much of them as it takes to be sure.
    pub(super) fn build(decoder: &mut Decoder) -> Result<Self, MediaError> {
        let (mut packets, complete) = decoder.packets();
        if packets.is_empty() {
            return Ok(Self::new(packets, Vec::new()));
        }
        if complete
            && ONE_TO_ONE.contains(&decoder.codec())
            && let Some(frames) = announced(&packets)
        {
            let index = Self::new(packets, frames);
            if index.is_true(decoder)? {
                return Ok(index);
            }
            packets = index.packets;
        }
        decoder.start_at(&packets, 0, Mode::Conceal)?;
        // A file that still grows has more by now.
        let (n_packets, pictures) = (packets.len(), std::iter::from_fn(|| decoder.next()));
        let decoded = pictures.take_while(|picture| picture.packet < n_packets);
        let decoded = decoded.map(|picture| (picture.packet, fingerprint(&picture.frame)));
        let (frames, fingerprints) = decoded.unzip();
        Ok(Self { fingerprints: Some(fingerprints), ..Self::new(packets, frames) })
    }

    fn new(packets: Vec<PacketInfo>, frames: Vec<usize>) -> Self {
        let mut frame_of = vec![None; packets.len()];
        for (frame, &packet) in frames.iter().enumerate() {
            frame_of[packet] = Some(frame);
        }
        let decoded_until = frame_of.iter().scan(0, |last, frame| {
            *last = frame.map_or(*last, |frame| frame.max(*last));
            Some(*last)
        });
        let decoded_until = decoded_until.collect();
        let keys = (0..packets.len()).filter(|&n| packets[n].key && frame_of[n].is_some()).collect();
        let first_key = packets.iter().position(|packet| packet.key);
        let (fingerprints, damaged) = (None, Arc::default());
        Self { packets, frames, frame_of, decoded_until, keys, first_key, fingerprints, damaged }
    }

    pub(super) fn n_frames(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn packets(&self) -> &[PacketInfo] {
        &self.packets
    }

    pub(super) fn frame_of(&self, packet: usize) -> Option<usize> {
        self.frame_of.get(packet).copied().flatten()
    }

    /// The last packet from which `frame` can be decoded.
    ///
    /// Its own frame is not shown after `frame`: the pictures that are decoded after a key frame but shown before it
    /// (open GOP) may need pictures from before it.
    pub(super) fn start(&self, frame: usize) -> Option<usize> {
        let n_keys = self.keys.partition_point(|&key| key <= self.frames[frame]);
        self.keys[..n_keys].iter().rev().copied().find(|&key| self.frame_of[key] <= Some(frame))
    }

    /// Whether this picture is what decoding from the first packet gave, as far as that was tried.
    pub(super) fn is_frame(&self, frame: usize, picture: &frame::Video) -> bool {
        self.fingerprints.as_ref().is_none_or(|known| known[frame] == fingerprint(picture))
    }

    /// Whether all frames were decoded once.
    pub(super) fn is_counted(&self) -> bool {
        self.fingerprints.is_some()
    }

    /// Never start from this packet again.
    pub(super) fn forget_start(&mut self, packet: usize) {
        self.keys.retain(|&key| key != packet);
        // The stretches are others now.
        self.damaged = Arc::default();
    }

    /// The frames that are decoded from `start`, the first of which is at or before `frame`.
    pub(super) fn stretch(&self, start: Option<usize>) -> impl Iterator<Item = usize> {
        let first = start.and_then(|start| self.frame_of(start)).unwrap_or(0);
        (first..self.n_frames()).take_while(move |frame| self.start(*frame) == start)
    }

    /// The first packet that the container calls a key frame.
    pub(super) fn first_key(&self) -> Option<usize> {
        self.first_key
    }

    /// The last frame, in the order they are shown, that is decoded no later than `frame`, which may refer to it.
    pub(super) fn decoded_until(&self, frame: usize) -> usize {
        self.decoded_until[self.frames[frame]].max(frame)
    }

    /// The packet of a frame.
    pub(super) fn packet_of(&self, frame: usize) -> usize {
        self.frames[frame]
    }

    /// The damaged frames of the stretch that is decoded from `start`, if it was examined.
    pub(super) fn damaged(&self, start: Option<usize>) -> Option<Arc<BTreeSet<usize>>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).get(&start).cloned()
    }

    /// Remembers the damaged frames of a stretch.
    pub(super) fn set_damaged(&self, start: Option<usize>, frames: BTreeSet<usize>) {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(start, frames.into());
    }

    /// Seconds from the first frame to each, for a stream whose timestamps count units of `time_base` seconds.
    pub(super) fn times(&self, time_base: f64, fps: f64) -> Vec<f64> {
        let packets = || self.frames.iter().map(|&n| &self.packets[n]);
        let rising = |stamps: &Vec<i64>| stamps.is_sorted_by(|a, b| a < b);
        let shown = || packets().map(|packet| packet.pts).collect::<Option<_>>().filter(rising);
        // Decoding times are as many and as far apart as showing times, in another order.
        let decoded = || {
            let mut stamps: Vec<i64> = packets().map(|packet| packet.dts).collect::<Option<_>>()?;
            stamps.sort_unstable();
            Some(stamps).filter(rising)
        };
        match shown().or_else(decoded) {
            Some(stamps) => stamps.iter().map(|t| (t - stamps[0]) as f64 * time_base).collect(),
            None => (0..self.frames.len()).map(|n| n as f64 / fps).collect(),
        }
    }

    /// True if the first and the last pictures that are decoded are these frames.
    fn is_true(&self, decoder: &mut Decoder) -> Result<bool, MediaError> {
        let n_head = TESTED_HEAD.min(self.frames.len());
        decoder.start_at(&self.packets, 0, Mode::Conceal)?;
        if !gives(decoder, &self.frames[..n_head]) {
            return Ok(false);
        }
        if n_head < self.frames.len() {
            let Some(start) = self.start(self.frames.len() - 1) else { return Ok(false) };
            if self.packets.len() - start > TESTED_TAIL {
                return Ok(true);
            }
            decoder.start_at(&self.packets, start, Mode::Conceal)?;
            while decoder.next().is_some_and(|picture| picture.packet != start) {}
            let Some(first) = self.frame_of[start] else { return Ok(false) };
            if !gives(decoder, &self.frames[first + 1..]) {
                return Ok(false);
            }
        }
        Ok(decoder.next().is_none())
    }
}

/// True if the decoder gives the pictures of these packets in their order, but for damaged ones.
fn gives(decoder: &mut Decoder, packets: &[usize]) -> bool {
    let mut left = packets.iter();
    while !left.as_slice().is_empty() {
        let Some(picture) = decoder.next() else { return decoder.is_in_trouble() };
        if may_be_field(decoder, &picture) {
            return false;
        }
        match left.position(|packet| *packet == picture.packet) {
            Some(0) => {}
            Some(_) if decoder.is_in_trouble() => {}
            _ => return decoder.is_in_trouble(),
        }
    }
    true
}

/// The packets in the order of their timestamps, if that leaves no doubt.
fn announced(packets: &[PacketInfo]) -> Option<Vec<usize>> {
    if packets.iter().any(|p| p.corrupt || p.hidden || p.size == 0) {
        return None;
    }
    let pts: Vec<i64> = packets.iter().map(|p| p.pts).collect::<Option<_>>()?;
    let mut frames: Vec<usize> = (0..packets.len()).collect();
    frames.sort_by_key(|&n| pts[n]);
    let distinct = frames.windows(2).all(|pair| pts[pair[0]] < pts[pair[1]]);
    // Pictures shown before the first key frame are missing what they refer to.
    let starts_with_key = frames.first() == Some(&0) && packets[0].key;
    (distinct && starts_with_key).then_some(frames)
}

/// A number that tells pictures apart by their luma (of samples of more than 8 bits, by half of it).
fn fingerprint(picture: &frame::Video) -> u64 {
    let mut hasher = DefaultHasher::new();
    let stride = picture.stride(0);
    // A picture stored bottom up has a negative stride, which the slice below cannot express; such formats are uncoded.
    if i32::try_from(stride).is_ok() {
        for row in picture.data(0).chunks(stride) {
            hasher.write(&row[..stride.min(picture.width() as usize)]);
        }
    }
    hasher.finish()
}

/// Each field of interlaced H.264 may have a packet of its own.
fn may_be_field(decoder: &Decoder, picture: &Picture) -> bool {
    decoder.codec() == Id::H264 && picture.frame.is_interlaced()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(pts: i64, key: bool) -> PacketInfo {
        PacketInfo { pts: Some(pts), key, size: 1, ..PacketInfo::default() }
    }

    #[test]
    fn packets_are_sorted_by_time_shown() {
        let packets = [packet(0, true), packet(3, false), packet(1, false), packet(2, false)];
        assert_eq!(announced(&packets), Some(vec![0, 2, 3, 1]));
    }

    #[test]
    fn doubtful_packets_announce_nothing() {
        assert_eq!(announced(&[packet(0, true), packet(0, false)]), None, "the same time twice");
        assert_eq!(announced(&[packet(0, false), packet(1, true)]), None, "no key frame first");
        assert_eq!(announced(&[packet(2, true), packet(1, false)]), None, "shown before the first key frame");
        assert_eq!(announced(&[packet(0, true), PacketInfo::default()]), None, "no time");
        assert_eq!(announced(&[packet(0, true), PacketInfo { hidden: true, ..packet(1, false) }]), None);
        assert_eq!(announced(&[]), None);
    }

    #[test]
    fn open_gop_frames_start_at_the_key_frame_before() {
        // Shown: 0 1 2 3 4 5; packet 2 is a key frame whose leading pictures are packets 3 and 4.
        let packets = [
            packet(0, true),
            packet(1, false),
            packet(4, true),
            packet(2, false),
            packet(3, false),
            packet(5, false),
        ];
        let frames = announced(&packets).unwrap();
        let mut index = Index::new(packets.to_vec(), frames);
        let starts: Vec<_> = (0..6).map(|frame| index.start(frame)).collect();
        assert_eq!(starts, [Some(0), Some(0), Some(0), Some(0), Some(2), Some(2)]);
        index.forget_start(2);
        assert_eq!(index.start(5), Some(0));
    }

    #[test]
    fn times_start_at_zero() {
        let packets = vec![packet(10, true), packet(40, false), packet(20, false)];
        let frames = announced(&packets).unwrap();
        assert_eq!(Index::new(packets, frames).times(0.5, 25.0), [0.0, 5.0, 15.0]);
        let untimed = Index::new(vec![PacketInfo::default(); 3], vec![0, 1, 2]);
        assert_eq!(untimed.times(0.5, 10.0), [0.0, 0.1, 0.2]);
        let joined = vec![packet(0, true), packet(1, false), packet(0, true)];
        assert_eq!(Index::new(joined, vec![0, 1, 2]).times(0.5, 10.0), [0.0, 0.1, 0.2]);
    }
}
