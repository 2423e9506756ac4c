//! What is secret stays so, and what strangers name runs nothing.

mod names;
#[path = "../stage/mod.rs"]
mod stage;
mod token_forge;
mod told;
mod watcher;
