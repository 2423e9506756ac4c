//! Nix's command lines and the reading of what Nix prints, for Nix 2.8 and newer. Nothing here has an
//! effect: text in, text out.

pub(crate) mod arguments;
pub(crate) mod diagnosis;
pub(crate) mod environment;
pub(crate) mod fetch;
pub(crate) mod output;
pub(crate) mod platforms;
