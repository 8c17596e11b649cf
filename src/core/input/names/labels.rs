//! The words that say what stands behind them: `t007`, `ch1`, `xy03`, `z12`; and the usual names of channels.

/// What a field is, as far as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// Nothing says it.
    None,
    Time,
    Channel,
    Position,
    Z,
    /// A letter and a number of a multi-well plate.
    Well,
}

const TIME: [&str; 9] = ["t", "time", "timepoint", "tp", "frame", "fr", "timeindex", "cycle", "timestamp"];
const CHANNEL: [&str; 6] = ["c", "ch", "chan", "channel", "w", "wavelength"];
const POSITION: [&str; 28] = [
    "xy",
    "pos",
    "position",
    "p",
    "s",
    "series",
    "site",
    "stage",
    "field",
    "fov",
    "roi",
    "scene",
    "tile",
    "trap",
    "well",
    "colony",
    "chamber",
    "sample",
    "rep",
    "replicate",
    "movie",
    "exp",
    "experiment",
    "run",
    "point",
    "region",
    "seq",
    "sequence",
];
const Z: [&str; 6] = ["z", "slice", "zslice", "plane", "focus", "zplane"];

/// Names of channels, in lower case and without digits at their end.
const CHANNELS: [&str; 41] = [
    "bf",
    "brightfield",
    "bright",
    "phase",
    "ph",
    "phasecontrast",
    "pc",
    "dic",
    "trans",
    "transmitted",
    "tl",
    "td",
    "gfp",
    "egfp",
    "yfp",
    "eyfp",
    "cfp",
    "rfp",
    "bfp",
    "mcherry",
    "mkate",
    "mscarlet",
    "mneongreen",
    "mturquoise",
    "citrine",
    "venus",
    "tomato",
    "tdtomato",
    "dapi",
    "fitc",
    "tritc",
    "txred",
    "texasred",
    "hoechst",
    "cy",
    "alexa",
    "af",
    "fluo",
    "fluorescence",
    "irfp",
    "iris",
];

/// Returns what a word says of the number behind it. `Pos` counts in `MMStackPos` too. A word with a mark behind it
/// (`attached` is false) must have two letters, but for `t` and `z`.
pub(super) fn known_label(word: &str, attached: bool) -> Label {
    let last = last_hump(word).to_lowercase();
    let last = last.as_str();
    if !attached && last.len() < 2 && !["t", "z"].contains(&last) {
        return Label::None;
    }
    if TIME.contains(&last) {
        Label::Time
    } else if CHANNEL.contains(&last) {
        Label::Channel
    } else if POSITION.contains(&last) {
        Label::Position
    } else if Z.contains(&last) {
        Label::Z
    } else {
        Label::None
    }
}

/// Returns the end of a word from its last change from small to capital letters on.
fn last_hump(word: &str) -> &str {
    let humps = word.char_indices().zip(word.chars().skip(1));
    let start = humps.filter(|((_, a), b)| a.is_lowercase() && b.is_uppercase()).last();
    start.map_or(word, |((at, a), _)| &word[at + a.len_utf8()..])
}

/// Returns whether a word is the usual name of a channel, such as `GFP` or `Cy5`.
pub(super) fn is_channel(word: &str) -> bool {
    let plain: String = word.to_lowercase().chars().filter(|c| c.is_alphabetic()).collect();
    CHANNELS.contains(&plain.as_str())
}

/// Returns how many seconds a unit of time is.
pub(super) fn seconds_per_unit(word: &str) -> Option<f64> {
    match word.to_lowercase().as_str() {
        "ms" => Some(0.001),
        "s" | "sec" | "secs" | "seconds" => Some(1.0),
        "min" | "mins" | "minutes" => Some(60.0),
        "h" | "hr" | "hrs" | "hours" => Some(3600.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_words_directly_before_a_number() {
        for (word, attached, label) in [
            ("t", true, Label::Time),
            ("t", false, Label::Time),
            ("Time", false, Label::Time),
            ("s", true, Label::Position),
            ("s", false, Label::None),
            ("MMStackPos", true, Label::Position),
            ("expXY", true, Label::Position),
            ("CH", true, Label::Channel),
            ("img", true, Label::None),
            ("", true, Label::None),
        ] {
            assert_eq!(known_label(word, attached), label, "{word}");
        }
    }

    #[test]
    fn channels_have_usual_names() {
        assert!(["GFP", "BF", "Cy5", "Cy3", "mCherry", "Brightfield", "DAPI"].iter().all(|w| is_channel(w)));
        assert!(!is_channel("cells") && !is_channel("12") && !is_channel(""));
        assert_eq!(seconds_per_unit("min"), Some(60.0));
        assert_eq!(seconds_per_unit("px"), None);
    }
}
