//! The project file.

/// Placeholder.
pub struct Store;
/// Placeholder.
pub struct Opened;
/// Placeholder.
pub struct StoreError;
