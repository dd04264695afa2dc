//! Holm.
