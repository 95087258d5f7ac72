//! Segue's tests at its boundaries: one binary, one module a subject.

#[cfg(test)]
mod media;
mod tidy;
