//! Hosts that leave what is wanted: changed by other hands, or off and back.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests; clippy only excepts the tests themselves"
)]

mod changed;
mod off;
#[path = "../push/scene.rs"]
#[allow(dead_code, reason = "shared with other stories, which use more of it")]
mod scene;
mod settled;
