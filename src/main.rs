//! The `unified-gateway` command.

fn main() {}
