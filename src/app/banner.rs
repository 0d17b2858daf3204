//! What a person sees when the gateway has started: where it is, where the master key is, and a call that works.

use std::io::{IsTerminal, Write};

use super::build::{FIRST_MODEL, Running};
use crate::control::system::Mode;
use crate::domain::secret::ExposeSecret;

/// Prints the banner. The key itself is shown once, and only to a terminal.
pub(super) fn print(running: &Running) {
    let mut out = std::io::stdout();
    let text = render(running, out.is_terminal());
    // A closed standard output is no reason to stop serving.
    _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn render(running: &Running, is_terminal: bool) -> String {
    let scheme = if running.is_tls { "https" } else { "http" };
    let base = format!("{scheme}://{}", running.http_address);
    let version = env!("CARGO_PKG_VERSION");
    let ms = running.started_in.as_millis();
    let state = match running.mode {
        Mode::Embedded => format!("embedded mode, ready in {ms} ms"),
        Mode::Clustered => format!("production mode, listening after {ms} ms; ready when {base}/health/ready says so"),
    };
    let mut text = format!("\n  Unified Gateway {version}, {state}\n\n");
    text.push_str(&format!("  HTTP   {base}/v1\n"));
    if let Some(address) = running.admin_http_address {
        text.push_str(&format!("  admin  {scheme}://{address}/admin\n"));
    }
    text.push_str(&format!("  gRPC   {}\n", running.grpc_address));
    let key = match (&running.new_master_key, &running.master_key_path) {
        (Some(key), Some(path)) if is_terminal => {
            text.push_str(&format!(
                "\n  master key (shown this once, kept in {}):\n    {}\n",
                path.display(),
                key.expose_secret()
            ));
            format!("$(cat {})", path.display())
        }
        (_, Some(path)) => {
            text.push_str(&format!("\n  The master key is in {}\n", path.display()));
            format!("$(cat {})", path.display())
        }
        (_, None) => {
            text.push_str("\n  The master key is the one in MASTER_KEY.\n");
            "$MASTER_KEY".to_owned()
        }
    };
    if running.mode == Mode::Clustered {
        text.push_str("\n  Ctrl-C drains and stops.\n\n");
        return text;
    }
    text.push_str(&format!(
        "\n  Try it (`{FIRST_MODEL}` answers by itself, it is not a model):\n\n    \
         curl {base}/v1/chat/completions \\\n      \
         -H \"Authorization: Bearer {key}\" \\\n      \
         -H 'content-type: application/json' \\\n      \
         -d '{{\"model\":\"{FIRST_MODEL}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Say hello\"}}]}}'\n\n  \
         Ctrl-C drains and stops.\n\n"
    ));
    text
}
