//! The receiver through its front door: recorded deliveries, forged ones, and real sockets.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod log;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod server;
