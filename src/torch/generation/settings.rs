//! Settings of `generate`, and their check.

use serde::{Deserialize, Serialize};

use super::GenerationError;
use super::latent::Truncation;
use crate::graphs::Graphs;
use crate::model::Precision;
use lapsegan_core::plate::names::{PLAIN, is_plain};

/// What `generate` makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationSettings {
    /// Number of sequences.
    pub count: u64,
    /// Fidelity against variety, 0 to 2.
    pub truncation_psi: f64,
    /// Style slots that are truncated, from the coarsest on; all of them where it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncation_cutoff: Option<u64>,
    /// Sequences at a time.
    pub batch: u64,
    /// Arithmetic of the generator.
    pub precision: Precision,
    /// On a GPU, replay the generator as a CUDA graph: "auto" or "off". The sequences are the same.
    #[serde(default)]
    pub graphs: Graphs,
    /// Where the labels come from.
    pub label_route: Route,
    /// Channel whose brightness marks the objects; empty for the last one of fluorescence.
    pub label_channel: String,
    /// Name of the label image; empty for that of the training data.
    pub label_name: String,
}

/// Where labels come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Joint where the generator has a label domain, else a fluorescence channel where there is one, else none.
    Auto,
    /// Drawn by the generator together with the images.
    Joint,
    /// No labels.
    None,
    /// Threshold and watershed of a fluorescence channel.
    FluorescenceThreshold,
}

impl Route {
    /// The words of the settings, with what they mean.
    pub const WORDS: [(&'static str, &'static str); 4] = [
        ("auto", "Joint where the generator has a label domain, else from a fluorescence channel, else none"),
        ("joint", "Drawn by the generator together with the images"),
        ("none", "No labels"),
        ("fluorescence_threshold", "Threshold and watershed of a fluorescence channel"),
    ];
}

impl GenerationSettings {
    /// Returns the settings of a call without flags.
    pub fn standard() -> Self {
        Self {
            count: 100,
            truncation_psi: 1.0,
            truncation_cutoff: None,
            batch: 32,
            precision: Precision::Float32,
            graphs: Graphs::Auto,
            label_route: Route::Auto,
            label_channel: String::new(),
            label_name: String::new(),
        }
    }

    /// Returns the truncation.
    pub fn truncation(&self) -> Truncation {
        Truncation { psi: self.truncation_psi, cutoff: self.truncation_cutoff }
    }

    /// Checks that the cutoff lies within the slots of a generator.
    ///
    /// # Errors
    /// [`GenerationError::Setting`] naming the flag.
    pub fn check_cutoff(&self, slots: i64) -> Result<(), GenerationError> {
        match self.truncation_cutoff {
            Some(cutoff) if cutoff > slots as u64 => Err(GenerationError::Setting {
                message: format!("--truncation-cutoff {cutoff}: the generator has {slots} style slots"),
                hint: "slots are counted from the coarsest on; leave the flag out to truncate all of them",
            }),
            _ => Ok(()),
        }
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// [`GenerationError::Setting`] naming the flag.
    pub fn check(&self) -> Result<(), GenerationError> {
        let wrong = |message: String, hint| Err(GenerationError::Setting { message, hint });
        if !(0.0..=2.0).contains(&self.truncation_psi) {
            let message = format!("--truncation-psi {}: expected 0 to 2", self.truncation_psi);
            return wrong(message, "1 leaves the latents as they are, 0.7 is a common choice");
        }
        if !(1..=10_000_000).contains(&self.count) || !(1..=4096).contains(&self.batch) {
            let message = format!(
                "--count {}, --batch {}: expected 1 to 10000000 and 1 to 4096",
                self.count, self.batch
            );
            return wrong(message, "make several plates with different seeds for more");
        }
        if self.graphs == Graphs::On {
            return wrong(
                "graphs = \"on\": expected auto or off".into(),
                "auto takes them wherever they can be had",
            );
        }
        if !self.label_name.is_empty() && !is_plain(&self.label_name) {
            let message = format!("--label-name {:.120}: is not made of {PLAIN}", self.label_name);
            return wrong(message, "it becomes a folder in the plate: cells, for example");
        }
        Ok(())
    }
}
