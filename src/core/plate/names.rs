//! Names that become parts of paths: one rule for all of them, wherever they come from.
//!
//! Names of labels are folders in a plate, and a plate, a checkpoint or a samplesheet may come from anybody. What is not
//! plain is refused before anything is written: `..` or `/` would lead out of the output.

use super::PlateMeta;

/// Longest name. File systems take 255 bytes.
const MOST_BYTES: usize = 100;

/// What a plain name is, for messages.
pub const PLAIN: &str = "1 to 100 letters, digits, _ and -";

/// Returns whether a name is made of ASCII letters, digits, `_` and `-` only, and so is safe in paths.
///
/// ```
/// use lapsegan_core::plate::names::is_plain;
/// assert!(is_plain("cells_2-left"));
/// for name in ["", "..", "a/b", "/etc", "zarr.json", "a b", "\0", "zellen ä"] {
///     assert!(!is_plain(name), "{name}");
/// }
/// ```
pub fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.len() <= MOST_BYTES && name.chars().all(plain)
}

/// Returns whether this is the path of a well as plates have it: letters of a row, a slash, the number of a column.
pub fn is_well(path: &str) -> bool {
    path.split_once('/').is_some_and(|(row, column)| {
        (1..=8).contains(&row.len())
            && row.bytes().all(|b| b.is_ascii_uppercase())
            && (1..=9).contains(&column.len())
            && column.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Checks the names of channels and labels of a plate.
///
/// # Errors
/// The field, and what is wrong with the first name that is not plain or is there twice.
pub fn check(meta: &PlateMeta) -> Result<(), (&'static str, String)> {
    for (field, names) in [("channels", meta.channel_names()), ("labels", meta.label_names())] {
        for (i, name) in names.iter().enumerate() {
            if !is_plain(name) {
                return Err((field, format!("the name {name:.120?} is not made of {PLAIN}")));
            }
            if names[..i].contains(name) {
                return Err((field, format!("the name {name} is there twice")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wells_are_a_row_and_a_column_and_nothing_else() {
        assert!(is_well("A/1") && is_well("ALL/1000"));
        for path in ["", "A", "A/", "/1", "A/1/0", "../A/1", "A/../1", "a/1", "/A/1", "A/-1", "A/1\0"] {
            assert!(!is_well(path), "{path}");
        }
    }

    #[test]
    fn long_names_are_refused() {
        assert!(is_plain(&"a".repeat(MOST_BYTES)) && !is_plain(&"a".repeat(MOST_BYTES + 1)));
    }
}
