//! Recordings of other programs, damaged: stacks with descriptions, stores, data sets, tables; and `prepare check`.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use ::tiff::encoder::{TiffEncoder, colortype};
use ::tiff::tags::Tag;
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::mutants::{Base, Mutant, copy, damage, files, owned};
use super::mutations;
use crate::support::programs::succeed;

/// Side of the pages, in pixels.
const SIDE: u32 = 12;

/// Makes one of each form in a folder, of a plate.
pub(super) fn make(folder: &Path, plate: &Path) {
    fs::create_dir_all(folder).unwrap();
    let description =
        "ImageJ=1.54f\nimages=12\nchannels=2\nframes=6\nhyperstack=true\nunit=um\nfinterval=300\n";
    stack(&folder.join("imagej.tif"), description, |_| None);
    stack(&folder.join("micro-manager.tif"), "", |n| {
        Some(format!(
            r#"{{"ChannelIndex":{0},"Channel":"{1}","FrameIndex":{2},"SliceIndex":0,"PositionIndex":0,
                "PixelSizeUm":0.065,"Interval_ms":300000,"ElapsedTime-ms":{3},"Width":12,"Height":12}}"#,
            n % 2,
            ["BF", "GFP"][n % 2],
            n / 2,
            300_000 * (n / 2)
        ))
    });
    for format in ["ome-tiff", "ome-zarr-0.4", "ozx", "ctc"] {
        let channel: &[&str] = if format == "ctc" { &["--channel", "phase"] } else { &[] };
        let call = ["export", plate.to_str().unwrap(), "--format", format, "--output"];
        succeed("prepare", &[&call[..], &[folder.join(format).to_str().unwrap()], channel].concat());
    }
}

/// Writes 12 pages with numbers of their own.
fn stack(path: &Path, description: &str, each: impl Fn(usize) -> Option<String>) {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
    for n in 0..12_usize {
        let mut image = encoder.new_image::<colortype::Gray16>(SIDE, SIDE).unwrap();
        if n == 0 && !description.is_empty() {
            image.encoder().write_tag(Tag::ImageDescription, description).unwrap();
        }
        if let Some(json) = each(n) {
            image.encoder().write_tag(Tag::Unknown(51123), json.as_str()).unwrap();
        }
        let pixels: Vec<u16> = (0..SIDE * SIDE).map(|i| (i * 7 + n as u32 * 31) as u16 % 997).collect();
        image.write_data(&pixels).unwrap();
    }
    fs::write(path, bytes.into_inner()).unwrap();
}

/// A call that reads a damaged input.
fn prepared(folder: PathBuf, input: &str, more: &[&str], what: String) -> Mutant {
    let mut arguments = owned(&[input, "--size", "8", "--frames", "2", "--threads", "1"]);
    arguments.extend(owned(more));
    arguments.extend(owned(&["--output", "out.ome.zarr"]));
    Mutant {
        inputs: vec![folder.join(input)],
        folder,
        program: "prepare",
        arguments,
        output: Some("out.ome.zarr".into()),
        what,
    }
}

/// Damages the text after a mark, in place: a number, a letter, or a piece of it.
fn within(rng: &mut ChaCha8Rng, file: &mut [u8], mark: &[u8]) -> Option<String> {
    let start = file.windows(mark.len()).position(|w| w == mark)?;
    let length = file[start..].iter().position(|b| *b == 0).unwrap_or(file.len() - start);
    let at = start + rng.random_range(0..length.max(1));
    let end = (at + rng.random_range(1..6)).min(start + length);
    let number = (at..start + length).find(|&i| file[i].is_ascii_digit());
    match (rng.random_range(0..4), number) {
        (0 | 1, Some(at)) => {
            let end = (at..file.len()).find(|&i| !file[i].is_ascii_digit()).unwrap_or(at + 1);
            let digit = *b"0159-e.".choose(rng).unwrap();
            file[at..end].fill(digit);
            Some(format!("a number at {at} made of {}", digit as char))
        }
        (2, _) => {
            file[at..end].fill_with(|| *b"<>\"'=/& \n{}[]0:,\xB5\xFF".choose(rng).unwrap());
            Some(format!("text {at}..{end} made marks"))
        }
        _ => {
            let from = start + rng.random_range(0..length.max(1));
            let piece = file[from..(from + end - at).min(start + length)].to_vec();
            file[at..at + piece.len().min(end - at)].copy_from_slice(&piece[..piece.len().min(end - at)]);
            Some(format!("text {at}..{end} made that at {from}"))
        }
    }
}

fn described(mark: &'static [u8], rng: &mut ChaCha8Rng, file: &mut Vec<u8>) -> String {
    let text = if rng.random_bool(0.6) { within(rng, file, mark) } else { None };
    text.unwrap_or_else(|| mutations::tiff(rng, file))
}

pub(super) fn imagej(base: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    copy(&base.forms.join("imagej.tif"), &folder.join("movie.tif"));
    let what = damage(&folder.join("movie.tif"), rng, |rng, file| described(b"ImageJ=", rng, file));
    prepared(folder, "movie.tif", &[], what)
}

pub(super) fn micro_manager(base: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    copy(&base.forms.join("micro-manager.tif"), &folder.join("movie_MMStack.ome.tif"));
    let what = damage(&folder.join("movie_MMStack.ome.tif"), rng, |rng, file| {
        described(b"{\"ChannelIndex\"", rng, file)
    });
    prepared(folder, "movie_MMStack.ome.tif", &[], what)
}

pub(super) fn ome_tiff(base: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    copy(&base.forms.join("ome-tiff"), &folder.join("movie"));
    let images: Vec<PathBuf> = files(&folder.join("movie"))
        .into_iter()
        .filter(|f| f.extension().is_some_and(|e| e == "tif"))
        .collect();
    let what = damage(images.choose(rng).unwrap(), rng, |rng, file| described(b"<OME", rng, file));
    prepared(folder, "movie", &[], what)
}

pub(super) fn zarr_2(base: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    copy(&base.forms.join("ome-zarr-0.4"), &folder.join("movie.ome.zarr"));
    let all = files(&folder.join("movie.ome.zarr"));
    let is_metadata = |f: &&PathBuf| f.file_name().is_some_and(|n| n.to_string_lossy().starts_with(".z"));
    let metadata: Vec<&PathBuf> = all.iter().filter(is_metadata).collect();
    let what = if rng.random_bool(0.7) {
        damage(metadata.choose(rng).unwrap(), rng, mutations::json_file)
    } else {
        damage(all.choose(rng).unwrap(), rng, mutations::bytes)
    };
    prepared(folder, "movie.ome.zarr", &[], what)
}

pub(super) fn zipped(base: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    copy(&base.forms.join("ozx/plate.ozx"), &folder.join("movie.ozx"));
    let what = damage(&folder.join("movie.ozx"), rng, mutations::bytes);
    prepared(folder, "movie.ozx", &[], what)
}

pub(super) fn challenge(base: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    copy(&base.forms.join("ctc"), &folder.join("movie"));
    let all = files(&folder.join("movie"));
    let tracks: Vec<&PathBuf> = all.iter().filter(|f| f.ends_with("man_track.txt")).collect();
    let what = match rng.random_range(0..4) {
        0 => damage(all.choose(rng).unwrap(), rng, mutations::tiff),
        1 => {
            fs::remove_file(all.choose(rng).unwrap()).unwrap();
            "a file taken away".into()
        }
        _ => damage(tracks.choose(rng).unwrap(), rng, mutations::bytes),
    };
    prepared(folder, "movie", &[], what)
}

pub(super) fn places(base: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    copy(&base.forms.join("imagej.tif"), &folder.join("movie.tif"));
    let table = folder.join("places.csv");
    fs::write(&table, "position,y,x\nmovie,4,4\nmovie,6.5,8\n\"movie\",11,0\n").unwrap();
    let what = damage(&table, rng, mutations::bytes);
    prepared(folder, "movie.tif", &["--tiles", "trap", "--centres", "places.csv"], what)
}

/// `prepare check` and `prepare export` of a damaged plate.
pub(super) fn checked(base: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    copy(&base.plate, &folder.join("plate"));
    let all = files(&folder.join("plate"));
    let what = damage(all.choose(rng).unwrap(), rng, mutations::json_file);
    let plate = folder.join("plate");
    let (arguments, output) = if rng.random() {
        (owned(&["check", "plate", "--threads", "1"]), None)
    } else {
        let format = *["cellpose", "coco", "nnunet", "ome-tiff", "ozx"].choose(rng).unwrap();
        let call = ["export", "plate", "--format", format, "--threads", "1", "--output", "out"];
        (owned(&call), Some("out".into()))
    };
    Mutant { inputs: vec![plate], folder, program: "prepare", arguments, output, what }
}
