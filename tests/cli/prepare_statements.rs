//! `prepare`: what it says about a recording is so, and what a person should know is said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use lapsegan_core::input::{png, tiff};
use lapsegan_core::plate::Plate;
use ndarray::Array2;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::programs::{check_refused, names, result, run_in};

/// A folder for recordings and plates.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes `count` frames of `size` rows and columns.
    fn frames(
        &self,
        folder: &str,
        count: usize,
        size: (usize, usize),
        pixel: impl Fn(usize, usize, usize) -> u16,
    ) {
        for t in 0..count {
            let plane = Array2::from_shape_fn(size, |(y, x)| pixel(t, y, x));
            tiff::write(&self.path(folder).join(format!("t{t:03}.tif")), plane.view()).unwrap();
        }
    }

    fn prepare(&self, args: &[&str]) -> Output {
        run_in(self.dir.path(), "prepare", &[args, &["--output", "p.ome.zarr", "--overwrite"]].concat())
    }

    /// Returns the result and what was said on stderr, where every warning of the result must be too.
    fn said(&self, args: &[&str]) -> (Value, String) {
        let output = self.prepare(args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let printed = result(&output);
        let of = if printed["dry_run"] == true { &printed["would_write"] } else { &printed };
        for warning in of["warnings"].as_array().unwrap() {
            assert!(stderr.contains(warning.as_str().unwrap()), "not on stderr: {warning}\n{stderr}");
        }
        (printed, stderr)
    }

    fn refused(&self, args: &[&str], code: i32, parts: &[&str]) {
        check_refused(&self.prepare(args), code, parts);
        assert!(names(self.dir.path()).iter().all(|n| !n.contains("p.ome.zarr")));
    }
}

/// A pixel without meaning but with a spread of counts, the same every time.
fn noise(t: usize, y: usize, x: usize) -> u64 {
    let mut z = ((t * 4096 + y) * 4096 + x) as u64;
    z = (z ^ (z >> 30)).wrapping_add(0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn texture(t: usize, y: usize, x: usize) -> u16 {
    300 + (noise(t, y, x) % 3500) as u16
}

#[test]
fn a_frame_of_another_depth_is_refused_and_named() {
    let bench = Bench::new();
    bench.frames("bf", 12, (16, 16), texture);
    let odd = bench.path("bf/t007.tif");
    let mut bytes = std::io::Cursor::new(Vec::new());
    ::tiff::encoder::TiffEncoder::new(&mut bytes)
        .unwrap()
        .write_image::<::tiff::encoder::colortype::Gray8>(16, 16, &[9; 256])
        .unwrap();
    fs::write(&odd, bytes.into_inner()).unwrap();
    for more in [&["--dry-run"][..], &[]] {
        let args = [&["--channel", "bf=bf"], more].concat();
        let parts = [
            "bf/t007.tif: has 8 bits per pixel, expected 16 bits per pixel as 11 of the 12 frames of channel bf",
        ];
        bench.refused(&args, 65, &parts);
    }
}

#[test]
fn a_dry_run_looks_at_every_header() {
    let bench = Bench::new();
    bench.frames("bf", 12, (16, 16), texture);
    bench.frames("small", 1, (8, 16), texture);
    for t in 0..12 {
        let ids = Array2::from_elem((16, 16), t as u16);
        png::write(&bench.path("cells").join(format!("t{t:03}.png")), ids.view()).unwrap();
    }
    let args = ["--channel", "bf=bf", "--labels", "cells=cells", "--dry-run"];
    bench.said(&args);
    let break_and_mend = |file: &str, bytes: &[u8], part: &str| {
        let path = bench.path(file);
        let good = fs::read(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        bench.refused(&args, 65, &[file, part]);
        bench.refused(&args[..4], 65, &[file, part]);
        fs::write(&path, good).unwrap();
    };
    let frame = fs::read(bench.path("bf/t007.tif")).unwrap();
    break_and_mend("bf/t007.tif", &frame[..frame.len() / 2], "cannot be decoded");
    let other_size = fs::read(bench.path("small/t000.tif")).unwrap();
    break_and_mend(
        "bf/t009.tif",
        &other_size,
        "is 16 x 8, expected 16 x 16 as 11 of the 12 frames of channel bf",
    );
    let label = fs::read(bench.path("cells/t011.png")).unwrap();
    break_and_mend("cells/t011.png", &label[..label.len() - 20], "cannot be decoded");
    bench.said(&args);
}

/// Counts by frame, row and column.
type Pixel<'a> = &'a dyn Fn(usize, usize, usize) -> u16;

#[test]
fn saturation_is_found_where_the_histogram_piles_up() {
    // 12 bits in the upper bits of 16; 14 bits; 12 bits with hot pixels one count above.
    let full = |t, y, x| (noise(t, y, x) >> 40).is_multiple_of(8);
    let hot = |t: usize, y, x| t == 0 && y == x;
    let cases: [(u16, Pixel<'_>); 3] = [
        (65520, &|t, y, x| if full(t, y, x) { 65520 } else { texture(t, y, x) << 4 }),
        (16383, &|t, y, x| if full(t, y, x) { 16383 } else { texture(t, y, x) }),
        (4095, &|t, y, x| {
            let plain = if hot(t, y, x) { 4096 } else { texture(t, y, x) };
            if full(t, y, x) { 4095 } else { plain }
        }),
    ];
    for (wall, pixel) in cases {
        let bench = Bench::new();
        bench.frames("bf", 9, (32, 32), pixel);
        let (printed, stderr) = bench.said(&["--channel", "bf=bf"]);
        let quality = &printed["channels"][0]["quality"];
        assert_eq!(quality["saturation_value"], wall);
        let pixels = (0..9).flat_map(|t| (0..1024).map(move |i| (t, i / 32, i % 32)));
        let share = pixels.filter(|&(t, y, x)| pixel(t, y, x) >= wall).count() as f64 / 9216.0;
        assert_eq!(quality["saturated"], share);
        assert!(share > 0.1 && stderr.contains(&format!("pile up at {wall} counts")), "{stderr}");
    }
}

#[test]
fn good_recordings_raise_no_alarm() {
    let bench = Bench::new();
    let args = ["phantom", "--positions", "6", "--frames-per-position", "6"];
    let (phantom, _) = bench.said(&args);
    assert_eq!(phantom["warnings"], Value::Array(Vec::new()));
    let data = crate::support::root().join("test-data/recording");
    let channel = |name: &str| format!("{name}={}", data.join(name).display());
    let (recording, _) = bench.said(&["--channel", &channel("brightfield"), "--channel", &channel("gfp")]);
    assert_eq!(recording["warnings"], Value::Array(Vec::new()));
    for channel in recording["channels"].as_array().unwrap() {
        assert_eq!(channel["quality"]["saturation_value"], Value::Null);
        assert!(channel["clipped_light"].as_f64().unwrap() < 0.02, "{channel}");
    }
}

#[test]
fn rare_bright_spots_above_the_range_are_told_and_kept_on_demand() {
    let bench = Bench::new();
    let spot = |t, y, x| (noise(t, y, x) >> 33).is_multiple_of(1429);
    bench.frames("gfp", 40, (32, 32), |t, y, x| {
        if spot(t, y, x) { 30_000 } else { 100 + (noise(t, y, x) % 20) as u16 }
    });
    let (printed, stderr) = bench.said(&["--channel", "gfp=gfp"]);
    let channel = &printed["channels"][0];
    assert_eq!(channel["calibration"]["hi"], 119.0);
    assert!(channel["calibration"]["clipped_high"].as_f64().unwrap() < 0.001);
    assert!(channel["clipped_light"].as_f64().unwrap() > 0.5, "{channel}");
    let at = stderr.find("--percentiles ").unwrap_or_else(|| panic!("no way out: {stderr}"));
    let way_out = stderr[at..].split_whitespace().nth(1).unwrap();
    let (printed, stderr) = bench.said(&["--channel", "gfp=gfp", "--percentiles", way_out]);
    assert_eq!(printed["channels"][0]["calibration"]["hi"], 30_000.0);
    assert!(!stderr.contains("of its light"), "{stderr}");
    for wrong in ["99,1", "-1,99", "0,101", "nan,99"] {
        let wrong = format!("--percentiles={wrong}");
        check_refused(&bench.prepare(&["--channel", "gfp=gfp", &wrong]), 2, &["--percentiles: is "]);
    }
    for wrong in ["0.1", "a,b", "1,2,3"] {
        let output = bench.prepare(&["--channel", "gfp=gfp", &format!("--percentiles={wrong}")]);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("such as 0.1,99.99"));
    }
}

#[test]
fn a_channel_of_another_size_is_a_guess_until_it_is_said() {
    let bench = Bench::new();
    let field = |t: usize, y: usize, x: usize| (500 + t + 64 * y + x) as u16;
    bench.frames("bf", 9, (64, 64), field);
    bench.frames("gfp", 9, (32, 32), |t, y, x| field(t, y + 16, x + 16));
    let args = ["--channel", "bf=bf", "--channel", "gfp=gfp"];
    let pixels = || {
        let sequence = Plate::open(&bench.path("p.ome.zarr")).unwrap().read(0).unwrap();
        let (_, _, h, w) = sequence.image.dim();
        (h, w, sequence.image[[0, 0, 20, 20]], sequence.image[[0, 1, 20, 20]])
    };
    let (printed, stderr) = bench.said(&args);
    assert!(stderr.contains("This is a guess") && stderr.contains("--align crop"), "{stderr}");
    assert!(printed["notes"].to_string().contains("This is a guess"));
    assert_eq!(pixels(), (64, 64, field(0, 20, 20), field(0, 26, 26)));
    let with = |align: &'static str| [&args[..], &["--align", align]].concat();
    let (printed, stderr) = bench.said(&with("bin"));
    assert!(!stderr.contains("guess") && stderr.contains("camera binning 2"), "{stderr}");
    assert_eq!((pixels().2, printed["warnings"].to_string().contains("guess")), (field(0, 20, 20), false));
    let (_, stderr) = bench.said(&with("crop"));
    assert!(stderr.contains("cropped to the 32 x 32 in its middle"), "{stderr}");
    assert_eq!(pixels(), (32, 32, field(0, 36, 36), field(0, 36, 36)));
    fs::remove_dir_all(bench.path("p.ome.zarr")).unwrap();
    bench.refused(&with("none"), 65, &["gfp/t000.tif", "32 x 32", "64 x 64", "--align bin or --align crop"]);
    // Labels are not guessed.
    bench.refused(&["--channel", "bf=bf", "--labels", "cells=gfp"], 65, &["32 x 32", "64 x 64", "--align"]);
    bench.said(&["--channel", "bf=bf", "--labels", "cells=gfp", "--align", "crop"]);
}

#[test]
fn tiles_cover_the_frame_and_the_share_is_said() {
    let bench = Bench::new();
    for position in ["a", "b", "c"] {
        bench.frames(&format!("bf/{position}"), 3, (24, 40), texture);
    }
    let (printed, stderr) = bench.said(&["--channel", "bf=bf"]);
    assert_eq!((&printed["size_px"], &printed["frame_coverage"]), (&16.into(), &1.0.into()));
    assert!(stderr.contains("6 tile(s) of 16 x 16 pixels show 100 % of each frame"), "{stderr}");
    let (printed, stderr) = bench.said(&["--channel", "bf=bf", "--tiles", "centre"]);
    assert_eq!(printed["frame_coverage"], 256.0 / 960.0);
    assert!(stderr.contains("1 tile(s) of 16 x 16 pixels show 27 % of each frame"), "{stderr}");
    // Tiles overlap, but never across splits.
    bench.said(&["--channel", "bf=bf"]);
    let plate = Plate::open(&bench.path("p.ome.zarr")).unwrap();
    let groups: std::collections::BTreeSet<_> = (0..plate.wells.len())
        .map(|i| plate.read(i).unwrap().meta)
        .map(|m| (m.split_group, m.split))
        .collect();
    assert_eq!((plate.wells.len(), groups.len()), (18, 3));
}

#[test]
fn a_small_plate_has_its_true_reason() {
    let bench = Bench::new();
    bench.frames("long", 20, (16, 16), texture);
    bench.frames("short", 5, (16, 16), texture);
    let (_, stderr) = bench.said(&["--channel", "bf=long"]);
    assert!(
        stderr.contains("11 of 20 frames are in no sequence: 11 between blocks of the movie"),
        "{stderr}"
    );
    let (_, stderr) = bench.said(&["--channel", "bf=long", "--block", "18"]);
    assert!(stderr.contains("--block 18 makes one block") && !stderr.contains("too short"), "{stderr}");
    let (_, stderr) = bench.said(&["--channel", "bf=short", "--dry-run"]);
    assert!(stderr.contains("the movie is too short for a test part"), "{stderr}");
    // Positions that are too short for a window are in no split, wherever the seed would have put them.
    for (position, count) in [("a", 2), ("b", 5), ("c", 5)] {
        bench.frames(&format!("positions/{position}"), count, (16, 16), texture);
    }
    for seed in ["0", "1", "2", "3"] {
        let (printed, stderr) = bench.said(&["--channel", "bf=positions", "--seed", seed]);
        assert_eq!(printed["sequences_per_split"], serde_json::json!({ "train": 3, "val": 0, "test": 3 }));
        assert!(stderr.contains("2 in runs of fewer than --frames 3, all of a"), "{stderr}");
    }
}

#[test]
fn a_flat_training_part_is_told_from_a_flat_channel() {
    let bench = Bench::new();
    bench.frames("flat", 9, (16, 16), |_, _, _| 0);
    bench.refused(&["--channel", "bf=flat"], 65, &["every training pixel is 0 counts, expected an image"]);
    // Nine frames: the first three are the training part.
    bench.frames("dark", 9, (16, 16), |t, y, x| if t < 5 { 0 } else { texture(t, y, x) });
    let parts = ["every training pixel is 0 counts (all frames together hold 0 to ", "--seed"];
    bench.refused(&["--channel", "bf=dark"], 65, &parts);
}

#[test]
fn what_stands_where_a_folder_was_expected_is_named() {
    let bench = Bench::new();
    bench.frames("bf", 9, (16, 16), texture);
    fs::copy(bench.path("bf/t000.tif"), bench.path("movie.tif")).unwrap();
    for file in ["czi/a.czi", "czi/b.czi", "jpg/a.jpg", "img.ome.zarr/zarr.json", "img.ome.zarr/s0/zarr.json"]
    {
        fs::create_dir_all(bench.path(file).parent().unwrap()).unwrap();
        fs::write(bench.path(file), "{}").unwrap();
    }
    for (channel, code, parts) in [
        (
            "bf=movie.tif",
            65,
            ["movie.tif: holds a single frame, expected at least the 3 frames", "give the folder around it"],
        ),
        ("bf=czi", 65, ["czi: holds no TIFF or PNG file, but 2 .czi file(s)", "export"]),
        ("bf=jpg", 65, ["jpg: holds no TIFF or PNG file, but 1 .jpg file(s)", "export"]),
        ("bf=img.ome.zarr", 65, ["img.ome.zarr: is a Zarr array or group without", "`multiscales`"]),
        ("bf=img.ome.zarr/s0", 65, ["img.ome.zarr/s0: is a Zarr array or group without", "further up"]),
        ("bf=gone", 66, ["gone is not there", "check the path"]),
    ] {
        bench.refused(&["--channel", channel], code, &parts);
    }
    let score = ["score", "--truth", "movie.tif", "--prediction", "bf"];
    check_refused(
        &run_in(bench.dir.path(), "evaluate", &score),
        65,
        &["movie.tif: is a file", "give the folder"],
    );
    // Frames too small for a tile: neither flag of a user who gave none is blamed.
    bench.frames("tiny", 9, (7, 9), texture);
    bench.refused(&["--channel", "bf=tiny"], 65, &["tiny: frames are 9 x 7 pixels, expected at least 8 x 8"]);
    bench.refused(
        &["--channel", "bf=bf", "--downscale", "4"],
        65,
        &["after --downscale 4", "lower --downscale"],
    );
}

#[test]
fn eight_bits_are_no_proof_of_lost_counts() {
    let bench = Bench::new();
    for t in 0..9_usize {
        let pixels: Vec<u8> = (0..256).map(|i| (texture(t, i / 16, i % 16) >> 4) as u8).collect();
        let mut bytes = Vec::new();
        let mut encoder = ::png::Encoder::new(&mut bytes, 16, 16);
        encoder.set_color(::png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        fs::create_dir_all(bench.path("bf")).unwrap();
        fs::write(bench.path("bf").join(Path::new(&format!("t{t}.png"))), bytes).unwrap();
    }
    let (_, stderr) = bench.said(&["--channel", "bf=bf"]);
    assert!(stderr.contains("8 bits per pixel: if it was scaled for display"), "{stderr}");
}
