//! A video stream as packets and decoded pictures, each picture known by the number of the packet it came in.

use std::{
    collections::BTreeSet,
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
    packet::{Mut as _, Ref as _},
};
use ffmpeg_next as ffmpeg;
use image::metadata::Orientation;

use super::{MediaError, nal::NalLayout};

/// Containers and elementary streams that hold all that they show. Playlists and the like (HLS, DASH, concat, SDP, IMF,
/// VobSub, SVG), which open what they name, are left out: a medium opens nothing but itself. Audio formats are here for
/// their message.
const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpegtsraw,mpeg,mpegvideo,m4v,h261,\
    h263,h264,hevc,vvc,evc,av1,obu,ivf,asf,flv,live_flv,ogg,mxf,mxf_opatom,gxf,nut,nuv,dv,rm,rl2,wtv,swf,vc1,vc1test,\
    cavsvideo,avs,avs2,avs3,dirac,yuv4mpegpipe,mjpeg,mjpeg_2000,apng,gif,webp,fli,flic,smk,bink,roq,idcin,film_cpk,\
    lmlm4,dxa,thp,ea,ty,pva,wav,w64,mp3,aac,ac3,eac3,flac,aiff,amr,au,caf,ape,wv,bmp_pipe,dds_pipe,dpx_pipe,exr_pipe,\
    gif_pipe,hdr_pipe,j2k_pipe,jpeg_pipe,jpegls_pipe,jpegxl_pipe,jpegxl_anim,pam_pipe,pbm_pipe,pcx_pipe,pfm_pipe,\
    pgm_pipe,pgmyuv_pipe,pgx_pipe,pictor_pipe,png_pipe,ppm_pipe,psd_pipe,qdraw_pipe,qoi_pipe,sgi_pipe,sunrast_pipe,\
    tiff_pipe,vbn_pipe,webp_pipe,xbm_pipe,xpm_pipe,xwd_pipe";

/// Pixels that are wider or higher than this are a mistake.
const MAX_PIXEL_ASPECT: f64 = 8.0;

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
    /// No other picture refers to its picture.
    pub(super) disposable: bool,
    /// Byte in the file, or -1.
    pub(super) position: isize,
    /// In bytes.
    pub(super) size: usize,
}

impl PacketInfo {
    fn of(packet: &Packet, nal: Option<NalLayout>) -> Self {
        let says_so = nal.zip(packet.data()).is_some_and(|(nal, data)| nal.is_disposable(data));
        Self {
            pts: packet.pts(),
            dts: packet.dts(),
            key: packet.is_key(),
            hidden: is_discarded(packet),
            corrupt: packet.is_corrupt(),
            disposable: says_so,
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

/// What a decoder does about damaged data.
///
/// FFmpeg conceals errors. Some of its decoders mark the pictures in which they did, but with several threads a picture may
/// be given out before it is marked. Told to fail instead, a decoder does not say at which packet, loses good pictures, and
/// also fails at metadata that it does not understand. So a video is decoded in [`Self::Watch`] until something seems
/// wrong, the packets are then examined in [`Self::Examine`], and the good pictures among them are decoded in
/// [`Self::Conceal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Fast, and notices damage, or what may be damage: [`Decoder::is_in_trouble`].
    Watch,
    /// Slow, and finds out which packets are damaged: [`Decoder::examine`].
    Examine,
    /// Fast, and makes a picture of whatever can be decoded.
    Conceal,
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
    mode: Mode,
    /// True if damage was noticed since the decoder was placed.
    is_in_trouble: bool,
    /// False once a decoder that marks concealed pictures has failed at something else.
    is_strict: bool,
    /// How packets are divided, for codecs whose packets tell whether other pictures refer to theirs.
    nal: Option<NalLayout>,
    /// The palette, which containers give with the first packet that is read and never again.
    palette: Option<Vec<u8>>,
    /// True if the decoder has got the palette.
    has_palette: bool,
}

impl Decoder {
    /// Opens the video stream of a file, to be decoded from its first packet.
    pub(super) fn open(path: &Path, mode: Mode) -> Result<Self, MediaError> {
        Self::open_as(path, mode, true)
    }

    fn open_as(path: &Path, mode: Mode, is_strict: bool) -> Result<Self, MediaError> {
        let no_video = || MediaError::NoVideo { path: path.into() };
        let input = open_input(path)?;
        let stream = input.streams().best(media::Type::Video).ok_or_else(no_video)?;
        if stream.disposition().contains(Disposition::ATTACHED_PIC) {
            return Err(no_video());
        }
        let decoder = new_decoder(path, &stream, mode, is_strict)?;
        let nal = NalLayout::of(&stream.parameters());
        let stream = stream.index();
        let (path, next_packet, pending) = (path.into(), 0, None);
        let (drained, is_in_trouble) = (false, false);
        Ok(Self {
            path,
            input,
            stream,
            decoder,
            next_packet,
            pending,
            drained,
            mode,
            is_in_trouble,
            is_strict,
            nal,
            palette: None,
            has_palette: false,
        })
    }

    /// True if the decoder marks each picture in which it has concealed an error.
    pub(super) fn reports_concealment(&self) -> bool {
        reports_concealment(self.codec())
    }

    /// What the decoder does about damaged data.
    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// True if damage was noticed since the decoder was placed.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.is_in_trouble
    }

    /// Trusts the decoder's marks from now on, as far as it makes any: what seemed to be damage was none.
    pub(super) fn calm_down(&mut self) {
        self.is_strict = false;
    }

    /// Ignores what was noticed before this picture, as far as the pictures to come show it themselves.
    pub(super) fn passed_over(&mut self, picture: &Picture) {
        if self.reports_concealment() {
            self.is_in_trouble = is_concealed(&picture.frame);
        }
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

    /// The stream's time base: seconds in one unit of its timestamps, as a fraction.
    pub(super) fn time_unit(&self) -> Rational {
        self.stream().time_base()
    }

    /// Width of a stored pixel divided by its height, 1 where nobody says.
    pub(super) fn pixel_aspect(&mut self, first: &mut frame::Video) -> Rational {
        let aspect = guess_pixel_aspect(&mut self.input, self.stream, first);
        let is_plausible = aspect.numerator() > 0 && aspect.denominator() > 0 && {
            let ratio = f64::from(aspect);
            (1.0 / MAX_PIXEL_ASPECT..=MAX_PIXEL_ASPECT).contains(&ratio)
        };
        if is_plausible { aspect } else { Rational::new(1, 1) }
    }

    /// Every packet of the stream in file order, and whether the demuxer reached the end without an error.
    ///
    /// Afterwards the decoder has to be placed with `start_at`.
    pub(super) fn packets(&mut self) -> (Vec<PacketInfo>, bool) {
        let mut packets = Vec::new();
        loop {
            match self.read_packet() {
                Ok(packet) => packets.push(PacketInfo::of(&packet, self.nal)),
                Err(error) => return (packets, error == ffmpeg::Error::Eof),
            }
        }
    }

    /// Makes packet number `first` the next to be decoded, and the decoder forget all before.
    ///
    /// # Errors
    /// The file cannot be read any more, or is not what it was.
    pub(super) fn start_at(
        &mut self,
        packets: &[PacketInfo],
        first: usize,
        mode: Mode,
    ) -> Result<(), MediaError> {
        if self.seek(packets, first) {
            // Flushing is not enough: some decoders that run in threads remember pictures from before.
            self.decoder = new_decoder(&self.path, &self.stream(), mode, self.is_strict)?;
            (self.drained, self.mode, self.is_in_trouble) = (false, mode, false);
            self.has_palette = false;
            return Ok(());
        }
        // Some formats cannot seek, or not as far back as asked: pass over all packets before, without decoding them.
        // Opening the file is slow, because FFmpeg decodes a little of it.
        let palette = self.palette.take();
        *self = Self { palette, ..Self::open_as(&self.path, mode, self.is_strict)? };
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
            let found = PacketInfo::of(&packet, self.nal);
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
        while !self.drained {
            match self.receive() {
                Ok(Some(picture)) => {
                    self.is_in_trouble |= is_concealed(&picture.frame);
                    return Some(picture);
                }
                Ok(None) => self.is_in_trouble |= !self.send_packet(),
                // A picture that cannot be decoded is missing from the output; the next may be there.
                Err(_) => self.is_in_trouble = true,
            }
        }
        None
    }

    /// Decodes the packets up to `last` and returns those in which the decoder finds damage; none if `go_on`, which is asked
    /// after each, says no.
    ///
    /// The decoder must have been placed in [`Mode::Examine`], and must be placed again afterwards.
    pub(super) fn examine(
        &mut self,
        last: usize,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Option<BTreeSet<usize>> {
        let mut damaged = BTreeSet::new();
        while !self.drained {
            if !go_on() {
                return None;
            }
            let is_over = self.next_packet > last && self.pending.is_none();
            let sent = if is_over { self.decoder.send_eof().is_ok() } else { self.send_packet() };
            // With one thread, an error is of the packet that was sent last.
            let number = self.next_packet.saturating_sub(1);
            if !sent {
                damaged.insert(number);
            }
            loop {
                match self.receive() {
                    Ok(Some(picture)) if is_concealed(&picture.frame) => drop(damaged.insert(picture.packet)),
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => drop(damaged.insert(number)),
                }
            }
        }
        Some(damaged)
    }

    /// The next picture that has been decoded; none if the decoder needs another packet, or has ended.
    fn receive(&mut self) -> Result<Option<Picture>, ffmpeg::Error> {
        let mut frame = frame::Video::empty();
        loop {
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => {
                    let Some(packet) = frame.pts().and_then(|n| usize::try_from(n).ok()) else { continue };
                    return Ok(Some(Picture { packet, frame }));
                }
                Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => return Ok(None),
                Err(ffmpeg::Error::Eof) => {
                    self.drained = true;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives the decoder the next packet; false if something is wrong with it.
    fn send_packet(&mut self) -> bool {
        if self.drained {
            return true;
        }
        let Ok(mut packet) = self.pending.take().map_or_else(|| self.read_packet(), Ok) else {
            // A decoder that cannot be told will not say more.
            self.drained |= self.decoder.send_eof().is_err();
            return true;
        };
        // FFmpeg takes an empty packet for the end of the stream; an AVI file has one where a frame was dropped.
        if packet.size() == 0 {
            return true;
        }
        if let Some(palette) = self.palette.as_ref().filter(|_| !self.has_palette) {
            add_palette(&mut packet, palette);
            self.has_palette = true;
        }
        let is_whole = !packet.is_corrupt();
        // Decoders hand a packet's timestamp on to its picture. The packet's number in its place says which
        // picture this is even where containers have no timestamps, or the same one twice.
        packet.set_pts(i64::try_from(self.next_packet - 1).ok());
        self.decoder.send_packet(&packet).is_ok() && is_whole
    }

    fn read_packet(&mut self) -> Result<Packet, ffmpeg::Error> {
        loop {
            let mut packet = Packet::empty();
            packet.read(&mut self.input)?;
            if packet.stream() == self.stream {
                self.next_packet += 1;
                if let Some(palette) = palette_of(&packet) {
                    self.palette = Some(palette);
                    self.has_palette = false;
                }
                return Ok(packet);
            }
        }
    }
}

fn open_input(path: &Path) -> Result<Input, MediaError> {
    super::start_ffmpeg();
    let file = fs::File::open(path).map_err(|cause| MediaError::Read { path: path.into(), cause })?;
    // An open file rather than a path: FFmpeg opens nothing itself, and no name is taken for a protocol.
    let nothing_else: Dictionary =
        [("format_whitelist", FORMATS), ("protocol_whitelist", "none")].into_iter().collect();
    StreamIo::from_read_seek(file)
        .and_then(|io| format::input_from_stream(io, None, Some(nothing_else)))
        // The file itself could be opened, so that it is the contents that FFmpeg does not understand.
        .map_err(|cause| MediaError::UnknownMedia { path: path.into(), cause })
}

fn new_decoder(
    path: &Path,
    stream: &Stream,
    mode: Mode,
    is_strict: bool,
) -> Result<decoder::Video, MediaError> {
    let video_error = |cause| MediaError::Video { path: path.into(), cause };
    let parameters = stream.parameters();
    let codec = decoder::find(parameters.id())
        .ok_or_else(|| MediaError::NoDecoder { path: path.into(), codec: parameters.id().name() })?;
    let mut context = codec::Context::from_parameters(parameters.clone()).map_err(video_error)?.decoder();
    context.set_packet_time_base(stream.time_base());
    let mut options: Dictionary = Dictionary::new();
    let is_small = area(&parameters) <= SMALL;
    options.set("threads", if is_small || mode == Mode::Examine { "1" } else { "auto" });
    let may_only_fail = !reports_concealment(parameters.id());
    if (mode == Mode::Watch && (is_strict || may_only_fail)) || (mode == Mode::Examine && may_only_fail) {
        options.set("err_detect", "crccheck+explode");
    }
    context.open_as_with(codec, options).and_then(decoder::Opened::video).map_err(video_error)
}

/// Pixels of a picture that one thread decodes within a few milliseconds: PAL.
const SMALL: i64 = 720 * 576;

#[expect(unsafe_code, reason = "ffmpeg-next has no call for this")]
fn area(parameters: &codec::Parameters) -> i64 {
    // SAFETY: the parameters are borrowed as long as the numbers are read.
    unsafe {
        let parameters = &*parameters.as_ptr();
        i64::from(parameters.width) * i64::from(parameters.height)
    }
}

/// True if FFmpeg's decoder marks each picture in which it has concealed an error: those built on its error resilience.
fn reports_concealment(codec: codec::Id) -> bool {
    use codec::Id::{
        FLV1, H263, H263I, H263P, H264, MPEG1VIDEO, MPEG2VIDEO, MPEG4, MSMPEG4V1, MSMPEG4V2, MSMPEG4V3, VC1,
        WMV1, WMV2, WMV3,
    };
    matches!(
        codec,
        FLV1 | H263
            | H263I
            | H263P
            | H264
            | MPEG1VIDEO
            | MPEG2VIDEO
            | MPEG4
            | MSMPEG4V1
            | MSMPEG4V2
            | MSMPEG4V3
            | VC1
            | WMV1
            | WMV2
            | WMV3
    )
}

/// True if the decoder says that part of the picture is made up.
fn is_concealed(frame: &frame::Video) -> bool {
    frame.is_corrupt() || frame.has_decode_errors()
}

#[expect(unsafe_code, reason = "ffmpeg-next has no call for the aspect ratio that a container says")]
fn guess_pixel_aspect(input: &mut Input, stream: usize, frame: &mut frame::Video) -> Rational {
    // SAFETY: the stream's number is one of this input's, and FFmpeg reads the three only during the call.
    unsafe {
        let context = input.as_mut_ptr();
        let stream = *(*context).streams.add(stream);
        ffmpeg::ffi::av_guess_sample_aspect_ratio(context, stream, frame.as_mut_ptr()).into()
    }
}

fn palette_of(packet: &Packet) -> Option<Vec<u8>> {
    let palette = packet.side_data().find(|data| data.kind() == packet::side_data::Type::Palette);
    palette.map(|palette| palette.data().to_vec())
}

/// Gives a packet a palette if it has none.
#[expect(unsafe_code, reason = "ffmpeg-next has no call for this")]
fn add_palette(packet: &mut Packet, palette: &[u8]) {
    if palette_of(packet).is_some() {
        return;
    }
    // SAFETY: the packet is borrowed; FFmpeg allocates as many bytes as are copied, or returns null.
    unsafe {
        let kind = ffmpeg::ffi::AVPacketSideDataType::AV_PKT_DATA_PALETTE;
        let data = ffmpeg::ffi::av_packet_new_side_data(packet.as_mut_ptr(), kind, palette.len());
        if !data.is_null() {
            data.copy_from_nonoverlapping(palette.as_ptr(), palette.len());
        }
    }
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
