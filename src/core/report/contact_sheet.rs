//! Sequences as pictures: frames side by side, one row per channel, many panels on one sheet.
//!
//! Takes pictures that are already in [0, 1]; knows nothing of camera counts or plates.

use ndarray::{Array3, Array4, ArrayView2};

use super::font;
use super::png::RgbImage;

const BACKGROUND: [u8; 3] = [24, 24, 27];
const TEXT: [u8; 3] = [228, 228, 231];
/// Pixels between frames and between channels of one panel.
const SEPARATOR: usize = 2;
/// Pixels around panels.
const MARGIN: usize = 8;
/// Frames of an overview are enlarged to about this width.
const FRAME_WIDTH: usize = 96;
/// Panels per row of an overview, fewer where that would be wider than a screen can show.
const COLUMNS: usize = 4;
const WIDEST: usize = 4096;

/// One sequence on a contact sheet.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Pictures in [0, 1]; values outside are clamped, NaN is black. `[C, T, H, W]`
    pub planes: Array4<f32>,
    /// Display colour per channel. The first channel is shown in grey, a missing colour means grey.
    pub colors: Vec<[u8; 3]>,
    /// Label ids, drawn as outlines over every channel; 0 is background. `[T, H, W]`
    pub outline: Option<Array3<u32>>,
    /// Text above the pictures, cut where it is too long.
    pub caption: String,
}

/// Returns a picture of all panels, laid out for a quick look.
pub fn overview(panels: &[Panel]) -> RgbImage {
    let frame_width = panels.iter().map(|p| p.planes.dim().3).max().unwrap_or(0);
    let scale = (FRAME_WIDTH / frame_width.max(1)).max(1);
    let panel_width = panels.iter().map(|p| size(p, scale)[1]).max().unwrap_or(0);
    contact_sheet(panels, (WIDEST / panel_width.max(1)).clamp(1, COLUMNS), scale)
}

/// Returns a picture of panels that belong into rows of `columns`, as large as fits onto a screen. A panel without
/// pictures shows its caption alone: the corner of a grid whose first row and column are headers.
pub fn grid(panels: &[Panel], columns: usize) -> RgbImage {
    let frame_width = panels.iter().map(|p| p.planes.dim().3).max().unwrap_or(0);
    let panel_width = panels.iter().map(|p| size(p, 1)[1]).max().unwrap_or(0).max(1);
    let fits = WIDEST / (panel_width * columns.max(1));
    contact_sheet(panels, columns, (FRAME_WIDTH / frame_width.max(1)).min(fits).max(1))
}

/// Returns a picture of all panels, `columns` of them per row, every pixel shown `scale` times as large.
///
/// `columns` and `scale` below 1 count as 1. Panels may differ in size; without panels the sheet is an empty margin.
pub fn contact_sheet(panels: &[Panel], columns: usize, scale: usize) -> RgbImage {
    let (columns, scale) = (columns.max(1).min(panels.len().max(1)), scale.max(1));
    let sizes: Vec<[usize; 2]> = panels.iter().map(|p| size(p, scale)).collect();
    let cell_width = sizes.iter().map(|s| s[1]).max().unwrap_or(0);
    let picture_height = sizes.iter().map(|s| s[0]).max().unwrap_or(0);
    let text_scale = caption_scale(panels, cell_width);
    let band = if text_scale == 0 { 0 } else { font::HEIGHT * text_scale + SEPARATOR + 2 };
    let rows = panels.len().div_ceil(columns);

    let width = MARGIN + columns * (cell_width + MARGIN);
    let height = MARGIN + rows * (band + picture_height + MARGIN);
    let mut sheet = RgbImage::filled(width, height, BACKGROUND);
    for (i, panel) in panels.iter().enumerate() {
        let y = MARGIN + i / columns * (band + picture_height + MARGIN);
        let x = MARGIN + i % columns * (cell_width + MARGIN);
        if text_scale > 0 {
            let fits = cell_width / (font::ADVANCE * text_scale);
            font::draw(&mut sheet, &cut(&panel.caption, fits), y, x, text_scale, TEXT);
        }
        draw_panel(&mut sheet, panel, y + band, x, scale);
    }
    sheet
}

/// Returns rows and columns of a panel's pictures.
fn size(panel: &Panel, scale: usize) -> [usize; 2] {
    let (channels, frames, height, width) = panel.planes.dim();
    let along = |n: usize, pixels: usize| n * pixels * scale + n.saturating_sub(1) * SEPARATOR;
    [along(channels, height), along(frames, width)]
}

/// Returns the largest of 2, 1 at which all captions fit; 0 where there is no caption at all.
fn caption_scale(panels: &[Panel], cell_width: usize) -> usize {
    if panels.iter().all(|p| p.caption.is_empty()) {
        return 0;
    }
    if panels.iter().all(|p| font::width(&p.caption, 2) <= cell_width) { 2 } else { 1 }
}

/// Returns a text of at most `fits` characters, with `..` for what was cut.
fn cut(text: &str, fits: usize) -> String {
    if text.chars().count() <= fits {
        return text.to_owned();
    }
    let kept: String = text.chars().take(fits.saturating_sub(2)).collect();
    format!("{kept}..").chars().take(fits).collect()
}

fn draw_panel(sheet: &mut RgbImage, panel: &Panel, top: usize, left: usize, scale: usize) {
    let (channels, frames, height, width) = panel.planes.dim();
    for (c, t) in (0..channels * frames).map(|i| (i / frames, i % frames)) {
        let tint = if c == 0 { [255; 3] } else { panel.colors.get(c).copied().unwrap_or([255; 3]) };
        let y0 = top + c * (height * scale + SEPARATOR);
        let x0 = left + t * (width * scale + SEPARATOR);
        let labels =
            panel.outline.as_ref().filter(|o| t < o.dim().0).map(|o| o.index_axis(ndarray::Axis(0), t));
        for (y, x) in (0..height * scale * width * scale).map(|i| (i / (width * scale), i % (width * scale)))
        {
            let value = panel.planes[[c, t, y / scale, x / scale]];
            let color = labels
                .as_ref()
                .and_then(|l| outline_color(l, y, x, scale))
                .unwrap_or_else(|| tint.map(|channel| shade(value, channel)));
            sheet.set(y0 + y, x0 + x, color);
        }
    }
}

/// Returns `value` of a channel whose full brightness is `channel`. NaN casts to 0.
fn shade(value: f32, channel: u8) -> u8 {
    (value.clamp(0.0, 1.0) * f32::from(channel)).round() as u8
}

/// Returns the colour of an outline where the enlarged pixel lies on the inner rim of an object.
fn outline_color(labels: &ArrayView2<u32>, y: usize, x: usize, scale: usize) -> Option<[u8; 3]> {
    // Outside of the picture counts as the object itself, so that a cut object stays open at the border.
    let own = *labels.get([y / scale, x / scale])?;
    if own == 0 {
        return None;
    }
    let neighbours = [(y.wrapping_sub(1), x), (y + 1, x), (y, x.wrapping_sub(1)), (y, x + 1)];
    let on_rim = neighbours
        .iter()
        .any(|(ny, nx)| labels.get([ny / scale, nx / scale]).is_some_and(|other| *other != own));
    on_rim.then(|| id_color(own))
}

/// Returns a bright colour that stays with an id, so that one object has one colour in all frames.
fn id_color(id: u32) -> [u8; 3] {
    const COLORS: [[u8; 3]; 8] = [
        [255, 200, 0],
        [0, 210, 255],
        [255, 95, 135],
        [120, 255, 120],
        [200, 140, 255],
        [255, 140, 40],
        [90, 160, 255],
        [235, 235, 120],
    ];
    COLORS[(id as usize - 1) % COLORS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(caption: &str) -> Panel {
        let planes =
            Array4::from_shape_fn(
                (2, 3, 4, 5),
                |(c, t, y, x)| if (c, t, y, x) == (1, 2, 3, 4) { 1.0 } else { 0.0 },
            );
        Panel { planes, colors: vec![[255; 3], [0, 255, 0]], outline: None, caption: caption.to_owned() }
    }

    #[test]
    fn frames_run_to_the_right_and_channels_downwards() {
        let sheet = contact_sheet(&[panel("")], 1, 2);
        assert_eq!((sheet.width, sheet.height), (2 * MARGIN + 3 * 10 + 4, 2 * MARGIN + 2 * 8 + 2));
        let last = (sheet.height - MARGIN - 1, sheet.width - MARGIN - 1);
        assert_eq!(sheet.get(last.0, last.1), Some([0, 255, 0]));
        assert_eq!(sheet.get(last.0 - 1, last.1 - 1), Some([0, 255, 0]));
        assert_eq!(sheet.get(last.0 - 2, last.1), Some([0, 0, 0]));
        assert_eq!(sheet.get(last.0 + 1, last.1), Some(BACKGROUND));
    }

    #[test]
    fn an_overview_enlarges_small_frames_and_gives_wide_sequences_a_row_of_their_own() {
        let sheet = overview(&vec![panel(""); 5]);
        assert_eq!(
            (sheet.width, sheet.height),
            (4 * (3 * 95 + 4) + 5 * MARGIN, 2 * (2 * 76 + 2) + 3 * MARGIN)
        );
        let planes = Array4::zeros((1, 30, 2, 100));
        let sheet = overview(&[Panel { planes: planes.clone(), ..panel("") }, Panel { planes, ..panel("") }]);
        assert_eq!((sheet.width, sheet.height), (30 * 102 - 2 + 2 * MARGIN, 2 * 2 + 3 * MARGIN));
        assert_eq!(overview(&[]).width, 2 * MARGIN);
    }

    #[test]
    fn a_grid_has_its_columns_and_an_empty_corner() {
        let corner = Panel { planes: Array4::zeros((0, 0, 0, 0)), ..panel("slots 0") };
        let mut cells = vec![corner];
        cells.resize(12, panel(""));
        let sheet = grid(&cells, 6);
        let (scale, band) = (19, 7 * 2 + SEPARATOR + 2);
        assert_eq!(sheet.width, 6 * (3 * 5 * scale + 2 * SEPARATOR) + 7 * MARGIN);
        assert_eq!(sheet.height, 2 * (band + 2 * 4 * scale + SEPARATOR) + 3 * MARGIN);
        assert_eq!(sheet.get(MARGIN + band + 4, MARGIN + 4), Some(BACKGROUND));
        assert!(grid(&vec![panel(""); 900], 900).width < 900 * (3 * 5 + 4 + MARGIN) + 2 * MARGIN);
    }

    #[test]
    fn outlines_leave_the_inside_of_an_object_visible() {
        let mut with_outline = panel("");
        let mut labels = Array3::zeros((3, 4, 5));
        labels.slice_mut(ndarray::s![0, 1..3, 1..4]).fill(2);
        with_outline.outline = Some(labels);
        let sheet = contact_sheet(&[with_outline], 1, 4);
        let at = |y: usize, x: usize| sheet.get(MARGIN + y, MARGIN + x).unwrap();
        assert_eq!(at(4, 4), id_color(2));
        assert_eq!(at(7, 10), [0, 0, 0]);
        assert_eq!(at(3, 4), [0, 0, 0]);
    }

    #[test]
    fn captions_are_cut_and_odd_input_is_harmless() {
        assert_eq!(cut("abcdef", 4), "ab..");
        assert_eq!(cut("abc", 4), "abc");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(shade(f32::NAN, 255), 0);
        assert_eq!(shade(7.0, 100), 100);
        let sheet = contact_sheet(&[], 0, 0);
        assert_eq!((sheet.width, sheet.height), (2 * MARGIN, MARGIN));
        let mut odd = panel("a long caption that cannot fit");
        odd.outline = Some(Array3::ones((1, 2, 2)));
        odd.colors.clear();
        assert!(contact_sheet(&[odd.clone(), odd], 5, 1).to_png_bytes().is_ok());
    }
}
