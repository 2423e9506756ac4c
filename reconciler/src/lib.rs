//! Decides: compares the wish with the world, and tells the hands; the binary `reconcile`.
