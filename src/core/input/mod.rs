//! Reading recordings: folders of frames and labels, and the samplesheet that lists them.
//!
//! A plate is made from a [`source::Source`]; every input form is one implementation of it.

mod align;
mod capacity;
pub mod downscaled;
mod file_names;
pub mod folders;
mod found;
mod grid;
mod headers;
pub mod image_file;
pub mod names;
mod pairing;
pub mod png;
pub mod samplesheet;
mod samplesheet_table;
pub mod source;
pub mod tiff;
mod tiff_refused;

pub use align::Align;
pub use source::Source;
