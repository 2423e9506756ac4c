//! `cargo xtask bench`: how long things take, on hosts as far away as real ones. Not written yet.
