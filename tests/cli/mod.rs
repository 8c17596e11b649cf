//! Black-box calls of the five programs: exit codes, what they print, what they leave behind.

mod evaluate;
