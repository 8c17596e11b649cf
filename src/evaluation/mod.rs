//! evaluation (being written).
