//! What `cargo xtask` does.

pub mod bench;
pub mod deb;
pub mod demo;
pub mod dist;
pub mod hosts;
pub mod imports;
pub mod star;
pub mod test;
