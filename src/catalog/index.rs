//! The catalog: presets and known models, and how they are found.

use std::collections::BTreeMap;

use super::data::FILES;
use super::{read, snapshot, validate};
use crate::domain::capability::ModelProfile;
use crate::domain::operation::{Operation, Transport};
use crate::domain::page::{Page, PageRequest};
use crate::domain::preset::Preset;
use crate::fault::{Fault, Kind, Outcome};

/// Known models and provider presets. Immutable; built once.
#[derive(Debug)]
pub struct Catalog {
    presets: Vec<Preset>,
    /// Models by key (a preset's name or an adapter's), each list sorted by id.
    shelves: BTreeMap<&'static str, Vec<KnownModel>>,
}

/// What is known about one model of one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownModel {
    /// The provider's own id.
    pub id: String,
    /// Operations with their limits, and prices.
    pub profile: ModelProfile,
    /// The wire shapes it can be called in, preferred first. Empty: none that the gateway speaks.
    pub transports: BTreeMap<Operation, Vec<Transport>>,
}

/// Which known models a list shows. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFilter {
    /// Only of this preset.
    pub preset: Option<String>,
    /// Only those with this operation.
    pub operation: Option<Operation>,
    /// Only those whose id contains this text (ASCII case ignored).
    pub text: Option<String>,
}

/// How many models a data file has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelCount {
    /// All of them.
    pub models: usize,
    /// Those that have an operation; one model may have several.
    pub operations: BTreeMap<Operation, usize>,
}

/// A known model as one preset offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedModel<'a> {
    /// The preset's name.
    pub preset: &'static str,
    /// The model.
    pub model: &'a KnownModel,
    /// The model's operations that the preset can serve; never empty.
    pub operations: Vec<Operation>,
}

impl Catalog {
    /// Reads the data files (a few milliseconds) and takes the presets.
    ///
    /// # Errors
    /// [`Kind::Internal`], with every problem on a line of its own as the cause, when a data line cannot be read or two
    /// presets share a name. Both are defects of the build, not of the configuration.
    pub fn load(presets: Vec<Preset>) -> Outcome<Self> {
        let mut problems = validate::repeated_presets(&presets);
        let mut shelves = BTreeMap::new();
        for file in FILES {
            let reading = read::read(file);
            problems.extend(reading.problems);
            if shelves.insert(file.key, reading.models).is_some() {
                problems.push(format!("{}: is listed twice", file.key));
            }
        }
        if !problems.is_empty() {
            return Err(Fault::new(Kind::Internal).because(problems.join("\n")));
        }
        Ok(Self { presets, shelves })
    }

    /// How many models are known, by the key of their data file.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, ModelCount> {
        let count = |models: &Vec<KnownModel>| {
            let mut count = ModelCount { models: models.len(), ..ModelCount::default() };
            for operation in models.iter().flat_map(|model| model.profile.operations.keys()) {
                *count.operations.entry(*operation).or_default() += 1;
            }
            count
        };
        self.shelves.iter().map(|(key, models)| (*key, count(models))).collect()
    }

    /// Every problem that [`load`](Self::load) lets pass: limits, levels, tiers, units, dimensions and presets that make
    /// no sense. Empty: all is well.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems = validate::presets(&self.presets);
        for (key, models) in &self.shelves {
            problems.extend(models.iter().flat_map(|model| validate::model(key, model)));
        }
        problems
    }

    /// All presets, in the registry's order.
    #[must_use]
    pub fn presets(&self) -> &[Preset] {
        &self.presets
    }

    /// The preset of this name.
    #[must_use]
    pub fn preset(&self, name: &str) -> Option<&Preset> {
        self.presets.iter().find(|preset| preset.name == name)
    }

    /// The model that a provider knows by this name. The exact id wins; a dated snapshot is found under its base, so
    /// the answer's `id` may differ from the question.
    ///
    /// A preset has the models filed under its own name or, if there are none, those of its adapter.
    #[must_use]
    pub fn find(&self, adapter_or_preset: &str, upstream_model: &str) -> Option<&KnownModel> {
        let shelf = self.shelf(adapter_or_preset);
        let exact =
            |id: &str| shelf.binary_search_by(|model| model.id.as_str().cmp(id)).ok().and_then(|at| shelf.get(at));
        exact(upstream_model).or_else(|| exact(snapshot::base(upstream_model)?))
    }

    /// Known models that a preset can serve, by preset name and then model id. Paged by offset: models have no ids to
    /// start `after`, so that field is not read.
    #[must_use]
    pub fn list(&self, filter: &ModelFilter, page: &PageRequest) -> Page<ListedModel<'_>> {
        let mut presets: Vec<&Preset> = self
            .presets
            .iter()
            .filter(|preset| filter.preset.as_ref().is_none_or(|name| name == preset.name))
            .collect();
        presets.sort_by_key(|preset| preset.name);
        let matching = presets
            .into_iter()
            .flat_map(|preset| self.shelf(preset.name).iter().filter_map(move |model| listed(preset, model, filter)));
        let matching: Vec<_> = matching.collect();
        let total = u32::try_from(matching.len()).unwrap_or(u32::MAX);
        let end = page.offset.saturating_add(page.limit);
        let skip = usize::try_from(page.offset).unwrap_or(usize::MAX);
        let take = usize::try_from(page.limit).unwrap_or(usize::MAX);
        Page { items: matching.into_iter().skip(skip).take(take).collect(), total, has_more: end < total }
    }

    fn shelf(&self, key: &str) -> &[KnownModel] {
        let own = self.shelves.get(key);
        let shelf = own.or_else(|| self.shelves.get(self.preset(key)?.adapter));
        shelf.map_or(&[], Vec::as_slice)
    }
}

fn listed<'a>(preset: &Preset, model: &'a KnownModel, filter: &ModelFilter) -> Option<ListedModel<'a>> {
    if filter.text.as_ref().is_some_and(|text| !contains_ignoring_case(&model.id, text)) {
        return None;
    }
    let served = |operation: &Operation| preset.transports.get(operation).is_some_and(|wires| !wires.is_empty());
    let operations: Vec<Operation> = model.profile.operations.keys().copied().filter(served).collect();
    if operations.is_empty() || filter.operation.is_some_and(|wanted| !operations.contains(&wanted)) {
        return None;
    }
    Some(ListedModel { preset: preset.name, model, operations })
}

fn contains_ignoring_case(text: &str, part: &str) -> bool {
    text.to_ascii_lowercase().contains(&part.to_ascii_lowercase())
}
