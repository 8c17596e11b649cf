//! TensorBoard event file: the ticks of `stats.jsonl` as scalars, the sample grids as images.
//!
//! A run has one such file under a name of its own, so that a resumed run goes on in it: first [`truncate`] takes off
//! the ticks that will be written again. Apart from clock times, equal runs write equal bytes, so a TensorBoard that
//! watches a run shows no trace of its being resumed.
//!
//! The format is the one of TensorFlow: records of length, checksum, data, checksum; data is a protocol buffer `Event`.
//! Its few fields are written by hand: `wall_time` 1, `step` 2, `file_version` 3, `summary` 5.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::samples;
use lapsegan_core::error::DataError;

/// TensorBoard takes every file with `tfevents` in its name.
const NAME: &str = "events.out.tfevents.0000000000.lapsegan";
/// What every event file begins with.
const VERSION: &str = "brain.Event:2";
/// Most bytes of a sample grid in the event file. A run writes hundreds of grids, so larger ones are only in `samples/`.
const LARGEST_IMAGE: usize = 1 << 20;

/// Appends a tick: its means, the seconds per kimg, and its sample grid where there is one.
pub fn append(
    run: &Path,
    sequences_seen: u64,
    seconds_per_kimg: f64,
    means: &[(&'static str, f64)],
) -> Result<(), DataError> {
    let path = run.join(NAME);
    let io = || DataError::io(&path);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64());
    let grid = samples::path(run, sequences_seen as f64 / 1000.0);
    let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).map_err(io())?;
    let mut records = Vec::new();
    if file.metadata().map_err(io())?.len() == 0 {
        records.extend(record(&event(now, 0, |e| bytes(e, 3, VERSION.as_bytes()))));
    }
    let values: Vec<(String, f64)> = means
        .iter()
        .map(|(name, value)| (tag(name), *value))
        .chain([("time/seconds_per_kimg".to_owned(), seconds_per_kimg)])
        .collect();
    records.extend(record(&event(now, sequences_seen, |e| bytes(e, 5, &scalars(&values)))));
    if let Ok(png) = fs::read(&grid)
        && png.len() <= LARGEST_IMAGE
        && let Some((width, height)) = size(&png)
    {
        let summary = image("samples", width, height, &png);
        records.extend(record(&event(now, sequences_seen, |e| bytes(e, 5, &summary))));
    }
    // A single call, so that a kill rarely leaves half a tick; `truncate` removes it where that happens.
    file.write_all(&records).map_err(io())
}

/// Drops what a resumed run will write again: the ticks after its checkpoint, and a torn end.
pub fn truncate(run: &Path, sequences_seen: u64) -> Result<(), DataError> {
    let path = run.join(NAME);
    let Ok(bytes) = fs::read(&path) else { return Ok(()) };
    let kept = kept(&bytes, sequences_seen);
    if kept == bytes.len() {
        return Ok(());
    }
    let cut = || {
        let file = fs::OpenOptions::new().write(true).open(&path)?;
        file.set_len(kept as u64)?;
        file.sync_all()
    };
    cut().map_err(DataError::io(&path))
}

/// Returns the path of a run's event file.
pub fn path(run: &Path) -> PathBuf {
    run.join(NAME)
}

/// Returns the tag of a mean: TensorBoard groups plots by what stands before the slash.
fn tag(name: &str) -> String {
    for group in ["loss", "gradient_norm"] {
        if let Some(rest) = name.strip_prefix(group).and_then(|rest| rest.strip_prefix('_')) {
            return format!("{group}/{rest}");
        }
    }
    format!("training/{name}")
}

/// Returns the length of the whole records up to a step.
fn kept(file: &[u8], sequences_seen: u64) -> usize {
    let mut at = 0;
    while let Some(data) = next(&file[at..]) {
        if step(data) > sequences_seen {
            break;
        }
        at += 16 + data.len();
    }
    at
}

/// Returns the data of the first record, `None` where it is torn or damaged.
fn next(file: &[u8]) -> Option<&[u8]> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let (length_check, rest) = rest.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*length_check) != masked_crc(length) {
        return None;
    }
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (data, rest) = rest.split_at_checked(length)?;
    let check = rest.first_chunk::<4>()?;
    (u32::from_le_bytes(*check) == masked_crc(data)).then_some(data)
}

/// Returns the step of an event as [`event`] writes it: behind the 9 bytes of its time.
fn step(event: &[u8]) -> u64 {
    let Some((0x10, digits)) = event.get(9..).and_then(|rest| rest.split_first().map(|(k, v)| (*k, v)))
    else {
        return 0;
    };
    let mut value = 0;
    for (place, digit) in digits.iter().take(10).enumerate() {
        value |= u64::from(digit & 0x7F) << (7 * place);
        if digit & 0x80 == 0 {
            break;
        }
    }
    value
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_crc(data).to_le_bytes());
    record
}

/// Returns the masked CRC-32C of the format: rotated and shifted, because records may hold checksums themselves.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xA282_EAD8)
}

fn event(wall_time: f64, step: u64, what: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut event = vec![0x09];
    event.extend(wall_time.to_le_bytes());
    if step > 0 {
        number(&mut event, 2, step);
    }
    what(&mut event);
    event
}

/// `Summary`: `value` 1, of which `tag` 1 and `simple_value` 2.
fn scalars(values: &[(String, f64)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in values {
        let mut entry = Vec::new();
        bytes(&mut entry, 1, tag.as_bytes());
        entry.push(0x15);
        entry.extend((*value as f32).to_le_bytes());
        bytes(&mut summary, 1, &entry);
    }
    summary
}

/// `Summary`: `value` 1, of which `tag` 1 and `image` 4: `height` 1, `width` 2, `colorspace` 3, the PNG 4.
fn image(tag: &str, width: u32, height: u32, png: &[u8]) -> Vec<u8> {
    let (mut image, mut entry, mut summary) = (Vec::new(), Vec::new(), Vec::new());
    number(&mut image, 1, height.into());
    number(&mut image, 2, width.into());
    number(&mut image, 3, 3); // RGB
    bytes(&mut image, 4, png);
    bytes(&mut entry, 1, tag.as_bytes());
    bytes(&mut entry, 4, &image);
    bytes(&mut summary, 1, &entry);
    summary
}

/// Returns columns and rows of a PNG: its header stands at the same place in each.
fn size(png: &[u8]) -> Option<(u32, u32)> {
    let side = |at: usize| png.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    (png.get(12..16)? == b"IHDR").then_some(())?;
    Some((side(16)?, side(20)?))
}

/// A field of bytes: its number and wire type 2, the length, the bytes.
fn bytes(to: &mut Vec<u8>, field: u8, value: &[u8]) {
    to.push(field << 3 | 2);
    varint(to, value.len() as u64);
    to.extend(value);
}

/// A field that is a number: its number and wire type 0, the value.
fn number(to: &mut Vec<u8>, field: u8, value: u64) {
    to.push(field << 3);
    varint(to, value);
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `tensorboard.summary.writer.record_writer.RecordWriter` 2.21.0: a version at 1.5 s, a scalar
    /// `loss/generator` of 0.75 at 2.5 s and an image of 2 rows and 300 columns at 3.5 s, both of step 2000.
    const GOLDEN: &str = "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c\
        2500000000000000eabc36f309000000000000044010d00f2a170a150a0e6c6f73732f67656e657261746f72150000403f66dba564\
        2700000000000000bbe1b146090000000000000c4010d00f2a190a170a0773616d706c6573220c080210ac0218032203504e47f0a21284";

    #[test]
    fn bytes_are_those_of_tensorboards_own_writer() {
        let mut file = record(&event(1.5, 0, |e| bytes(e, 3, VERSION.as_bytes())));
        let scalar = scalars(&[(tag("loss_generator"), 0.75)]);
        file.extend(record(&event(2.5, 2000, |e| bytes(e, 5, &scalar))));
        file.extend(record(&event(3.5, 2000, |e| bytes(e, 5, &image("samples", 300, 2, b"PNG")))));
        let hex = file.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        assert_eq!(hex, GOLDEN);
    }

    #[test]
    fn a_resumed_run_has_every_tick_once_and_nothing_torn() {
        let dir = tempfile::tempdir().unwrap();
        let read = || fs::read(path(dir.path())).unwrap();
        let write = |seen| append(dir.path(), seen, 1.0, &[("loss_generator", 0.5)]).unwrap();
        truncate(dir.path(), 0).unwrap();
        [100, 200].into_iter().for_each(write);
        let both = read().len();
        write(300);
        let all = read();
        truncate(dir.path(), 299).unwrap();
        assert_eq!(read(), all[..both]);
        write(300);
        assert_eq!(read().len(), all.len());
        // Torn at any place, a file loses the torn record alone; a damaged one loses what follows.
        for length in both..all.len() {
            assert_eq!(kept(&all[..length], u64::MAX), both);
        }
        let mut damaged = all.clone();
        damaged[both + 20] ^= 1;
        assert_eq!(kept(&damaged, u64::MAX), both);
        assert_eq!(kept(&all, u64::MAX), all.len());
        assert_eq!(kept(&all, 0), 24 + 16);
    }

    #[test]
    fn tags_are_grouped_by_what_they_are() {
        assert_eq!(tag("loss_discriminator_pixel"), "loss/discriminator_pixel");
        assert_eq!(tag("gradient_norm_r1"), "gradient_norm/r1");
        assert_eq!(tag("r_real"), "training/r_real");
    }
}
