//! Where the labels of synthetic sequences come from, and labels by either route.

use std::collections::BTreeMap;

use ndarray::{Array4, Axis};
use serde_json::{Value, json};

use super::GenerationError;
use super::settings::{GenerationSettings, Route};
use lapsegan_core::labels::codec::DecodeSettings;
use lapsegan_core::labels::maps::{self, LabelMap, MappedLabels};
use lapsegan_core::labels::{self, RouteSettings, label_sequence};
use lapsegan_core::plate::labels::objects;
use lapsegan_core::plate::{LabelKind, LabelMeta, Labels, Modality, PlateMeta};

/// Name of labels where the training data had none, or several that the threshold could stand for.
const NAME: &str = "cells";

/// What labels are to be made, decided before anything is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelPlan {
    /// None; why, where nobody asked for none.
    None(Option<String>),
    /// The label domain of the generator.
    Joint(MappedLabels),
    /// Brightness of a channel.
    Threshold {
        /// The labels to write.
        label: LabelMeta,
        /// Index of the channel.
        channel: usize,
    },
}

impl LabelPlan {
    /// Decides from the settings, the training data, and what the label domain shows.
    ///
    /// Nobody asked for labels where `label_route` is `auto`: then they are written by the label domain, or by a channel
    /// that shows fluorescence, or, where the training data had labels, by a channel that may show fluorescence. A
    /// channel of transmitted light is never thresholded unasked: it has no bright objects.
    ///
    /// # Errors
    /// [`GenerationError::Setting`] for a route or a channel that the checkpoint does not have.
    pub fn new(
        settings: &GenerationSettings,
        data: &PlateMeta,
        maps: &[LabelMap],
        mapped: &MappedLabels,
    ) -> Result<Self, GenerationError> {
        let named = |found: Option<&LabelMeta>| match settings.label_name.as_str() {
            "" => found.map_or_else(|| NAME.to_owned(), |label| label.name.clone()),
            name => name.to_owned(),
        };
        let joint = || {
            let with_route = |label: &LabelMeta, name| LabelMeta {
                name,
                route: Some(maps::ROUTE.into()),
                kind: label.kind,
            };
            Self::Joint(MappedLabels {
                objects: mapped.objects.as_ref().map(|label| with_route(label, named(Some(label)))),
                structure: mapped.structure.as_ref().map(|label| with_route(label, label.name.clone())),
            })
        };
        let threshold = |channel| Self::Threshold {
            label: LabelMeta {
                name: named(objects(&data.labels, None).ok()),
                kind: LabelKind::Objects,
                route: Some(labels::ROUTE.into()),
            },
            channel,
        };
        match settings.label_route {
            Route::None => Ok(Self::None(None)),
            Route::Joint if maps.is_empty() => Err(GenerationError::Setting {
                message: "--label-route joint: the checkpoint has no label domain".into(),
                hint: "train with --label-domain, or use --label-route fluorescence_threshold",
            }),
            Route::Joint => Ok(joint()),
            Route::Auto if !maps.is_empty() => Ok(joint()),
            Route::FluorescenceThreshold => {
                let channel = match named_channel(settings, data)? {
                    Some(channel) => channel,
                    None => fluorescence(data).unwrap_or(data.channels.len() - 1),
                };
                Ok(threshold(channel))
            }
            Route::Auto => {
                let asked = named_channel(settings, data)?.or_else(|| fluorescence(data));
                let likely = || {
                    let unknown = data.channels.iter().rposition(|channel| channel.modality().is_none());
                    unknown.filter(|_| !data.labels.is_empty())
                };
                Ok(asked.or_else(likely).map_or_else(
                    || {
                        Self::None(Some(format!(
                            "no labels: none of the channels ({}) is known to show fluorescence; \
                             --label-route fluorescence_threshold --label-channel NAME asks for them",
                            data.channel_names().join(", ")
                        )))
                    },
                    threshold,
                ))
            }
        }
    }
}

/// Returns the channel of `--label-channel`, where it is given.
fn named_channel(settings: &GenerationSettings, data: &PlateMeta) -> Result<Option<usize>, GenerationError> {
    let wanted = &settings.label_channel;
    if wanted.is_empty() {
        return Ok(None);
    }
    let names = data.channel_names();
    names.iter().position(|name| name == wanted).map(Some).ok_or_else(|| GenerationError::Setting {
        message: format!("--label-channel {wanted}: the checkpoint has channels {}", names.join(", ")),
        hint: "name one of them",
    })
}

/// Returns the last channel that shows fluorescence.
fn fluorescence(data: &PlateMeta) -> Option<usize> {
    data.channels.iter().rposition(|channel| channel.modality() == Some(Modality::Fluorescence))
}

/// Makes labels of sequences.
#[derive(Clone, Debug)]
pub enum Labelling {
    /// None.
    None,
    /// From the label domain of the generator.
    Joint {
        /// Which labels the maps show.
        mapped: MappedLabels,
        /// Image channels before the label maps.
        domains: usize,
        /// The label maps.
        maps: Vec<LabelMap>,
    },
    /// From the brightness of a channel.
    Threshold {
        /// The labels.
        label: LabelMeta,
        /// The channel.
        channel: usize,
        /// What makes an object.
        settings: RouteSettings,
    },
}

impl Labelling {
    /// Estimates a threshold from sequences `[T, C, H, W]`; no labels where there is nothing to part.
    pub fn threshold(label: LabelMeta, channel: usize, sequences: &[Array4<f32>]) -> Self {
        let planes = sequences
            .iter()
            .flat_map(|s| s.outer_iter().map(|frame| frame.index_axis_move(Axis(0), channel)));
        RouteSettings::estimate(planes).map_or(Self::None, |settings| Self::Threshold {
            label,
            channel,
            settings,
        })
    }

    /// Returns the label images that it makes.
    pub fn metas(&self) -> Vec<LabelMeta> {
        match self {
            Self::None => Vec::new(),
            Self::Threshold { label, .. } => vec![label.clone()],
            Self::Joint { mapped, maps, .. } => {
                let mut metas: Vec<LabelMeta> = Vec::new();
                for label in maps.iter().filter_map(|map| mapped.shown_by(*map)) {
                    if !metas.contains(label) {
                        metas.push(label.clone());
                    }
                }
                metas
            }
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
            Self::Joint { mapped, domains, maps } => {
                maps::decode(sequence, *domains, maps, mapped, &DecodeSettings::learned())
            }
            Self::Threshold { label, channel, settings } => {
                let fluorescence = sequence.index_axis(Axis(1), *channel);
                BTreeMap::from([(label.name.clone(), label_sequence(fluorescence, settings))])
            }
        }
    }

    /// Returns how clearly the labels of a sequence were drawn, where they were.
    pub fn margin(&self, sequence: &Array4<f32>, labels: &BTreeMap<String, Labels>) -> Option<f64> {
        let Self::Joint { mapped, domains, maps } = self else { return None };
        let objects = labels.get(&mapped.objects.as_ref()?.name)?;
        maps::margin(sequence, *domains, maps, objects, &DecodeSettings::learned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapsegan_core::plate::{Calibration, Channel, Origin};

    fn data(channels: &[&str], labels: &[&str]) -> PlateMeta {
        let calibration = Calibration { lo: 0.0, hi: 1.0, clipped_low: 0.0, clipped_high: 0.0 };
        let channel =
            |name: &&str| Channel { name: (*name).into(), color: [255; 3], recorded: None, calibration };
        let label = |name: &&str| LabelMeta {
            name: (*name).into(),
            kind: LabelKind::of_name(name),
            route: Some("annotation".into()),
        };
        PlateMeta {
            labels: labels.iter().map(label).collect(),
            ..PlateMeta::new(
                "prepare",
                Origin::Recording,
                [3, 32, 32],
                channels.iter().map(channel).collect(),
            )
        }
    }

    /// Returns name and channel of the labels of a plan without label domain.
    fn planned(data: &PlateMeta, change: impl Fn(&mut GenerationSettings)) -> Option<(String, usize)> {
        let mut settings = GenerationSettings::standard();
        change(&mut settings);
        match LabelPlan::new(&settings, data, &[], &MappedLabels::default()).unwrap() {
            LabelPlan::Threshold { label, channel } => Some((label.name, channel)),
            _ => None,
        }
    }

    #[test]
    fn labels_come_unasked_only_where_something_glows() {
        let auto = |channels: &[&str], labels: &[&str]| planned(&data(channels, labels), |_| ());
        assert_eq!(auto(&["phase", "gfp"], &[]), Some(("cells".into(), 1)));
        assert_eq!(auto(&["gfp", "brightfield"], &["nuclei"]), Some(("nuclei".into(), 0)));
        assert_eq!(auto(&["phase"], &[]), None);
        assert_eq!(auto(&["phase"], &["cells"]), None);
        assert_eq!(auto(&["ch0", "ch1"], &[]), None);
        assert_eq!(auto(&["brightfield", "ch1"], &["cells"]), Some(("cells".into(), 1)));
    }

    #[test]
    fn who_asks_gets_labels_of_any_channel() {
        let phase = data(&["phase"], &[]);
        let asked = planned(&phase, |s| s.label_route = Route::FluorescenceThreshold);
        assert_eq!(asked, Some(("cells".into(), 0)));
        let named = planned(&phase, |s| s.label_channel = "phase".into());
        assert_eq!(named, Some(("cells".into(), 0)));
        let settings = GenerationSettings { label_channel: "gfp".into(), ..GenerationSettings::standard() };
        let error = LabelPlan::new(&settings, &phase, &[], &MappedLabels::default()).unwrap_err();
        assert!(error.to_string().contains("gfp"), "{error}");
    }

    #[test]
    fn the_label_domain_writes_what_it_learned() {
        let labels = data(&["phase", "gfp"], &["zeta", "alpha", "structure"]).labels;
        let mapped = MappedLabels::choose(&labels, Some("alpha")).unwrap();
        let plan = LabelPlan::new(
            &GenerationSettings::standard(),
            &data(&["phase"], &["zeta", "alpha"]),
            &mapped.maps(),
            &mapped,
        );
        let LabelPlan::Joint(joint) = plan.unwrap() else { panic!("expected the label domain") };
        let labelling = Labelling::Joint { maps: joint.maps(), mapped: joint, domains: 1 };
        let metas = labelling.metas();
        let names: Vec<&str> = metas.iter().map(|label| label.name.as_str()).collect();
        assert_eq!(names, ["alpha", "structure"]);
        assert!(metas.iter().all(|label| label.route.as_deref() == Some("joint")));
    }
}
