//! One file per command: its flags, its settings, and what it does in about ten steps.

pub mod ceiling;
pub mod check;
pub mod evaluate;
mod expect_times;
pub mod export;
pub mod features;
pub mod inputs;
pub mod label_forms;
pub mod make_plate;
pub mod merge;
pub mod phantom;
pub mod prepare;
mod prepare_settings;
pub mod score;
