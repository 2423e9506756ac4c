//! The binary `reconcile`.

fn main() {}
