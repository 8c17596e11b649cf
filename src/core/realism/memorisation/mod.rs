//! Whether a generator repeats sequences that it was trained on.
//!
//! For each synthetic sequence the nearest training and the nearest held-out sequence are searched; [`space`] says in which
//! space, [`distance`] how sequences are laid upon each other, [`candidates`] which ones are tried at all. The ratio of both
//! distances is small for a copy of a training sequence. What ratio is small, the held-out sequences themselves tell, since
//! no one trained on them: each is asked for its nearest training sequence and its nearest held-out one of another split
//! group. [`shares`] compares the two, [`draws`] gives both sides equal numbers, [`pictures`] shows the worst pairs.
//!
//! Start with [`search::memorisation`].

pub mod candidates;
pub mod distance;
pub mod draws;
pub mod nearest;
pub mod pictures;
pub mod result;
pub mod search;
pub mod section;
pub mod shares;
pub mod space;
pub mod symmetry;

pub use result::Memorisation;
pub use search::memorisation;
