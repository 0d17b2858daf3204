//! A client's request on its way to candidates of any wire: native where the wire is its own, translated where not.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::OnceLock;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::Parts;
use super::attachments::{self, Texts};
use super::failure::Failure;
use super::materialise::Gathered;
use super::prepare::{Manner, Prepared, prepare};
use super::task::Task;
use crate::canonical::Wire;
use crate::canonical::text::{Control, ReasoningKind, Request, Steps, Tool};
use crate::dialects::openai_chat::stream::ChunkWriter;
use crate::dialects::openai_chat::write;
use crate::dialects::question::Answered;
use crate::dialects::raw::RawObject;
use crate::dialects::translate::{FreeText, Translation, restore_free_text};
use crate::dialects::weight::{Weight, weigh};
use crate::dialects::{
    self, Addressee, Asked, Encode, Frame, NativeReply, NativeStream, ProviderError, ReplyError, Written, state,
};
use crate::domain::operation::{Operation, Transport};
use crate::fault::Outcome;
use crate::ledger::estimate::Size;
use crate::providers::echo::{self, Options};
use crate::providers::{self, Named, Provider};
use crate::routing::{Candidate, Target};

/// A request and what is known of it.
#[derive(Debug)]
pub(super) struct Asking {
    asked: Box<dyn Asked>,
    /// Read at most once, and only when a candidate speaks another wire.
    canonical: OnceLock<Request>,
    /// Whether it brings state that we tagged, which only its maker may get.
    has_tags: bool,
    /// Content that it names by URL, as far as a candidate needed it.
    gathered: Gathered,
    /// Files that a candidate got as text.
    texts: Texts,
    has_files: OnceLock<bool>,
    has_breakpoints: OnceLock<bool>,
    answer_id: String,
    created: i64,
    /// What the client calls its session.
    session: Option<String>,
}

impl Asking {
    /// `answer_id` names the answer where its provider does not; `created` is in seconds since the Unix epoch.
    pub(super) fn new(asked: Box<dyn Asked>, answer_id: String, created: i64) -> Self {
        let has_tags = state::is_in(asked.bytes());
        Self {
            asked,
            canonical: OnceLock::new(),
            has_tags,
            gathered: Gathered::default(),
            texts: Texts::default(),
            has_files: OnceLock::new(),
            has_breakpoints: OnceLock::new(),
            answer_id,
            created,
            session: None,
        }
    }

    /// The same within a session that the client has named.
    pub(super) fn of_session(self, session: Option<String>) -> Self {
        Self { session, ..self }
    }

    /// The same for a request that is not made: what it names by URL is not fetched, and no file is read.
    pub(super) fn not_made(self) -> Self {
        Self { gathered: Gathered::pretence(), texts: Texts::pretence(), ..self }
    }

    pub(super) fn asked(&self) -> &dyn Asked {
        self.asked.as_ref()
    }

    /// The request in the neutral form.
    pub(super) fn canonical(&self) -> Outcome<&Request> {
        if let Some(request) = self.canonical.get() {
            return Ok(request);
        }
        let request = self.asked.read()?;
        Ok(self.canonical.get_or_init(|| request))
    }

    /// Whether a wire gets the request as it came.
    pub(super) fn is_native(&self, wire: Wire) -> bool {
        self.asked.wire() == wire && (!self.has_tags || self.asked.untags())
    }

    /// The body for a candidate, with the content of URLs that it does not read by itself, and whether it is the client's own.
    pub(super) async fn write(
        &self,
        candidate: &Candidate,
        provider: &Provider,
        wire: Wire,
        parts: &Parts,
        most_file_text: Option<u64>,
    ) -> Outcome<(Written, bool)> {
        let to = addressee(&candidate.target, provider);
        let needs_text = !takes_files(candidate, provider) && self.has_files();
        let reads = |named, url: &str| match named {
            Named::File if needs_text => false,
            named => providers::reads_url(provider, candidate.transport, named, url),
        };
        let needs_content = self.may_name(wire, reads(Named::Image, ""), reads(Named::File, ""));
        // What cannot be read passes natively all the same: the provider judges it.
        let read = (needs_content || needs_text).then(|| self.canonical().ok()).flatten();
        let mut changed = None;
        if let Some(request) = read.filter(|_| needs_content) {
            let inlined = self.gathered.inline(request, &parts.remote, reads).await;
            changed = inlined.map_err(|unusable| unusable.to_fault(self.asked.bytes()))?;
        }
        let mut files_as_text = false;
        if let Some(request) = read.filter(|_| needs_text) {
            let request = changed.as_ref().unwrap_or(request);
            let read = self.texts.replace(request, &parts.documents, most_file_text).await;
            if let Some(read) = read.map_err(|unusable| unusable.to_fault(self.asked.bytes()))? {
                files_as_text = true;
                changed = Some(read);
            }
        }
        let is_native = changed.is_none() && self.is_native(wire) && !self.rewrites_effort(candidate, provider, wire);
        let mut written = match changed {
            Some(request) => dialects::transport(wire).write_request(&request, &to),
            None if is_native => self.asked.for_upstream(&to),
            None => dialects::transport(wire).write_request(self.canonical()?, &to),
        }?;
        if files_as_text {
            written.dropped.push(Cow::Borrowed(attachments::DROPPED));
        }
        Ok((written, is_native))
    }

    /// Whether it brings files, as far as its bytes tell.
    fn has_files(&self) -> bool {
        *self.has_files.get_or_init(|| {
            let bytes = self.asked.bytes();
            attachments::TYPES.iter().any(|word| memchr::memmem::find(bytes, word.as_bytes()).is_some())
        })
    }

    /// Whether its word for effort becomes a number, which a translation sees to, also between equal wires.
    pub(super) fn rewrites_effort(&self, candidate: &Candidate, provider: &Provider, wire: Wire) -> bool {
        let takes_numbers =
            || addressee(&candidate.target, provider).control.kind == Some(ReasoningKind::AnthropicBudget);
        wire == Wire::Messages && self.asked.states_effort() && takes_numbers()
    }

    /// Whether it may name content that a candidate does not read. Requests of the candidate's own wire are not read in
    /// vain.
    fn may_name(&self, wire: Wire, reads_images: bool, reads_files: bool) -> bool {
        let has = |word: &[u8]| memchr::memmem::find(self.asked.bytes(), word).is_some();
        let names_files = || self.asked.wire() != wire || self.has_files();
        has(b"ttps:") && (!reads_images || (!reads_files && names_files()))
    }

    /// The step of the ladder that is asked for, and the one that the candidate is asked for in its place.
    pub(super) fn steps(&self, candidate: &Candidate, provider: &Provider, dropped: &[Cow<'static, str>]) -> Steps {
        let Some(requested) = self.asked.step() else { return Steps::default() };
        let control = addressee(&candidate.target, provider).control;
        let is_lost = dropped.iter().any(|name| matches!(name.as_ref(), "reasoning_effort" | "thinking"));
        Steps { requested: Some(requested), effective: (!is_lost).then(|| control.settle(requested)) }
    }

    /// Reads a whole answer and writes it for the client.
    fn read_whole(&self, wire: Wire, body: Bytes, target: &Target) -> Result<NativeReply, ReplyError> {
        if self.is_native(wire) {
            return self.asked.native_reply(body);
        }
        let mut reply = dialects::transport(wire).read_reply(&body)?;
        restore_free_text(&mut reply, &self.free_text_tools(wire, target));
        Ok(NativeReply {
            body: vec![self.asked.write_reply(&reply, &self.frame(target))],
            usage: reply.usage,
            finish_reason: reply.finish.as_ref().map(|finish| finish.as_str().to_owned()),
            media_type: None,
        })
    }

    /// What relays a streamed answer.
    fn relay_of(&self, wire: Wire, target: &Target) -> Box<dyn NativeStream> {
        if self.is_native(wire) {
            return self.asked.native_stream();
        }
        let decoder = FreeText::around(dialects::transport(wire).decoder(), self.free_text_tools(wire, target));
        Box::new(Translation::new(decoder, self.asked.encoder(self.frame(target))))
    }

    /// Tools that take free text, for a wire or a host that calls all of them with objects.
    fn free_text_tools(&self, wire: Wire, target: &Target) -> Vec<String> {
        let takes_them = match wire {
            Wire::Chat => providers::find(&target.provider).is_none_or(|host| host.quirks.takes_custom_tools),
            Wire::Responses => true,
            Wire::Messages | Wire::GenerateContent => false,
        };
        let tools = self.canonical.get().filter(|_| !takes_them).map(|request| request.tools.iter());
        let name = |tool: &Tool| match tool {
            Tool::Custom { name, .. } => Some(name.clone()),
            Tool::Function { .. } | Tool::Native { .. } => None,
        };
        tools.into_iter().flatten().filter_map(name).collect()
    }

    fn frame(&self, target: &Target) -> Frame {
        Frame {
            id: self.answer_id.clone(),
            created: self.created,
            model: self.asked.model().to_owned(),
            origin: target.opaque_id.clone(),
        }
    }
}

#[async_trait]
impl Task for Asking {
    fn operation(&self) -> Operation {
        Operation::TextGenerate
    }

    fn contract(&self) -> &'static str {
        self.asked.wire().as_str()
    }

    fn wire(&self) -> Wire {
        self.asked.wire()
    }

    fn model(&self) -> &str {
        self.asked.model()
    }

    fn cacheable(&self) -> Option<&Bytes> {
        Some(self.asked.bytes())
    }

    fn size(&self) -> Size {
        Size::of(self.asked.bytes())
    }

    fn is_stream(&self) -> bool {
        self.asked.is_stream()
    }

    fn transports(&self) -> &'static [Transport] {
        transports(self.asked.wire())
    }

    fn origin(&self) -> Option<&str> {
        if self.has_tags { state::origin_in(self.asked.bytes()) } else { None }
    }

    /// The session that the client has named, else the key of its prompt's cache.
    fn session(&self) -> Option<Cow<'_, str>> {
        if let Some(session) = &self.session {
            return Some(Cow::Borrowed(session));
        }
        let bytes = self.asked.bytes();
        memchr::memmem::find(bytes, b"\"prompt_cache_key\"")?;
        let object = RawObject::scan(bytes.clone()).ok()?;
        let key: Option<String> = object.read("prompt_cache_key").ok()?;
        key.filter(|key| !key.is_empty()).map(Cow::Owned)
    }

    /// Files that go as text cost more of it than breakpoints of a prompt's cache.
    fn loss(&self, candidate: &Candidate) -> u8 {
        let provider = providers::find(&candidate.target.provider);
        let files = provider.is_some_and(|provider| !takes_files(candidate, provider)) && self.has_files();
        let keeps = match candidate.transport {
            Transport::Messages => true,
            Transport::ChatCompletions => provider.is_some_and(|provider| provider.quirks.takes_cache_control),
            _ => false,
        };
        let has_breakpoints = || memchr::memmem::find(self.asked.bytes(), b"\"cache_control\"").is_some();
        let breakpoints = !keeps && *self.has_breakpoints.get_or_init(has_breakpoints);
        2 * u8::from(files) + u8::from(breakpoints)
    }

    /// Longer for a model that thinks first.
    fn first_output_ms(&self, target: &Target) -> u32 {
        let profile = target.resolved.operations.get(&Operation::TextGenerate).map(|operation| &operation.profile);
        let reasons = profile.is_some_and(|profile| profile.reasoning.is_some());
        match self.asked.effort() {
            Some("none") => 0,
            Some("minimal" | "low") => 60_000,
            Some("medium") => 120_000,
            Some(_) => 300_000,
            None if reasons => 300_000,
            // A self-hosted model of which nothing is known may well think.
            None if target.is_unknown_model() => 120_000,
            None => 0,
        }
    }

    fn text(&self) -> Option<Request> {
        self.canonical().ok().cloned()
    }

    fn weigh(&self) -> Outcome<Weight> {
        weigh(self.asked.wire(), self.asked.bytes())
    }

    async fn prepare(
        &self,
        parts: &Parts,
        candidate: &Candidate,
        manner: Manner,
        end: Instant,
    ) -> Result<Prepared, Failure> {
        prepare(parts, self, candidate, manner, end).await
    }

    fn forwards_headers(&self, transport: Transport) -> bool {
        wire_of(transport) == Some(self.asked.wire())
    }

    fn read_error(&self, transport: Transport, body: &[u8]) -> ProviderError {
        dialects::transport(wire_of(transport).unwrap_or(self.asked.wire())).read_error(body)
    }

    fn read_reply(&self, candidate: &Candidate, mut answers: Vec<Answered>) -> Result<NativeReply, ReplyError> {
        let wire = wire_of(candidate.transport).ok_or(ReplyError::Malformed("the wire shape generates no text"))?;
        self.read_whole(wire, answers.pop().unwrap_or_default().body, &candidate.target)
    }

    fn relay(&self, candidate: &Candidate) -> Option<Box<dyn NativeStream>> {
        Some(self.relay_of(wire_of(candidate.transport)?, &candidate.target))
    }

    fn echo(&self, candidate: &Candidate, options: &Options) -> Result<VecDeque<Bytes>, Failure> {
        let request = self.canonical().map_err(|fault| Failure::refused(&fault))?;
        let reply = echo::answer(request, options, &self.answer_id);
        let target = &candidate.target;
        let frame = Frame { model: target.upstream_model.clone(), ..self.frame(target) };
        if !self.asked.is_stream() {
            return Ok(VecDeque::from([write::write_reply(&reply, &frame)]));
        }
        let mut writer = ChunkWriter::new(frame, true);
        let mut text = BytesMut::new();
        echo::deltas(&reply).iter().for_each(|delta| writer.encode(delta, &mut text));
        writer.close(&mut text);
        Ok(split_events(text.freeze()))
    }
}

/// One piece for each event.
fn split_events(mut text: Bytes) -> VecDeque<Bytes> {
    let mut events = VecDeque::new();
    while let Some(at) = memchr::memmem::find(&text, b"\n\n") {
        events.push_back(text.split_to(at + 2));
    }
    events
}

/// Wire shapes that can carry a contract, the client's own first, then those that lose least of it.
pub(super) const fn transports(contract: Wire) -> &'static [Transport] {
    match contract {
        Wire::Chat => {
            &[Transport::ChatCompletions, Transport::Responses, Transport::Messages, Transport::GenerateContent]
        }
        Wire::Responses => {
            &[Transport::Responses, Transport::ChatCompletions, Transport::Messages, Transport::GenerateContent]
        }
        Wire::Messages => {
            &[Transport::Messages, Transport::Responses, Transport::ChatCompletions, Transport::GenerateContent]
        }
        Wire::GenerateContent => {
            &[Transport::GenerateContent, Transport::Messages, Transport::Responses, Transport::ChatCompletions]
        }
    }
}

/// The wire of a transport that generates text.
pub(super) fn wire_of(transport: Transport) -> Option<Wire> {
    match transport {
        Transport::ChatCompletions => Some(Wire::Chat),
        Transport::Responses => Some(Wire::Responses),
        Transport::Messages => Some(Wire::Messages),
        Transport::GenerateContent => Some(Wire::GenerateContent),
        _ => None,
    }
}

/// Whether a candidate reads documents by itself: what is known of its model decides, else its wire.
fn takes_files(candidate: &Candidate, provider: &Provider) -> bool {
    let target = &candidate.target;
    let operation = target.resolved.operations.get(&Operation::TextGenerate);
    match operation.filter(|_| !target.is_unknown_model()) {
        Some(operation) => operation.profile.pdf_input,
        None => providers::takes_files(provider, candidate.transport),
    }
}

fn addressee<'a>(target: &'a Target, provider: &'a Provider) -> Addressee<'a> {
    let profile = target.resolved.operations.get(&Operation::TextGenerate).map(|operation| &operation.profile);
    let reasoning = profile.and_then(|profile| profile.reasoning.as_ref());
    Addressee {
        model: &target.upstream_model,
        control: Control {
            kind: reasoning.map(|reasoning| reasoning.kind),
            levels: reasoning.map(|reasoning| reasoning.levels.clone()).unwrap_or_default(),
        },
        max_output_tokens: profile.and_then(|profile| profile.max_output_tokens),
        quirks: &provider.quirks,
        origin: &target.opaque_id,
    }
}
