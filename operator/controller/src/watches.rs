//! Watches: what goes wrong with one is told once and stays with it, for `Controller` would hold back all the others until the next attempt.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use kube::api::{DynamicObject, ListParams};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_objects};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};

/// What has not been read after this is told of.
const SOON: Duration = Duration::from_secs(5);
/// So many failures in a row are told of: one is a connection that has ended.
const FAILURES: u32 = 3;
/// Between two looks whether a cluster knows a kind by now.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Events of objects, for whoever keeps them.
pub(crate) fn events<K>(
    api: Api<K>,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let what = K::kind(&()).into_owned();
    told(watch_objects(api, config).default_backoff(), what)
}

/// Objects that have become otherwise, or have gone; `PartialObjectMeta` where it is enough to know whom they concern.
pub(crate) fn objects<K>(
    api: Api<K>,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<K>> + Send
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    events(api, config).touched_objects()
}

/// The same for a kind that not every cluster has, and that not every operator may see: nothing comes until it is there.
pub(crate) fn objects_once_there(
    api: Api<PartialObjectMeta<DynamicObject>>,
    what: &'static str,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<PartialObjectMeta<DynamicObject>>> + Send {
    let there = {
        let api = api.clone();
        async move {
            while api.list(&ListParams::default().limit(1)).await.is_err() {
                sleep(LOOK_EVERY).await;
            }
        }
    };
    stream::once(there).flat_map(move |()| {
        let events = watch_objects(api.clone(), config.clone()).default_backoff();
        told(events, what.to_owned()).touched_objects()
    })
}

/// Tells when something is late or fails again and again, and when it is well again. Errors go no further.
fn told<T: Send + 'static>(
    events: impl Stream<Item = watcher::Result<Event<T>>> + Send + 'static,
    what: String,
) -> impl Stream<Item = watcher::Result<Event<T>>> + Send {
    let begin = (events.boxed(), Word::new(what));
    stream::unfold(begin, |(mut events, mut word)| async move {
        loop {
            let next = match word.told_at {
                Some(at) => match timeout_at(at, events.next()).await {
                    Ok(next) => next,
                    Err(_) => {
                        word.is_late();
                        continue;
                    }
                },
                None => events.next().await,
            };
            match next? {
                Ok(event) => {
                    word.heard(!matches!(event, Event::Init | Event::InitApply(_)));
                    return Some((Ok(event), (events, word)));
                }
                Err(error) => word.failed(&error),
            }
        }
    })
}

/// What is told of one watch.
struct Word {
    what: String,
    /// When it will be told that nothing was read yet.
    told_at: Option<Instant>,
    /// Something was told that is to be taken back.
    is_told: bool,
    failures: u32,
}

impl Word {
    fn new(what: String) -> Self {
        Self {
            what,
            told_at: Some(Instant::now() + SOON),
            is_told: false,
            failures: 0,
        }
    }

    fn is_late(&mut self) {
        self.told_at = None;
        self.is_told = true;
        tracing::warn!(kind = self.what, after = ?SOON, "the API server has not told yet what there is of this kind; waiting for it");
    }

    fn failed(&mut self, error: &watcher::Error) {
        self.failures += 1;
        if self.failures == FAILURES && !self.is_told {
            self.told_at = None;
            self.is_told = true;
            tracing::warn!(kind = self.what, %error, "the watch of this kind fails; it is opened again and again");
        } else {
            tracing::debug!(kind = self.what, %error, "a watch has failed");
        }
    }

    /// Something has come; whether it says that everything there was has been read.
    fn heard(&mut self, is_read: bool) {
        if !is_read {
            return;
        }
        self.told_at = None;
        self.failures = 0;
        if self.is_told {
            self.is_told = false;
            tracing::info!(kind = self.what, "the API server tells of this kind again");
        }
    }
}
