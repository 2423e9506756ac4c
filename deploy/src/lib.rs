//! Has the hands: builds a toplevel, looks at a host, copies and activates.
