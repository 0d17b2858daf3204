//! The rows of the provider table, by kind of host. Base URLs and quirks are from the public documentation of each; the
//! comments name the page.

pub(super) mod clouds;
pub(super) mod hosts;
pub(super) mod labs;
pub(super) mod local;
