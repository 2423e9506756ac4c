//! From a push to the hosts: what the forge tells, what the daemon makes of it, and what the hosts then run.
//!
//! The daemon asks git by itself only once an hour in all of these, except where the poll is the point: what happens
//! within seconds happens because of a delivery.

mod branches;
mod hearing;
mod pushes;
mod recorded;
mod settings;
mod signed;
