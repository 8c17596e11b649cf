//! Settings: built-in or preset < `--config FILE` < `--set key=value` < flags.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::error::{Advice, Exit};

/// Most parts of an overriding key: tables nested by the thousand would exhaust the stack.
const MOST_PARTS: usize = 16;

/// What can be wrong with a settings file or override.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Missing {
        /// The `--config` file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
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
            Self::Missing { .. } => Exit::InputMissing,
            _ => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some("give the path of a TOML file, such as a run's config.toml".into()),
            Self::Syntax { .. } => {
                Some("settings are TOML: --set training.batch=8, --set model.precision=\"bfloat16\"".into())
            }
            Self::Setting { .. } => Some("--dry-run prints all settings with their values".into()),
        }
    }
}

/// Returns `base` overlaid with a TOML file and `KEY=VALUE` pairs (dots reach into tables).
///
/// # Errors
/// [`ConfigError`] naming the file or flag, the setting, and the settings that exist.
pub fn resolve<T>(base: &T, file: Option<&Path>, set: &[String]) -> Result<T, ConfigError>
where
    T: Serialize + DeserializeOwned,
{
    let mut table = Table::try_from(base).map_err(|e| syntax("built-in settings", &e))?;
    if let Some(path) = file {
        let place = path.display().to_string();
        let bytes =
            std::fs::read(path).map_err(|source| ConfigError::Missing { path: place.clone(), source })?;
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
        let overlay = key
            .trim()
            .rsplit('.')
            .fold(value, |inner, part| Value::Table(Table::from_iter([(part.to_owned(), inner)])));
        if let Value::Table(overlay) = overlay {
            merge(&mut table, overlay);
        }
        read::<T>(&table, &place)?;
    }
    read(&table, "settings")
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

    fn base() -> Settings {
        Settings { batch: 4, rate: 0.5, name: "a".into(), inner: Inner { depth: 2 } }
    }

    #[test]
    fn later_overrides_win_and_reach_into_tables() {
        let set = ["batch=8", "rate=1", "name=tiny", "inner.depth=3"].map(String::from);
        let got = resolve(&base(), None, &set).unwrap();
        assert_eq!(got, Settings { batch: 8, rate: 1.0, name: "tiny".into(), inner: Inner { depth: 3 } });
    }

    #[test]
    fn a_key_of_very_many_parts_is_refused() {
        let set = ["a.".repeat(60_000) + "a=1"];
        let error = resolve(&base(), None, &set).unwrap_err().to_string();
        assert!(error.contains("60001 parts") && error.len() < 400, "{error}");
    }

    #[test]
    fn unknown_and_mistyped_settings_are_usage_errors_that_name_them() {
        for (set, part) in [("batsh=8", "batsh"), ("batch=many", "many"), ("batch", "KEY=VALUE")] {
            let error = resolve(&base(), None, &[set.to_owned()]).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
