//! Remembers the wish: what each host should run, and the mirror it comes from.
