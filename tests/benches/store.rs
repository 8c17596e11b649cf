//! CPU-seconds of writing and reading a plate, beside the same arrays written and read with zarrs alone.
//!
//! `cargo test --release -p lapsegan-core --bench store -- FOLDER [--count N]` writes `FOLDER/plate.ome.zarr` and
//! `FOLDER/plain`, and prints JSON; `... -- open PLATE` times the opening of a plate. `tests/benches/store.py` puts other
//! libraries beside it.
//!
//! Sequences are `[3, 2, 256, 256]` counts with the noise of a camera on a smooth image, without labels. One thread.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use lapsegan_core::plate::{
    Calibration, Channel, Origin, Plate, PlateMeta, PlateWriter, Sequence, SequenceMeta, Split,
};
use ndarray::Array4;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use zarrs::array::codec::ZstdCodec;
use zarrs::array::{Array, ArrayBuilder, CodecOptions, data_type};
use zarrs::filesystem::FilesystemStore;

const SHAPE: [usize; 4] = [3, 2, 256, 256];
const ROUNDS: usize = 3;

fn main() {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("the first pool");
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if arguments.first().is_some_and(|word| word == "open") {
        let start = Instant::now();
        let plate = Plate::open(Path::new(&arguments[1])).expect("a plate");
        println!("{}", json!({ "wells": plate.wells.len(), "open_s": start.elapsed().as_secs_f64() }));
        return;
    }
    let folder = Path::new(arguments.first().expect("a folder to write into"));
    let count: usize = arguments.get(2).map_or(512, |n| n.parse().expect("a number"));
    let sequences: Vec<Sequence> = (0..count).map(sequence).collect();
    let (plate, plain) = (folder.join("plate.ome.zarr"), folder.join("plain"));
    let mut least = [f64::INFINITY; 4];
    for round in 0..ROUNDS {
        for folder in [&plate, &plain].into_iter().filter(|_| round > 0) {
            std::fs::remove_dir_all(folder).expect("the last round's files");
        }
        let [plate_write, plain_write] = write_both(&plate, &plain, &sequences);
        let [plate_read, plain_read] = read_both(&plate, &plain, count);
        let times = [plate_write, plate_read, plain_write, plain_read];
        least = std::array::from_fn(|i| least[i].min(times[i]));
    }
    let result = json!({
        "sequences": count,
        "bytes": count * SHAPE.iter().product::<usize>() * 2,
        "plate_write_cpu_s": least[0],
        "plate_read_cpu_s": least[1],
        "zarrs_write_cpu_s": least[2],
        "zarrs_read_cpu_s": least[3],
    });
    println!("{result}");
}

/// Returns the CPU-seconds of writing a plate and plain arrays. They take turns by sequence, so that what else the
/// machine does meets both.
fn write_both(plate: &Path, plain: &Path, sequences: &[Sequence]) -> [f64; 2] {
    let mut writer = None;
    let mut times = [cpu(|| writer = Some(create_plate(plate, sequences.len()))), 0.0];
    let writer = writer.expect("a plate");
    for (index, sequence) in sequences.iter().enumerate() {
        times[0] += cpu(|| writer.write(index, sequence).expect("a sequence"));
        times[1] += cpu(|| write_plain(plain, index, sequence));
    }
    times[0] += cpu(|| writer.finish().expect("a plate"));
    times
}

/// The same for reading.
fn read_both(path: &Path, plain: &Path, count: usize) -> [f64; 2] {
    let mut plate = None;
    let mut times = [cpu(|| plate = Some(Plate::open(path).expect("a plate"))), 0.0];
    let plate = plate.expect("a plate");
    for index in 0..count {
        times[0] += cpu(|| assert_eq!(plate.read(index).expect("a sequence").image.shape(), SHAPE));
        times[1] += cpu(|| read_plain(plain, index));
    }
    times
}

/// Returns the CPU-seconds of this process that a call takes.
fn cpu(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    };
    let before = now();
    work();
    now() - before
}

fn sequence(index: usize) -> Sequence {
    let mut rng = ChaCha8Rng::seed_from_u64(index as u64);
    let image = Array4::from_shape_fn(SHAPE, |(t, c, y, x)| {
        let smooth = 1500.0 + 400.0 * ((y + 3 * t) as f64 / 19.0).sin() * (x as f64 / 23.0 + c as f64).cos();
        (smooth + rng.random_range(-40.0..40.0)) as u16
    });
    let meta = SequenceMeta {
        source: String::new(),
        first_frame: 0,
        split: Split::Train,
        split_group: format!("p{index}"),
        frame_ranges: None,
        label_margin: None,
    };
    Sequence { meta, image, labels: [].into() }
}

fn create_plate(path: &Path, count: usize) -> PlateWriter {
    let channel = |name: &str| Channel {
        name: name.into(),
        color: [255; 3],
        recorded: None,
        calibration: Calibration { lo: 0.0, hi: 4000.0, clipped_low: 0.0, clipped_high: 0.0 },
    };
    let meta = PlateMeta {
        pixel_size_um: Some(0.1),
        frame_interval_s: Some(300.0),
        ..PlateMeta::new(
            "bench",
            Origin::Recording,
            [SHAPE[0], SHAPE[2], SHAPE[3]],
            vec![channel("brightfield"), channel("gfp")],
        )
    };
    PlateWriter::create(path, &meta, count, true).expect("a new plate")
}

/// The layout of a plate's arrays: one shard of planes, zstd 3 with a checksum.
fn write_plain(folder: &Path, index: usize, sequence: &Sequence) {
    let shape: Vec<u64> = SHAPE.iter().map(|&n| n as u64).collect();
    let options = CodecOptions::default().with_concurrent_target(1);
    let store = Arc::new(FilesystemStore::new(folder.join(index.to_string())).expect("a folder"));
    let array = ArrayBuilder::new(shape.clone(), shape.clone(), data_type::uint16(), 0_u16)
        .subchunk_shape(vec![1, 1, shape[2], shape[3]])
        .bytes_to_bytes_codecs(vec![Arc::new(ZstdCodec::new(3, true))])
        .build(store, "/")
        .expect("an array");
    array.store_metadata().expect("metadata");
    let pixels = sequence.image.as_slice().expect("in order");
    array.store_chunk_opt(&[0; 4], pixels, &options).expect("a chunk");
}

fn read_plain(folder: &Path, index: usize) {
    let options = CodecOptions::default().with_concurrent_target(1);
    let store = Arc::new(FilesystemStore::new(folder.join(index.to_string())).expect("a folder"));
    let array = Array::open(store, "/").expect("an array");
    let pixels: Vec<u16> = array.retrieve_chunk_opt(&[0; 4], &options).expect("a chunk");
    assert_eq!(pixels.len(), SHAPE.iter().product::<usize>());
}
