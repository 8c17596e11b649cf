//! nnU-Net's layout: one file per frame and channel, classes instead of objects, and `dataset.json`.
//!
//! nnU-Net learns classes, not instances. Objects become core (1) and border (2), the pixels that touch another object or
//! the background; the cores of neighbours lie apart, and can be counted and grown again.

use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView2};
use serde_json::{Value, json};

use super::tiff::{About, Pages, write};
use super::{Chosen, Exporter, Item, part};
use crate::error::DataError;
use crate::plate::PlateMeta;

/// Name of the data set: nnU-Net wants a number of three digits.
const NAME: &str = "Dataset001_LapseGAN";

/// nnU-Net's layout.
pub(super) struct Nnunet;

impl Exporter for Nnunet {
    fn sequence(&self, folder: &Path, item: &Item<'_>) -> Result<Value, DataError> {
        let train = part(item.sequence.meta.split) == "train";
        let [images, labels] = if train { ["imagesTr", "labelsTr"] } else { ["imagesTs", "labelsTs"] };
        let root: PathBuf = folder.join(NAME);
        for t in 0..item.meta.frames {
            let name = format!("{}_t{t:03}", item.name);
            for (n, &c) in item.selection.channels.iter().enumerate() {
                let path = root.join(images).join(format!("{name}_{n:04}.tif"));
                write(&path, &Pages::Counts(vec![item.counts(t, c)]), &About::default())?;
            }
            let classes = border_and_core(item.ids(t));
            let path = root.join(labels).join(format!("{name}.tif"));
            write(&path, &Pages::Counts(vec![classes.view()]), &About::default())?;
        }
        Ok(json!(if train { item.meta.frames } else { 0 }))
    }

    fn finish(
        &self,
        folder: &Path,
        meta: &PlateMeta,
        selection: &Chosen,
        notes: &[Value],
    ) -> Result<(), DataError> {
        let frames: u64 = notes.iter().filter_map(Value::as_u64).sum();
        let names = selection.channels.iter().enumerate();
        let names = names.map(|(n, &c)| (n.to_string(), json!(meta.channels[c].name))).collect();
        let dataset = json!({
            "channel_names": Value::Object(names),
            "labels": { "background": 0, "core": 1, "border": 2 },
            "numTraining": frames,
            "file_ending": ".tif",
            "overwrite_image_reader_writer": "NaturalImage2DIO",
        });
        super::text(&folder.join(NAME).join("dataset.json"), &format!("{dataset:#}\n"))
    }
}

/// Returns 1 within objects and 2 where a pixel of an object touches anything else. `[H, W]`
fn border_and_core(ids: ArrayView2<'_, u32>) -> Array2<u16> {
    let (h, w) = ids.dim();
    Array2::from_shape_fn((h, w), |(y, x)| {
        let id = ids[[y, x]];
        if id == 0 {
            return 0;
        }
        let around = (y.saturating_sub(1)..(y + 2).min(h))
            .flat_map(|v| (x.saturating_sub(1)..(x + 2).min(w)).map(move |u| (v, u)));
        let mut around = around;
        if around.any(|(v, u)| ids[[v, u]] != id) { 2 } else { 1 }
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::labels;

    #[test]
    fn the_edge_of_an_object_is_its_border_but_not_the_edge_of_the_image() {
        let ids = labels![[3 3 3 5] [3 3 3 5] [3 3 3 5]];
        let expected = array![[1_u16, 1, 2, 2], [1, 1, 2, 2], [1, 1, 2, 2]];
        assert_eq!(border_and_core(ids.view()), expected);
        assert_eq!(border_and_core(labels![[. 7]].view()), array![[0_u16, 2]]);
    }
}
