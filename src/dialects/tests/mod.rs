//! What all dialects keep between them: requests and answers of every contract over every wire.

mod fidelity;
mod matrix;
mod matrix_of_questions;
mod reasoning;
mod requests;
mod resource;
mod terms;
