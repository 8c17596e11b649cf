//! Whether a generator has seen what is held out: by the frames of split groups, and by their names where no more is known.

use std::collections::BTreeSet;

use super::compare::different;
use super::finding::{Finding, Leak};
use super::groups::SplitGroup;
use super::{Origin, Plate, Split};

const ALL_SPLITS: [Split; 3] = [Split::Train, Split::Val, Split::Test];

/// Compares what the generator was trained on with what is held out.
///
/// A frame on both sides is leakage. That there is none proves something only where the frames of both groups are known
/// and were taken from the same channel. Where they are not, as in plates and checkpoints written before there were
/// digests, equal names are a suspicion.
pub(super) fn history(real: &Plate, synthetic: &Plate, held_out: &[SplitGroup]) -> Vec<Finding> {
    // Sequences that no generator made are seen themselves by whatever learns from them.
    let made = synthetic.meta.origin == Origin::Synthetic;
    let mut trained_on = synthetic.meta.trained_on.clone();
    if !made {
        trained_on.extend(synthetic.groups(&ALL_SPLITS).into_iter().filter(SplitGroup::is_known));
    }
    let unknown = made && (trained_on.is_empty() || synthetic.meta.history_unknown);
    let mut findings = if unknown { vec![Finding::UnknownHistory] } else { Vec::new() };
    if trained_on.is_empty() {
        return findings;
    }
    let seen = |group: &SplitGroup| {
        let seen = trained_on.iter().find(|other| other.shares_frame(group))?;
        Some(Leak { held_out: group.name.clone(), seen_as: seen.name.clone() })
    };
    let leaks: Vec<Leak> = held_out.iter().filter_map(seen).collect();
    let anchor = |plate: &Plate| plate.meta.channels.first().map(|channel| channel.name.clone());
    let one_anchor = anchor(real) == anchor(synthetic);
    let decided = |a: &SplitGroup, b: &SplitGroup| one_anchor && a.is_known() && b.is_known();
    let suspected = |group: &&SplitGroup| {
        trained_on.iter().any(|other| other.name == group.name && !decided(group, other))
            && !leaks.iter().any(|leak| leak.held_out == group.name)
    };
    let same_names: Vec<String> = held_out.iter().filter(suspected).map(|group| group.name.clone()).collect();
    let all_decided = held_out.iter().all(|group| trained_on.iter().all(|other| decided(group, other)));

    if !same_names.is_empty() {
        let other_recording = other_recording(real, synthetic);
        findings.push(Finding::SameNames { groups: same_names, of: held_out.len(), other_recording });
    } else if leaks.is_empty() && !all_decided {
        findings.push(Finding::NamesOnly);
    }
    if !leaks.is_empty() {
        findings.insert(0, Finding::Leakage { groups: leaks, of: held_out.len(), made });
    }
    findings
}

/// Returns what shows that equal names are those of another recording.
///
/// Calibration, pixel size and frame size show nothing: they change when the same recording is prepared otherwise.
fn other_recording(real: &Plate, synthetic: &Plate) -> Option<String> {
    let (a, b) = (real.meta.frame_interval_s, synthetic.meta.frame_interval_s);
    if let Some((a, b)) = different(a, b) {
        return Some(format!("frames are {a} s and {b} s apart"));
    }
    // Blocks of one movie are numbered, and another block length gives other numbers.
    if real.meta.single_movie || synthetic.meta.single_movie {
        return None;
    }
    // A plate has all positions of its recording.
    let there: BTreeSet<&str> = real.wells.iter().map(|(_, s)| s.split_group.as_str()).collect();
    let unknown = synthetic.meta.trained_on.iter().find(|group| !there.contains(group.name.as_str()));
    unknown.map(|group| {
        format!("the generator knows a group {}, which the real plate does not have", group.name)
    })
}

#[cfg(test)]
mod tests {
    use super::super::compare::tests::{HELD_OUT, expect, found, frames, plate};
    use super::super::compare::{Comparison, Scope, compare};
    use super::super::finding::Severity;
    use super::*;

    #[test]
    fn leakage_is_found_by_frames_under_any_name() {
        let renamed = |_: &mut Plate, s: &mut Plate| s.meta.trained_on[0] = SplitGroup::new("xy1", frames(4));
        let words = ["1 of the 3 held-out groups", "(e, trained on as xy1)"];
        expect(&found(renamed), Severity::Limit, &words);
        // Another block length: one frame in common.
        let overlap =
            |_: &mut Plate, s: &mut Plate| s.meta.trained_on[0] = SplitGroup::new("e", [7, 8, frames(4)[3]]);
        expect(&found(overlap), Severity::Limit, &["held-out groups (e)"]);
    }

    #[test]
    fn a_real_plate_in_the_place_of_a_synthetic_one_shows_its_own_held_out_frames() {
        let findings = found(|r, s| {
            (s.meta.origin, s.meta.trained_on) = (Origin::Recording, Vec::new());
            (s.meta.groups, s.wells) = (r.meta.groups.clone(), r.wells.clone());
        });
        let leaked = Comparison { findings: findings.clone() }.leaked_groups();
        assert_eq!(leaked, ["d", "e", "f"]);
        let words = "given as synthetic shows frames of 3 of the 3 held-out groups (d, e, f)";
        assert!(findings.iter().any(|finding| finding.sentence().contains(words)), "{findings:?}");
    }

    #[test]
    fn equal_names_of_other_frames_accuse_nobody() {
        let unrelated = |_: &mut Plate, s: &mut Plate| s.meta.trained_on[0] = SplitGroup::new("d", [7, 8, 9]);
        assert_eq!(found(unrelated), []);
    }

    #[test]
    fn where_only_names_are_known_equal_ones_are_a_suspicion() {
        let same = |r: &mut Plate, s: &mut Plate| {
            r.meta.groups.clear();
            s.meta.trained_on = ["a", "d"].map(SplitGroup::named).to_vec();
        };
        let findings = found(same);
        expect(&findings, Severity::Limit, &["names of 1 of the 3 held-out groups (d)", "not known"]);
        assert_eq!(Comparison { findings }.leaked_groups(), ["d"]);

        let foreign = |_: &mut Plate, s: &mut Plate| {
            s.meta.trained_on = ["a", "d", "position-319"].map(SplitGroup::named).to_vec();
        };
        let findings = found(foreign);
        expect(&findings, Severity::Note, &["another recording", "position-319"]);
        assert_eq!(Comparison { findings }.leaked_groups(), Vec::<String>::new());

        // Other numbers of blocks do not show that it is another movie.
        let blocks = |r: &mut Plate, s: &mut Plate| {
            r.meta.single_movie = true;
            foreign(r, s);
        };
        let findings = found(blocks);
        let open = |f: &Finding| matches!(f, Finding::SameNames { other_recording: None, .. });
        assert!(findings.iter().any(open), "{findings:?}");

        let slower = |_: &mut Plate, s: &mut Plate| {
            s.meta.trained_on = ["d"].map(SplitGroup::named).to_vec();
            s.meta.frame_interval_s = Some(180.0);
        };
        let findings = found(slower);
        assert!(matches!(&findings[1], Finding::SameNames { other_recording: Some(_), .. }), "{findings:?}");

        let other_names =
            |_: &mut Plate, s: &mut Plate| s.meta.trained_on = ["a", "b"].map(SplitGroup::named).to_vec();
        expect(&found(other_names), Severity::Note, &["only the names are known"]);
    }

    #[test]
    fn digests_of_another_channel_prove_no_difference() {
        let (mut real, mut synthetic) = (plate(Origin::Recording), plate(Origin::Synthetic));
        real.meta.channels.swap(0, 1);
        let names = ["phase".to_owned()];
        let scope = Scope { channels: Some(&names), held_out: HELD_OUT };
        expect(&compare(&real, &synthetic, scope).findings, Severity::Note, &["only the names"]);
        synthetic.meta.trained_on[0].name = "d".into();
        expect(&compare(&real, &synthetic, scope).findings, Severity::Limit, &["names of 1 of the 3"]);
    }

    #[test]
    fn a_synthetic_plate_without_a_history_is_named() {
        expect(&found(|_, s| s.meta.trained_on.clear()), Severity::Limit, &["does not say"]);
        // Weights of an unknown history were taken over.
        expect(&found(|_, s| s.meta.history_unknown = true), Severity::Limit, &["does not say"]);
    }
}
