//! A program of somebody else's as the segmenter: it is given folders of TIFF files, and writes label images.
//!
//! `PROGRAM train FOLDER` finds `FOLDER/train/images/*.tif` (16-bit, one channel) and `FOLDER/train/masks/*.tif` of the
//! same names (0 is background, every other number an object), and leaves whatever it learned in `FOLDER/model`.
//! `PROGRAM predict FOLDER` finds `FOLDER/predict/images/*.tif` and writes `FOLDER/predict/masks/*.tif` of the same names,
//! or PNG. The variable `LAPSEGAN_SEED` is a number that everything random should follow from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::BenchmarkError;
use super::crops::{LIMITS, Labelled, Pool};
use super::segmenter::{Fitted, Lesson, Segmenter};
use lapsegan_core::error::DataError;
use lapsegan_core::input::{image_file, tiff};
use lapsegan_core::output::{Scratch, run_program};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayView4, Axis};

/// Normalised values within their limits become counts from 0 to this.
const WHITE: f32 = 65535.0;
/// Lines of what a program said that an error repeats.
const LAST_LINES: usize = 8;

/// A program that trains and predicts.
#[derive(Clone, Debug)]
pub struct ExternalSegmenter {
    /// The program: a path, or a name that is found on the search path.
    pub program: String,
}

impl Segmenter for ExternalSegmenter {
    fn name(&self) -> &str {
        &self.program
    }

    fn steps(&self) -> usize {
        1
    }

    fn fit(
        &self,
        lesson: &Lesson,
        seed: u64,
        on_step: &mut dyn FnMut(),
    ) -> Result<Box<dyn Fitted>, BenchmarkError> {
        let folder = Scratch::create()?;
        let to = folder.path().join("train");
        // The program draws frames, not pools: each pool is gone through again until all have as many.
        let frames = |pool: &Pool| -> Vec<(usize, usize)> {
            let of =
                |(at, s): (usize, &&Labelled)| (0..s.labels.len_of(Axis(0))).map(move |frame| (at, frame));
            pool.sequences.iter().enumerate().flat_map(of).collect()
        };
        let most = lesson.pools.iter().map(|pool| frames(pool).len()).max().unwrap_or(0);
        for (at, pool) in lesson.pools.iter().enumerate() {
            for (number, &(sequence, frame)) in frames(pool).iter().cycle().take(most).enumerate() {
                let (sequence, name) = (pool.sequences[sequence], format!("{at}-{number:06}.tif"));
                write_image(&to.join("images").join(&name), sequence.image.index_axis(Axis(0), frame))?;
                write_mask(&to.join("masks").join(&name), sequence.labels.index_axis(Axis(0), frame))?;
            }
        }
        self.call("train", folder.path(), seed)?;
        on_step();
        Ok(Box::new(FittedProgram { segmenter: self.clone(), folder, seed }))
    }
}

impl ExternalSegmenter {
    /// Runs the program and waits for its end.
    fn call(&self, what: &str, folder: &Path, seed: u64) -> Result<(), BenchmarkError> {
        let mut command = Command::new(&self.program);
        command.arg(what).arg(folder).env("LAPSEGAN_SEED", (seed % (1 << 31)).to_string());
        let ended = run_program(&mut command).map_err(|error| {
            BenchmarkError::input(
                format!("--segmenter {}: cannot be started: {error}", self.program),
                "give the path of a program that may be executed",
            )
        })?;
        if ended.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n  ");
        Err(BenchmarkError::input(
            format!("--segmenter {} {what}: ended with {}:\n  {last:.2000}", self.program, ended.status),
            "run the program on a small folder by hand, see docs/segment-benchmark.md",
        ))
    }
}

/// What the program learned, in its folder.
struct FittedProgram {
    segmenter: ExternalSegmenter,
    folder: Scratch,
    seed: u64,
}

impl Fitted for FittedProgram {
    fn predict(&self, images: &[ArrayView4<f32>]) -> Result<Vec<Array3<u32>>, BenchmarkError> {
        let folder = self.folder.path().join("predict");
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(DataError::io(&folder)(error).into());
            }
            _ => {}
        }
        std::fs::create_dir_all(folder.join("masks")).map_err(DataError::io(&folder))?;
        for (at, image) in images.iter().enumerate() {
            for (frame, planes) in image.outer_iter().enumerate() {
                write_image(&folder.join("images").join(file(at, frame)), planes)?;
            }
        }
        self.segmenter.call("predict", self.folder.path(), self.seed)?;
        let one = |(at, image): (usize, &ArrayView4<f32>)| {
            let (frames, _, height, width) = image.dim();
            let mut labels = Array3::zeros((frames, height, width));
            for (frame, mut to) in labels.outer_iter_mut().enumerate() {
                let ids = self.read_mask(&folder.join("masks").join(file(at, frame)))?;
                if ids.dim() != (height, width) {
                    return Err(BenchmarkError::input(
                        format!(
                            "--segmenter {}: masks of {:?} for images of {height} x {width}",
                            self.segmenter.program,
                            ids.dim()
                        ),
                        "write masks of the size of their images",
                    ));
                }
                to.assign(&ids);
            }
            Ok(labels)
        };
        images.iter().enumerate().map(one).collect()
    }
}

/// Returns the name of a frame of a sequence.
fn file(sequence: usize, frame: usize) -> PathBuf {
    format!("{sequence:06}-{frame:04}.tif").into()
}

/// Writes the first channel. `[C, H, W]`
fn write_image(path: &Path, planes: ArrayView3<f32>) -> Result<(), BenchmarkError> {
    let [least, most] = LIMITS.map(|limit| limit as f32);
    let counts =
        planes.index_axis(Axis(0), 0).mapv(|x| ((x - least) / (most - least) * WHITE).round() as u16);
    Ok(tiff::write(path, counts.view())?)
}

/// Writes ids as 1, 2, ... `[H, W]`
fn write_mask(path: &Path, ids: ArrayView2<u32>) -> Result<(), BenchmarkError> {
    let mut numbers = BTreeMap::new();
    let mask = ids.mapv(|id| {
        let next = numbers.len() as u16 + 1;
        if id == 0 { 0 } else { *numbers.entry(id).or_insert(next) }
    });
    Ok(tiff::write(path, mask.view())?)
}

impl FittedProgram {
    /// Reads a mask, which may be a PNG.
    fn read_mask(&self, path: &Path) -> Result<Array2<u32>, BenchmarkError> {
        let png = path.with_extension("png");
        let Some(there) = [path, png.as_path()].into_iter().find(|file| file.exists()) else {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(BenchmarkError::input(
                format!("--segmenter {} predict: wrote no predict/masks/{name}", self.segmenter.program),
                "write a mask for every image, also for one without any object",
            ));
        };
        Ok(image_file::read_labels(there)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::arms::AugmentationStrength;
    use super::super::crops::drawn::discs;
    use super::*;

    fn lesson<'a>(pools: &[&'a Pool<'a>]) -> Lesson<'a> {
        Lesson { before: Vec::new(), pools: pools.to_vec(), augmentation: AugmentationStrength::Standard }
    }

    /// Returns a shell script as a program.
    fn program(folder: &Path, script: &str) -> ExternalSegmenter {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.join("program.sh");
        std::fs::write(&path, format!("#!/bin/sh\nset -e\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        ExternalSegmenter { program: path.to_str().unwrap().to_owned() }
    }

    #[test]
    fn pools_of_other_sizes_are_given_as_many_frames_and_predictions_come_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        // Keeps what it was given, and "finds" the masks of the first training frames.
        let script = r#"case $1 in
            train) ls "$2/train/images" > "$2/model"; cp "$2/model" "${0%/*}/seen"; echo "$LAPSEGAN_SEED" > "${0%/*}/seed" ;;
            predict)
                for f in "$2"/predict/images/*; do
                    n=$(basename "$f" .tif)
                    at=$((2 * (1${n%-*} - 1000000) + 1${n#*-} - 10000))
                    cp "$2/train/masks/0-$(printf %06d $at).tif" "$2/predict/masks/$n.tif"
                done ;;
        esac"#;
        let segmenter = program(dir.path(), script);
        let (few, many) = (discs(3, 1, 1), discs(4, 1, 2));
        let (few, many) = (Pool::new(&few), Pool::new(&many));
        let fitted = segmenter.fit(&lesson(&[&many, &few]), 7, &mut || ()).unwrap();
        let seen = std::fs::read_to_string(dir.path().join("seen")).unwrap();
        let of = |pool: &str| seen.lines().filter(|line| line.starts_with(pool)).count();
        assert_eq!((of("0-"), of("1-")), (8, 8), "{seen}");
        assert_eq!(std::fs::read_to_string(dir.path().join("seed")).unwrap(), "7\n");
        let images: Vec<_> = many.sequences.iter().map(|s| s.image.view()).collect();
        for _ in 0..2 {
            let found = fitted.predict(&images).unwrap();
            for (found, sequence) in found.iter().zip(&many.sequences) {
                assert_eq!(found.mapv(|id| id > 0), sequence.labels.mapv(|id| id > 0));
            }
        }
    }

    #[test]
    fn a_program_that_fails_or_writes_nothing_is_named_with_what_it_said() {
        let dir = tempfile::tempdir().unwrap();
        let sequences = discs(1, 1, 1);
        let pool = Pool::new(&sequences);
        let error = |segmenter: &ExternalSegmenter| {
            let fitted = segmenter.fit(&lesson(&[&pool]), 1, &mut || ());
            let found = fitted.and_then(|fitted| fitted.predict(&[sequences[0].image.view()]));
            found.map(|_| ()).unwrap_err().to_string()
        };
        let broken = error(&program(dir.path(), "echo out of luck >&2; exit 3"));
        assert!(
            broken.contains("program.sh train: ended with") && broken.contains("out of luck"),
            "{broken}"
        );
        let idle = error(&program(dir.path(), "exit 0"));
        assert!(idle.contains("program.sh predict: wrote no predict/masks/000000-0000.tif"), "{idle}");
        let none = error(&ExternalSegmenter { program: "/nowhere/at/all".into() });
        assert!(none.contains("--segmenter /nowhere/at/all: cannot be started"), "{none}");
    }
}
