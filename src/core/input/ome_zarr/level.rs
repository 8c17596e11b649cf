//! An array of an OME-Zarr image, read plane by plane.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use zarrs::array::{
    Array, ArrayError, ArrayMetadata, ArrayShardedExt, ArraySubset, CodecOptions, DataType, ElementOwned,
    data_type,
};
use zarrs::storage::{ReadableStorageTraits, StorageError};

use super::blocks::Blocks;
use super::metadata::Axis;
use super::place::Place;
use crate::error::DataError;
use crate::input::capacity::expect_memory;
use crate::input::file_names::name;
use crate::input::image_file::{Depth, Grey, Header, Pixels};

/// Planes that an array may have: what is more than that was not recorded.
const MOST_PLANES: u64 = 1 << 26;

/// The full resolution of an image.
pub(crate) struct Level {
    /// Folder of the array.
    pub(crate) path: Arc<Path>,
    array: Array<dyn ReadableStorageTraits>,
    axes: Vec<Axis>,
    depth: Depth,
    /// Where chunks hold several planes.
    blocks: Option<Blocks>,
}

impl std::fmt::Debug for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Level").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Level {
    /// Opens the array of an image with these axes.
    pub(super) fn open(place: &Place, axes: &[Axis]) -> Result<Self, DataError> {
        let path = place.path();
        let wrong = |found: String, expected: &str| DataError::Unusable {
            path: path.clone(),
            found,
            expected: expected.into(),
            hint: "write the image anew with the program it came from, or copy the whole store again".into(),
        };
        if !place.is_there() {
            return Err(DataError::Missing { path, expected: "the array of the image".into() });
        }
        let store = place.storage().map_err(|e| wrong(e, "a folder that can be read"))?;
        let opened = match plain_fill_value(place)? {
            Some(metadata) => Array::new_with_metadata(store, "/", metadata).map_err(|e| e.to_string()),
            None => Array::open(store, "/").map_err(|e| e.to_string()),
        };
        let array =
            opened.map_err(|e| wrong(format!("cannot be opened ({e})"), "an array of Zarr 2 or 3"))?;
        if array.shape().len() != axes.len() {
            let found = format!("has {} axes", array.shape().len());
            return Err(wrong(found, &format!("the {} of its image", axes.len())));
        }
        let depth = depth(array.data_type()).ok_or_else(|| {
            wrong(
                format!("holds {}", type_name(array.data_type())),
                "integers of 8 to 64 bits, or floating point numbers",
            )
        })?;
        let planes = axes
            .iter()
            .zip(array.shape())
            .filter(|(axis, _)| !matches!(axis, Axis::Y | Axis::X))
            .try_fold(1_u64, |n, (_, size)| n.checked_mul(*size));
        if array.shape().contains(&0) || planes.is_none_or(|n| n > MOST_PLANES) {
            return Err(wrong(format!("has the shape {:?}", array.shape()), "that of a recording"));
        }
        let mut level = Self { path: path.as_path().into(), array, axes: axes.to_vec(), depth, blocks: None };
        level.check_chunks()?;
        let chunk = level.array.effective_subchunk_shape();
        let chunk = chunk.or_else(|| level.array.chunk_shape(&vec![0; axes.len()]).ok());
        if let Some(chunk) = chunk {
            let chunk: Vec<u64> = chunk.iter().map(|n| n.get()).collect();
            level.blocks = Blocks::new(axes, level.array.shape(), &chunk);
        }
        Ok(level)
    }

    /// Returns the number of indices along an axis; 1 where there is no such axis.
    pub(super) fn size(&self, axis: Axis) -> u64 {
        self.axes.iter().position(|a| *a == axis).map_or(1, |i| self.array.shape()[i])
    }

    /// Returns the indices of a plane for [`Self::read`].
    pub(super) fn indices(&self, t: u64, c: u64, z: u64) -> Vec<u64> {
        let of = |axis: &Axis| match axis {
            Axis::T => t,
            Axis::C => c,
            Axis::Z => z,
            Axis::Y | Axis::X => 0,
        };
        self.axes.iter().map(of).collect()
    }

    /// Reads a plane. `[H, W]`
    pub(crate) fn read(&self, indices: &[u64]) -> Result<Grey, DataError> {
        let shape = self.array.shape();
        let range = |((axis, i), size): ((&Axis, &u64), &u64)| match axis {
            Axis::Y | Axis::X => 0..*size,
            _ => *i..i + 1,
        };
        let ranges: Vec<Range<u64>> = self.axes.iter().zip(indices).zip(shape).map(range).collect();
        let size = (self.size(Axis::Y) as usize, self.size(Axis::X) as usize);
        let swapped =
            self.axes.iter().position(|a| *a == Axis::Y) > self.axes.iter().position(|a| *a == Axis::X);
        let read = |ranges: &[Range<u64>]| self.pixels(&ArraySubset::new_with_ranges(ranges));
        let pixels = match &self.blocks {
            Some(blocks) => blocks.plane(indices, shape, read)?,
            None => read(&ranges)?,
        };
        let pixels = if swapped { transposed(pixels, size) } else { pixels };
        Grey::new(&self.path, size, pixels)
    }

    /// Returns what the array says of its planes.
    pub(crate) fn header(&self) -> Header {
        Header { size: (self.size(Axis::Y) as usize, self.size(Axis::X) as usize), depth: self.depth }
    }

    /// Returns a plane as people name it.
    pub(crate) fn plane_name(&self, indices: &[u64]) -> String {
        let letter = |axis: &Axis| match axis {
            Axis::T => Some('t'),
            Axis::C => Some('c'),
            Axis::Z => Some('z'),
            Axis::Y | Axis::X => None,
        };
        let places = self.axes.iter().zip(indices).zip(self.array.shape());
        let places: Vec<String> = places
            .filter(|(_, size)| **size > 1)
            .filter_map(|((axis, i), _)| letter(axis).map(|l| format!("{l}{i}")))
            .collect();
        format!("{} {}", name(&self.path), places.join(" ")).trim_end().to_owned()
    }

    /// Compares a chunk with the memory there is: its size is told by the metadata, whatever the files hold.
    fn check_chunks(&self) -> Result<(), DataError> {
        let first = vec![0; self.array.shape().len()];
        let chunk =
            self.array.chunk_shape(&first).map(|shape| shape.iter().map(|n| n.get()).collect::<Vec<u64>>());
        let plane = [self.size(Axis::Y), self.size(Axis::X)];
        let pixels = |sides: &[u64]| sides.iter().fold(1_u64, |n, side| n.saturating_mul(*side));
        let largest = pixels(&chunk.unwrap_or_default()).max(pixels(&plane));
        let what = format!("planes of {} x {} pixels in chunks of {largest}", plane[1], plane[0]);
        expect_memory(&self.path, &what, largest.saturating_mul(8))
    }

    fn pixels(&self, subset: &ArraySubset) -> Result<Pixels, DataError> {
        let kind = self.array.data_type();
        macro_rules! wide {
            ($type:ty) => {
                Ok(Pixels::Wide(self.values::<$type>(subset)?.into_iter().map(i64::from).collect()))
            };
        }
        if *kind == data_type::uint8() {
            Ok(Pixels::Bits8(self.values(subset)?))
        } else if *kind == data_type::uint16() {
            Ok(Pixels::Bits16(self.values(subset)?))
        } else if *kind == data_type::bool() {
            Ok(Pixels::Bits8(self.values::<bool>(subset)?.into_iter().map(u8::from).collect()))
        } else if *kind == data_type::uint32() {
            wide!(u32)
        } else if *kind == data_type::int8() {
            wide!(i8)
        } else if *kind == data_type::int16() {
            wide!(i16)
        } else if *kind == data_type::int32() {
            wide!(i32)
        } else if *kind == data_type::int64() {
            Ok(Pixels::Wide(self.values(subset)?))
        } else if *kind == data_type::uint64() {
            let values = self.values::<u64>(subset)?.into_iter();
            // What is above the largest signed number is refused as an id, and as a count.
            Ok(Pixels::Wide(values.map(|v| i64::try_from(v).unwrap_or(i64::MAX)).collect()))
        } else if *kind == data_type::float32() {
            Ok(Pixels::Float(self.values(subset)?))
        } else {
            Ok(Pixels::Float(self.values::<f64>(subset)?.into_iter().map(|v| v as f32).collect()))
        }
    }

    fn values<A: ElementOwned>(&self, subset: &ArraySubset) -> Result<Vec<A>, DataError> {
        let options = CodecOptions::default().with_concurrent_target(1);
        self.array.retrieve_array_subset_opt::<Vec<A>>(subset, &options).map_err(|e| match e {
            ArrayError::StorageError(StorageError::IOError(e)) if e.raw_os_error().is_some() => {
                DataError::read(&*self.path)(std::io::Error::from_raw_os_error(e.raw_os_error().unwrap_or(5)))
            }
            e => DataError::DamagedPixels { path: self.path.to_path_buf(), found: e.to_string() },
        })
    }
}

/// Returns the metadata of an array of Zarr 2 with a number in quotes as its fill value, as old bioformats2raw wrote it;
/// `None` for all others.
fn plain_fill_value(place: &Place) -> Result<Option<ArrayMetadata>, DataError> {
    let Some(bytes) = place.metadata(".zarray")? else { return Ok(None) };
    let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else { return Ok(None) };
    let number = value.get("fill_value").and_then(Value::as_str).and_then(|text| text.parse::<i64>().ok());
    let Some(number) = number else { return Ok(None) };
    value["fill_value"] = number.into();
    Ok(serde_json::from_value(value).ok().map(ArrayMetadata::V2))
}

fn depth(kind: &DataType) -> Option<Depth> {
    if *kind == data_type::uint8() || *kind == data_type::bool() {
        return Some(Depth::Bits8);
    }
    if *kind == data_type::uint16() {
        return Some(Depth::Bits16);
    }
    let wide = [
        data_type::uint32(),
        data_type::uint64(),
        data_type::int8(),
        data_type::int16(),
        data_type::int32(),
        data_type::int64(),
    ];
    if wide.contains(kind) {
        return Some(Depth::Wide);
    }
    (*kind == data_type::float32() || *kind == data_type::float64()).then_some(Depth::Float)
}

fn type_name(kind: &DataType) -> String {
    kind.to_string().split(" / ").next().unwrap_or_default().to_owned()
}

/// Returns pixels that were stored column by column row by row.
fn transposed(pixels: Pixels, (height, width): (usize, usize)) -> Pixels {
    fn turn<A: Copy>(pixels: &[A], height: usize, width: usize) -> Vec<A> {
        (0..height * width).map(|i| pixels[i % width * height + i / width]).collect()
    }
    match pixels {
        Pixels::Bits8(v) => Pixels::Bits8(turn(&v, height, width)),
        Pixels::Bits16(v) => Pixels::Bits16(turn(&v, height, width)),
        Pixels::Wide(v) => Pixels::Wide(turn(&v, height, width)),
        Pixels::Float(v) => Pixels::Float(turn(&v, height, width)),
    }
}
