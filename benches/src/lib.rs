//! What is measured about Holm: each file in `benches/` is a program that prints a table, run by
//! `cargo bench -p holm-benches --bench NAME`. This library is empty; a package needs one.
#![forbid(unsafe_code)]
