//! The image channels of a plate: names, colours, and whether they show fluorescence.

use serde::{Deserialize, Serialize};

use super::Calibration;

/// How a channel was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Bright where a fluorophore is: what a threshold can label.
    Fluorescence,
    /// Light that went through the sample: brightfield, phase contrast, DIC.
    Transmitted,
}

/// One image channel of a plate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Name as the user gave it, such as `phase` or `gfp`.
    pub name: String,
    /// Display colour, red green blue.
    pub color: [u8; 3],
    /// How it was recorded, where the user said so; otherwise [`Channel::modality`] goes by the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Modality>,
    /// Intensity range over the training part.
    pub calibration: Calibration,
}

/// Parts of channel names in lower case, and the colour that people expect.
const FLUORESCENCE: [(&[&str], [u8; 3]); 6] = [
    (&["gfp", "green", "488", "fitc", "venus"], [0, 255, 0]),
    (&["rfp", "cherry", "red", "561", "tomato", "mko", "mscarlet", "texas"], [255, 0, 0]),
    (&["yfp", "yellow", "citrine"], [255, 255, 0]),
    (&["cfp", "dapi", "bfp", "blue", "hoechst", "405", "cerulean"], [0, 128, 255]),
    (&["cy5", "far", "640", "cdc", "draq", "sir-"], [255, 0, 255]),
    (&["fluo", "cy3", "alexa", "gcamp"], [255, 255, 255]),
];

/// Parts of channel names in lower case that stand for transmitted light.
const TRANSMITTED: [&str; 7] = ["phase", "bright", "trans", "dic", "infrared", "white", "polaris"];
/// Names in lower case that stand for transmitted light.
const TRANSMITTED_NAMES: [&str; 5] = ["bf", "ph", "ph1", "ph2", "ph3"];

fn fluorescence(name: &str) -> Option<[u8; 3]> {
    let is = |(words, _): &&(&[&str], [u8; 3])| words.iter().any(|word| name.contains(word));
    FLUORESCENCE.iter().find(is).map(|(_, color)| *color)
}

/// Returns the display colour that people expect of a channel name.
pub fn display_color(name: &str) -> [u8; 3] {
    fluorescence(&name.to_lowercase()).unwrap_or([255; 3])
}

impl Channel {
    /// Returns how the channel was recorded, as the user said or as its name suggests; `None` where neither tells.
    pub fn modality(&self) -> Option<Modality> {
        self.recorded.or_else(|| modality(&self.name))
    }
}

/// Returns how a channel of that name was recorded; `None` where the name does not tell.
pub fn modality(name: &str) -> Option<Modality> {
    let name = name.to_lowercase();
    let transmitted = TRANSMITTED.iter().any(|word| name.contains(word))
        || TRANSMITTED_NAMES.iter().any(|whole| name.split(['_', '-']).any(|part| part == *whole));
    match (transmitted, fluorescence(&name)) {
        (true, _) => Some(Modality::Transmitted),
        (false, Some(_)) => Some(Modality::Fluorescence),
        (false, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_fluorescence_from_transmitted_light() {
        let calibration = Calibration { lo: 0.0, hi: 1.0, clipped_low: 0.0, clipped_high: 0.0 };
        let channel = |name: &str, recorded| Channel {
            name: name.into(),
            color: display_color(name),
            recorded,
            calibration,
        };
        for (name, modality) in [
            ("gfp", Some(Modality::Fluorescence)),
            ("mCherry", Some(Modality::Fluorescence)),
            ("Hoechst 33342", Some(Modality::Fluorescence)),
            ("brightfield", Some(Modality::Transmitted)),
            ("BF", Some(Modality::Transmitted)),
            ("img_bf", Some(Modality::Transmitted)),
            ("phase", Some(Modality::Transmitted)),
            ("infrared", Some(Modality::Transmitted)),
            ("bfp", Some(Modality::Fluorescence)),
            ("ch1", None),
        ] {
            assert_eq!(channel(name, None).modality(), modality, "{name}");
        }
        let flagged = channel("phase", Some(Modality::Fluorescence));
        assert_eq!(flagged.modality(), Some(Modality::Fluorescence));
    }
}
