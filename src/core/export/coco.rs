//! COCO's instance annotations: run lengths column by column, as pycocotools decodes them.
//!
//! <https://cocodataset.org/#format-data>; masks as `{"counts": [...], "size": [h, w]}`.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::ArrayView2;
use serde_json::{Value, json};

use super::{Chosen, Exporter, Item};
use crate::error::DataError;
use crate::input::png;
use crate::plate::{PlateMeta, Split};

/// COCO's layout.
pub(super) struct Coco;

impl Exporter for Coco {
    fn sequence(&self, folder: &Path, item: &Item<'_>) -> Result<Value, DataError> {
        let split = item.sequence.meta.split;
        let mut images = Vec::new();
        for t in 0..item.meta.frames {
            let file = format!("{}_t{t:03}.png", item.name);
            png::write(&folder.join(split.name()).join(&file), item.counts(t, item.selection.channels[0]))?;
            images.push(json!({ "file_name": file, "objects": objects(item.ids(t)) }));
        }
        Ok(json!({ "split": split.name(), "images": images }))
    }

    fn finish(
        &self,
        folder: &Path,
        meta: &PlateMeta,
        selection: &Chosen,
        notes: &[Value],
    ) -> Result<(), DataError> {
        for split in [Split::Train, Split::Val, Split::Test] {
            let of_split = notes.iter().filter(|note| note["split"] == split.name());
            let (mut images, mut annotations) = (Vec::new(), Vec::new());
            for image in of_split.flat_map(|note| note["images"].as_array().into_iter().flatten()) {
                let id = images.len() + 1;
                images.push(json!({
                    "id": id,
                    "file_name": image["file_name"],
                    "width": meta.width,
                    "height": meta.height,
                }));
                for object in image["objects"].as_array().into_iter().flatten() {
                    let mut annotation = object.clone();
                    annotation["id"] = json!(annotations.len() + 1);
                    annotation["image_id"] = json!(id);
                    annotation["category_id"] = json!(1);
                    annotation["iscrowd"] = json!(0);
                    annotations.push(annotation);
                }
            }
            if images.is_empty() {
                continue;
            }
            let all = json!({
                "info": { "description": "written by LapseGAN", "version": meta.version },
                "images": images,
                "annotations": annotations,
                "categories": [{ "id": 1, "name": selection.labels[0] }],
            });
            let path = folder.join("annotations").join(format!("instances_{}.json", split.name()));
            super::text(&path, &format!("{all}\n"))?;
        }
        Ok(())
    }
}

/// Returns the objects of a frame, each with its run lengths, box, area and track. `[H, W]`
fn objects(ids: ArrayView2<'_, u32>) -> Vec<Value> {
    let (h, w) = ids.dim();
    let mut runs: BTreeMap<u32, Object> = BTreeMap::new();
    for x in 0..w {
        for y in 0..h {
            let id = ids[[y, x]];
            if id != 0 {
                runs.entry(id).or_default().add(x * h + y, y, x);
            }
        }
    }
    runs.into_iter().map(|(id, object)| object.json(id, (h, w))).collect()
}

/// An object as it is gathered.
#[derive(Default)]
struct Object {
    /// First pixel of each run, and the one behind its last, column by column.
    runs: Vec<(usize, usize)>,
    area: usize,
    /// First and last row, first and last column.
    bounds: Option<[usize; 4]>,
}

impl Object {
    fn add(&mut self, at: usize, y: usize, x: usize) {
        match self.runs.last_mut() {
            Some((_, end)) if *end == at => *end += 1,
            _ => self.runs.push((at, at + 1)),
        }
        self.area += 1;
        let [top, bottom, left, right] = self.bounds.unwrap_or([y, y, x, x]);
        self.bounds = Some([top.min(y), bottom.max(y), left.min(x), right.max(x)]);
    }

    fn json(&self, id: u32, (h, w): (usize, usize)) -> Value {
        let mut counts = Vec::new();
        let mut before = 0;
        for (start, end) in &self.runs {
            counts.extend([start - before, end - start]);
            before = *end;
        }
        if before < h * w {
            counts.push(h * w - before);
        }
        let [top, bottom, left, right] = self.bounds.unwrap_or_default();
        json!({
            "segmentation": { "counts": counts, "size": [h, w] },
            "bbox": [left, top, right + 1 - left, bottom + 1 - top],
            "area": self.area,
            "track_id": id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;

    #[test]
    fn runs_go_down_the_columns_and_begin_with_background() {
        let all = objects(labels![[2 2 .] [. 2 .]].view());
        assert_eq!(all[0]["segmentation"]["counts"], json!([0, 1, 1, 2, 2]));
        assert_eq!((&all[0]["bbox"], &all[0]["area"]), (&json!([0, 0, 2, 2]), &json!(3)));
        assert_eq!(objects(labels![[. 9]].view())[0]["segmentation"]["counts"], json!([1, 1]));
    }
}
