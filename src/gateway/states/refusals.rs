//! What is said of stored responses that are not there, or cannot be reached.

use std::time::Duration;

use crate::domain::response_state::ResponseId;
use crate::fault::{Fault, Kind};

fn shorten(id: &str) -> String {
    id.chars().take(80).collect()
}

pub(super) fn previous_not_found(id: &str) -> Fault {
    let sentence = format!("Previous response with id '{}' not found.", shorten(id));
    Fault::new(Kind::BadRequest).say(sentence).param("previous_response_id").code("previous_response_not_found")
}

pub(super) fn item_not_found(place: usize, id: &str) -> Fault {
    let sentence = format!(
        "Item with id '{}' not found. Items are kept only when `store` is true and until their response is deleted.",
        shorten(id)
    );
    Fault::new(Kind::BadRequest).say(sentence).param(format!("input[{place}].id")).code("previous_response_not_found")
}

pub(super) fn not_found(id: &str) -> Fault {
    Fault::new(Kind::NotFound).say(format!("Response with id '{}' not found.", shorten(id)))
}

pub(super) fn unreachable() -> Fault {
    let sentence = "Stored responses cannot be reached now; try again, or send the whole input with `store: false`.";
    Fault::new(Kind::Unavailable).say(sentence).retry_after(Duration::from_secs(1))
}

pub(super) fn broken(id: ResponseId, why: &str) -> Fault {
    Fault::new(Kind::Internal).say("The stored response cannot be read.").because(format!("response {id} {why}"))
}
