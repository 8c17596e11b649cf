//! Pairs of an image and its mask, frame by frame: Cellpose and Omnipose beside each other, StarDist in two folders.

use std::path::Path;

use serde_json::Value;

use super::tiff::{About, Pages, write};
use super::{Exporter, Item, part};
use crate::error::DataError;

/// Where the mask of an image lies.
pub(super) enum Pairs {
    /// `train/NAME.tif`, `train/NAME_masks.tif`.
    Beside,
    /// `train/images/NAME.tif`, `train/masks/NAME.tif`.
    Folders,
}

impl Exporter for Pairs {
    fn sequence(&self, folder: &Path, item: &Item<'_>) -> Result<Value, DataError> {
        let folder = folder.join(part(item.sequence.meta.split));
        for t in 0..item.meta.frames {
            let name = format!("{}_t{t:03}", item.name);
            let (image, mask) = match self {
                Self::Beside => {
                    (folder.join(format!("{name}.tif")), folder.join(format!("{name}_masks.tif")))
                }
                Self::Folders => (
                    folder.join("images").join(format!("{name}.tif")),
                    folder.join("masks").join(format!("{name}.tif")),
                ),
            };
            let channels = item.selection.channels.iter().map(|&c| item.counts(t, c)).collect();
            write(&image, &Pages::Counts(channels), &About::default())?;
            let ids = item.ids_16(item.ids(t), &mask)?;
            write(&mask, &Pages::Counts(vec![ids.view()]), &About::default())?;
        }
        Ok(Value::Null)
    }
}
