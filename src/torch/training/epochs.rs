//! The order in which training sequences come: epoch by epoch, each shuffled anew from its own key.

use rand::seq::SliceRandom;

use lapsegan_core::seed::{self, Stream};

/// Epochs over some sequences, each in an order of its own.
pub(super) struct Epochs {
    stream: Stream,
    seed: u64,
    total: usize,
    order: Option<(u64, Vec<usize>)>,
}

impl Epochs {
    /// Starts before the first epoch; `total` is at least 1 where a position is asked for.
    pub(super) fn new(stream: Stream, seed: u64, total: usize) -> Self {
        Self { stream, seed, total, order: None }
    }

    /// Returns the sequence at a position of the epochs.
    pub(super) fn at(&mut self, position: u64) -> usize {
        let (epoch, within) = (position / self.total as u64, position % self.total as u64);
        if self.order.as_ref().is_none_or(|(known, _)| *known != epoch) {
            let mut indices: Vec<usize> = (0..self.total).collect();
            indices.shuffle(&mut seed::rng(self.stream, &[self.seed, epoch]));
            self.order = Some((epoch, indices));
        }
        self.order.as_ref().map_or(0, |(_, order)| order[within as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_every_sequence_once_in_an_order_of_its_own() {
        let mut epochs = Epochs::new(Stream::EpochOrder, 5, 12);
        let [first, second] =
            [0..12, 12..24].map(|positions| positions.map(|at| epochs.at(at)).collect::<Vec<usize>>());
        for order in [&first, &second] {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..12).collect::<Vec<_>>());
        }
        assert_ne!(first, second);
        assert_eq!(Epochs::new(Stream::EpochOrder, 5, 12).at(17), second[5]);
    }
}
