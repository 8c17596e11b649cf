//! `data_metrics`: the part of it that is built: how camera frames become the networks' range. (The networks of the
//! published metrics are not part of this package.)

use lapsegan_core::plate::intensity::frame_range;
use tch::{Kind, Tensor};

use super::{FORWARD, fixtures};

/// Published: `(counts - 150) / 2200` for fluorescence.
const FLUORESCENCE: [f64; 2] = [150.0, 2350.0];

#[test]
fn published_normalisation_of_both_channels_matches() {
    for case in fixtures("data_metrics") {
        let frames = |key: &str, range: &dyn Fn(&[u16]) -> [f64; 2]| {
            let counts = case.get(key); // [T, H, W]
            let frames: Vec<Tensor> = (0..counts.size()[0])
                .map(|t| {
                    let frame = counts.get(t);
                    let values: Vec<u16> = Vec::<i64>::try_from(frame.flatten(0, -1))
                        .unwrap()
                        .iter()
                        .map(|&v| v as u16)
                        .collect();
                    let [lo, hi] = range(&values);
                    ((frame.to_kind(Kind::Double) - lo) / (hi - lo)).clamp(0.0, 1.0)
                })
                .collect();
            Tensor::stack(&frames, 0)
        };
        let brightfield = frames("in.bf", &|counts| frame_range(counts));
        let fluorescence = frames("in.gfp", &|_| FLUORESCENCE);
        // Reference: rows are always reversed.
        let item = Tensor::stack(&[brightfield, fluorescence], 0).flip([2]);
        case.expect("out.sample_hflip0", &item, FORWARD);
        case.expect("out.sample_hflip1", &item.flip([3]), FORWARD);
    }
}
