//! What is secret stays so, and what strangers name runs nothing.

mod names;
mod token_forge;
mod told;
mod watcher;
