//! The settings as a table for people, made from the definition of the command line, so that the two cannot disagree.

use super::cli::settings_definition;
use super::problem::variable_of;

/// Marks, in a setting's help, a default that is not a fixed value.
const DEFAULT_MARK: &str = " [default: ";

/// Every setting as a Markdown table: variable, flag, default, meaning.
#[must_use]
pub fn settings_table() -> String {
    let mut table = String::from("| variable | flag | default | meaning |\n|---|---|---|---|\n");
    for setting in settings_definition().get_opts() {
        let Some(long) = setting.get_long() else { continue };
        let help = setting.get_help().map(ToString::to_string).unwrap_or_default();
        let fixed = setting.get_default_values().first().map(|value| format!("`{}`", value.to_string_lossy()));
        let (meaning, default) = match help.split_once(DEFAULT_MARK) {
            Some((meaning, default)) => (meaning, default.trim_end_matches(']').to_owned()),
            None => (help.as_str(), fixed.unwrap_or_default()),
        };
        let variable = variable_of(long);
        table.push_str(&format!("| `{variable}` | `--{long}` | {default} | {meaning} |\n"));
    }
    table
}
