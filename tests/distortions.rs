//! Known distortions of sequences move the figures that they should, and leave others where they were.

use std::collections::BTreeMap;

use lapsegan_core::plate::{Plate, Sequence};
use lapsegan_core::realism::protocol::{Plates, plan};
use lapsegan_core::realism::{Settings, evaluate};
use ndarray::{Array4, Axis, s};

use crate::support::drawings::Drawing;

/// Figures by `channel key`: synthetic against held-out.
type Figures = BTreeMap<String, f64>;

fn real() -> Drawing {
    Drawing { splits: [24, 12, 12], ..Drawing::real() }
}

fn synthetic() -> Drawing {
    Drawing { splits: [24, 0, 0], ..Drawing::synthetic() }
}

/// Returns the figures of a plate whose sequences were changed.
fn figures(change: impl Fn(usize, &mut Sequence)) -> Figures {
    let dir = tempfile::tempdir().unwrap();
    let [real_path, path] = ["real.ome.zarr", "synthetic.ome.zarr"].map(|name| dir.path().join(name));
    real().write(&real_path);
    synthetic().write_changed(&path, change);
    let (real, synthetic) = (Plate::open(&real_path).unwrap(), Plate::open(&path).unwrap());
    let plates = Plates { real: &real, synthetic: &synthetic, untrained: None };
    let settings = Settings { swd_directions: 32, draws: 2, half_draws: 2, ..Settings::standard() };
    let plan = plan(&plates, None, &settings, 0).unwrap();
    let found = evaluate(&plates, &plan, &settings, 0, &|_| {}).unwrap();
    let of = |c: &lapsegan_core::realism::result::ChannelResult| {
        let name = c.name.clone();
        c.metrics.iter().map(move |m| (format!("{name} {}", m.key), m.value)).collect::<Vec<_>>()
    };
    found.channels.iter().flat_map(of).collect()
}

/// Checks that a change makes some figures at least three times as large, and others no more than one and a half times.
fn moves(change: impl Fn(usize, &mut Sequence), up: &[&str], not: &[&str]) {
    let (before, after) = (figures(|_, _| {}), figures(change));
    let factor = |key: &str| {
        let [before, after] =
            [&before, &after].map(|f| *f.get(key).unwrap_or_else(|| panic!("no {key}: {f:?}")));
        after / before.max(1e-9)
    };
    for key in up {
        assert!(factor(key) > 3.0, "{key}: {} times", factor(key));
    }
    for key in not {
        assert!(factor(key) < 1.5, "{key}: {} times", factor(key));
    }
}

#[test]
fn blur_is_seen_in_spectrum_sharpness_and_noise() {
    let blur = |_: usize, sequence: &mut Sequence| {
        let image = sequence.image.clone();
        let (_, _, h, w) = image.dim();
        sequence.image = Array4::from_shape_fn(image.dim(), |(t, c, y, x)| {
            let window = image.slice(s![
                t,
                c,
                y.saturating_sub(1)..(y + 2).min(h),
                x.saturating_sub(1)..(x + 2).min(w)
            ]);
            (window.iter().map(|&v| u32::from(v)).sum::<u32>() / window.len() as u32) as u16
        });
    };
    let up = ["phase spectrum_rms_db", "phase sharpness_w1", "gfp spectrum_rms_db", "phase noise_w1"];
    moves(blur, &up, &["objects objects_w1", "objects area_w1", "phase drift_w1"]);
}

#[test]
fn noise_is_seen_in_the_noise_figure() {
    let noise = |index: usize, sequence: &mut Sequence| {
        let mut state = index as u64 + 1;
        sequence.image.index_axis_mut(Axis(1), 1).mapv_inplace(|v| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            v + (state >> 33) as u16 % 200
        });
    };
    moves(noise, &["gfp noise_w1", "gfp spectrum_rms_db"], &["phase noise_w1", "objects area_w1"]);
}

#[test]
fn clipped_tails_are_seen_in_the_bright_tail() {
    let clip = |_: usize, sequence: &mut Sequence| {
        sequence.image.index_axis_mut(Axis(1), 1).mapv_inplace(|v| v.min(600));
    };
    moves(clip, &["gfp bright_tail_w1"], &["phase bright_tail_w1", "gfp drift_w1"]);
}

#[test]
fn copied_frames_are_seen_in_likeness_change_and_movement() {
    let freeze = |_: usize, sequence: &mut Sequence| {
        for t in 1..sequence.image.dim().0 {
            let first = sequence.image.index_axis(Axis(0), 0).to_owned();
            sequence.image.index_axis_mut(Axis(0), t).assign(&first);
            for labels in sequence.labels.values_mut() {
                let first = labels.ids.index_axis(Axis(0), 0).to_owned();
                labels.ids.index_axis_mut(Axis(0), t).assign(&first);
            }
        }
    };
    let up = ["phase likeness_of_frames_w1", "phase change_abs_w1", "objects displacement_w1"];
    moves(freeze, &up, &["phase noise_w1", "objects objects_w1", "gfp bright_tail_w1"]);
}

#[test]
fn channels_of_other_sequences_are_seen_in_what_channels_share() {
    let other = |index: usize, sequence: &mut Sequence| {
        let split = sequence.meta.split;
        let foreign = synthetic().sequence((index + 7) % 24, split).image;
        sequence.image.index_axis_mut(Axis(1), 1).assign(&foreign.index_axis(Axis(1), 1));
    };
    let up = ["all channels shared_information_w1", "all channels correlation_w1"];
    moves(other, &up, &["gfp noise_w1", "gfp intensity_w1", "objects area_w1"]);
}

#[test]
fn labels_that_lack_objects_or_have_other_shapes_are_seen() {
    let fewer = |_: usize, sequence: &mut Sequence| {
        sequence
            .labels
            .values_mut()
            .for_each(|labels| labels.ids.mapv_inplace(|id| if id == 1 { 0 } else { id }));
    };
    moves(fewer, &["objects objects_w1"], &["objects solidity_w1", "phase intensity_w1"]);
    let halved = |_: usize, sequence: &mut Sequence| {
        for labels in sequence.labels.values_mut() {
            labels.ids.indexed_iter_mut().filter(|((_, y, _), _)| y % 2 == 0).for_each(|(_, id)| *id = 0);
        }
    };
    moves(halved, &["objects area_w1", "objects solidity_w1"], &["objects objects_w1"]);
}
