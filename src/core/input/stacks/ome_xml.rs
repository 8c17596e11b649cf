//! OME-XML, as far as it says which plane shows what: <https://docs.openmicroscopy.org/ome-model>.

use std::collections::BTreeMap;
use std::path::Path;

use roxmltree::{Document, Node, ParsingOptions};

use crate::error::DataError;
use crate::input::listing::Scale;
use crate::input::units::{micrometres, positive, seconds};

/// Bytes of XML that are read at most; a plane takes a few hundred.
pub(super) const MOST_BYTES: usize = 256 << 20;
/// Planes along an axis that are believed at most.
const MOST_PLANES: i64 = 1 << 24;

/// The images of a document, or where it is.
#[derive(Clone, Debug)]
pub(super) enum Ome {
    /// Images, one per position.
    Images(Vec<Image>),
    /// The document lies in this file beside.
    Elsewhere(String),
}

/// One image.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) name: Option<String>,
    /// Axes in the order in which planes follow each other, the fastest first: `CZT` and the like.
    pub(super) order: [Axis; 3],
    pub(super) size_c: usize,
    pub(super) size_z: usize,
    pub(super) size_t: usize,
    pub(super) channels: Vec<Channel>,
    pub(super) scale: Scale,
    /// Pixel size along y, where it is another.
    pub(super) pixel_height_um: Option<f64>,
    pub(super) blocks: Vec<Block>,
    /// `(c, z, t)` and the time since the beginning in seconds.
    pub(super) moments: BTreeMap<[usize; 3], f64>,
}

/// A channel as it is described.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) name: Option<String>,
    pub(super) color: Option<[u8; 3]>,
}

/// Planes that follow each other in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Another file.
    pub(super) file: Option<String>,
    /// First page.
    pub(super) page: usize,
    /// Number of planes; `None` for all pages from there on.
    pub(super) planes: Option<usize>,
    /// `c`, `z` and `t` of the first.
    pub(super) first: [usize; 3],
}

/// An axis beside y and x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    C,
    Z,
    T,
}

/// Returns whether a description is OME-XML.
pub(super) fn is_ome(description: &str) -> bool {
    let text = description.trim_start_matches('\u{feff}').trim_start();
    text.starts_with('<') && text.get(..text.len().min(4096)).unwrap_or(text).contains("<OME")
        || text.starts_with("<?xml") && text.contains("<OME")
}

/// Reads a document.
///
/// # Errors
/// [`DataError::Unusable`] naming the file and what is wrong.
pub(super) fn parse(path: &Path, text: &str) -> Result<Ome, DataError> {
    let wrong = |found: String| {
        DataError::Unusable {
        path: path.to_owned(),
        found: format!("its OME-XML {found}"),
        expected: "what the OME model says".into(),
        hint: "open the file in Fiji with Bio-Formats and save it anew, or give its pages as they are: take the \
               description away with tiffcomment"
            .into(),
    }
    };
    if text.len() > MOST_BYTES {
        return Err(wrong(format!("has {} MB", text.len() >> 20)));
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: 20_000_000, ..ParsingOptions::default() };
    let text = text.trim_start_matches('\u{feff}').trim();
    let document =
        Document::parse_with_options(text, options).map_err(|e| wrong(format!("cannot be read ({e})")))?;
    let root = document.root_element();
    if let Some(binary) = child(root, "BinaryOnly") {
        return match binary.attribute("MetadataFile") {
            Some(file) => Ok(Ome::Elsewhere(file.to_owned())),
            None => Err(wrong("is in another file that it does not name".into())),
        };
    }
    let images = root.children().filter(|n| n.has_tag_name_any("Image")).map(|n| image(n).map_err(&wrong));
    let images = images.collect::<Result<Vec<Image>, DataError>>()?;
    if images.is_empty() {
        return Err(wrong("describes no image".into()));
    }
    Ok(Ome::Images(images))
}

/// Names of elements, whatever their namespace (it changes with the version).
trait TagName {
    fn has_tag_name_any(&self, name: &str) -> bool;
}

impl TagName for Node<'_, '_> {
    fn has_tag_name_any(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }
}

fn child<'a, 'b>(node: Node<'a, 'b>, name: &str) -> Option<Node<'a, 'b>> {
    node.children().find(|n| n.has_tag_name_any(name))
}

fn image(node: Node<'_, '_>) -> Result<Image, String> {
    let pixels = child(node, "Pixels").ok_or("has an image without pixels")?;
    let size = |axis: &str| {
        let text = pixels.attribute(axis).ok_or_else(|| format!("has no {axis}"))?;
        let n: i64 =
            text.trim().parse().map_err(|_| format!("has {axis} `{text:.20}`, which is no number"))?;
        if !(1..=MOST_PLANES).contains(&n) {
            return Err(format!("has {axis} {n}"));
        }
        Ok(n as usize)
    };
    let order = match pixels.attribute("DimensionOrder").unwrap_or("XYCZT") {
        "XYCZT" => [Axis::C, Axis::Z, Axis::T],
        "XYCTZ" => [Axis::C, Axis::T, Axis::Z],
        "XYZCT" => [Axis::Z, Axis::C, Axis::T],
        "XYZTC" => [Axis::Z, Axis::T, Axis::C],
        "XYTCZ" => [Axis::T, Axis::C, Axis::Z],
        "XYTZC" => [Axis::T, Axis::Z, Axis::C],
        other => return Err(format!("has the dimension order `{other:.20}`")),
    };
    let elements = |name: &'static str| pixels.children().filter(move |n| n.has_tag_name_any(name));
    let channels: Vec<Channel> = elements("Channel")
        .map(|n| Channel {
            name: n.attribute("Name").map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned),
            // Red, green, blue and opacity in one signed number; -1 is the default, white.
            color: n.attribute("Color").and_then(|c| c.trim().parse::<i64>().ok()).and_then(|c| {
                let [r, g, b, _] = (c as u32).to_be_bytes();
                (c != -1).then_some([r, g, b])
            }),
        })
        .collect();
    let length = |size: &str, unit: &str| {
        let value: f64 = pixels.attribute(size)?.trim().parse().ok()?;
        positive(value * micrometres(pixels.attribute(unit).unwrap_or("µm"))?)
    };
    let interval = || {
        let value: f64 = pixels.attribute("TimeIncrement")?.trim().parse().ok()?;
        positive(value * seconds(pixels.attribute("TimeIncrementUnit").unwrap_or("s"))?)
    };
    let index = |n: Node<'_, '_>, name: &str| -> Result<Option<usize>, String> {
        let Some(text) = n.attribute(name) else { return Ok(None) };
        match text.trim().parse::<i64>() {
            Ok(n) if (0..MOST_PLANES).contains(&n) => Ok(Some(n as usize)),
            _ => Err(format!("has {name} `{text:.20}`")),
        }
    };
    let mut blocks = Vec::new();
    for n in elements("TiffData") {
        let page = index(n, "IFD")?;
        let first = |name| Ok::<_, String>(index(n, name)?.unwrap_or(0));
        blocks.push(Block {
            file: child(n, "UUID").and_then(|u| u.attribute("FileName")).map(str::to_owned),
            page: page.unwrap_or(0),
            planes: index(n, "PlaneCount")?.or(page.map(|_| 1)),
            first: [first("FirstC")?, first("FirstZ")?, first("FirstT")?],
        });
    }
    let mut moments = BTreeMap::new();
    for n in elements("Plane") {
        let place = [index(n, "TheC")?, index(n, "TheZ")?, index(n, "TheT")?];
        let delta = n.attribute("DeltaT").and_then(|t| t.trim().parse::<f64>().ok());
        let unit = seconds(n.attribute("DeltaTUnit").unwrap_or("s"));
        if let ([Some(c), Some(z), Some(t)], Some(delta), Some(unit)) = (place, delta, unit) {
            moments.insert([c, z, t], delta * unit);
        }
    }
    let size_c = size("SizeC")?;
    // Colour pages hold several samples of one channel.
    let size_c = if channels.is_empty() { size_c } else { channels.len().min(size_c) };
    let width = length("PhysicalSizeX", "PhysicalSizeXUnit");
    let height = length("PhysicalSizeY", "PhysicalSizeYUnit");
    Ok(Image {
        name: node.attribute("Name").map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned),
        order,
        size_c,
        size_z: size("SizeZ")?,
        size_t: size("SizeT")?,
        channels,
        scale: Scale { pixel_size_um: width.or(height), frame_interval_s: interval() },
        pixel_height_um: height.filter(|h| width.is_some_and(|w| (w - h).abs() > 1e-3 * w)),
        blocks,
        moments,
    })
}

impl Image {
    /// Returns `c`, `z` and `t` of the plane that is `n` behind another; `None` behind the last.
    pub(super) fn behind(&self, first: [usize; 3], n: usize) -> Option<[usize; 3]> {
        let size = |axis| match axis {
            Axis::C => (0, self.size_c),
            Axis::Z => (1, self.size_z),
            Axis::T => (2, self.size_t),
        };
        let [a, b, c] = self.order.map(size);
        let start = first[a.0]
            .checked_add(a.1.checked_mul(first[b.0].checked_add(b.1.checked_mul(first[c.0])?)?)?)?;
        let at = start.checked_add(n)?;
        let mut place = [0; 3];
        (place[a.0], place[b.0], place[c.0]) = (at % a.1, at / a.1 % b.1, at / a.1 / b.1);
        (place[c.0] < c.1).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Advice;

    fn read(pixels: &str) -> Result<Ome, DataError> {
        let text = format!(
            "<?xml version='1.0'?><OME xmlns='http://x/2016-06'><Image Name='a'>{pixels}</Image></OME>"
        );
        assert!(is_ome(&text));
        parse(Path::new("a.ome.tif"), &text)
    }

    fn image(pixels: &str) -> Image {
        match read(pixels).unwrap() {
            Ome::Images(mut images) => images.remove(0),
            Ome::Elsewhere(_) => panic!("it is here"),
        }
    }

    #[test]
    fn sizes_units_names_and_colours_are_read() {
        let image = image(
            "<Pixels DimensionOrder='XYZTC' SizeC='2' SizeZ='3' SizeT='4' PhysicalSizeX='65' PhysicalSizeXUnit='nm' \
             PhysicalSizeY='0.065' TimeIncrement='2' TimeIncrementUnit='min'><Channel Name='GFP' Color='16711935'/>\
             <Channel Color='-1'/><TiffData IFD='5' FirstT='1'><UUID FileName='b.tif'>u</UUID></TiffData><TiffData/>\
             <Plane TheC='0' TheZ='0' TheT='1' DeltaT='100' DeltaTUnit='ms'/></Pixels>",
        );
        assert_eq!(image.scale, Scale { pixel_size_um: Some(0.065), frame_interval_s: Some(120.0) });
        assert_eq!(image.pixel_height_um, None);
        assert_eq!(
            (image.channels[0].name.as_deref(), image.channels[0].color),
            (Some("GFP"), Some([0, 255, 0]))
        );
        assert_eq!((&image.channels[1].name, image.channels[1].color), (&None, None));
        let b = |file: Option<&str>, page, planes, first| Block {
            file: file.map(str::to_owned),
            page,
            planes,
            first,
        };
        assert_eq!(image.blocks, [b(Some("b.tif"), 5, Some(1), [0, 0, 1]), b(None, 0, None, [0, 0, 0])]);
        assert_eq!(image.moments, BTreeMap::from([([0, 0, 1], 0.1)]));
        assert_eq!(image.behind([0, 0, 0], 4), Some([0, 1, 1]));
        assert_eq!(image.behind([0, 0, 0], 23), Some([1, 2, 3]));
        assert_eq!(image.behind([0, 0, 0], 24), None);
        assert_eq!(image.behind([usize::MAX, 0, 0], 1), None);
    }

    #[test]
    fn what_the_model_does_not_allow_is_refused_by_name() {
        for (pixels, part) in [
            ("", "has an image without pixels"),
            ("<Pixels SizeC='0' SizeZ='1' SizeT='1'/>", "has SizeC 0"),
            ("<Pixels SizeC='x' SizeZ='1' SizeT='1'/>", "`x`, which is no number"),
            ("<Pixels SizeC='1' SizeZ='1' SizeT='99999999999'/>", "has SizeT 99999999999"),
            ("<Pixels SizeC='1' SizeZ='1'/>", "has no SizeT"),
            ("<Pixels DimensionOrder='TCZYX' SizeC='1' SizeZ='1' SizeT='1'/>", "the dimension order `TCZYX`"),
            ("<Pixels SizeC='1' SizeZ='1' SizeT='1'><TiffData IFD='-1'/></Pixels>", "has IFD `-1`"),
            ("<Pixels", "cannot be read"),
        ] {
            let error = read(pixels).unwrap_err();
            assert!(error.to_string().contains(part) && error.hint().is_some(), "{part}: {error}");
        }
        let bomb = "<!DOCTYPE OME [<!ENTITY a 'aaaa'>]><OME>&a;</OME>";
        assert!(parse(Path::new("a"), bomb).unwrap_err().to_string().contains("cannot be read"));
        let elsewhere = parse(Path::new("a"), "<OME><BinaryOnly MetadataFile='m.ome'/></OME>").unwrap();
        assert!(matches!(elsewhere, Ome::Elsewhere(file) if file == "m.ome"));
    }
}
