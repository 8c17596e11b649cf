//! The one judge of whether two plates may be compared: a real one with a held-out part, and a synthetic one.
//!
//! `evaluate` and `segment-benchmark` both ask here, so that the same plates give the same sentences. Each decides for
//! itself only which findings it refuses. Leakage is judged by frames, not by names: a renamed copy of a recording is
//! found, and equal names of unrelated recordings are not taken for leakage.

pub use super::finding::{Extents, Finding, Leak, Role, Severity};
use super::groups::SplitGroup;
use super::leakage;
use super::{Calibration, Channel, Origin, Plate, PlateMeta, Split};

/// Relative difference of pixel sizes and frame intervals that is rounding: 0.0833 and 1/12 are the same number.
const ROUNDING: f64 = 1e-3;

/// Share of the real range by which an end of a calibration may differ before intensities can hardly be compared. The
/// percentiles of two parts of a recording of many positions differ by a few per cent of the range.
const FAR: f64 = 0.1;

/// Fewest groups whose sequences count as independent.
const FEWEST_GROUPS: usize = 3;

/// What of two plates is compared.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Channels, found by name in both plates; `None` for all of them in their order.
    pub channels: Option<&'a [String]>,
    /// Splits of the real plate that are held out.
    pub held_out: &'a [Split],
}

/// What matters when two plates are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The most severe findings first.
    pub findings: Vec<Finding>,
}

impl Comparison {
    /// Returns the sentences of all findings.
    ///
    /// # Errors
    /// The first finding that a program refuses.
    pub fn unless(self, refused: impl Fn(&Finding) -> bool) -> Result<Vec<String>, Finding> {
        match self.findings.iter().find(|finding| refused(finding)) {
            Some(finding) => Err(finding.clone()),
            None => Ok(self.findings.iter().map(Finding::sentence).collect()),
        }
    }

    /// Returns the names of the held-out groups that the generator has seen, or may have seen for all that is known.
    pub fn leaked_groups(&self) -> Vec<String> {
        let of = |finding: &Finding| match finding {
            Finding::Leakage { groups, .. } => groups.iter().map(|leak| leak.held_out.clone()).collect(),
            Finding::SameNames { groups, other_recording: None, .. } => groups.clone(),
            _ => Vec::new(),
        };
        self.findings.iter().flat_map(of).collect()
    }
}

/// Judges two plates by their metadata; pixels are not read.
pub fn compare(real: &Plate, synthetic: &Plate, scope: Scope) -> Comparison {
    let mut findings = Vec::new();
    let (a, b) = (&real.meta, &synthetic.meta);
    let channels = channels(a, b, scope.channels, &mut findings);
    form(a, b, &mut findings);
    if b.origin != Origin::Synthetic {
        findings.push(Finding::NotSynthetic { origin: b.origin });
    }
    if a.origin == Origin::Synthetic {
        findings.push(Finding::NotReal);
    }
    held_out(real, scope.held_out, &mut findings);
    findings.extend(leakage::history(real, synthetic, &real.groups(scope.held_out)));
    for (real, synthetic) in channels {
        findings.extend(calibration(&real.name, &real.calibration, &synthetic.calibration));
    }
    if a.normalise == "original" {
        findings.push(Finding::NormalisedByFrame);
    }
    // Stable: findings of one severity keep their order.
    findings.sort_by_key(Finding::severity);
    Comparison { findings }
}

/// Returns the channels that are compared, those of the real plate first.
fn channels<'a>(
    real: &'a PlateMeta,
    synthetic: &'a PlateMeta,
    wanted: Option<&[String]>,
    findings: &mut Vec<Finding>,
) -> Vec<(&'a Channel, &'a Channel)> {
    let names = |meta: &PlateMeta| meta.channels.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    let Some(wanted) = wanted else {
        let (real_names, synthetic_names) = (names(real), names(synthetic));
        if real_names != synthetic_names {
            findings.push(Finding::Channels { real: real_names, synthetic: synthetic_names });
            return Vec::new();
        }
        return real.channels.iter().zip(&synthetic.channels).collect();
    };
    let mut found = Vec::new();
    for name in wanted {
        let [a, b] = [real, synthetic].map(|meta| meta.channels.iter().find(|c| c.name == *name));
        for (plate, meta, channel) in [(Role::Real, real, a), (Role::Synthetic, synthetic, b)] {
            if channel.is_none() {
                findings.push(Finding::MissingChannel { plate, channel: name.clone(), there: names(meta) });
            }
        }
        found.extend(a.zip(b));
    }
    found
}

/// Compares frames, pixels, and what they measure.
fn form(real: &PlateMeta, synthetic: &PlateMeta, findings: &mut Vec<Finding>) {
    let (a, b) = (Extents::of(real), Extents::of(synthetic));
    if a != b {
        findings.push(Finding::Size { real: a, synthetic: b });
    }
    if let Some((real, synthetic)) = different(real.pixel_size_um, synthetic.pixel_size_um) {
        findings.push(Finding::PixelSize { real, synthetic });
    }
    if let Some((real, synthetic)) = different(real.frame_interval_s, synthetic.frame_interval_s) {
        findings.push(Finding::FrameInterval { real, synthetic });
    }
}

/// Returns two numbers that are both known and differ by more than rounding.
pub(super) fn different(a: Option<f64>, b: Option<f64>) -> Option<(f64, f64)> {
    a.zip(b).filter(|(a, b)| (a - b).abs() > ROUNDING * a.abs())
}

/// Looks at how the real plate was divided.
fn held_out(real: &Plate, splits: &[Split], findings: &mut Vec<Finding>) {
    let groups = real.groups(splits);
    let training = real.groups(&[Split::Train]);
    let in_training = |group: &&SplitGroup| {
        training.iter().any(|other| other.name == group.name || other.shares_frame(group))
    };
    let shared: Vec<String> = groups.iter().filter(in_training).map(|group| group.name.clone()).collect();
    if !shared.is_empty() {
        findings.push(Finding::SharedGroups { groups: shared });
    }
    if real.meta.single_movie {
        findings.push(Finding::SingleMovie);
    } else if (1..FEWEST_GROUPS).contains(&groups.len()) {
        let sequences = real.wells.iter().filter(|(_, s)| splits.contains(&s.split)).count();
        findings.push(Finding::FewGroups { sequences, groups: groups.len() });
    }
}

/// Compares the intensity ranges of a channel.
fn calibration(name: &str, real: &Calibration, synthetic: &Calibration) -> Option<Finding> {
    let off = (real.lo - synthetic.lo).abs().max((real.hi - synthetic.hi).abs());
    (off > 0.0).then(|| Finding::Calibration {
        channel: name.to_owned(),
        real: [real.lo, real.hi],
        synthetic: [synthetic.lo, synthetic.hi],
        far: off > FAR * (real.hi - real.lo),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::plate::SequenceMeta;

    pub(in crate::plate) const HELD_OUT: &[Split] = &[Split::Val, Split::Test];

    /// Returns a plate of four sequences in a group of its own each, whose frames are known.
    pub(in crate::plate) fn plate(origin: Origin) -> Plate {
        let channel = |name: &str| Channel {
            name: name.to_owned(),
            color: [255; 3],
            recorded: None,
            calibration: Calibration { lo: 100.0, hi: 900.0, clipped_low: 0.0, clipped_high: 0.0 },
        };
        let splits = [
            ("a", Split::Train),
            ("b", Split::Train),
            ("c", Split::Train),
            ("d", Split::Test),
            ("e", Split::Test),
            ("f", Split::Test),
        ];
        let sequence = |(group, split): (&str, Split)| SequenceMeta {
            source: "drawn".into(),
            first_frame: 0,
            split,
            split_group: group.into(),
            frame_ranges: None,
            label_margin: None,
        };
        let group = |(i, (name, _)): (usize, &(&str, Split))| SplitGroup::new(*name, frames(i));
        let groups: Vec<SplitGroup> = splits.iter().enumerate().map(group).collect();
        let synthetic = origin == Origin::Synthetic;
        Plate {
            path: "plate.ome.zarr".into(),
            meta: PlateMeta {
                pixel_size_um: Some(0.5),
                frame_interval_s: Some(600.0),
                trained_on: if synthetic { groups[..3].to_vec() } else { Vec::new() },
                groups: if synthetic { Vec::new() } else { groups },
                ..PlateMeta::new("test", origin, [3, 32, 32], vec![channel("phase"), channel("gfp")])
            },
            wells: splits.into_iter().map(|split| (format!("A/{}", split.0), sequence(split))).collect(),
        }
    }

    /// Returns the digests of group number `i`.
    pub(in crate::plate) fn frames(i: usize) -> Vec<u64> {
        (0..4).map(|t| (100 * i + t) as u64).collect()
    }

    /// Returns what is found after a change to the real and the synthetic plate.
    pub(in crate::plate) fn found(change: impl FnOnce(&mut Plate, &mut Plate)) -> Vec<Finding> {
        let (mut real, mut synthetic) = (plate(Origin::Recording), plate(Origin::Synthetic));
        change(&mut real, &mut synthetic);
        compare(&real, &synthetic, Scope { channels: None, held_out: HELD_OUT }).findings
    }

    /// Checks the only finding by its severity and words of its sentence.
    pub(in crate::plate) fn expect(findings: &[Finding], severity: Severity, words: &[&str]) {
        assert_eq!(findings.len(), 1, "{findings:?}");
        let sentence = findings[0].sentence();
        assert_eq!(findings[0].severity(), severity, "{sentence}");
        assert!(sentence.ends_with('.') && !findings[0].hint().is_empty(), "{sentence}");
        for word in words {
            assert!(sentence.contains(word), "{word}: {sentence}");
        }
    }

    #[test]
    fn plates_that_fit_give_no_finding() {
        assert_eq!(found(|_, _| {}), []);
        // Less than rounding.
        let close = |_: &mut Plate, s: &mut Plate| {
            s.meta.pixel_size_um = Some(0.5004);
            s.meta.frame_interval_s = Some(599.9);
        };
        assert_eq!(found(close), []);
        // What is not known does not differ.
        assert_eq!(found(|_, s| (s.meta.pixel_size_um, s.meta.frame_interval_s) = (None, None)), []);
    }

    #[test]
    fn other_channels_or_another_order_are_refused_with_both_lists() {
        let findings = found(|_, s| s.meta.channels.swap(0, 1));
        expect(&findings[..1], Severity::Refuse, &["gfp, phase", "phase, gfp"]);
        let findings = found(|_, s| s.meta.channels[1].name = "rfp".into());
        expect(&findings, Severity::Refuse, &["phase, rfp"]);
    }

    #[test]
    fn of_named_channels_only_these_must_be_there() {
        let (mut real, mut synthetic) = (plate(Origin::Recording), plate(Origin::Synthetic));
        real.meta.channels[1].name = "rfp".into();
        synthetic.meta.channels[1].calibration.hi = 5000.0;
        let compared = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            compare(&real, &synthetic, Scope { channels: Some(&names), held_out: HELD_OUT }).findings
        };
        assert_eq!(compared(&["phase"]), []);
        expect(&compared(&["gfp"]), Severity::Refuse, &["real plate has no channel gfp, it has phase, rfp"]);
        expect(&compared(&["rfp"]), Severity::Refuse, &["synthetic plate has no channel rfp"]);
    }

    #[test]
    fn what_is_measured_otherwise_is_named_with_both_values() {
        let findings = found(|_, s| s.meta.width = 64);
        expect(&findings, Severity::Refuse, &["3 frames of 32x64", "3 frames of 32x32"]);
        let findings = found(|_, s| s.meta.pixel_size_um = Some(0.65));
        expect(&findings, Severity::Limit, &["0.65 um", "0.5 um"]);
        let findings = found(|_, s| s.meta.frame_interval_s = Some(180.0));
        expect(&findings, Severity::Limit, &["180 s apart", "600 s"]);
        let findings = found(|_, s| s.meta.channels[1].calibration.hi = 979.0);
        expect(&findings, Severity::Note, &["gfp", "100 to 979", "100 to 900"]);
        let findings = found(|_, s| s.meta.channels[1].calibration.lo = 19.0);
        expect(&findings, Severity::Limit, &["gfp", "19 to 900"]);
        expect(&found(|r, _| r.meta.normalise = "original".into()), Severity::Limit, &["frame by frame"]);
    }

    #[test]
    fn plates_given_as_what_they_are_not_are_named() {
        let phantom = |_: &mut Plate, s: &mut Plate| s.meta.origin = Origin::Phantom;
        expect(&found(phantom), Severity::Limit, &["is a phantom"]);
        expect(&found(|r, _| r.meta.origin = Origin::Synthetic), Severity::Limit, &["given as real"]);
    }

    #[test]
    fn few_groups_and_single_movies_limit_the_conclusion() {
        let few = |r: &mut Plate, _: &mut Plate| {
            r.wells.truncate(5);
        };
        expect(&found(few), Severity::Limit, &["2 held-out sequences come from 2 group(s)"]);
        let movie = |r: &mut Plate, _: &mut Plate| {
            r.meta.single_movie = true;
            r.wells.truncate(5);
        };
        expect(&found(movie), Severity::Limit, &["blocks of one movie"]);
    }

    #[test]
    fn a_real_plate_that_trains_on_what_it_holds_out_is_refused() {
        let name = |r: &mut Plate, _: &mut Plate| r.wells[0].1.split_group = "d".into();
        expect(&found(name), Severity::Refuse, &["(d)"]);
        // A copy of a position under another name.
        let copy = |r: &mut Plate, s: &mut Plate| {
            r.meta.groups[4] = SplitGroup::new("e", frames(1));
            s.meta.trained_on.remove(1);
        };
        expect(&found(copy), Severity::Refuse, &["(e)"]);
    }
}
