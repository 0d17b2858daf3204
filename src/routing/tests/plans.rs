use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};

use super::{START, id, target};
use crate::domain::ids::Revision;
use crate::domain::operation::{Operation, Transport};
use crate::fault::{Kind, Outcome};
use crate::routing::{Snapshot, Standing, Target, Wants, plan};

const CHAT: &[Transport] = &[Transport::ChatCompletions];
const ANY: &[Transport] = &[Transport::Messages, Transport::Responses, Transport::ChatCompletions];

fn snapshot(targets: Vec<Target>) -> Snapshot {
    let mut edit = Snapshot::empty(START).edit();
    targets.into_iter().for_each(|target| edit.put_deployment(target));
    edit.finish(Revision(1), START)
}

fn wants<'a>(public_model: &'a str, transports: &'a [Transport]) -> Wants<'a> {
    Wants { public_model, operation: Operation::TextGenerate, transports, origin: None, session: None }
}

/// The candidates' ids as numbers, in order.
fn order(snapshot: &Snapshot, transports: &[Transport], dice: &mut dyn FnMut(u64) -> u64) -> Vec<u128> {
    let plan = plan(snapshot, wants("m", transports), &well, dice).unwrap();
    plan.candidates.iter().map(|candidate| candidate.target.id.as_uuid().as_u128()).collect()
}

fn well(_: &Target) -> Standing {
    Standing::UNKNOWN
}

fn kind<T>(outcome: Outcome<T>) -> Option<Kind> {
    outcome.err().map(|fault| fault.kind())
}

fn no_dice(_: u64) -> u64 {
    panic!("there is nothing to choose")
}

#[test]
fn higher_tiers_come_first_whatever_the_weights() {
    let snapshot = snapshot(vec![
        Target { priority: -1, weight: 1000, ..target(1, "m") },
        Target { priority: 5, ..target(2, "m") },
        Target { priority: 5, ..target(3, "m") },
        target(4, "m"),
    ]);
    assert_eq!(order(&snapshot, CHAT, &mut |_| 0), [2, 3, 4, 1]);
    assert_eq!(order(&snapshot, CHAT, &mut |sides| sides - 1), [3, 2, 4, 1]);
}

#[test]
fn over_ten_thousand_draws_first_place_follows_the_weights_and_weight_zero_is_last() {
    let snapshot = snapshot(vec![
        Target { weight: 0, ..target(1, "m") },
        Target { weight: 1, ..target(2, "m") },
        Target { weight: 3, ..target(3, "m") },
        Target { weight: 6, ..target(4, "m") },
    ]);
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    let mut first: BTreeMap<u128, i32> = BTreeMap::new();
    for _ in 0..10_000 {
        let order = order(&snapshot, CHAT, &mut |sides| random.random_range(0..sides));
        assert_eq!((order.len(), order[3]), (4, 1));
        *first.entry(order[0]).or_default() += 1;
    }
    for (target, expected) in [(2, 1000), (3, 3000), (4, 6000)] {
        // Four standard deviations are less than 200 draws here.
        assert!((first[&target] - expected).abs() < 200, "{first:?}");
    }
}

#[test]
fn a_pool_of_weight_zero_still_serves_and_one_candidate_needs_no_dice() {
    let all_zero = snapshot(vec![Target { weight: 0, ..target(1, "m") }, Target { weight: 0, ..target(2, "m") }]);
    assert_eq!(order(&all_zero, CHAT, &mut no_dice), [1, 2]);
    assert_eq!(order(&snapshot(vec![target(3, "m")]), CHAT, &mut no_dice), [3]);
}

#[test]
fn disabled_deployments_take_no_traffic() {
    let off = |n| Target { enabled: false, ..target(n, "m") };
    assert_eq!(order(&snapshot(vec![off(1), target(2, "m")]), CHAT, &mut no_dice), [2]);
    let outcome = plan(&snapshot(vec![off(1), off(2)]), wants("m", CHAT), &well, &mut no_dice);
    assert_eq!(kind(outcome), Some(Kind::NoDeployments));
}

#[test]
fn the_clients_own_wire_shape_is_preferred_and_a_pin_decides() {
    let pinned = |n, transport| Target {
        pinned: BTreeMap::from([(Operation::TextGenerate, transport)]),
        priority: -i32::try_from(n).unwrap(),
        ..target(n, "m")
    };
    let snapshot = snapshot(vec![
        target(0, "m"),
        pinned(1, Transport::ChatCompletions),
        pinned(2, Transport::Messages),
        pinned(3, Transport::GenerateContent),
    ]);
    let plan = plan(&snapshot, wants("m", ANY), &well, &mut no_dice_but_one).unwrap();
    let spoken: Vec<Transport> = plan.candidates.iter().map(|candidate| candidate.transport).collect();
    assert_eq!(spoken, [Transport::Responses, Transport::ChatCompletions, Transport::Messages]);
}

/// Tiers of one still roll, but there is one outcome.
fn no_dice_but_one(sides: u64) -> u64 {
    assert_eq!(sides, 1);
    0
}

#[test]
fn what_cannot_be_served_says_why() {
    let snapshot = snapshot(vec![target(1, "m")]);
    let unknown = plan(&snapshot, wants("ghost", CHAT), &well, &mut no_dice).unwrap_err();
    assert_eq!((unknown.kind(), unknown.at()), (Kind::ModelNotFound, Some("model")));
    assert!(unknown.message().contains("`ghost`"));
    let other_wire = plan(&snapshot, wants("m", &[Transport::Messages]), &well, &mut no_dice);
    assert_eq!(kind(other_wire), Some(Kind::UnsupportedCapability));
    let embed = Wants { operation: Operation::EmbeddingCreate, ..wants("m", ANY) };
    let embed = plan(&snapshot, embed, &well, &mut no_dice).unwrap_err();
    assert_eq!(embed.kind(), Kind::UnsupportedCapability);
    assert!(embed.message().contains("embedding.create"));
    let long = "x".repeat(10_000);
    assert!(plan(&snapshot, wants(&long, CHAT), &well, &mut no_dice).unwrap_err().message().len() < 200);
    assert_eq!(snapshot.find_deployment(id(1)).unwrap().id, id(1));
}

#[test]
fn a_model_whose_only_deployment_is_left_out_is_unavailable_and_not_unknown() {
    let mut edit = snapshot(vec![target(1, "m")]).edit();
    edit.withhold_deployment(id(1), target(1, "m").public_model);
    let withheld = edit.finish(Revision(2), START);
    assert_eq!(kind(plan(&withheld, wants("m", CHAT), &well, &mut no_dice)), Some(Kind::NoDeployments));
    let mut edit = withheld.edit();
    edit.remove_deployment(id(1));
    let gone = edit.finish(Revision(3), START);
    assert_eq!(kind(plan(&gone, wants("m", CHAT), &well, &mut no_dice)), Some(Kind::ModelNotFound));
}
