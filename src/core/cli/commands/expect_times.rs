//! Whether a recording has frames in a row at all, said before flags are blamed.

use std::path::Path;

use crate::error::DataError;
use crate::input::recording::Recording;
use crate::input::source::Source;

/// Refuses a single image, and files of which no name tells a time, where sequences need several frames.
///
/// # Errors
/// [`DataError::Unusable`] with what names were read as, and the pattern that reads them otherwise.
pub(super) fn expect_times(recording: &Recording, input: &Path, frames: usize) -> Result<(), DataError> {
    let longest =
        recording.extent().positions.iter().flat_map(|(_, runs)| runs).map(ExactSizeIterator::len).max();
    let longest = longest.unwrap_or(0);
    if longest >= frames {
        return Ok(());
    }
    let expected = format!("at least the {frames} frames of a sequence (--frames)");
    let untimed =
        recording.tables.first().filter(|t| t.files > 1 && t.fields.iter().all(|f| f.meaning != "time"));
    if let Some(table) = untimed {
        let differ: Vec<&str> = table.fields.iter().map(|f| f.meaning).collect();
        let pattern = table.pattern.replacen("{position}", "{time:d}", 1).replacen("{z:d}", "{time:d}", 1);
        return Err(DataError::Unusable {
            path: table.input.clone().into(),
            found: format!(
                "names differ in {}, not in time (read as {}): there is no more than {longest} frame(s) in a row",
                differ.join(" and "),
                table.pattern
            ),
            expected,
            hint: format!(
                "if that is the time, say so: --pattern '{pattern}'; for single images, --frames 1"
            ),
        });
    }
    if longest == 1 && recording.extent().positions.len() == 1 {
        return Err(DataError::Unusable {
            path: input.to_owned(),
            found: "holds a single frame".into(),
            expected,
            hint: "give the folder around it, with one file per frame, or a stack; for single images, --frames 1".into(),
        });
    }
    Ok(())
}
