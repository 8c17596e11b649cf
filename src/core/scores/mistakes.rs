//! What people see at once: cells that were merged, and cells that were cut.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::ctc::matches;
use super::overlap::OverlapTable;

/// Counts of one image, or summed over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistakes {
    /// Predicted objects that cover more than half of each of several true ones.
    pub merges: u64,
    /// True objects in which more than half of each of several predicted ones lies.
    pub splits: u64,
}

impl AddAssign for Mistakes {
    fn add_assign(&mut self, other: Self) {
        self.merges += other.merges;
        self.splits += other.splits;
    }
}

/// Counts merges and splits.
///
/// # Examples
/// ```
/// use lapsegan_core::labels;
/// use lapsegan_core::scores::mistakes::{Mistakes, mistakes};
/// use lapsegan_core::scores::overlap::OverlapTable;
///
/// let truth = labels![[1 1 2 2 . 3 3 3 3]];
/// let prediction = labels![[5 5 5 5 . 6 6 7 7]];
/// let table = OverlapTable::new(truth.view(), prediction.view())?;
/// assert_eq!(mistakes(&table), Mistakes { merges: 1, splits: 1 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn mistakes(table: &OverlapTable) -> Mistakes {
    let mut covers = vec![0_u32; table.prediction.len()];
    matches(table).for_each(|overlap| covers[overlap.prediction] += 1);
    let mut holds = vec![0_u32; table.truth.len()];
    let inside = table.overlaps.iter().filter(|o| 2 * o.intersection > table.prediction[o.prediction].pixels);
    inside.for_each(|overlap| holds[overlap.truth] += 1);
    let several = |counts: &[u32]| counts.iter().filter(|&&count| count > 1).count() as u64;
    Mistakes { merges: several(&covers), splits: several(&holds) }
}
