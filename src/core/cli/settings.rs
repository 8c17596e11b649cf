//! Settings: built-in or preset < `--config FILE` < `--set key=value` < flags.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::error::{Advice, DataError, Exit};
use crate::side_file;

/// Most parts of an overriding key: tables nested by the thousand would exhaust the stack.
const MOST_PARTS: usize = 16;

/// What can be wrong with a settings file or override.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The `--config` file cannot be read.
    #[error(transparent)]
    File(#[from] DataError),
    /// The file or override is no TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// File or flag.
        place: String,
        /// What the parser said.
        message: String,
    },
    /// A setting that does not exist, or of another type.
    #[error("{place}: {message}")]
    Setting {
        /// File or flag.
        place: String,
        /// Which setting and what is wrong with it.
        message: String,
    },
}

impl Advice for ConfigError {
    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            _ => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::File(_) => Some("give the path of a TOML file, such as a run's config.toml".into()),
            Self::Syntax { .. } => {
                Some("settings are TOML: --set training.batch=8, --set model.precision=\"bfloat16\"".into())
            }
            Self::Setting { .. } => Some("--dry-run prints all settings with their values".into()),
        }
    }
}

/// The flags of a command that has none of its own.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NoFlags {}

/// Returns `base` overlaid with a TOML file, with `KEY=VALUE` pairs (dots reach into tables), and with flags.
///
/// `flags` is the clap struct of a command: each field bears the name of the setting that it replaces, with dots where
/// the setting lies in a table. A field that is `None`, false or an empty list was not given.
///
/// # Errors
/// [`ConfigError`] naming the file or flag, the setting, and the settings that exist.
pub fn resolve<T, F>(base: &T, file: Option<&Path>, set: &[String], flags: &F) -> Result<T, ConfigError>
where
    T: Serialize + DeserializeOwned,
    F: Serialize,
{
    let mut table = Table::try_from(base).map_err(|e| syntax("built-in settings", &e))?;
    if let Some(path) = file {
        let place = path.display().to_string();
        let bytes = side_file::read(path, side_file::SETTINGS)?;
        let text = String::from_utf8(bytes).map_err(|e| syntax(&place, &e))?;
        let overlay: Table = text.parse().map_err(|e| syntax(&place, &e))?;
        merge(&mut table, overlay);
        read::<T>(&table, &place)?;
    }
    for pair in set {
        let place = format!("--set {pair:.200}");
        let Some((key, value)) = pair.split_once('=') else {
            return Err(syntax(&place, &"expected KEY=VALUE"));
        };
        let depth = key.split('.').count();
        if depth > MOST_PARTS {
            return Err(syntax(&place, &format!("a key of {depth} parts, expected at most {MOST_PARTS}")));
        }
        // A bare word is a string, so that --set preset=tiny needs no quotes within quotes.
        let value = format!("v = {value}")
            .parse::<Table>()
            .ok()
            .and_then(|mut t| t.remove("v"))
            .unwrap_or_else(|| Value::String(value.to_owned()));
        merge(&mut table, nested(key.trim(), value));
        read::<T>(&table, &place)?;
    }
    let flags = Table::try_from(flags).map_err(|e| syntax("flags", &e))?;
    for (key, value) in flags.into_iter().filter(|(_, value)| is_given(value)) {
        merge(&mut table, nested(&key, value));
    }
    read(&table, "settings")
}

/// Returns the table in which the dotted `key` holds `value`.
fn nested(key: &str, value: Value) -> Table {
    match key.rsplit_once('.') {
        None => Table::from_iter([(key.to_owned(), value)]),
        Some((outer, last)) => nested(outer, Value::Table(Table::from_iter([(last.to_owned(), value)]))),
    }
}

fn is_given(flag: &Value) -> bool {
    match flag {
        Value::Boolean(given) => *given,
        Value::Array(values) => !values.is_empty(),
        _ => true,
    }
}

fn read<T: DeserializeOwned>(table: &Table, place: &str) -> Result<T, ConfigError> {
    table.clone().try_into().map_err(|e: toml::de::Error| ConfigError::Setting {
        place: place.to_owned(),
        message: e.message().to_owned(),
    })
}

fn syntax(place: &str, error: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Syntax { place: place.to_owned(), message: error.to_string().trim_end().to_owned() }
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            // A whole number stands for a float where a float was.
            (Some(old @ Value::Float(_)), Value::Integer(n)) => *old = Value::Float(n as f64),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        batch: u32,
        rate: f64,
        name: String,
        inner: Inner,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        depth: u32,
    }

    #[derive(Serialize)]
    struct Flags {
        batch: Option<u32>,
        rate: Option<f64>,
        #[serde(rename = "inner.depth")]
        depth: Option<u32>,
        loud: bool,
        names: Vec<String>,
    }

    fn base() -> Settings {
        Settings { batch: 4, rate: 0.5, name: "a".into(), inner: Inner { depth: 2 } }
    }

    #[test]
    fn later_overrides_win_and_reach_into_tables() {
        let set = ["batch=8", "rate=1", "name=tiny", "inner.depth=3"].map(String::from);
        let got = resolve(&base(), None, &set, &NoFlags {}).unwrap();
        assert_eq!(got, Settings { batch: 8, rate: 1.0, name: "tiny".into(), inner: Inner { depth: 3 } });
    }

    #[test]
    #[cfg(unix)]
    fn a_file_that_does_not_end_is_refused() {
        let error = resolve(&base(), Some(Path::new("/dev/zero")), &[], &NoFlags {}).unwrap_err();
        assert_eq!(error.exit(), Exit::BadInput);
        assert!(error.to_string().contains("/dev/zero"), "{error}");
    }

    #[test]
    fn flags_win_where_they_are_given() {
        let set = ["batch=8", "rate=1"].map(String::from);
        let flags = Flags { batch: None, rate: Some(2.0), depth: Some(5), loud: false, names: Vec::new() };
        let got = resolve(&base(), None, &set, &flags).unwrap();
        assert_eq!(got, Settings { batch: 8, rate: 2.0, inner: Inner { depth: 5 }, ..base() });
    }

    #[test]
    fn a_key_of_very_many_parts_is_refused() {
        let set = ["a.".repeat(60_000) + "a=1"];
        let error = resolve(&base(), None, &set, &NoFlags {}).unwrap_err().to_string();
        assert!(error.contains("60001 parts") && error.len() < 400, "{error}");
    }

    #[test]
    fn unknown_and_mistyped_settings_are_usage_errors_that_name_them() {
        for (set, part) in [("batsh=8", "batsh"), ("batch=many", "many"), ("batch", "KEY=VALUE")] {
            let error = resolve(&base(), None, &[set.to_owned()], &NoFlags {}).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
