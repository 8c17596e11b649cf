//! Folders of frames, as `prepare` reads them: `CHANNEL/SEQUENCE/t000.tif`, `LABEL/SEQUENCE/t000.tif`.

use std::path::Path;

use ndarray::Axis;
use serde_json::Value;

use super::tiff::{Pages, imagej, write};
use super::{Exporter, Item};
use crate::error::DataError;
use crate::input::png;

/// Frames as TIFF or PNG.
pub(super) struct Frames {
    pub(super) ending: &'static str,
}

impl Exporter for Frames {
    fn sequence(&self, folder: &Path, item: &Item<'_>) -> Result<Value, DataError> {
        let about = imagej(1, 1, item.meta);
        let file =
            |what: &str, t: usize| folder.join(what).join(item.name).join(format!("t{t:03}.{}", self.ending));
        let is_png = self.ending == "png";
        for t in 0..item.meta.frames {
            for &c in &item.selection.channels {
                let (path, counts) = (file(&item.meta.channels[c].name, t), item.counts(t, c));
                if is_png {
                    png::write(&path, counts)?;
                } else {
                    write(&path, &Pages::Counts(vec![counts]), &about)?;
                }
            }
            for label in &item.selection.labels {
                let path = file(label, t);
                let ids = item.sequence.labels[label].ids.index_axis(Axis(0), t);
                let wide = ids.iter().any(|id| *id > u32::from(u16::MAX));
                if is_png {
                    png::write(&path, item.ids_16(ids, &path)?.view())?;
                } else if wide {
                    write(&path, &Pages::Ids(vec![ids]), &about)?;
                } else {
                    write(&path, &Pages::Counts(vec![ids.mapv(|id| id as u16).view()]), &about)?;
                }
            }
        }
        Ok(Value::Null)
    }
}
