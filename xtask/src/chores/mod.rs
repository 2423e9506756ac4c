//! What `cargo xtask` does.

pub mod bench;
pub mod demo;
pub mod hosts;
pub mod star;
pub mod test;
