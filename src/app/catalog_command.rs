//! `catalog list` and `catalog validate`.

use std::process::ExitCode;

use serde::Serialize;

use super::{fail, print};
use crate::catalog::{Catalog, ListedModel, ModelFilter};
use crate::domain::money::NanoCents;
use crate::domain::operation::Operation;
use crate::domain::page::PageRequest;
use crate::providers;

#[derive(Serialize)]
struct Line {
    provider: &'static str,
    model: String,
    operations: Vec<&'static str>,
    max_input_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    input_cents_per_mtok: Option<String>,
    output_cents_per_mtok: Option<String>,
}

/// Prints the known models.
pub(super) fn list(provider: Option<String>, as_json: bool) -> ExitCode {
    let catalog = match Catalog::load(providers::presets()) {
        Ok(catalog) => catalog,
        Err(fault) => return fail(&super::describe(&fault)),
    };
    if let Some(name) = &provider
        && catalog.preset(name).is_none()
    {
        let known: Vec<&str> = catalog.presets().iter().map(|preset| preset.name).collect();
        return fail(&format!("there is no provider `{name}`; known: {}", known.join(", ")));
    }
    let lines = read_all(&catalog, provider);
    print(&if as_json { render_json(&lines) } else { render_table(&lines) })
}

/// Prints how many models each adapter has, per operation; adapters that no preset uses are marked.
pub(super) fn counts() -> ExitCode {
    match Catalog::load(providers::presets()) {
        Ok(catalog) => print(&render_counts(&catalog)),
        Err(fault) => fail(&super::describe(&fault)),
    }
}

fn render_counts(catalog: &Catalog) -> String {
    let counts = catalog.counts();
    let used = |key: &str| catalog.presets().iter().any(|preset| preset.name == key || preset.adapter == key);
    let rows = counts.iter().map(|(key, count)| {
        let cells = Operation::ALL.iter().map(|operation| count.operations.get(operation).copied().unwrap_or_default());
        let name = if used(key) { (*key).to_owned() } else { format!("{key} (no preset yet)") };
        let numbers = std::iter::once(count.models).chain(cells).map(|number| number.to_string());
        std::iter::once(name).chain(numbers).collect::<Vec<_>>()
    });
    let titles = ["ADAPTER", "MODELS"].into_iter().chain(Operation::ALL.iter().map(|operation| operation.as_str()));
    let mut rows: Vec<Vec<String>> = std::iter::once(titles.map(str::to_owned).collect()).chain(rows).collect();
    let sums = (1..=Operation::ALL.len() + 1).map(|column| {
        let numbers = rows.iter().skip(1).filter_map(|row| row.get(column)?.parse::<usize>().ok());
        numbers.sum::<usize>().to_string()
    });
    let last = std::iter::once("total".to_owned()).chain(sums).collect();
    rows.push(last);
    align(&rows)
}

/// Checks the data files and prints every problem.
pub(super) fn validate() -> ExitCode {
    let catalog = match Catalog::load(providers::presets()) {
        Ok(catalog) => catalog,
        Err(fault) => return fail(&fault.cause().unwrap_or_else(|| fault.message().to_owned())),
    };
    let problems = catalog.validate();
    if problems.is_empty() {
        return print("The catalog is sound.\n");
    }
    fail(&format!("the catalog has {} problems:\n{}", problems.len(), problems.join("\n")))
}

fn read_all(catalog: &Catalog, preset: Option<String>) -> Vec<Line> {
    let filter = ModelFilter { preset, ..ModelFilter::default() };
    let mut lines = Vec::new();
    let mut page = PageRequest { limit: PageRequest::MAX_LIMIT, ..PageRequest::default() };
    loop {
        let listed = catalog.list(&filter, &page);
        page.offset += page.limit;
        let has_more = listed.has_more;
        lines.extend(listed.items.iter().map(line));
        if !has_more {
            return lines;
        }
    }
}

fn line(listed: &ListedModel<'_>) -> Line {
    let profile = &listed.model.profile;
    let most = |limit: fn(&crate::domain::capability::OperationProfile) -> Option<u64>| {
        profile.operations.values().filter_map(limit).max()
    };
    Line {
        provider: listed.preset,
        model: listed.model.id.clone(),
        operations: listed.operations.iter().map(|operation| operation.as_str()).collect(),
        max_input_tokens: most(|profile| profile.max_input_tokens),
        max_output_tokens: most(|profile| profile.max_output_tokens),
        input_cents_per_mtok: profile.pricing.input.map(NanoCents::to_cents_text),
        output_cents_per_mtok: profile.pricing.output.map(NanoCents::to_cents_text),
    }
}

fn render_json(lines: &[Line]) -> String {
    let lines = lines.iter().filter_map(|line| serde_json::to_string(line).ok());
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

fn render_table(lines: &[Line]) -> String {
    let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let price = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let mut rows =
        vec![["PROVIDER", "MODEL", "INPUT", "OUTPUT", "IN c/MTok", "OUT c/MTok", "OPERATIONS"].map(str::to_owned)];
    rows.extend(lines.iter().map(|line| {
        [
            line.provider.to_owned(),
            line.model.clone(),
            number(line.max_input_tokens),
            number(line.max_output_tokens),
            price(&line.input_cents_per_mtok),
            price(&line.output_cents_per_mtok),
            line.operations.join(","),
        ]
    }));
    align(&rows)
}

/// Rows with their columns below each other.
fn align<R: AsRef<[String]>>(rows: &[R]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        let row = row.as_ref();
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let render = |row: &R| {
        let cells = row.as_ref().iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(render).collect()
}
