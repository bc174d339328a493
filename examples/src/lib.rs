//! The programs are beside this directory: `cargo run -p examples --example embed`.
