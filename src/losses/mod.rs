//! losses (being written).
