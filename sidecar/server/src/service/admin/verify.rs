//! `Verify`: a walk from the first event to the head that finds the first event which is not what was written.
//!
//! What a database knows of its events is told three times: the digest beside each event, the hash of the chain at the end of each batch,
//! the hash at the head. Fields that do not give the digest are found by the store, event by event. Who rewrites the digest as well is found
//! by the chain, to the batch; who rewrites a hash of the chain as well, by the next one that was left.

use bytes::Bytes;
use tidelog_engine::LogHandle;
use tidelog_model::{ChainHash, EventId, Selector, StoredEvent};
use tidelog_proto::v1;
use tidelog_proto::v1::verify_response::Outcome;
use tidelog_store::{ReadQuery, StoreError};
use tokio::sync::mpsc;
use tonic::Status;

use crate::answer;

/// Events in one page.
const PAGE_EVENTS: usize = 500;
/// Bytes of payloads in one page.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

type Out = mpsc::Sender<Result<v1::VerifyResponse, Status>>;

/// Walks, with a word after every page, and ends with the outcome.
pub async fn verify(log: LogHandle, out: Out) {
    let view = log.reader().view();
    let end = match Walk::new(&log, view.head, view.hash).run(Some(&out)).await {
        Ok(end) => end,
        Err(error) => {
            let _ = out.send(Err(answer::store(&error).into())).await;
            return;
        }
    };
    let (events, outcome) = match end {
        End::Well => {
            let hash = bytes_of(view.hash);
            (view.head, Outcome::Verified(v1::Verified { hash }))
        }
        End::Altered(altered) => (altered.sequence - 1, Outcome::Altered(altered)),
        End::Unheard => return,
    };
    let last = v1::VerifyResponse {
        events,
        head: view.head,
        outcome: Some(outcome),
    };
    let _ = out.send(Ok(last)).await;
}

/// How a walk ends.
enum End {
    /// The chain holds.
    Well,
    /// It does not.
    Altered(v1::Altered),
    /// Nobody listens any more.
    Unheard,
}

struct Walk<'a> {
    log: &'a LogHandle,
    /// Where it ends, and the chain there.
    head: (u64, ChainHash),
    /// Everything up to here was read.
    at: u64,
    /// The chain there, as the events give it.
    hash: ChainHash,
    /// The last sequence whose recorded hash was compared.
    compared: u64,
}

impl<'a> Walk<'a> {
    fn new(log: &'a LogHandle, head: u64, hash: ChainHash) -> Self {
        Self {
            log,
            head: (head, hash),
            at: 0,
            hash: ChainHash::ZERO,
            compared: 0,
        }
    }

    /// Reads to the head. While somebody listens only the last recorded hash of each page is compared, which speaks for all before it; when
    /// one differs, the walk is made again and looks at every recorded hash.
    async fn run(mut self, out: Option<&Out>) -> Result<End, StoreError> {
        let mut end = self.head.0;
        let mut unreadable = None;
        while self.at < end {
            let page = match self.read(end).await {
                Ok(page) => page,
                Err(error) => {
                    // What comes before it may be altered too, together with its digest, and would be the first.
                    let found = self.unreadable(error).await?;
                    end = found.sequence - 1;
                    unreadable = Some(found);
                    continue;
                }
            };
            if page.is_empty() {
                break;
            }
            if let Some(altered) = self.take(&page, out.is_none()).await? {
                return self.ends(altered, out).await;
            }
            let progress = v1::VerifyResponse {
                events: self.at,
                head: self.head.0,
                outcome: None,
            };
            if let Some(out) = out
                && out.send(Ok(progress)).await.is_err()
            {
                return Ok(End::Unheard);
            }
        }
        if let Some(altered) = unreadable {
            return Ok(End::Altered(altered));
        }
        let (head, recorded) = self.head;
        if self.at < head {
            let message = format!(
                "it is missing: the log ends at {}, its head is {head}",
                self.at
            );
            return Ok(End::Altered(self.gap(message)));
        }
        if recorded == self.hash {
            return Ok(End::Well);
        }
        // Its batch agrees with what the database records beside it, and not with what the head had.
        let before = head.saturating_sub(1);
        self.compared = self.log.store().checkpoint(before).await?.0;
        let altered = self.differs(head, recorded, self.hash, None);
        self.ends(altered, out).await
    }

    /// Ends with what was found, or with what comes before it.
    async fn ends(&self, found: v1::Altered, out: Option<&Out>) -> Result<End, StoreError> {
        if out.is_none() {
            return Ok(End::Altered(found));
        }
        let (head, hash) = self.head;
        let again = Box::pin(Walk::new(self.log, head, hash).run(None)).await?;
        Ok(match again {
            End::Altered(first) if first.last_sequence <= found.last_sequence => {
                End::Altered(first)
            }
            _ => End::Altered(found),
        })
    }

    async fn read(&self, end: u64) -> Result<Vec<StoredEvent>, StoreError> {
        let query = ReadQuery {
            after: self.at,
            to: end.min(self.at + PAGE_EVENTS as u64),
            events_max: PAGE_EVENTS,
            bytes_max: PAGE_BYTES,
            scan_max: PAGE_EVENTS,
            selector: Selector::default(),
        };
        Ok(self.log.store().read(&query).await?.events)
    }

    /// Adds a page to the chain, and compares the last recorded hash in it, or every one.
    async fn take(
        &mut self,
        page: &[StoredEvent],
        every: bool,
    ) -> Result<Option<v1::Altered>, StoreError> {
        let before = self.at;
        let mut chain = Vec::with_capacity(page.len());
        for stored in page {
            if stored.sequence != self.at + 1 {
                return Ok(Some(self.gap("it is missing".to_owned())));
            }
            self.hash = self.hash.next(&stored.event.id, &stored.digest);
            self.at = stored.sequence;
            chain.push((&stored.event.id, self.hash));
        }
        // From the last one back, since a store answers with the nearest at or below.
        let mut recorded = Vec::new();
        let mut below = self.at;
        while below > before {
            let (sequence, hash) = self.log.store().checkpoint(below).await?;
            let Some(index) = sequence.checked_sub(before + 1) else {
                break;
            };
            recorded.push((index as usize, hash));
            if !every {
                break;
            }
            below = sequence - 1;
        }
        for (index, hash) in recorded.into_iter().rev() {
            let sequence = before + 1 + index as u64;
            if let Some((id, computed)) = chain.get(index)
                && *computed != hash
            {
                return Ok(Some(self.differs(sequence, hash, *computed, Some(id))));
            }
            self.compared = sequence;
        }
        Ok(None)
    }

    /// The next event is not there.
    fn gap(&self, message: String) -> v1::Altered {
        v1::Altered {
            sequence: self.at + 1,
            message,
            last_sequence: self.at + 1,
            ..v1::Altered::default()
        }
    }

    /// The chain at a sequence is not the recorded one: because of an event after the last that was compared.
    fn differs(
        &self,
        sequence: u64,
        recorded: ChainHash,
        computed: ChainHash,
        id: Option<&EventId>,
    ) -> v1::Altered {
        let first = (self.compared + 1).min(sequence);
        let one = first == sequence;
        let message = if one {
            "it was replaced together with its digest, or the hash of the chain was"
        } else {
            "it was replaced together with its digest, or the hash of the chain was, which these events have together"
        };
        v1::Altered {
            sequence: first,
            id: id.filter(|_| one).map(Into::into),
            message: message.to_owned(),
            recorded: bytes_of(recorded),
            computed: bytes_of(computed),
            last_sequence: sequence,
        }
    }

    /// The event because of which the next page cannot be read; any other error as it is.
    async fn unreadable(&self, error: StoreError) -> Result<v1::Altered, StoreError> {
        let message = match error {
            StoreError::Altered(event) => {
                return Ok(v1::Altered {
                    sequence: event.sequence,
                    id: Some((&event.id).into()),
                    message: "its fields do not give its digest".to_owned(),
                    recorded: event.recorded.0.to_vec().into(),
                    computed: event.computed.0.to_vec().into(),
                    last_sequence: event.sequence,
                });
            }
            StoreError::Corrupted { place, detail } => format!("{place}: {detail}"),
            other => return Err(other),
        };
        let last = self.head.0.min(self.at + PAGE_EVENTS as u64);
        for sequence in self.at + 1..=last {
            let read = self.log.store().event(sequence).await;
            if !matches!(read, Err(StoreError::Corrupted { .. })) {
                continue;
            }
            let rows = self.log.store().ids(sequence - 1, 1).await;
            let row = rows.ok().and_then(|mut rows| rows.pop());
            let row = row.filter(|row| row.sequence == sequence);
            let recorded = row.as_ref().map(|row| row.digest.0.to_vec().into());
            return Ok(v1::Altered {
                sequence,
                id: row.map(|row| (&row.id).into()),
                message,
                recorded: recorded.unwrap_or_default(),
                computed: Bytes::new(),
                last_sequence: sequence,
            });
        }
        Ok(self.gap(message))
    }
}

fn bytes_of(hash: ChainHash) -> Bytes {
    hash.0.to_vec().into()
}
