//! TIFF files with several pages: which of them shows which channel, focal plane and time.

mod imagej;
mod micro_manager;
mod ome_tiff;
mod ome_xml;
mod plain;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use plain::Pages;

use super::listing::{Scale, unnamed};
use super::tiff::Page;
use super::tiff::stack::{self, Stack};
use crate::error::DataError;

/// What the pages of a file, or of a set of files, show.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// What the file is, for people.
    pub(super) what: &'static str,
    pub(super) planes: Vec<InFile>,
    /// Names of channels in their order.
    pub(super) channels: Vec<String>,
    pub(super) colors: BTreeMap<String, [u8; 3]>,
    pub(super) scale: Scale,
    pub(super) notes: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// A page and what it shows; `None` where the file does not differ in it.
#[derive(Clone, Debug)]
pub(super) struct InFile {
    pub(super) file: Arc<Path>,
    pub(super) page: Page,
    /// Its number in the file, from 0.
    pub(super) number: usize,
    /// How many the file has.
    pub(super) pages: usize,
    /// Name of the position.
    pub(super) series: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) z: Option<i64>,
    pub(super) t: Option<i64>,
    pub(super) clock_ms: Option<i64>,
}

/// Reads what the pages of a TIFF file show. Sets of several files are followed where `files` is given; without, a file
/// of several pages with OME-XML gives `None`.
///
/// # Errors
/// [`DataError`] naming the file where it cannot be read, or where what it says of itself cannot be.
pub(super) fn layout(
    path: &Path,
    pages: Option<Pages>,
    files: Option<&mut Files>,
) -> Result<Option<Layout>, DataError> {
    let stack = stack::read(path)?;
    if ome_xml::is_ome(&stack.description) {
        return match files {
            Some(files) => ome_tiff::layout(path, &stack, files).map(Some),
            None => ome_tiff::alone(path, &stack),
        };
    }
    if let Some(layout) = micro_manager::layout(path, &stack)? {
        return Ok(Some(layout));
    }
    if let Some(layout) = imagej::layout(path, &stack, pages)? {
        return Ok(Some(layout));
    }
    Ok(Some(plain::layout(path, &stack, pages)))
}

pub(super) use ome_tiff::Files;

/// Gives every page of a stack its place; `place` returns channel, focal plane and time of a page.
fn pages(path: &Path, stack: &Stack, place: impl Fn(usize) -> InFilePlace) -> Vec<InFile> {
    let file: Arc<Path> = path.into();
    let page = |(number, page): (usize, &Page)| {
        let InFilePlace { channel, z, t } = place(number);
        InFile {
            file: file.clone(),
            page: *page,
            number,
            pages: stack.pages.len(),
            series: None,
            channel,
            z,
            t,
            clock_ms: None,
        }
    };
    stack.pages.iter().enumerate().map(page).collect()
}

/// What a page shows.
struct InFilePlace {
    channel: Option<String>,
    z: Option<i64>,
    t: Option<i64>,
}

/// Returns the error of a file that contradicts itself.
fn contradiction(path: &Path, found: String, expected: String) -> DataError {
    DataError::Unusable {
        path: PathBuf::from(path),
        found,
        expected,
        hint: "the file may be cut; copy it again, or open it in Fiji with Bio-Formats and save it anew"
            .into(),
    }
}

#[cfg(test)]
mod tests;
