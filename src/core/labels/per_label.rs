//! A value for every label of an image.

use std::collections::BTreeMap;

/// Values by label. Equal labels follow each other in an image, so that the last one is remembered.
#[derive(Debug)]
pub(super) struct PerLabel<T> {
    slots: BTreeMap<u32, usize>,
    values: Vec<T>,
    last: Option<(u32, usize)>,
}

impl<T> Default for PerLabel<T> {
    fn default() -> Self {
        Self { slots: BTreeMap::new(), values: Vec::new(), last: None }
    }
}

impl<T> PerLabel<T> {
    /// Returns the value of a label, a new one where it has none yet.
    pub(super) fn at(&mut self, label: u32, new: impl FnOnce() -> T) -> &mut T {
        let slot = match self.last {
            Some((known, slot)) if known == label => slot,
            _ => *self.slots.entry(label).or_insert_with(|| {
                self.values.push(new());
                self.values.len() - 1
            }),
        };
        self.last = Some((label, slot));
        &mut self.values[slot]
    }

    /// Returns labels and values in the order of the labels.
    pub(super) fn into_sorted(self) -> impl Iterator<Item = (u32, T)> {
        let mut values: Vec<Option<T>> = self.values.into_iter().map(Some).collect();
        self.slots.into_iter().filter_map(move |(label, slot)| Some((label, values[slot].take()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_in_the_order_of_their_labels() {
        let mut counts = PerLabel::default();
        for label in [9, 9, 2, 9, 0, 2] {
            *counts.at(label, || 0) += 1;
        }
        assert_eq!(counts.into_sorted().collect::<Vec<_>>(), [(0, 1), (2, 2), (9, 3)]);
    }
}
