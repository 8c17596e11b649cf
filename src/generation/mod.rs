//! generation (being written).
