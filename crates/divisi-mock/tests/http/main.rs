//! The mock seen through real HTTP.
#![allow(clippy::unwrap_used)]

mod agents;
mod cache;
mod client;
mod controls;
mod faults;
mod rejections;
mod shapes;
