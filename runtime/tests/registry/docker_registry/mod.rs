//! With Debian's docker-registry: these run with the end-to-end tests, where it is.

mod round_trip;
mod secured;
