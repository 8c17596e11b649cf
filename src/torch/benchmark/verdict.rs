//! What a difference says, in one word.

use serde::Serialize;

use lapsegan_core::stats::bootstrap::Estimate;

/// Average precision below which a segmenter has learnt nothing that could be compared.
pub(super) const LEARNT: f64 = 0.1;

/// What the primary endpoint says about a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval of the difference lies above 0.
    Helps,
    /// The whole interval lies below 0.
    Hurts,
    /// Neither, or there is no interval.
    NoEvidence,
    /// Both arms stay below an average precision of 0.1, where differences say nothing about the data.
    NothingLearnt,
}

impl Verdict {
    /// Returns the verdict on a difference between two arms; `p_holm` is its p value among those of other numbers of
    /// sequences, where there are any, and must be as rare as what lies outside of an interval.
    pub(super) fn of(
        difference: &Estimate,
        levels: [Option<&Estimate>; 2],
        p_holm: Option<f64>,
        confidence: f64,
    ) -> Self {
        if levels.iter().all(|level| level.is_some_and(learnt_nothing)) {
            return Self::NothingLearnt;
        }
        if p_holm.is_some_and(|p| p > 1.0 - confidence) {
            return Self::NoEvidence;
        }
        match difference.interval {
            Some([low, _]) if low > 0.0 => Self::Helps,
            Some([_, high]) if high < 0.0 => Self::Hurts,
            _ => Self::NoEvidence,
        }
    }

    /// Returns it for a table.
    pub fn words(self) -> &'static str {
        match self {
            Self::Helps => "helps",
            Self::Hurts => "hurts",
            Self::NoEvidence => "no evidence",
            Self::NothingLearnt => "nothing learnt",
        }
    }
}

/// Returns whether a segmenter of this score has learnt anything that could be compared.
pub(super) fn learnt_nothing(level: &Estimate) -> bool {
    level.value.is_some_and(|value| value < LEARNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate_of(interval: Option<[f64; 2]>) -> Estimate {
        Estimate { value: Some(0.02), interval, no_interval: None, p: None }
    }

    #[test]
    fn a_verdict_needs_an_interval_on_one_side() {
        let level = Estimate { value: Some(0.5), interval: None, no_interval: None, p: None };
        let verdict = |interval| Verdict::of(&estimate_of(interval), [Some(&level); 2], None, 0.95);
        assert_eq!(verdict(Some([0.001, 0.04])), Verdict::Helps);
        assert_eq!(verdict(Some([-0.05, -0.009])), Verdict::Hurts);
        assert_eq!(verdict(Some([-0.05, 0.09])), Verdict::NoEvidence);
        assert_eq!(verdict(None), Verdict::NoEvidence);
        let among_others =
            |p| Verdict::of(&estimate_of(Some([0.001, 0.04])), [Some(&level); 2], Some(p), 0.95);
        assert_eq!([0.04, 0.06].map(among_others), [Verdict::Helps, Verdict::NoEvidence]);
    }

    #[test]
    fn arms_that_learnt_nothing_are_not_compared() {
        let level = |value| Estimate { value: Some(value), interval: None, no_interval: None, p: None };
        for interval in [Some([0.001, 0.04]), Some([-0.05, 0.009]), None] {
            let verdict = |levels: [f64; 2]| {
                let [arm, against] = levels.map(level);
                Verdict::of(&estimate_of(interval), [Some(&arm), Some(&against)], None, 0.95)
            };
            assert_eq!(verdict([0.04, 0.099]), Verdict::NothingLearnt);
            assert_ne!(verdict([0.04, 0.1]), Verdict::NothingLearnt);
            assert_ne!(verdict([0.1, 0.04]), Verdict::NothingLearnt);
        }
    }
}
