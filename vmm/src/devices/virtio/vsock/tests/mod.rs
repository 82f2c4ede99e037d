//! The device as its two sides see it: a driver with real rings in memory ([`driver`]), and programs on unix sockets.

mod driver;
mod flow;
mod hostile;
mod life;
