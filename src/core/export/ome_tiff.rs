//! One OME-TIFF per sequence, and one per label, with OME-XML: <https://docs.openmicroscopy.org/ome-model>.

use std::fmt::Write as _;
use std::path::Path;

use ndarray::{ArrayView2, Axis};
use serde_json::Value;

use super::tiff::{About, Pages, write};
use super::{Exporter, Item};
use crate::error::DataError;

/// OME-TIFF.
pub(super) struct OmeTiff;

impl Exporter for OmeTiff {
    fn sequence(&self, folder: &Path, item: &Item<'_>) -> Result<Value, DataError> {
        let file = format!("{}.ome.tif", item.name);
        let frames = item.meta.frames;
        let channels: Vec<(String, [u8; 3])> = item
            .selection
            .channels
            .iter()
            .map(|&c| (item.meta.channels[c].name.clone(), item.meta.channels[c].color))
            .collect();
        let about = |xml: String| About { description: xml, pixel_size_um: item.meta.pixel_size_um };
        let pages: Vec<ArrayView2<'_, u16>> = (0..frames)
            .flat_map(|t| item.selection.channels.iter().map(move |&c| (t, c)))
            .map(|(t, c)| item.counts(t, c))
            .collect();
        let xml = xml(item, &file, "uint16", &channels);
        write(&folder.join("images").join(&file), &Pages::Counts(pages), &about(xml))?;
        for label in &item.selection.labels {
            let ids = &item.sequence.labels[label].ids;
            let wide = ids.iter().any(|id| *id > u32::from(u16::MAX));
            let channel = [(label.clone(), [255; 3])];
            let xml = self::xml(item, &file, if wide { "uint32" } else { "uint16" }, &channel);
            let path = folder.join(label).join(&file);
            if wide {
                write(&path, &Pages::Ids(ids.axis_iter(Axis(0)).collect()), &about(xml))?;
            } else {
                let counts = ids.mapv(|id| id as u16);
                write(&path, &Pages::Counts(counts.axis_iter(Axis(0)).collect()), &about(xml))?;
            }
        }
        Ok(Value::Null)
    }
}

/// Returns the description of pages of which channels change fastest.
fn xml(item: &Item<'_>, file: &str, kind: &str, channels: &[(String, [u8; 3])]) -> String {
    let meta = item.meta;
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><OME xmlns=\"http://www.openmicroscopy.org/Schemas/OME/2016-06\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xsi:schemaLocation=\"http://www.openmicroscopy.org/Schemas/OME/2016-06 \
         http://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd\">",
    );
    let _ = write!(text, "<Image ID=\"Image:0\" Name=\"{}\">", escape(file.trim_end_matches(".ome.tif")));
    let _ = write!(
        text,
        "<Pixels ID=\"Pixels:0\" DimensionOrder=\"XYCZT\" Type=\"{kind}\" BigEndian=\"false\" SizeX=\"{}\" SizeY=\"{}\" \
         SizeZ=\"1\" SizeC=\"{}\" SizeT=\"{}\"",
        meta.width,
        meta.height,
        channels.len(),
        meta.frames
    );
    if let Some(um) = meta.pixel_size_um {
        let _ = write!(
            text,
            " PhysicalSizeX=\"{um}\" PhysicalSizeXUnit=\"&#181;m\" PhysicalSizeY=\"{um}\" PhysicalSizeYUnit=\"&#181;m\""
        );
    }
    if let Some(s) = meta.frame_interval_s {
        let _ = write!(text, " TimeIncrement=\"{s}\" TimeIncrementUnit=\"s\"");
    }
    text += ">";
    for (c, (name, [r, g, b])) in channels.iter().enumerate() {
        let color = i32::from_be_bytes([*r, *g, *b, 255]);
        let _ = write!(
            text,
            "<Channel ID=\"Channel:0:{c}\" Name=\"{}\" SamplesPerPixel=\"1\" Color=\"{color}\"/>",
            escape(name)
        );
    }
    for (page, (t, c)) in (0..meta.frames).flat_map(|t| (0..channels.len()).map(move |c| (t, c))).enumerate()
    {
        let _ = write!(
            text,
            "<TiffData IFD=\"{page}\" FirstC=\"{c}\" FirstZ=\"0\" FirstT=\"{t}\" PlaneCount=\"1\"/>"
        );
    }
    text + "</Pixels></Image></OME>"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
