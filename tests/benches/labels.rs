//! CPU-milliseconds per sequence of the label routes, on a plate whose last channel shows its objects.
//!
//! `prepare phantom --size 256 --positions 16 --frames-per-position 3 --output labels.ome.zarr`, then
//! `cargo test --release -p lapsegan-core --bench labels -- labels.ome.zarr [--json FILE]` prints the time of labels by
//! fluorescence threshold and of decoding exact label maps, with a digest of all labels: a faster form must give the
//! same one. One thread.

use std::path::Path;

use lapsegan_core::labels::codec::{DecodeSettings, decode, encode};
use lapsegan_core::labels::{RouteSettings, label_sequence};
use lapsegan_core::plate::Plate;
use lapsegan_core::plate::labels::objects;
use ndarray::{Array2, Array3, Axis};
use serde_json::json;
use sha2::{Digest as _, Sha256};

const ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let plate = Plate::open(Path::new(arguments.first().expect("a plate"))).expect("a plate");
    let label = objects(&plate.meta.labels, None).expect("labels of objects").name.clone();
    let last = plate.meta.channels.len() - 1;
    let sequences: Vec<_> = (0..plate.wells.len()).map(|i| plate.read(i).expect("a sequence")).collect();
    let light: Vec<Array3<f32>> = sequences
        .iter()
        .map(|sequence| sequence.normalised(&plate.meta).index_axis_move(Axis(1), last))
        .collect();
    let settings =
        RouteSettings::estimate(light.iter().flat_map(|movie| movie.outer_iter())).expect("pixels");
    let [threshold_ms, threshold_sha256] = timed(light.len(), || {
        light.iter().flat_map(|movie| label_sequence(movie.view(), &settings).ids).collect()
    });
    let maps: Vec<_> = sequences
        .iter()
        .flat_map(|s| s.labels[&label].ids.outer_iter().map(encode).collect::<Vec<_>>())
        .collect();
    let [decode_ms, decode_sha256] = timed(light.len(), || {
        maps.iter().flat_map(|maps| -> Array2<u32> { decode(maps, &DecodeSettings::standard()) }).collect()
    });
    let result = json!({
        "size_px": [plate.meta.height, plate.meta.width],
        "sequences": light.len(),
        "threshold_ms": threshold_ms,
        "decode_ms": decode_ms,
        "threshold_sha256": threshold_sha256,
        "decode_sha256": decode_sha256,
    });
    println!("{result:#}");
    if let [_, flag, path] = &arguments[..]
        && flag == "--json"
    {
        std::fs::write(path, format!("{result:#}\n")).expect("a file that can be written");
    }
}

/// Returns CPU-milliseconds per sequence, the least of three rounds, and the digest of the labels.
fn timed(sequences: usize, labels: impl Fn() -> Vec<u32>) -> [serde_json::Value; 2] {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    };
    let mut least = f64::INFINITY;
    let mut digest = String::new();
    for _ in 0..ROUNDS {
        let start = now();
        let ids = labels();
        least = least.min(now() - start);
        digest =
            format!("{:x}", Sha256::digest(ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>()));
    }
    [json!(least * 1e3 / sequences as f64), json!(digest)]
}
