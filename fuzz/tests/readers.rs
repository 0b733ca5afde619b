//! One harness a reader. Seeds are small files of the kind, written by the program itself where it writes them.

#[path = "readers/tables.rs"]
mod tables;
