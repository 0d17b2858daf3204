//! `POST /v1/audio/transcriptions`, `POST /v1/audio/translations`, `POST /v1/audio/speech`.

use axum::extract::{Request, State};
use axum::response::Response;

use super::{HttpState, text};
use crate::canonical::{Operation, Wire};
use crate::dialects::media::TRANSCRIPTION_LISTS;
use crate::gateway::form::Carries;

pub(super) async fn transcribe(State(state): State<HttpState>, request: Request) -> Response {
    listen(state, request, false).await
}

pub(super) async fn translate(State(state): State<HttpState>, request: Request) -> Response {
    listen(state, request, true).await
}

async fn listen(state: HttpState, request: Request, is_translation: bool) -> Response {
    let (id, answer) = match text::read_form(&state, request, Carries::Sound, &TRANSCRIPTION_LISTS).await {
        // The share of memory is held until the answer commits.
        (id, Ok((call, held))) => (id, state.gateway.transcribe(call, held.form.clone(), is_translation).await),
        (id, Err(unread)) => {
            let operation = Operation::AudioTranscribe;
            let denied = unread.recorded(&state, operation.as_str(), &id, operation);
            (id, Err(denied))
        }
    };
    text::respond(Wire::Chat, &id, answer)
}

pub(super) async fn speak(State(state): State<HttpState>, request: Request) -> Response {
    let (id, answer) = match text::read_call(&state, Wire::Chat, &[], request).await {
        (id, Ok((call, _held))) => (id, state.gateway.speak(call).await),
        (id, Err(unread)) => {
            let operation = Operation::AudioSpeech;
            let denied = unread.recorded(&state, operation.as_str(), &id, operation);
            (id, Err(denied))
        }
    };
    text::respond(Wire::Chat, &id, answer)
}
