//! Stored responses on the data plane: whether an answer is kept, what a request goes on from, and keeping it.
//!
//! Documents are encrypted here and reach their keeper through a port, so that the data plane knows no store. A keeper
//! that cannot be reached costs the keeping of answers and never the answers.

mod refusals;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::timeout;

use super::{Caller, Gateway};
use crate::canonical::Json;
use crate::dialects::openai_responses::native::{NativeRequest, Shown};
use crate::dialects::openai_responses::stored::{self, ItemPage, Stored};
use crate::domain::ports::{PortError, ResponseStates};
use crate::domain::response_state::{ResponseId, ResponseState, StateScope};
use crate::fault::{Fault, Outcome};
use crate::time::{Clock, Timestamp};
use crate::vault::{Entropy, Keyring, Purpose};
use refusals::{broken, item_not_found, not_found, previous_not_found, unreachable};

/// Largest document that is kept.
const MAX_STATE_BYTES: usize = 32 * 1024 * 1024;
/// Most items that one request may refer to.
const MAX_REFERENCES: usize = 256;
/// Longest wait for a document, or until one is kept.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for a sign of life.
const PING_PATIENCE: Duration = Duration::from_secs(1);
/// How long what is known of the keeper's health holds.
const HEALTH_HOLDS: Duration = Duration::from_secs(3);

/// Keeps responses.
pub struct States {
    port: Arc<dyn ResponseStates>,
    keyring: Arc<Keyring>,
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
    /// Whether an answer is kept when its request does not say.
    default_store: bool,
    retention: Duration,
    /// Whether the keeper answered, and when that was seen.
    health: Mutex<Option<(Instant, bool)>>,
}

/// What [`States`] works with.
#[expect(missing_debug_implementations, reason = "it is taken apart at once")]
pub struct StateParts {
    /// The keeper.
    pub port: Arc<dyn ResponseStates>,
    /// Encrypts documents.
    pub keyring: Arc<Keyring>,
    /// For their nonces.
    pub entropy: Arc<dyn Entropy>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Whether an answer is kept when its request does not say.
    pub default_store: bool,
    /// How long an answer is kept.
    pub retention: Duration,
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("States").field("retention", &self.retention).finish_non_exhaustive()
    }
}

/// An answer that is to be kept when it is whole.
#[derive(Debug)]
pub(super) struct Keep {
    states: Arc<States>,
    id: ResponseId,
    scope: StateScope,
    input: Vec<Json>,
}

impl States {
    /// Puts it together.
    #[must_use]
    pub fn new(parts: StateParts) -> Self {
        let StateParts { port, keyring, entropy, clock, default_store, retention } = parts;
        Self { port, keyring, entropy, clock, default_store, retention, health: Mutex::new(None) }
    }

    /// Completes a request from what is kept, and settles whether its answer `id` will be.
    ///
    /// # Errors
    /// `BadRequest` with the code `previous_response_not_found`, the same for what never was, has expired or is someone
    /// else's; `Unavailable` when the request cannot do without the keeper and that cannot be reached.
    pub(super) async fn resume(
        self: &Arc<Self>,
        caller: &Caller,
        request: NativeRequest,
        id: ResponseId,
    ) -> Outcome<(NativeRequest, Option<Keep>)> {
        let scope = scope_of(caller);
        let wish = request.wish().clone();
        let previous = match &wish.previous {
            Some(id) => Some(self.load(scope, id).await?.ok_or_else(|| previous_not_found(id))?),
            None => None,
        };
        let found = self.find_items(scope, previous.as_ref(), &wish.references).await?;
        let request =
            if previous.is_some() || !found.is_empty() { request.resume(previous.as_ref(), &found)? } else { request };
        let is_stored = wish.store.unwrap_or(self.default_store) && {
            let can_keep = self.is_reachable().await;
            if !can_keep && wish.store == Some(true) {
                return Err(unreachable().param("store"));
            }
            can_keep
        };
        let shown = Shown { id: is_stored.then(|| id.to_string()), is_stored, previous: wish.previous };
        if !is_stored {
            return Ok((request.showing(shown), None));
        }
        let input = request.kept_input(&id.to_hex());
        let keep = Keep { states: Arc::clone(self), id, scope, input };
        Ok((request.showing(shown), Some(keep)))
    }

    /// The items that a request refers to, in order.
    async fn find_items(
        &self,
        scope: StateScope,
        previous: Option<&Stored>,
        references: &[(usize, String)],
    ) -> Outcome<Vec<Json>> {
        if references.len() > MAX_REFERENCES {
            return Err(Fault::invalid("input", format!("refers to more than {MAX_REFERENCES} items")));
        }
        // One document usually has them all.
        let mut opened: Vec<Stored> = Vec::new();
        let mut found = Vec::with_capacity(references.len());
        for (place, item) in references {
            let known = previous.into_iter().chain(&opened).find_map(|stored| stored.find(item));
            let json = match known {
                Some(json) => Some(json),
                None => match self.load_item(scope, item).await? {
                    Some(stored) => {
                        let json = stored.find(item);
                        opened.push(stored);
                        json
                    }
                    None => None,
                },
            };
            found.push(json.ok_or_else(|| item_not_found(*place, item))?);
        }
        Ok(found)
    }

    /// The document that has an item.
    async fn load_item(&self, scope: StateScope, item: &str) -> Outcome<Option<Stored>> {
        let id = match stored::response_of(item).and_then(ResponseId::from_hex) {
            Some(id) => Some(id),
            None => self.ask(self.port.find_item(scope, item)).await?,
        };
        match id {
            Some(id) => self.load(scope, &id.to_string()).await,
            None => Ok(None),
        }
    }

    async fn load(&self, scope: StateScope, id: &str) -> Outcome<Option<Stored>> {
        let Some(id) = ResponseId::parse(id) else { return Ok(None) };
        let Some(state) = self.ask(self.port.find(scope, id, self.clock.now())).await? else { return Ok(None) };
        let opened = self.keyring.open(Purpose::ResponseState, id.as_uuid().as_bytes(), &state.envelope);
        let plain = opened.map_err(|error| broken(id, &error.to_string()))?;
        let text = std::str::from_utf8(&plain).map_err(|_| broken(id, "is not text"))?;
        let stored = Stored::read(text).ok_or_else(|| broken(id, "is not understood"))?;
        // A row that was given another scope is nobody's.
        Ok((stored.scope == scope.as_uuid().to_string()).then_some(stored))
    }

    /// Asks the keeper, and notes whether it answers.
    async fn ask<T>(&self, call: impl Future<Output = Result<T, PortError>>) -> Outcome<T> {
        let asked =
            timeout(PATIENCE, call).await.unwrap_or_else(|_| Err(PortError::Unavailable("no answer in time".into())));
        self.note(asked.is_ok());
        asked.map_err(|error| unreachable().because(error))
    }

    fn note(&self, is_up: bool) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.clock.instant(), is_up));
    }

    /// Whether the keeper can be reached: as was seen a moment ago, or as it says now.
    async fn is_reachable(&self) -> bool {
        let known = *self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, is_up)) = known
            && self.clock.instant().saturating_duration_since(seen) < HEALTH_HOLDS
        {
            return is_up;
        }
        let is_up = matches!(timeout(PING_PATIENCE, self.port.ping()).await, Ok(Ok(())));
        self.note(is_up);
        is_up
    }
}

impl Keep {
    /// Keeps the whole answer, as the client gets it, made by `origin`. Answers whether it is kept.
    pub(super) async fn save(self, response: &Bytes, origin: &str, request_id: &str) -> bool {
        match self.try_save(response, origin).await {
            Ok(()) => true,
            Err(why) => {
                tracing::warn!(request_id, error = why, "an answer could not be kept; it is answered all the same");
                false
            }
        }
    }

    async fn try_save(self, response: &Bytes, origin: &str) -> Result<(), String> {
        let Self { states, id, scope, input } = self;
        let text = String::from_utf8(response.to_vec()).map_err(|_| "it is not UTF-8")?;
        let response = Json::parse(text).ok_or("it is not JSON")?;
        let stored = Stored { scope: scope.as_uuid().to_string(), origin: origin.to_owned(), response, input };
        let document = stored.write();
        if document.len() > MAX_STATE_BYTES {
            return Err(format!("it has {} bytes; at most {MAX_STATE_BYTES} are kept", document.len()));
        }
        let row = id.as_uuid().as_bytes();
        let sealed = states.keyring.seal(Purpose::ResponseState, row, document.as_bytes(), states.entropy.as_ref());
        let created_at = states.clock.now();
        let state = ResponseState {
            id,
            scope,
            created_at,
            expires_at: created_at.after(states.retention),
            envelope: sealed.map_err(|error| error.to_string())?,
        };
        let saved = states.ask(states.port.save(&state, &stored.foreign_ids())).await;
        saved.map_err(|fault| fault.cause().unwrap_or_else(|| fault.message().to_owned()))
    }
}

impl Gateway {
    /// A stored response of the caller, as JSON.
    ///
    /// # Errors
    /// `NotFound`, the same for what never was, has expired or is someone else's; `Unavailable`.
    pub async fn get_response(&self, caller: &Caller, id: &str) -> Outcome<String> {
        let stored = self.parts.states.load(scope_of(caller), id).await?;
        stored.map(|stored| stored.response.as_str().to_owned()).ok_or_else(|| not_found(id))
    }

    /// A page of the input of a stored response of the caller, as JSON.
    ///
    /// # Errors
    /// As [`Self::get_response`]; `BadRequest` when the page begins after an item that is not there.
    pub async fn list_input_items(&self, caller: &Caller, id: &str, page: &ItemPage) -> Outcome<String> {
        let stored = self.parts.states.load(scope_of(caller), id).await?;
        stored.ok_or_else(|| not_found(id))?.page(page)
    }

    /// Deletes a stored response of the caller.
    ///
    /// # Errors
    /// As [`Self::get_response`].
    pub async fn delete_response(&self, caller: &Caller, id: &str) -> Outcome<()> {
        let states = &self.parts.states;
        let response = ResponseId::parse(id).ok_or_else(|| not_found(id))?;
        let deleted = states.ask(states.port.delete(scope_of(caller), response, states.clock.now())).await?;
        if deleted { Ok(()) } else { Err(not_found(id)) }
    }
}

/// The id of the next answer: its time, and dice.
pub(super) fn next_id(now: Timestamp, dice: &dyn Fn(u64) -> u64) -> ResponseId {
    let random = [dice(u64::MAX).to_be_bytes(), dice(u64::MAX).to_be_bytes()].concat();
    let random: [u8; 10] = random.first_chunk().copied().unwrap_or_default();
    let ms = u64::try_from(now.unix_ms()).unwrap_or_default();
    ResponseId::from_uuid(uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid())
}

fn scope_of(caller: &Caller) -> StateScope {
    match caller {
        Caller::Master => StateScope::MASTER,
        Caller::Key(key) => StateScope::of(key.id),
    }
}

#[cfg(test)]
mod tests;
