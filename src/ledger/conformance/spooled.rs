//! Records on disk while the store is away.

use super::*;
use crate::ledger::spool::{MOST_BYTES, Spool};

fn recorder(sink: &Arc<FakeSink>, folder: &tempfile::TempDir) -> Arc<Recorder> {
    let spool = Spool::open(folder.path(), MOST_BYTES).unwrap();
    Arc::new(Recorder::new(sink.clone(), Arc::new(crate::time::SystemClock)).with_spool(spool))
}

#[tokio::test]
async fn with_the_store_away_records_are_safe_at_once_and_stored_when_it_is_back() {
    let (sink, folder) = (Arc::new(FakeSink::default()), tempfile::TempDir::new().unwrap());
    let recorder = recorder(&sink, &folder);
    let _stop = run(&recorder);
    answers_while_away(&sink, &recorder).await;
    assert!(recorder.spend(key(), Window::at(None, Timestamp::from_unix_ms(0))).await.unwrap().is_err());
    assert!(sink.ids().is_empty() && !recorder.is_full());
    sink.set_away(false);
    eventually(async || sink.ids() == ["a", "c"]).await;
    assert_eq!(sink.state.lock().unwrap().aside, ["bad"]);
    recorder.record(named("d")).await.unwrap();
    assert_eq!(sink.ids(), ["a", "c", "d"]);
}

#[tokio::test]
async fn what_waits_on_disk_is_stored_by_the_next_process() {
    let (sink, folder) = (Arc::new(FakeSink::default()), tempfile::TempDir::new().unwrap());
    let first = recorder(&sink, &folder);
    sink.set_away(true);
    let (stop, must_stop) = tokio::sync::watch::channel(false);
    let lasts = async {
        first.record(named("a")).await.unwrap();
        stop.send_replace(true);
    };
    tokio::join!(first.run(must_stop), lasts);
    drop(first);
    sink.set_away(false);
    let second = recorder(&sink, &folder);
    let _stop = run(&second);
    eventually(async || sink.ids() == ["a"]).await;
}
