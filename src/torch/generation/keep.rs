//! Which drawn sequences are kept, by what their labels say: `objects>=3`, or as many of each kind.

use std::collections::BTreeMap;
use std::str::FromStr;

use ndarray::Axis;
use serde_json::{Value, json};

use super::run::n_objects;
use lapsegan_core::plate::labels::of_kind;
use lapsegan_core::plate::{LabelKind, Modality, PlateMeta, Sequence};

/// Sequences that are looked at to find out which kinds there are.
pub const PILOT: u64 = 256;
/// Share of the pilot that makes a kind: rarer ones would take very long to draw.
const LEAST_SHARE: f64 = 0.02;
/// Kinds of a quantity that is no count.
const BINS: usize = 5;

/// What of a sequence is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Tracked objects.
    Objects,
    /// Share of pixels that are labelled, in [0, 1].
    Area,
    /// Mean counts inside of objects, in the last channel that shows fluorescence.
    Fluorescence,
}

impl Quantity {
    /// The words of the flags, with what they mean.
    pub const WORDS: [(&'static str, &'static str); 3] = [
        ("objects", "Tracked objects of the sequence"),
        ("area", "Share of pixels that are labelled, 0 to 1"),
        ("fluorescence", "Mean counts inside of objects, in the last channel of fluorescence"),
    ];

    /// Returns its word.
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize].0
    }

    /// Returns the value for a sequence of a plate; NaN where there is none, which meets no condition.
    pub fn of(self, plate: &PlateMeta, sequence: &Sequence) -> f64 {
        let Some(labels) = of_kind(&plate.labels, LabelKind::Objects)
            .next()
            .and_then(|label| sequence.labels.get(&label.name))
        else {
            return f64::NAN;
        };
        let labelled = || labels.ids.iter().filter(|id| **id > 0).count() as f64;
        match self {
            Self::Objects => n_objects(plate, sequence) as f64,
            Self::Area => labelled() / labels.ids.len().max(1) as f64,
            Self::Fluorescence => {
                let Some(channel) = fluorescence(plate) else { return f64::NAN };
                let counts = sequence.image.index_axis(Axis(1), channel);
                let inside = counts.iter().zip(&labels.ids).filter(|(_, id)| **id > 0);
                inside.map(|(count, _)| f64::from(*count)).sum::<f64>() / labelled()
            }
        }
    }

    /// Returns why a plate does not tell it.
    pub fn missing(self, plate: &PlateMeta) -> Option<&'static str> {
        if of_kind(&plate.labels, LabelKind::Objects).next().is_none() {
            return Some("no labels of objects are made");
        }
        (self == Self::Fluorescence && fluorescence(plate).is_none())
            .then_some("no channel shows fluorescence")
    }
}

impl FromStr for Quantity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Objects, Self::Area, Self::Fluorescence];
        all.into_iter()
            .find(|quantity| quantity.word() == text)
            .ok_or_else(|| format!("`{text:.40}` is unknown, expected objects, area or fluorescence"))
    }
}

fn fluorescence(plate: &PlateMeta) -> Option<usize> {
    plate.channels.iter().rposition(|channel| channel.modality() == Some(Modality::Fluorescence))
}

/// A condition such as `objects>=3`.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// What is looked at.
    pub quantity: Quantity,
    operator: &'static str,
    value: f64,
}

/// Longer ones first, so that `>=` is not read as `>`.
const OPERATORS: [&str; 7] = [">=", "<=", "!=", "==", ">", "<", "="];

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{why}; expected a condition such as objects>=3 or area<0.2");
        let found = OPERATORS.iter().filter_map(|operator| Some((text.find(operator)?, *operator)));
        let Some((at, operator)) = found.min_by_key(|(at, operator)| (*at, usize::MAX - operator.len()))
        else {
            return Err(wrong(&format!("`{text:.80}` compares nothing")));
        };
        let quantity = text[..at].trim().parse().map_err(|e: String| wrong(&e))?;
        let number = text[at + operator.len()..].trim();
        let value = number.parse::<f64>().ok().filter(|value| value.is_finite());
        let value = value.ok_or_else(|| wrong(&format!("`{number:.40}` is no number")))?;
        Ok(Self { quantity, operator, value })
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}{}", self.quantity.word(), self.operator, self.value)
    }
}

impl Condition {
    /// Returns whether a value meets it.
    pub fn holds(&self, value: f64) -> bool {
        match self.operator {
            ">=" => value >= self.value,
            "<=" => value <= self.value,
            ">" => value > self.value,
            "<" => value < self.value,
            "!=" => !value.is_nan() && value != self.value,
            _ => value == self.value,
        }
    }
}

/// What is asked of the sequences that are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Conditions that must all hold.
    pub conditions: Vec<Condition>,
    /// A quantity of whose kinds equally many are kept.
    pub balance: Option<Quantity>,
}

impl Wanted {
    /// Returns whether nothing is asked.
    pub fn is_nothing(&self) -> bool {
        self.conditions.is_empty() && self.balance.is_none()
    }

    /// Returns the quantities that it looks at.
    pub fn quantities(&self) -> impl Iterator<Item = Quantity> {
        self.conditions.iter().map(|condition| condition.quantity).chain(self.balance)
    }

    /// Returns whether all conditions hold for a sequence.
    pub fn holds(&self, plate: &PlateMeta, sequence: &Sequence) -> bool {
        self.conditions.iter().all(|condition| condition.holds(condition.quantity.of(plate, sequence)))
    }

    /// Returns it in words.
    pub fn words(&self) -> String {
        let conditions = self.conditions.iter().map(ToString::to_string);
        let balance = self.balance.map(|quantity| format!("balanced by {}", quantity.word()));
        conditions.chain(balance).collect::<Vec<_>>().join(", ")
    }
}

/// The kinds of a quantity and how many of each are still wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Kinds {
    quantity: Quantity,
    /// Lower ends of the kinds, and the upper end of the last one. A count has the kind of its number.
    edges: Vec<f64>,
    /// Kind to what is wanted of it and what is there.
    quota: BTreeMap<usize, [u64; 2]>,
}

impl Kinds {
    /// Finds the kinds in the values of a pilot, and deals out `count` to them evenly; `None` without a value.
    pub fn new(quantity: Quantity, pilot: &[f64], count: u64) -> Option<Self> {
        let mut values: Vec<f64> = pilot.iter().copied().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values.get(((values.len() - 1) as f64 * share).round() as usize).copied();
        if values.is_empty() {
            return None;
        }
        let edges = if quantity == Quantity::Objects {
            Vec::new()
        } else {
            let (lo, hi) = (at(0.01)?, at(0.99)?);
            (0..=BINS).map(|k| lo + (hi - lo) * k as f64 / BINS as f64).collect()
        };
        let mut kinds = Self { quantity, edges, quota: BTreeMap::new() };
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        for value in &values {
            *seen.entry(kinds.kind(*value)).or_default() += 1;
        }
        let least = (LEAST_SHARE * values.len() as f64).max(1.0);
        let common: Vec<usize> =
            seen.into_iter().filter(|(_, n)| *n as f64 >= least).map(|(kind, _)| kind).collect();
        let n = common.len() as u64;
        let share = |i: usize| count / n + u64::from((i as u64) < count % n);
        kinds.quota = common.into_iter().enumerate().map(|(i, kind)| (kind, [share(i), 0])).collect();
        Some(kinds)
    }

    fn kind(&self, value: f64) -> usize {
        match self.quantity {
            Quantity::Objects => value as usize,
            _ => self.edges[1..BINS].iter().filter(|edge| value >= **edge).count(),
        }
    }

    /// Returns whether one more of the kind of a value is wanted, and counts it then.
    pub fn take(&mut self, value: f64) -> bool {
        if value.is_nan() {
            return false;
        }
        let kind = self.kind(value);
        match self.quota.get_mut(&kind) {
            Some([wanted, there]) if *there < *wanted => {
                *there += 1;
                true
            }
            _ => false,
        }
    }

    /// Returns the kinds with what is wanted and there, for the record.
    pub fn to_json(&self) -> Value {
        let name = |kind: usize| match self.quantity {
            Quantity::Objects => kind.to_string(),
            _ => format!("{:.4} to {:.4}", self.edges[kind], self.edges[kind + 1]),
        };
        let kinds = self.quota.iter().map(|(kind, [wanted, there])| {
            json!({ self.quantity.word(): name(*kind), "wanted": wanted, "kept": there })
        });
        kinds.collect::<Vec<_>>().into()
    }

    /// Returns the kind of which most are missing, in words.
    pub fn rarest(&self) -> String {
        let rarest = self.quota.iter().max_by_key(|(_, [wanted, there])| wanted - there);
        rarest.map_or_else(String::new, |(kind, [wanted, there])| {
            format!("{} of {wanted} with {} {kind}", there, self.quantity.word())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_and_hold() {
        for (text, yes, no) in [
            ("objects>=3", 3.0, 2.0),
            ("objects > 3", 4.0, 3.0),
            ("area<0.2", 0.1, 0.2),
            ("fluorescence<=1e3", 1000.0, 1000.5),
            ("objects=2", 2.0, 3.0),
            ("objects == 2", 2.0, 1.0),
            ("objects!=2", 1.0, 2.0),
        ] {
            let condition: Condition = text.parse().unwrap();
            assert!(condition.holds(yes) && !condition.holds(no) && !condition.holds(f64::NAN), "{text}");
        }
        for bad in ["", "objects", ">=3", "cells>=3", "objects>=", "objects>=x", "objects>=NaN", "objects=>3"]
        {
            assert!(bad.parse::<Condition>().is_err(), "{bad}");
        }
        assert_eq!("objects >= 3".parse::<Condition>().unwrap().to_string(), "objects>=3");
    }

    #[test]
    fn kinds_get_equal_shares_and_rare_ones_none() {
        let mut pilot = vec![1.0; 50];
        pilot.extend(vec![2.0; 30]);
        pilot.extend(vec![4.0; 19]);
        pilot.push(9.0);
        let mut kinds = Kinds::new(Quantity::Objects, &pilot, 7).unwrap();
        let kept = [1.0, 1.0, 1.0, 1.0, 9.0, 2.0, 2.0, 2.0, 4.0, 4.0, 3.0, f64::NAN].map(|n| kinds.take(n));
        assert_eq!(kept, [true, true, true, false, false, true, true, false, true, true, false, false]);
        assert!(Kinds::new(Quantity::Area, &[f64::NAN], 7).is_none());
        let areas: Vec<f64> = (0..100).map(|i| f64::from(i) / 100.0).collect();
        let kinds = Kinds::new(Quantity::Area, &areas, 10).unwrap();
        assert_eq!(kinds.quota.len(), BINS);
        assert_eq!([0.0, 0.1, 0.99, 2.0].map(|area| kinds.kind(area)), [0, 0, 4, 4]);
    }
}
