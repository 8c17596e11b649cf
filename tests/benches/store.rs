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
    // In turn, and the least of each: what else the machine does meanwhile is not ours.
    let mut least = [f64::INFINITY; 4];
    for round in 0..ROUNDS {
        for folder in [&plate, &plain].into_iter().filter(|_| round > 0) {
            std::fs::remove_dir_all(folder).expect("the last round's files");
        }
        let times = [
            cpu(|| write_plate(&plate, &sequences)),
            cpu(|| read_plate(&plate, count)),
            cpu(|| write_plain(&plain, &sequences)),
            cpu(|| read_plain(&plain, count)),
        ];
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
    };
    Sequence { meta, image, labels: [].into() }
}

fn write_plate(path: &Path, sequences: &[Sequence]) {
    let channel = |name: &str| Channel {
        name: name.into(),
        color: [255; 3],
        recorded: None,
        calibration: Calibration { lo: 0.0, hi: 4000.0, clipped_low: 0.0, clipped_high: 0.0 },
    };
    let meta = PlateMeta {
        tool: "bench".into(),
        version: String::new(),
        origin: Origin::Recording,
        seed: 0,
        frames: SHAPE[0],
        height: SHAPE[2],
        width: SHAPE[3],
        channels: vec![channel("brightfield"), channel("gfp")],
        labels: Vec::new(),
        pixel_size_um: Some(0.1),
        frame_interval_s: Some(300.0),
        single_movie: false,
        normalise: "percentile".into(),
        groups: Vec::new(),
        trained_on: Vec::new(),
        history_unknown: false,
        notes: Vec::new(),
        part: None,
    };
    let writer = PlateWriter::create(path, &meta, sequences.len(), true).expect("a new plate");
    for (index, sequence) in sequences.iter().enumerate() {
        writer.write(index, sequence).expect("a sequence");
    }
    writer.finish().expect("a plate");
}

fn read_plate(path: &Path, count: usize) {
    let plate = Plate::open(path).expect("a plate");
    for index in 0..count {
        assert_eq!(plate.read(index).expect("a sequence").image.shape(), SHAPE);
    }
}

/// The layout of a plate's arrays: one shard of planes, zstd 3 with a checksum.
fn write_plain(folder: &Path, sequences: &[Sequence]) {
    let shape: Vec<u64> = SHAPE.iter().map(|&n| n as u64).collect();
    let options = CodecOptions::default().with_concurrent_target(1);
    for (index, sequence) in sequences.iter().enumerate() {
        let at = folder.join(index.to_string());
        let store = Arc::new(FilesystemStore::new(at).expect("a folder"));
        let array = ArrayBuilder::new(shape.clone(), shape.clone(), data_type::uint16(), 0_u16)
            .subchunk_shape(vec![1, 1, shape[2], shape[3]])
            .bytes_to_bytes_codecs(vec![Arc::new(ZstdCodec::new(3, true))])
            .build(store, "/")
            .expect("an array");
        array.store_metadata().expect("metadata");
        let pixels = sequence.image.as_slice().expect("in order");
        array.store_chunk_opt(&[0; 4], pixels, &options).expect("a chunk");
    }
}

fn read_plain(folder: &Path, count: usize) {
    let options = CodecOptions::default().with_concurrent_target(1);
    for index in 0..count {
        let store = Arc::new(FilesystemStore::new(folder.join(index.to_string())).expect("a folder"));
        let array = Array::open(store, "/").expect("an array");
        let pixels: Vec<u16> = array.retrieve_chunk_opt(&[0; 4], &options).expect("a chunk");
        assert_eq!(pixels.len(), SHAPE.iter().product::<usize>());
    }
}
