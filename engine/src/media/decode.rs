//! A video stream as packets and decoded pictures, each picture known by the number of the packet it came in.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ffmpeg::{
    Dictionary, Packet, Rational, codec, decoder, format,
    format::{
        context::{Input, StreamIo},
        stream::{Disposition, Stream},
    },
    frame, media, packet,
    packet::Ref as _,
};
use ffmpeg_next as ffmpeg;
use image::metadata::Orientation;

use super::MediaError;

/// What the container says of one packet of the video stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PacketInfo {
    /// When its picture is shown, in units of the stream's time base.
    pub(super) pts: Option<i64>,
    /// When it is decoded, in the same units.
    pub(super) dts: Option<i64>,
    /// Decoding can start here.
    pub(super) key: bool,
    /// Its picture is decoded for others but not shown (an edit list cuts it off).
    pub(super) hidden: bool,
    /// The file ends inside it, or the container knows it to be damaged.
    pub(super) corrupt: bool,
    /// Byte in the file, or -1.
    pub(super) position: isize,
    /// In bytes.
    pub(super) size: usize,
}

impl PacketInfo {
    fn of(packet: &Packet) -> Self {
        Self {
            pts: packet.pts(),
            dts: packet.dts(),
            key: packet.is_key(),
            hidden: is_discarded(packet),
            corrupt: packet.is_corrupt(),
            position: packet.position(),
            size: packet.size(),
        }
    }

    /// Whether both are the same packet, read at different times: inferred timestamps may differ then.
    fn is(&self, other: &Self) -> bool {
        let same_time = self.pts.is_none() || other.pts.is_none() || self.pts == other.pts;
        self.size == other.size && self.position == other.position && same_time
    }
}

/// A decoded picture and the number of the packet that it came in, counting the stream's packets from 0.
pub(super) struct Picture {
    pub(super) packet: usize,
    pub(super) frame: frame::Video,
}

/// An open video stream that is decoded from a chosen packet on.
pub(super) struct Decoder {
    path: PathBuf,
    input: Input,
    stream: usize,
    decoder: decoder::Video,
    /// Number of the packet that the demuxer gives next.
    next_packet: usize,
    /// Already taken from the demuxer, to be decoded next.
    pending: Option<Packet>,
    drained: bool,
}

impl Decoder {
    pub(super) fn open(path: &Path) -> Result<Self, MediaError> {
        let no_video = || MediaError::NoVideo { path: path.into() };
        let input = open_input(path)?;
        let stream = input.streams().best(media::Type::Video).ok_or_else(no_video)?;
        if stream.disposition().contains(Disposition::ATTACHED_PIC) {
            return Err(no_video());
        }
        let decoder = new_decoder(path, &stream)?;
        let stream = stream.index();
        Ok(Self { path: path.into(), input, stream, decoder, next_packet: 0, pending: None, drained: false })
    }

    pub(super) fn codec(&self) -> codec::Id {
        self.decoder.id()
    }

    /// Seconds in one unit of the stream's timestamps.
    pub(super) fn time_base(&self) -> f64 {
        f64::from(self.stream().time_base())
    }

    /// Frames a second as the container says, or 0.
    pub(super) fn fps(&self) -> f64 {
        let known = |r: &Rational| r.numerator() > 0 && r.denominator() > 0;
        let stream = self.stream();
        [stream.avg_frame_rate(), stream.rate()].into_iter().find(known).map_or(0.0, f64::from)
    }

    /// How decoded pictures must be turned to be upright.
    pub(super) fn orientation(&self) -> Orientation {
        self.stream()
            .side_data()
            .find(|data| data.kind() == packet::side_data::Type::DisplayMatrix)
            .map_or(Orientation::NoTransforms, |data| orientation_of(data.data()))
    }

    fn stream(&self) -> Stream<'_> {
        self.input.stream(self.stream).expect("the stream was found when the file was opened")
    }

    /// Every packet of the stream in file order, and whether the demuxer reached the end without an error.
    ///
    /// Afterwards the decoder has to be placed with `start_at`.
    pub(super) fn packets(&mut self) -> (Vec<PacketInfo>, bool) {
        let mut packets = Vec::new();
        loop {
            match self.read_packet() {
                Ok(packet) => packets.push(PacketInfo::of(&packet)),
                Err(error) => return (packets, error == ffmpeg::Error::Eof),
            }
        }
    }

    /// Makes packet number `first` the next to be decoded, and the decoder forget all before.
    ///
    /// # Errors
    /// The file cannot be read any more, or is not what it was.
    pub(super) fn start_at(&mut self, packets: &[PacketInfo], first: usize) -> Result<(), MediaError> {
        if self.seek(packets, first) {
            // Flushing is not enough: some decoders that run in threads remember pictures from before.
            self.decoder = new_decoder(&self.path, &self.stream())?;
            self.drained = false;
            return Ok(());
        }
        // Some formats cannot seek, or not as far back as asked: pass over all packets before, without decoding them.
        // Opening the file is slow, because FFmpeg decodes a little of it.
        *self = Self::open(&self.path)?;
        while self.next_packet < first {
            self.read_packet().map_err(|cause| MediaError::Video { path: self.path.clone(), cause })?;
        }
        Ok(())
    }

    /// Seeks in the file, then reads on to packet `first`; whether that worked.
    fn seek(&mut self, packets: &[PacketInfo], first: usize) -> bool {
        self.pending = None;
        let PacketInfo { pts, dts, .. } = packets[first];
        // The earlier time is safe for containers that search by either.
        let Some(time) = pts.into_iter().chain(dts).min() else { return false };
        let microseconds = (time as f64 * self.time_base() * 1e6).ceil() as i64;
        if self.input.seek(microseconds, ..microseconds).is_err() {
            return false;
        }
        // Which packet this is can only be told by what it looks like. The first may be a fragment that is none.
        for _ in 0..16 {
            let Ok(packet) = self.read_packet() else { return false };
            let found = PacketInfo::of(&packet);
            let mut same = (0..packets.len()).filter(|&n| packets[n].is(&found));
            let (Some(n), None) = (same.next(), same.next()) else { continue };
            self.next_packet = n + 1;
            if n == first {
                self.pending = Some(packet);
            }
            while self.next_packet < first {
                if self.read_packet().is_err() {
                    return false;
                }
            }
            return n <= first;
        }
        false
    }

    /// The next picture in the order they are shown, or none at the end; damaged data are passed over.
    pub(super) fn next(&mut self) -> Option<Picture> {
        let mut frame = frame::Video::empty();
        while !self.drained {
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => {
                    let Some(packet) = frame.pts().and_then(|n| usize::try_from(n).ok()) else { continue };
                    return Some(Picture { packet, frame });
                }
                Err(ffmpeg::Error::Eof) => self.drained = true,
                Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => self.send_packet(),
                // A picture that cannot be decoded is missing from the output; the next may be there.
                Err(_) => {}
            }
        }
        None
    }

    fn send_packet(&mut self) {
        let number;
        let sent = match self.pending.take().map_or_else(|| self.read_packet(), Ok) {
            Ok(mut packet) => {
                number = self.next_packet - 1;
                // Decoders hand a packet's timestamp on to its picture. The packet's number in its place says which
                // picture this is even where containers have no timestamps, or the same one twice.
                packet.set_pts(i64::try_from(number).ok());
                self.decoder.send_packet(&packet)
            }
            Err(_) => self.decoder.send_eof(),
        };
        // A packet that is refused gives no picture.
        sent.ok();
    }

    fn read_packet(&mut self) -> Result<Packet, ffmpeg::Error> {
        loop {
            let mut packet = Packet::empty();
            packet.read(&mut self.input)?;
            if packet.stream() == self.stream {
                self.next_packet += 1;
                return Ok(packet);
            }
        }
    }
}

fn open_input(path: &Path) -> Result<Input, MediaError> {
    super::start_ffmpeg();
    let file = fs::File::open(path).map_err(|cause| MediaError::Read { path: path.into(), cause })?;
    // An open file rather than a path: no name is taken for a protocol, and a playlist cannot lead to the network.
    let only_files: Dictionary = [("protocol_whitelist", "file")].into_iter().collect();
    StreamIo::from_read_seek(file)
        .and_then(|io| format::input_from_stream(io, None, Some(only_files)))
        // The file itself could be opened, so that it is the contents that FFmpeg does not understand.
        .map_err(|cause| MediaError::UnknownMedia { path: path.into(), cause })
}

fn new_decoder(path: &Path, stream: &Stream) -> Result<decoder::Video, MediaError> {
    let video_error = |cause| MediaError::Video { path: path.into(), cause };
    let parameters = stream.parameters();
    let codec = decoder::find(parameters.id())
        .ok_or_else(|| MediaError::NoDecoder { path: path.into(), codec: parameters.id().name() })?;
    let mut context = codec::Context::from_parameters(parameters).map_err(video_error)?.decoder();
    context.set_packet_time_base(stream.time_base());
    let threads: Dictionary = [("threads", "auto")].into_iter().collect();
    context.open_as_with(codec, threads).and_then(decoder::Opened::video).map_err(video_error)
}

#[expect(unsafe_code, reason = "ffmpeg-next does not name this flag")]
fn is_discarded(packet: &Packet) -> bool {
    // SAFETY: the pointer is to the packet that is borrowed here.
    unsafe { (*packet.as_ptr()).flags & ffmpeg::ffi::AV_PKT_FLAG_DISCARD != 0 }
}

/// The turn in a display matrix: nine 32-bit numbers in the machine's byte order, of which these four turn and mirror.
fn orientation_of(matrix: &[u8]) -> Orientation {
    let sign = |n: usize| {
        matrix
            .get(4 * n..4 * n + 4)
            .and_then(|b| b.try_into().ok())
            .map_or(0, |b| i32::from_ne_bytes(b).signum())
    };
    match [sign(0), sign(1), sign(3), sign(4)] {
        [0, 1, -1, 0] => Orientation::Rotate90,
        [-1, 0, 0, -1] => Orientation::Rotate180,
        [0, -1, 1, 0] => Orientation::Rotate270,
        [-1, 0, 0, 1] => Orientation::FlipHorizontal,
        [1, 0, 0, -1] => Orientation::FlipVertical,
        [0, 1, 1, 0] => Orientation::Rotate90FlipH,
        [0, -1, -1, 0] => Orientation::Rotate270FlipH,
        _ => Orientation::NoTransforms,
    }
}
