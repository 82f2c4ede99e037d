//! `holm cp`: Docker's rules for what goes where ([`place`], [`target`]), and the two directions.
//!
//! Trust: the tar that comes out of a container is hostile. It is unpacked by name below one directory of the user's, where
//! no symbolic link is followed, no device made, and nothing made that was not asked for.

mod inward;
mod outward;
mod place;
mod target;

pub(crate) use inward::{stream_in, tree_in};
pub(crate) use outward::{stream_out, tree_out};
pub(crate) use place::Place;
