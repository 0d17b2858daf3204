//! Router settings: defaults, round trip, expected revisions.

use super::Backend;
use super::samples::{NOW, any_write, full_settings, traces};
use crate::domain::ids::Revision;
use crate::domain::settings::{RouterSettings, StoredSettings};
use crate::fault::Kind;
use crate::time::Timestamp;

pub(super) async fn defaults_are_in_force_until_the_first_write(backend: Backend) {
    let fresh = backend.open().await;
    let expected = StoredSettings {
        settings: RouterSettings::default(),
        revision: Revision(0),
        updated_at: Timestamp::from_unix_ms(0),
    };
    assert_eq!(fresh.stores.settings.get().await.unwrap(), expected);
}

pub(super) async fn every_field_comes_back_as_it_was_written(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.settings;
    let mut expected = Revision(0);
    for settings in [full_settings(), RouterSettings::default()] {
        let revision = store.replace(&settings, NOW, expected, &any_write()).await.unwrap();
        assert_eq!(store.get().await.unwrap(), StoredSettings { settings, revision, updated_at: NOW });
        expected = revision;
    }
}

pub(super) async fn a_stale_revision_is_refused(backend: Backend) {
    let fresh = backend.open().await;
    let store = &fresh.stores.settings;
    let replace = async |expected| store.replace(&full_settings(), NOW, expected, &any_write()).await;
    assert_eq!(replace(Revision(1)).await.unwrap_err().kind(), Kind::Stale);
    let first = replace(Revision(0)).await.unwrap();
    let before = traces(&fresh.stores).await;
    assert_eq!(replace(Revision(0)).await.unwrap_err().kind(), Kind::Stale);
    assert_eq!(traces(&fresh.stores).await, before);
    assert!(replace(first).await.unwrap() > first);
}
