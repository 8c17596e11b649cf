//! Where the labels of synthetic sequences come from, and labels by either route.

use std::collections::BTreeMap;

use ndarray::{Array4, Axis};
use serde_json::{Value, json};

use super::labels::{self as joint, decode_labels};
use crate::data::labels::codec::DecodeSettings;
use crate::data::labels::{self, RouteSettings, STRUCTURE, label_sequence};
use crate::data::plate::Labels;
use crate::model::LabelMap;

/// Where labels come from.
#[derive(Clone, Debug)]
pub enum Labelling {
    /// Nowhere.
    None,
    /// From the label domain of the generator.
    Joint {
        /// Name of the objects.
        name: String,
        /// Image channels before the label maps.
        domains: usize,
        /// The label maps.
        maps: Vec<LabelMap>,
    },
    /// From the brightness of a channel.
    Threshold {
        /// Name of the objects.
        name: String,
        /// The channel.
        channel: usize,
        /// What makes an object.
        settings: RouteSettings,
    },
}

impl Labelling {
    /// Estimates a threshold from sequences `[T, C, H, W]`; no labels where there is nothing to part.
    pub fn threshold(name: String, channel: usize, sequences: &[Array4<f32>]) -> Self {
        let planes = sequences
            .iter()
            .flat_map(|s| s.outer_iter().map(|frame| frame.index_axis_move(Axis(0), channel)));
        RouteSettings::estimate(planes).map_or(Self::None, |settings| Self::Threshold {
            name,
            channel,
            settings,
        })
    }

    /// Returns the names of the label images.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::Threshold { name, .. } => vec![name.clone()],
            Self::Joint { name, maps, .. } => {
                let mut names = Vec::new();
                if maps.contains(&LabelMap::Foreground) {
                    names.push(name.clone());
                }
                if maps.contains(&LabelMap::Structure) {
                    names.push(STRUCTURE.into());
                }
                names
            }
        }
    }

    /// Returns how the labels come about, as the plate says it.
    pub fn route(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Joint { .. } => Some(joint::ROUTE),
            Self::Threshold { .. } => Some(labels::ROUTE),
        }
    }

    /// Returns the settings, for the record.
    pub fn settings(&self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Joint { .. } => json!(DecodeSettings::learned()),
            Self::Threshold { settings, .. } => json!(settings),
        }
    }

    /// Returns the labels of a sequence `[T, C, H, W]`, image channels and label maps, by name.
    pub fn labels(&self, sequence: &Array4<f32>) -> BTreeMap<String, Labels> {
        match self {
            Self::None => BTreeMap::new(),
            Self::Joint { name, domains, maps } => {
                decode_labels(sequence, *domains, maps, name, &DecodeSettings::learned())
            }
            Self::Threshold { name, channel, settings } => {
                let fluorescence = sequence.index_axis(Axis(1), *channel);
                BTreeMap::from([(name.clone(), label_sequence(fluorescence, settings))])
            }
        }
    }
}
