//! What is shipped around the program, each with the real tool that takes it.
