//! Pictures one after the other, as a file that browsers and slide programmes play: APNG, or GIF where that is asked for.
//!
//! Frames are written as they come, so that a long animation needs the memory of one frame.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::ReportError;
use super::png::RgbImage;

/// Colours are chosen from every third pixel: seen no worse, and twice as fast as from every pixel.
const GIF_SPEED: i32 = 3;

/// Form of an animation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnimationForm {
    /// All colours.
    Apng,
    /// 256 colours in each frame.
    Gif,
}

/// An animation in the making, which is played again and again.
pub struct Animation {
    path: PathBuf,
    width: usize,
    height: usize,
    delay_centiseconds: u16,
    missing: usize,
    encoder: Encoder,
}

enum Encoder {
    Apng(Box<png::Writer<BufWriter<File>>>),
    Gif(Box<gif::Encoder<BufWriter<File>>>),
}

impl std::fmt::Debug for Animation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Animation({}, {}x{})", self.path.display(), self.width, self.height)
    }
}

impl Animation {
    /// Starts a file of `frames` pictures of one size, of which `per_second` are shown in a second.
    ///
    /// # Errors
    /// [`ReportError::Io`], and [`ReportError::Encode`] for an empty or huge picture.
    pub fn create(
        path: &Path,
        form: AnimationForm,
        (width, height): (usize, usize),
        frames: usize,
        per_second: u16,
    ) -> Result<Self, ReportError> {
        let failed = |message: String| ReportError::Encode { width, height, message };
        let file = File::create(path).map_err(|source| ReportError::Io { path: path.to_owned(), source })?;
        let file = BufWriter::new(file);
        let text = |e: &dyn std::fmt::Display| failed(e.to_string());
        let encoder = match form {
            AnimationForm::Apng => {
                let side = |n: usize| u32::try_from(n).map_err(|e| text(&e));
                let mut encoder = png::Encoder::new(file, side(width)?, side(height)?);
                encoder.set_color(png::ColorType::Rgb);
                encoder.set_depth(png::BitDepth::Eight);
                encoder.set_animated(side(frames)?, 0).map_err(|e| text(&e))?;
                encoder.set_frame_delay(1, per_second.max(1)).map_err(|e| text(&e))?;
                Encoder::Apng(Box::new(encoder.write_header().map_err(|e| text(&e))?))
            }
            AnimationForm::Gif => {
                let side = |n: usize| u16::try_from(n).map_err(|e| text(&e));
                let mut encoder =
                    gif::Encoder::new(file, side(width)?, side(height)?, &[]).map_err(|e| text(&e))?;
                encoder.set_repeat(gif::Repeat::Infinite).map_err(|e| text(&e))?;
                Encoder::Gif(Box::new(encoder))
            }
        };
        // Browsers show what is faster than 50 frames a second at 10.
        let per_second = per_second.max(1);
        let delay_centiseconds = ((100 + per_second / 2) / per_second).max(2);
        Ok(Self { path: path.to_owned(), width, height, delay_centiseconds, missing: frames, encoder })
    }

    /// Adds the next picture.
    ///
    /// # Errors
    /// [`ReportError::Size`] for a picture of another size, and [`ReportError::Encode`].
    pub fn push(&mut self, image: &RgbImage) -> Result<(), ReportError> {
        let (width, height) = (self.width, self.height);
        if (image.width, image.height) != (width, height) || image.pixels.len() != 3 * width * height {
            let (actual, expected) = (image.pixels.len(), 3 * width * height);
            return Err(ReportError::Size { width: image.width, height: image.height, actual, expected });
        }
        let failed = |message: String| ReportError::Encode { width, height, message };
        self.missing = self.missing.saturating_sub(1);
        match &mut self.encoder {
            Encoder::Apng(writer) => {
                writer.write_image_data(&image.pixels).map_err(|e| failed(e.to_string()))
            }
            Encoder::Gif(encoder) => {
                let mut frame =
                    gif::Frame::from_rgb_speed(width as u16, height as u16, &image.pixels, GIF_SPEED);
                frame.delay = self.delay_centiseconds;
                encoder.write_frame(&frame).map_err(|e| failed(e.to_string()))
            }
        }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// [`ReportError::Encode`] where pictures are missing, or what the system says.
    pub fn finish(self) -> Result<(), ReportError> {
        let (width, height) = (self.width, self.height);
        if self.missing > 0 {
            let message = format!("{} frames are missing", self.missing);
            return Err(ReportError::Encode { width, height, message });
        }
        match self.encoder {
            Encoder::Apng(writer) => {
                writer.finish().map_err(|e| ReportError::Encode { width, height, message: e.to_string() })
            }
            Encoder::Gif(mut encoder) => {
                use std::io::Write;
                let ended = encoder.get_mut().flush();
                ended.map_err(|source| ReportError::Io { path: self.path, source })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: u8) -> RgbImage {
        let mut image = RgbImage::filled(6, 4, [n, 2 * n, 10]);
        image.set(1, n as usize % 6, [200, 0, 0]);
        image
    }

    fn write(path: &Path, form: AnimationForm) {
        let mut animation = Animation::create(path, form, (6, 4), 3, 10).unwrap();
        for n in 0..3 {
            animation.push(&frame(n)).unwrap();
        }
        assert!(animation.push(&RgbImage::filled(4, 6, [0; 3])).is_err());
        animation.finish().unwrap();
    }

    #[test]
    fn an_apng_reads_back_frame_by_frame() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("walk.png");
        write(&path, AnimationForm::Apng);
        let bytes = std::fs::read(&path).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
        let control = reader.info().animation_control.unwrap();
        assert_eq!((control.num_frames, control.num_plays), (3, 0));
        for n in 0..3 {
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut pixels).unwrap();
            assert_eq!(pixels, frame(n).pixels);
            let shown = reader.info().frame_control.unwrap();
            assert_eq!((shown.delay_num, shown.delay_den), (1, 10));
        }
        write(&path, AnimationForm::Apng);
        assert_eq!(bytes, std::fs::read(&path).unwrap());
    }

    #[test]
    fn a_gif_keeps_few_colours_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("walk.gif");
        write(&path, AnimationForm::Gif);
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut reader = options.read_info(File::open(&path).unwrap()).unwrap();
        let mut n = 0;
        while let Some(found) = reader.read_next_frame().unwrap() {
            let rgb: Vec<u8> = found.buffer.chunks(4).flat_map(|p| p[..3].to_vec()).collect();
            assert_eq!((found.delay, rgb), (10, frame(n).pixels));
            n += 1;
        }
        assert_eq!(n, 3);
    }

    #[test]
    fn missing_frames_are_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("walk.png");
        let mut animation = Animation::create(&path, AnimationForm::Apng, (6, 4), 3, 10).unwrap();
        animation.push(&frame(0)).unwrap();
        assert!(animation.finish().is_err());
    }
}
