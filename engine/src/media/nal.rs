//! The little that the packets of [H.264](https://www.itu.int/rec/T-REC-H.264) and
//! [HEVC](https://www.itu.int/rec/T-REC-H.265) say before they are decoded.

use ffmpeg::codec;
use ffmpeg_next as ffmpeg;

/// How a packet is divided into NAL units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NalLayout {
    is_hevc: bool,
    /// Bytes of the length before each unit; none if units begin with a start code.
    length_size: Option<usize>,
}

impl NalLayout {
    /// The layout of a stream; none if it is of another codec.
    pub(super) fn of(parameters: &codec::Parameters) -> Option<Self> {
        let is_hevc = match parameters.id() {
            codec::Id::H264 => false,
            codec::Id::HEVC => true,
            _ => return None,
        };
        let extradata = extradata(parameters);
        // The configuration record of ISO/IEC 14496-15 begins with its version; a start code begins with 0.
        let length_at = if is_hevc { 21 } else { 4 };
        let has_lengths = extradata.first() == Some(&1);
        let length_size =
            extradata.get(length_at).filter(|_| has_lengths).map(|byte| usize::from(byte & 3) + 1);
        Some(Self { is_hevc, length_size })
    }

    /// True if no other picture refers to the packet's picture.
    pub(super) fn is_disposable(self, packet: &[u8]) -> bool {
        match self.first_slice(packet) {
            // nal_ref_idc is 0.
            Some([header, _]) if !self.is_hevc => header & 0x60 == 0,
            // The even types below 16, "_N". Those of a temporal sub-layer may be referred to by the layers above it.
            Some([header, layers]) => {
                let kind = header >> 1 & 0x3F;
                kind < 16 && kind % 2 == 0 && layers & 7 == 1
            }
            None => false,
        }
    }

    /// The header of the first unit that holds a part of the picture.
    fn first_slice(self, packet: &[u8]) -> Option<[u8; 2]> {
        let mut rest = packet;
        loop {
            let unit = match self.length_size {
                Some(n) => {
                    let (length, after) = rest.split_at_checked(n)?;
                    let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
                    let (unit, after) = after.split_at_checked(length)?;
                    rest = after;
                    unit
                }
                None => {
                    let start = rest.windows(3).position(|bytes| bytes == [0, 0, 1])?;
                    rest = &rest[start + 3..];
                    rest
                }
            };
            let is_slice = |header: u8| match self.is_hevc {
                true => header >> 1 & 0x3F < 32,
                false => (1..=5).contains(&(header & 0x1F)),
            };
            if let [header, next, ..] = *unit
                && is_slice(header)
            {
                return Some([header, next]);
            }
        }
    }
}

#[expect(unsafe_code, reason = "ffmpeg-next has no call for this")]
fn extradata(parameters: &codec::Parameters) -> &[u8] {
    // SAFETY: the parameters, which own these bytes and tell how many there are, are borrowed as long as the slice.
    unsafe {
        let parameters = &*parameters.as_ptr();
        match usize::try_from(parameters.extradata_size) {
            Ok(size) if !parameters.extradata.is_null() => {
                std::slice::from_raw_parts(parameters.extradata, size)
            }
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreferenced_slices_are_disposable() {
        let avc = NalLayout { is_hevc: false, length_size: Some(4) };
        // A supplemental unit before the slice says nothing.
        assert!(avc.is_disposable(&[0, 0, 0, 2, 0x06, 0, 0, 0, 0, 2, 0x01, 9]));
        assert!(!avc.is_disposable(&[0, 0, 0, 2, 0x41, 9]));
        assert!(!avc.is_disposable(&[0, 0, 0, 9, 0x01, 9]), "it is cut off");
        let annex_b = NalLayout { is_hevc: false, length_size: None };
        assert!(annex_b.is_disposable(&[0, 0, 0, 1, 0x09, 0x10, 0, 0, 1, 0x01, 9]));
        assert!(!annex_b.is_disposable(&[0, 0, 1, 0x65, 9]));
        let hevc = NalLayout { is_hevc: true, length_size: None };
        assert!(hevc.is_disposable(&[0, 0, 1, 0, 1]), "TRAIL_N");
        assert!(!hevc.is_disposable(&[0, 0, 1, 0, 2]), "TRAIL_N below another layer");
        assert!(!hevc.is_disposable(&[0, 0, 1, 1 << 1, 1]), "TRAIL_R");
        assert!(!hevc.is_disposable(&[0, 0, 1, 20 << 1, 1]), "IDR_N_LP");
    }
}
