//! SQLite backend of the control store (embedded mode).
