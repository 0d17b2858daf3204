//! Records that are answered from a journal and stored behind the answers.

use super::*;

fn recorder(sink: &Arc<FakeSink>, folder: &tempfile::TempDir) -> Arc<Recorder> {
    let journal = Journal::open(folder.path()).unwrap();
    Arc::new(Recorder::new(sink.clone(), Arc::new(crate::time::SystemClock)).with_journal(journal))
}

fn bytes(folder: &tempfile::TempDir) -> u64 {
    std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[tokio::test]
async fn answers_do_not_wait_for_the_store_and_who_asks_sees_them_in_it() {
    let (sink, folder) = (Arc::new(FakeSink::default()), tempfile::TempDir::new().unwrap());
    let recorder = recorder(&sink, &folder);
    let _stop = run(&recorder);
    for number in 0..600 {
        recorder.record(named(&format!("{number:03}"))).await.unwrap();
    }
    recorder.caught_up().await;
    assert_eq!(sink.ids().len(), 600);
    eventually(async || bytes(&folder) == 0).await;
    // And without anyone who asks.
    recorder.record(named("last")).await.unwrap();
    eventually(async || sink.ids().len() == 601).await;
    assert_eq!(recorder.figures().read(Timestamp::from_unix_ms(0)).waiting, 0);
}

#[tokio::test]
async fn with_the_store_away_answers_flow_questions_fail_and_nothing_is_lost() {
    let (sink, folder) = (Arc::new(FakeSink::default()), tempfile::TempDir::new().unwrap());
    let recorder = recorder(&sink, &folder);
    let _stop = run(&recorder);
    answers_while_away(&sink, &recorder).await;
    let spend = recorder.spend(key(), Window::at(None, Timestamp::from_unix_ms(0)));
    assert!(tokio::time::timeout(Duration::from_secs(5), spend).await.unwrap().unwrap().is_err());
    assert!(sink.ids().is_empty());
    sink.set_away(false);
    eventually(async || sink.ids() == ["a", "c"]).await;
    assert_eq!(sink.state.lock().unwrap().aside, ["bad"]);
}

#[tokio::test]
async fn what_was_answered_before_the_process_died_is_stored_first_by_the_next() {
    let (sink, folder) = (Arc::new(FakeSink::default()), tempfile::TempDir::new().unwrap());
    sink.set_away(true);
    let first = recorder(&sink, &folder);
    let (_stop, must_stop) = tokio::sync::watch::channel(false);
    let lives = async {
        for id in ["a", "b"] {
            first.record(named(id)).await.unwrap();
        }
    };
    // It dies with its records in memory: nothing is asked of it any more.
    tokio::select! {
        () = first.run(must_stop) => unreachable!(),
        () = lives => {}
    }
    drop(first);
    sink.set_away(false);
    let second = recorder(&sink, &folder);
    second.recover().await.unwrap();
    assert_eq!(sink.ids(), ["a", "b"]);
    assert_eq!(bytes(&folder), 0);
}

#[tokio::test]
async fn a_process_that_ends_stores_what_it_answered() {
    let (sink, folder) = (Arc::new(FakeSink::default()), tempfile::TempDir::new().unwrap());
    let recorder = recorder(&sink, &folder);
    let (stop, must_stop) = tokio::sync::watch::channel(false);
    let lives = async {
        recorder.record(named("a")).await.unwrap();
        drop(recorder.record(named("b")));
        stop.send_replace(true);
    };
    tokio::join!(recorder.run(must_stop), lives);
    assert_eq!((sink.ids().len(), bytes(&folder)), (2, 0));
}

#[tokio::test]
async fn the_files_of_a_busy_journal_stay_small() {
    let (sink, folder) = (Arc::new(FakeSink::default()), tempfile::TempDir::new().unwrap());
    let recorder = recorder(&sink, &folder);
    let _stop = run(&recorder);
    let (mut largest, detail) = (0, "x".repeat(100_000));
    for number in 0..200 {
        let record = OperationRecord { error_detail: Some(detail.clone()), ..named(&number.to_string()) };
        // One is handed over before the one before it is stored, so there is no moment without any.
        recorder.record(record).await.unwrap();
        if number % 8 == 0 {
            recorder.flush().await;
        }
        largest = largest.max(bytes(&folder));
    }
    assert!(largest < 8 << 20, "{largest} bytes");
    recorder.flush().await;
    assert_eq!(sink.ids().len(), 200);
}
