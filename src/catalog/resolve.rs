//! What a deployment will be able to do, and what it costs: its spec against the presets and the known models.
//!
//! The same answer is given for a draft and for a stored row. What is only refused on write is
//! [`Catalog::check_entry_allowed`], so that a stored row does not become invalid when a later catalog knows its model.

use std::collections::BTreeMap;

use super::index::{Catalog, KnownModel};
use crate::domain::capability::{ModelProfile, OperationProfile};
use crate::domain::deployment::DeploymentSpec;
use crate::domain::operation::{Operation, Transport};
use crate::domain::preset::Preset;
use crate::domain::price::Pricing;
use crate::fault::{Fault, Outcome};

/// Where a deployment's profile comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileSource {
    /// A known model.
    Catalog {
        /// Its id in the catalog: the upstream model, its base, or the spec's `catalogModel`.
        model: String,
    },
    /// The spec's own `catalogEntry`.
    CatalogEntry,
    /// Only the preset: a host that serves anything, and a model about which nothing is known.
    Preset,
}

/// What a deployment can do and what it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Where this was found.
    pub source: ProfileSource,
    /// Per operation that both the model and the preset have; never empty.
    pub operations: BTreeMap<Operation, ResolvedOperation>,
    /// The profile's prices with the spec's own on top.
    pub pricing: Pricing,
}

/// One operation of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedOperation {
    /// Capabilities and limits. With [`ProfileSource::Preset`] nothing in it is known.
    pub profile: OperationProfile,
    /// The wire shape to speak by default: the first of `transports`.
    pub transport: Transport,
    /// Every wire shape that may be spoken, preferred first; never empty. A pin leaves only itself.
    pub transports: Vec<Transport>,
}

/// The profile that was found, and the wires of a known model.
struct Found<'a> {
    source: ProfileSource,
    profile: Option<&'a ModelProfile>,
    known: Option<&'a KnownModel>,
}

impl Catalog {
    /// Resolves a deployment. A `catalogEntry` goes before what the catalog says, whichever is newer.
    ///
    /// # Errors
    /// `bad_request` naming the field: an unknown `provider` or `catalogModel`, a missing `catalogEntry`, an
    /// `upstreamModel` (or entry) with no operation that the preset serves, or a transport pin that does not fit.
    pub fn resolve(&self, spec: &DeploymentSpec) -> Outcome<Resolved> {
        let preset = self.known_preset(&spec.provider)?;
        let found = self.profile_of(spec, preset)?;
        let mut operations = BTreeMap::new();
        for (operation, spoken) in &preset.transports {
            let profile = match found.profile {
                Some(profile) => profile.operations.get(operation).cloned(),
                None => Some(OperationProfile::default()),
            };
            let wires = found.known.and_then(|known| known.transports.get(operation)).map_or(&[][..], Vec::as_slice);
            let unpinned: Vec<Transport> =
                spoken.iter().copied().filter(|wire| !preset.by_pin_only.contains(wire)).collect();
            let transports = usable(wires, &unpinned);
            if let (Some(profile), Some(&transport)) = (profile, transports.first()) {
                operations.insert(*operation, ResolvedOperation { profile, transport, transports });
            }
        }
        if operations.is_empty() {
            return Err(nothing_left(spec, preset, &found));
        }
        pin(&spec.transport_overrides, preset, &mut operations)?;
        let pricing = found.profile.map(|profile| profile.pricing.clone()).unwrap_or_default();
        let pricing = spec.pricing.as_ref().map_or(pricing.clone(), |own| pricing.overridden_by(own));
        Ok(Resolved { source: found.source, operations, pricing })
    }

    /// Whether a spec that is being written may have its `catalogEntry`.
    ///
    /// # Errors
    /// `bad_request` on `catalogEntry` when the catalog already knows the model or `catalogModel` names another, on
    /// `provider` when it is unknown.
    pub fn check_entry_allowed(&self, spec: &DeploymentSpec) -> Outcome<()> {
        let preset = self.known_preset(&spec.provider)?;
        if spec.catalog_entry.is_none() {
            return Ok(());
        }
        if spec.catalog_model.is_some() {
            return Err(Fault::invalid("catalogEntry", "cannot be combined with `catalogModel`; state one of them"));
        }
        match self.find(preset.name, &spec.upstream_model) {
            None => Ok(()),
            Some(known) => Err(Fault::invalid(
                "catalogEntry",
                format!(
                    "is only for models outside the catalog, and `{}` is in it as `{}`; `pricing` overrides its prices",
                    spec.upstream_model, known.id
                ),
            )),
        }
    }

    fn known_preset(&self, name: &str) -> Outcome<&Preset> {
        self.preset(name).ok_or_else(|| {
            let known = words(self.presets().iter().map(|preset| preset.name));
            Fault::invalid("provider", format!("`{name}` is not a known preset; known: {known}"))
        })
    }

    fn profile_of<'a>(&'a self, spec: &'a DeploymentSpec, preset: &Preset) -> Outcome<Found<'a>> {
        if let Some(entry) = &spec.catalog_entry {
            return Ok(Found { source: ProfileSource::CatalogEntry, profile: Some(entry), known: None });
        }
        let known = match &spec.catalog_model {
            Some(name) => Some(self.find(preset.name, name).ok_or_else(|| {
                Fault::invalid("catalogModel", format!("`{name}` is not in the catalog of `{}`", preset.name))
            })?),
            None => self.find(preset.name, &spec.upstream_model),
        };
        match known {
            Some(known) => {
                let source = ProfileSource::Catalog { model: known.id.clone() };
                Ok(Found { source, profile: Some(&known.profile), known: Some(known) })
            }
            None if preset.requires_known_model => Err(Fault::invalid(
                "catalogEntry",
                format!("is required because `{}` is not in the catalog of `{}`", spec.upstream_model, preset.name),
            )),
            None => Ok(Found { source: ProfileSource::Preset, profile: None, known: None }),
        }
    }
}

/// The model's wires that the preset speaks, in the model's order; all of the preset's when they have none in common.
fn usable(wires: &[Transport], spoken: &[Transport]) -> Vec<Transport> {
    let common: Vec<Transport> = wires.iter().copied().filter(|wire| spoken.contains(wire)).collect();
    if common.is_empty() { spoken.to_vec() } else { common }
}

fn nothing_left(spec: &DeploymentSpec, preset: &Preset, found: &Found<'_>) -> Fault {
    let served = words(preset.transports.keys().map(|operation| operation.as_str()));
    let has = found.profile.map(|profile| words(profile.operations.keys().map(|operation| operation.as_str())));
    let has = has.filter(|words| !words.is_empty()).unwrap_or_else(|| "nothing".to_owned());
    match found.source {
        ProfileSource::CatalogEntry => Fault::invalid(
            "catalogEntry.operations",
            format!("must name an operation that `{}` serves: {served}; it names {has}", preset.name),
        ),
        ProfileSource::Catalog { .. } | ProfileSource::Preset => Fault::invalid(
            "upstreamModel",
            format!("`{}` does {has}, and `{}` serves {served}", spec.upstream_model, preset.name),
        ),
    }
}

fn pin(
    pins: &BTreeMap<Operation, Transport>,
    preset: &Preset,
    operations: &mut BTreeMap<Operation, ResolvedOperation>,
) -> Outcome<()> {
    for (operation, transport) in pins {
        let field = || format!("transportOverrides.{operation}");
        let Some(resolved) = operations.get_mut(operation) else {
            let has = words(operations.keys().map(|operation| operation.as_str()));
            return Err(Fault::invalid(field(), format!("is not an operation of this deployment; it has: {has}")));
        };
        let spoken = preset.transports.get(operation).map_or(&[][..], Vec::as_slice);
        if !spoken.contains(transport) {
            let allowed = words(spoken.iter().map(|transport| transport.as_str()));
            let name = preset.name;
            return Err(Fault::invalid(
                field(),
                format!("`{transport}` is not spoken by `{name}`; allowed: {allowed}"),
            ));
        }
        resolved.transport = *transport;
        resolved.transports = vec![*transport];
    }
    Ok(())
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}
