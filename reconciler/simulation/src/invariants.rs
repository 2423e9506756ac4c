//! What has to hold. Each invariant is a function that says so in one sentence; the ports call them where they can be
//! broken, and some are looked at as time goes by and at the end.

pub mod accepted;
pub mod attempts;
pub mod beginning;
pub mod bounds;
pub mod ending;
pub mod rebooting;
pub mod seen;
