//! The test bed, and the chores that use it.
