//! Hosts that leave what is wanted: changed by other hands, or off and back.

mod changed;
mod off;
