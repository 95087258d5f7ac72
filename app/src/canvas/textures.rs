//! Textures of what is on the screen: tiles of the picture at the size it is seen, and masks.
//!
//! Making one takes time, so that a turn makes only as many as fit into it; meanwhile a coarser picture is shown. What is drawn
//! in one turn is always of one frame.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use egui::Rect;
use engine::{
    mask::{Patch, Rle},
    picture::Picture,
    project::{FrameId, ObjectId},
};
use image::RgbImage;

use super::{
    gpu::{Gpu, Quad, Style, Texels, Texture},
    view::Transform,
};

/// Edge of a tile in texels, without the texel round it that smooths over to its neighbors.
const TILE: u32 = 510;
/// Tiles that are kept, of about one megabyte each.
const TILES: usize = 400;
/// Edge of a mask's largest texture.
const MASK_TILE: usize = 4096;
/// Time that a turn spends on making tiles and on renewing masks.
const BUDGET: Duration = Duration::from_millis(3);
/// Time that a turn spends on the masks of a frame that was not on the screen before.
const MASK_BUDGET: Duration = Duration::from_millis(30);

/// Names a tile: level, column, row.
type Place = (usize, u32, u32);

/// See the module.
pub(super) struct Textures {
    gpu: Gpu,
    picture: Option<Arc<Picture>>,
    tiles: HashMap<Place, (Texture, u64)>,
    masks: HashMap<MaskId, MaskTexture>,
    /// The frame that is drawn.
    at: Option<FrameId>,
    turn: u64,
    deadline: Instant,
    mask_deadline: Instant,
    /// Whether something is still to be made.
    is_incomplete: bool,
}

/// Which mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum MaskId {
    Object(ObjectId),
    /// What a click would give.
    Preview,
    /// What the brush paints.
    Stroke,
}

struct MaskTexture {
    mask: Arc<Rle>,
    /// The frame that it is of.
    at: Option<FrameId>,
    tiles: Vec<MaskTile>,
}

struct MaskTile {
    texture: Texture,
    /// The top left pixel in the image.
    corner: [usize; 2],
    size: [usize; 2],
}

impl Textures {
    pub(super) fn new(gpu: Gpu) -> Self {
        Self {
            gpu,
            picture: None,
            tiles: HashMap::new(),
            masks: HashMap::new(),
            at: None,
            turn: 0,
            deadline: Instant::now(),
            mask_deadline: Instant::now(),
            is_incomplete: false,
        }
    }

    /// Begins a turn in which a frame is drawn.
    pub(super) fn begin(&mut self, at: Option<FrameId>) {
        self.turn += 1;
        let now = Instant::now();
        (self.deadline, self.mask_deadline) = (now + BUDGET, now + MASK_BUDGET);
        (self.at, self.is_incomplete) = (at, false);
    }

    /// Whether another turn is needed to make the rest.
    pub(super) fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    fn has_time(&mut self, deadline: Instant) -> bool {
        let has_time = Instant::now() < deadline;
        self.is_incomplete |= !has_time;
        has_time
    }

    /// Quads for what can be seen of the picture: all of it coarsely, and over that the tiles as fine as the screen.
    pub(super) fn picture(
        &mut self,
        picture: &Arc<Picture>,
        transform: Transform,
        canvas: Rect,
        pixels_per_point: f32,
        quads: &mut Vec<Quad>,
    ) {
        if self.picture.as_ref().is_none_or(|known| !Arc::ptr_eq(known, picture)) {
            self.tiles.clear();
            self.picture = Some(picture.clone());
        }
        let coarsest = picture.levels().len() - 1;
        let image_pixels_per_pixel = 1.0 / (transform.scale.max_elem() * pixels_per_point);
        let fine = (image_pixels_per_pixel.log2().floor().max(0.0) as usize).min(coarsest);
        self.level(picture, coarsest, transform, canvas, quads);
        if fine < coarsest {
            self.level(picture, fine, transform, canvas, quads);
        }
        if self.tiles.len() > TILES {
            let turn = self.turn;
            self.tiles.retain(|_, (_, used)| *used == turn);
        }
    }

    fn level(
        &mut self,
        picture: &Arc<Picture>,
        level: usize,
        transform: Transform,
        canvas: Rect,
        quads: &mut Vec<Quad>,
    ) {
        let image = &picture.levels()[level];
        // Of the coarsest level there are a few tiles, and without them parts of another frame would be seen.
        let is_due = level + 1 == picture.levels().len();
        let image_pixels = (1 << level) as f32;
        let at = |x: u32, y: u32| {
            let (x, y) = (x as f32 * image_pixels, y as f32 * image_pixels);
            transform.to_screen(engine::geometry::Point { x, y })
        };
        for row in 0..image.height().div_ceil(TILE) {
            for column in 0..image.width().div_ceil(TILE) {
                let (x0, y0) = (column * TILE, row * TILE);
                let (x1, y1) = ((x0 + TILE).min(image.width()), (y0 + TILE).min(image.height()));
                let rect = Rect::from_min_max(at(x0, y0), at(x1, y1));
                if !rect.intersects(canvas) {
                    continue;
                }
                if let Some(texture) = self.tile((level, column, row), image, [x0, y0, x1, y1], is_due) {
                    let texels = [1.0, 1.0, (x1 - x0 + 1) as f32, (y1 - y0 + 1) as f32];
                    quads.push(Quad { texture, rect, texels, style: Style::Picture });
                }
            }
        }
    }

    /// Returns a tile; `None` if it is to be made and neither is due in this turn nor fits into it.
    fn tile(&mut self, place: Place, image: &RgbImage, part: [u32; 4], is_due: bool) -> Option<Texture> {
        let turn = self.turn;
        if let Some((texture, used)) = self.tiles.get_mut(&place) {
            *used = turn;
            return Some(texture.clone());
        }
        if !is_due && !self.has_time(self.deadline) {
            return None;
        }
        let [x0, y0, x1, y1] = part;
        let (width, height) = (x1 - x0 + 2, y1 - y0 + 2);
        let texture = self.gpu.texture(Texels::Rgba, width, height, &with_border(image, part));
        self.tiles.insert(place, (texture.clone(), turn));
        Some(texture)
    }

    /// Quads for a mask.
    pub(super) fn mask(
        &mut self,
        id: MaskId,
        mask: &Arc<Rle>,
        transform: Transform,
        canvas: Rect,
        style: Style,
        quads: &mut Vec<Quad>,
    ) {
        let known = self.masks.get(&id).filter(|known| known.at == self.at);
        let is_of_frame = known.is_some();
        if !known.is_some_and(|known| Arc::ptr_eq(&known.mask, mask)) {
            // Until there is time, an earlier mask of the same frame is better than none.
            if self.has_time(if is_of_frame { self.deadline } else { self.mask_deadline }) {
                let tiles = self.mask_tiles(mask);
                self.masks.insert(id, MaskTexture { mask: mask.clone(), at: self.at, tiles });
            } else if !is_of_frame {
                return;
            }
        }
        let Some(known) = self.masks.get(&id) else { return };
        for MaskTile { texture, corner: [x, y], size: [width, height] } in &known.tiles {
            let (x0, y0) = (*x as f32, *y as f32);
            let (x1, y1) = (x0 + *width as f32, y0 + *height as f32);
            let rect = transform.rect_to_screen(engine::geometry::Rect { x0, y0, x1, y1 });
            if rect.intersects(canvas) {
                let texels = [0.0, 0.0, *width as f32, *height as f32];
                quads.push(Quad { texture: texture.clone(), rect, texels, style });
            }
        }
    }

    fn mask_tiles(&self, mask: &Rle) -> Vec<MaskTile> {
        if mask.area() == 0 {
            return Vec::new();
        }
        let Patch { corner: (left, top), mask } = mask.patch(0);
        let (width, height) = (mask.size().width, mask.size().height);
        let starts = |n: usize| (0..n).step_by(MASK_TILE);
        let tile = |x: usize, y: usize| {
            let size = [MASK_TILE.min(width - x), MASK_TILE.min(height - y)];
            let rows = mask.bits()[y * width..(y + size[1]) * width].chunks_exact(width);
            let bytes: Vec<u8> =
                rows.flat_map(|row| row[x..x + size[0]].iter().map(|&on| if on { 255 } else { 0 })).collect();
            let texture = self.gpu.texture(Texels::Mask, size[0] as u32, size[1] as u32, &bytes);
            MaskTile { texture, corner: [left + x, top + y], size }
        };
        starts(height).flat_map(|y| starts(width).map(move |x| (x, y))).map(|(x, y)| tile(x, y)).collect()
    }

    /// Forgets masks that are not wanted.
    pub(super) fn keep_masks(&mut self, wanted: impl Fn(MaskId) -> bool) {
        self.masks.retain(|id, _| wanted(*id));
    }
}

/// A part of an image with one more texel all round: its neighbor's, or at the image's edge its own again.
fn with_border(image: &RgbImage, [x0, y0, x1, y1]: [u32; 4]) -> Vec<u8> {
    let (width, height) = image.dimensions();
    let row_bytes = width as usize * 3;
    let mut bytes = Vec::with_capacity(((x1 - x0 + 2) * (y1 - y0 + 2) * 4) as usize);
    for y in y0..y1 + 2 {
        let y = y.saturating_sub(1).min(height - 1) as usize;
        let row = &image.as_raw()[y * row_bytes..(y + 1) * row_bytes];
        let mut push = |x: u32| {
            let at = x as usize * 3;
            bytes.extend_from_slice(&[row[at], row[at + 1], row[at + 2], 255]);
        };
        push(x0.saturating_sub(1));
        (x0..x1).for_each(&mut push);
        push(x1.min(width - 1));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_has_its_neighbors_texels_round_it() {
        let image = RgbImage::from_fn(4, 3, |x, y| image::Rgb([x as u8, y as u8, 9]));
        let reds = |part, width: usize| {
            let bytes = with_border(&image, part);
            bytes.chunks_exact(4).map(|texel| texel[0]).take(width).collect::<Vec<_>>()
        };
        assert_eq!(reds([1, 0, 3, 2], 4), [0, 1, 2, 3]);
        assert_eq!(reds([0, 0, 4, 3], 6), [0, 0, 1, 2, 3, 3]);
    }
}
