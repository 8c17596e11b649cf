//! Reading recordings of every form: folders, stacks, stores; and the samplesheet that lists them.
//!
//! A plate is made from a [`source::Source`]. Every input form gives one [`listing::Listing`] of its planes; a
//! [`recording::Recording`] brings the listings of all channels and labels together.

mod align;
mod capacity;
mod conversion;
pub mod ctc;
pub mod downscaled;
pub(crate) mod file_names;
pub mod folder;
mod found;
pub mod frame_stats;
mod grid;
mod headers;
pub mod image_file;
pub mod listing;
pub mod members;
pub mod names;
mod ome_zarr;
mod open;
pub mod pairing;
pub mod png;
pub mod recording;
pub mod samplesheet;
mod samplesheet_table;
pub mod source;
pub mod stacks;
pub mod tiff;
mod timeline;
mod units;

pub use align::Align;
pub use ome_zarr::{is_store, unpack};
pub use open::{open, split_part};
pub use source::Source;

#[cfg(test)]
mod tests;
