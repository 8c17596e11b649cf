//! OME-TIFF: the OME-XML says which page of which file shows what. Pyramids lie in sub-directories and are passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ome_xml::{self, Image, Ome};
use super::{InFile, Layout, contradiction};
use crate::error::DataError;
use crate::input::listing;
use crate::input::tiff::stack::{self, Stack};
use crate::input::timeline::median_step;
use crate::side_file;

/// Files of a folder that belong to sets which were read already.
#[derive(Debug, Default)]
pub(crate) struct Files {
    used: BTreeSet<PathBuf>,
    stacks: BTreeMap<PathBuf, Option<Arc<Stack>>>,
}

impl Files {
    /// Returns whether a file belongs to a set that was read already.
    pub(crate) fn used(&self, path: &Path) -> bool {
        self.used.contains(path)
    }

    /// Returns the pages of a file of a set; `None` where it is not there.
    fn stack(&mut self, path: &Path) -> Result<Option<Arc<Stack>>, DataError> {
        if !self.stacks.contains_key(path) {
            let stack = if path.exists() { Some(Arc::new(stack::read(path)?)) } else { None };
            self.stacks.insert(path.to_owned(), stack);
        }
        Ok(self.stacks[path].clone())
    }
}

/// Returns what the pages of an OME-TIFF file show, with those of the other files of its set.
pub(super) fn layout(path: &Path, stack: &Stack, files: &mut Files) -> Result<Layout, DataError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let images = match ome_xml::parse(path, &stack.description)? {
        Ome::Images(images) => images,
        Ome::Elsewhere(file) => companion(path, &beside(folder, &file))?,
    };
    files.stacks.insert(path.to_owned(), Some(Arc::new(stack.clone())));
    let several = images.len() > 1;
    let mut layout = Layout { what: "OME-TIFF", ..Layout::default() };
    for (index, image) in images.iter().enumerate() {
        let name = image.name.clone().unwrap_or_else(|| format!("image-{index}"));
        let twice = images.iter().filter(|other| other.name == image.name).count() > 1;
        let series = several.then(|| if twice { format!("{name}-{index}") } else { name });
        planes(path, folder, image, series.as_deref(), files, &mut layout)?;
    }
    let first = &images[0];
    layout.scale = first.scale;
    if layout.scale.frame_interval_s.is_none() {
        layout.scale.frame_interval_s = interval(first);
    }
    if let (Some(width), Some(height)) = (first.scale.pixel_size_um, first.pixel_height_um) {
        layout.warnings.push(format!(
            "{}: pixels are {width} µm wide and {height} µm high; {width} µm is taken for both",
            path.display()
        ));
    }
    let of = |index: usize| &first.channels[index];
    for (index, name) in channel_names(first).into_iter().enumerate() {
        if let Some(color) = first.channels.get(index).and_then(|_| of(index).color) {
            layout.colors.insert(name.clone(), color);
        }
        layout.channels.push(name);
    }
    Ok(layout)
}

/// Returns what a file shows that describes its only plane; `None` for parts of sets and for files of several planes.
pub(super) fn alone(path: &Path, stack: &Stack) -> Result<Option<Layout>, DataError> {
    let Ome::Images(images) = ome_xml::parse(path, &stack.description)? else { return Ok(None) };
    let [image] = &images[..] else { return Ok(None) };
    let one = stack.pages.len() == 1 && [image.size_c, image.size_z, image.size_t] == [1, 1, 1];
    if one { layout(path, stack, &mut Files::default()).map(Some) } else { Ok(None) }
}

/// Adds the planes of an image.
fn planes(
    path: &Path,
    folder: &Path,
    image: &Image,
    series: Option<&str>,
    files: &mut Files,
    layout: &mut Layout,
) -> Result<(), DataError> {
    let names = channel_names(image);
    let mut there: BTreeSet<[usize; 3]> = BTreeSet::new();
    let all = image.size_c.saturating_mul(image.size_z).saturating_mul(image.size_t);
    let blocks = if image.blocks.is_empty() {
        vec![ome_xml::Block { file: None, page: 0, planes: None, first: [0, 0, 0] }]
    } else {
        image.blocks.clone()
    };
    // A set of one file may have been renamed.
    let named: BTreeSet<&String> = blocks.iter().filter_map(|b| b.file.as_ref()).collect();
    let alone = named.len() < 2 && named.iter().all(|file| !beside(folder, file).exists());
    let mut gone: BTreeSet<String> = BTreeSet::new();
    for block in &blocks {
        let file = match &block.file {
            Some(file) if !alone => beside(folder, file),
            _ => path.to_owned(),
        };
        let Some(stack) = files.stack(&file)? else {
            gone.extend(block.file.clone());
            continue;
        };
        files.used.insert(file.clone());
        let shared: Arc<Path> = file.as_path().into();
        let pages = stack.pages.len();
        let n = block.planes.unwrap_or(pages.saturating_sub(block.page)).min(all);
        for i in 0..n {
            let number = block.page.saturating_add(i);
            let (Some(page), Some(place)) = (stack.pages.get(number), image.behind(block.first, i)) else {
                if block.planes.is_none() {
                    break;
                }
                return Err(contradiction(
                    &file,
                    format!("its OME-XML tells of page {number} (from 0), and of {all} planes in all"),
                    format!("one of its {pages} pages and a plane of the image"),
                ));
            };
            if !there.insert(place) {
                let [c, z, t] = place;
                let found = format!("its OME-XML names two pages for channel {c}, z {z}, time {t}");
                return Err(contradiction(&file, found, "one".into()));
            }
            let [c, z, t] = place;
            let moment = image.moments.get(&place);
            layout.planes.push(InFile {
                file: shared.clone(),
                page: *page,
                number,
                pages,
                series: series.map(str::to_owned),
                channel: (image.size_c > 1 || image.channels.iter().any(|c| c.name.is_some()))
                    .then(|| names[c].clone()),
                z: (image.size_z > 1).then_some(z as i64),
                t: (image.size_t > 1).then_some(t as i64),
                clock_ms: moment.map(|s| (s * 1000.0).round() as i64),
            });
        }
    }
    let missing = all.saturating_sub(there.len());
    if missing > 0 {
        let what = series.map_or_else(String::new, |name| format!(" of image {name}"));
        let files = if gone.is_empty() {
            String::new()
        } else {
            format!(": {} is not there", gone.into_iter().collect::<Vec<_>>().join(", "))
        };
        layout
            .warnings
            .push(format!("{}: {missing} of {all} planes{what} are missing{files}", path.display()));
    }
    Ok(())
}

/// Returns a name for every channel.
fn channel_names(image: &Image) -> Vec<String> {
    listing::channel_names((0..image.size_c).map(|i| image.channels.get(i).and_then(|c| c.name.clone())))
}

/// Returns the median time between frames of the first channel and plane, in seconds.
fn interval(image: &Image) -> Option<f64> {
    let mut times: BTreeMap<i64, f64> = BTreeMap::new();
    for ([c, z, t], s) in &image.moments {
        if *c == 0 && *z == 0 {
            times.insert(*t as i64, *s);
        }
    }
    median_step(&times)
}

/// Returns a file of the same folder, whatever folders its name tells of.
fn beside(folder: &Path, file: &str) -> PathBuf {
    let last = file.rsplit(['/', '\\']).next().unwrap_or(file);
    folder.join(last)
}

fn companion(path: &Path, file: &Path) -> Result<Vec<Image>, DataError> {
    if !file.is_file() {
        let expected = format!("the OME-XML that {} refers to", path.display());
        return Err(DataError::Missing { path: file.to_owned(), expected });
    }
    let bytes = side_file::read(file, ome_xml::MOST_BYTES as u64)?;
    match ome_xml::parse(file, &String::from_utf8_lossy(&bytes))? {
        Ome::Images(images) => Ok(images),
        Ome::Elsewhere(_) => Err(contradiction(
            file,
            "its OME-XML refers to another file again".into(),
            "the images of the set".into(),
        )),
    }
}
