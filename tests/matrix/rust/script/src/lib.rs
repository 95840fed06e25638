//! The parts of the matrix's Rust programs that do not depend on a version of the SDK.

pub mod client;
pub mod tools;
