//! Chores, as `cargo xtask <chore>`.

fn main() {}
