//! The only place that knows both axis orders: storage `[T, C, H, W]` and networks `[C, T, H, W]`.
//!
//! OME-Zarr wants time before channel; the networks fold channel and time into maps with the channel outside
//! (`C * T`). Everything between storage and network goes through here.

use ndarray::{Array4, ArrayView4};
use serde_json::{Value, json};

/// Axis names of every array of a plate, in storage order.
pub const AXES: [&str; 4] = ["t", "c", "y", "x"];

/// Returns frames of channels as channels of frames, `[T, C, H, W]` -> `[C, T, H, W]`, in standard layout.
pub fn channels_first<A: Copy>(sequence: ArrayView4<'_, A>) -> Array4<A> {
    sequence.permuted_axes([1, 0, 2, 3]).as_standard_layout().into_owned()
}

/// Returns channels of frames as frames of channels, `[C, T, H, W]` -> `[T, C, H, W]`, in standard layout.
pub fn frames_first<A: Copy>(maps: ArrayView4<'_, A>) -> Array4<A> {
    maps.permuted_axes([1, 0, 2, 3]).as_standard_layout().into_owned()
}

/// Returns the OME `axes` list. A unit is named only where the size is known.
pub(super) fn ome_axes(pixel_size_um: Option<f64>, frame_interval_s: Option<f64>) -> Value {
    let mut axes = json!([
        { "name": "t", "type": "time" },
        { "name": "c", "type": "channel" },
        { "name": "y", "type": "space" },
        { "name": "x", "type": "space" },
    ]);
    if frame_interval_s.is_some() {
        axes[0]["unit"] = json!("second");
    }
    if pixel_size_um.is_some() {
        axes[2]["unit"] = json!("micrometer");
        axes[3]["unit"] = json!("micrometer");
    }
    axes
}

/// Returns the OME `scale` in axis order; 1 where the size is not known.
pub(super) fn ome_scale(pixel_size_um: Option<f64>, frame_interval_s: Option<f64>) -> [f64; 4] {
    let pixel = pixel_size_um.unwrap_or(1.0);
    [frame_interval_s.unwrap_or(1.0), 1.0, pixel, pixel]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_and_time_change_places_and_back() {
        let frames = Array4::from_shape_fn((3, 2, 1, 1), |(t, c, ..)| 10 * t + c);
        let maps = channels_first(frames.view());
        assert_eq!(maps.dim(), (2, 3, 1, 1));
        assert_eq!(maps.as_slice().unwrap(), [0, 10, 20, 1, 11, 21]);
        assert_eq!(frames_first(maps.view()), frames);
    }

    #[test]
    fn an_unknown_size_has_no_unit() {
        assert!(ome_axes(None, Some(60.0))[3].get("unit").is_none());
        assert_eq!(ome_scale(None, Some(60.0)), [60.0, 1.0, 1.0, 1.0]);
    }
}
