//! Log set-up: one line per event on standard error.
//!
//! Standard output stays free for what commands print. Lines are filtered by level and module alone; there is no
//! filtering by span or field, which would need regular expressions on every event.

use std::fmt;
use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use crate::time::{Clock, SystemClock};

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line: `timestamp`, `level`, `target`, the event's fields beside them, its span under `span`.
    Json,
    /// For people; coloured on a terminal.
    Pretty,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The levels are not understood.
    #[error("log levels are not understood: {0:?}; allowed: level or module=level, separated by commas")]
    Levels(String),
    /// It had been set up before.
    #[error("logging is already set up in this process")]
    AlreadySetUp,
}

/// Sends events from now on to standard error. `levels` is a level, or `module=level` pairs, separated by commas.
///
/// # Errors
/// [`LogError`] when the levels are not understood, or on a second call.
pub fn init(levels: &str, format: Format) -> Result<(), LogError> {
    let coloured = std::io::stderr().is_terminal();
    let subscriber = subscriber(levels, format, coloured, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadySetUp)
}

fn subscriber<W>(levels: &str, format: Format, coloured: bool, writer: W) -> Result<impl Subscriber, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let targets: Targets = levels.parse().map_err(|_| LogError::Levels(levels.to_owned()))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_timer(Rfc3339);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        Format::Json => Box::new(lines.with_ansi(false).json().flatten_event(true).with_span_list(false)),
        Format::Pretty => Box::new(lines.with_ansi(coloured)),
    };
    Ok(tracing_subscriber::registry().with(lines.with_filter(targets)))
}

/// Wall-clock time as every table and API of the gateway writes it.
struct Rfc3339;

impl FormatTime for Rfc3339 {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str(&SystemClock.now().to_rfc3339())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::time::Timestamp;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(levels: &str, format: Format, events: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = subscriber(levels, format, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, events);
        String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_json_line_is_one_object_with_time_level_target_and_flat_fields() {
        let text = written("info", Format::Json, || {
            tracing::info!(target: "unified_gateway::routing", duration_ms = 12, route = "a \"b\"\nc", "routed");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["target"], "unified_gateway::routing");
        assert_eq!(line["message"], "routed");
        assert_eq!(line["duration_ms"], 12);
        assert_eq!(line["route"], "a \"b\"\nc");
        assert!(Timestamp::parse_rfc3339(line["timestamp"].as_str().unwrap()).is_some());
    }

    #[test]
    fn levels_hold_for_their_module() {
        let text = written("warn,unified_gateway::routing=debug", Format::Pretty, || {
            tracing::debug!(target: "unified_gateway::routing::plan", "kept");
            tracing::info!(target: "hyper", "dropped");
            tracing::warn!(target: "hyper", "warned");
        });
        assert!(text.contains("kept") && text.contains("warned") && !text.contains("dropped"), "{text}");
        assert!(!text.contains('\u{1b}'), "no colours without a terminal: {text}");
    }

    #[test]
    fn levels_that_are_not_understood_are_refused() {
        assert!(matches!(
            subscriber("unified_gateway=loud", Format::Json, false, std::io::sink).err(),
            Some(LogError::Levels(levels)) if levels == "unified_gateway=loud"
        ));
    }
}
