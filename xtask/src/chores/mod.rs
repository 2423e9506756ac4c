//! What `cargo xtask` does.

pub mod bench;
mod cargo;
pub mod deb;
pub mod demo;
pub mod dist;
pub mod hosts;
pub mod imports;
pub mod lengths;
pub mod simulate;
pub mod star;
pub mod test;
