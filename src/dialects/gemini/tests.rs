//! What is peculiar to this wire.
