//! Nothing: this crate exists for its one test binary, `it`.
