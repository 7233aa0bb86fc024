//! The finite read: a range of the log in pages.

use std::time::Duration;

use tidelog_model::{Position, StoredEvent, VectorTime};

use crate::errors::ReadError;
use crate::reader::{LogReader, PageQuery};
use crate::selection::Selection;

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct ReadRequest {
    /// Reading starts after it; the default is the start of the log.
    pub after: Position,
    /// Last sequence, inclusive; 0, or anything beyond it, means the head at the time of the call.
    pub to: u64,
    /// At most so many events; 0 = no limit.
    pub limit: u64,
    /// Which events.
    pub selection: Selection,
    /// Waited for before the head is looked at.
    pub min_version: VectorTime,
    /// For `min_version`; `None` = the default of the log.
    pub deadline: Option<Duration>,
}

/// A part of the range.
#[derive(Debug, Clone)]
pub struct ReadItem {
    /// Wanted events, in log order; empty only in the last item.
    pub events: Vec<StoredEvent>,
    /// Everything up to here was looked at.
    pub position: Position,
    /// The head at the time of the call.
    pub head: u64,
}

/// A running read.
#[derive(Debug)]
pub struct Reading {
    reader: LogReader,
    query: PageQuery,
    position: Position,
    /// The end of the range in the incarnation of the call: the whole range is of that history, or the read ends.
    end: Position,
    head: u64,
    remaining: u64,
    done: bool,
}

impl LogReader {
    /// Begins a finite read. Waits for `min_version`, then fixes the range.
    pub async fn read(&self, request: ReadRequest) -> Result<Reading, ReadError> {
        request.selection.check()?;
        if !request.min_version.is_empty() {
            self.wait_for(&request.min_version, request.deadline)
                .await?;
        }
        let view = self.check(request.after).await?;
        let to = if request.to == 0 {
            view.head
        } else {
            request.to.min(view.head)
        };
        Ok(Reading {
            reader: self.clone(),
            query: PageQuery {
                to,
                selection: request.selection,
                ..self.page_query()
            },
            position: request.after,
            end: Position::new(view.current().incarnation, to),
            head: view.head,
            remaining: if request.limit == 0 {
                u64::MAX
            } else {
                request.limit
            },
            done: false,
        })
    }
}

impl Reading {
    /// The next part; there is at least one. After the last one `Ok(None)`. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<ReadItem>, ReadError> {
        while !self.done {
            let fits = usize::try_from(self.remaining).unwrap_or(usize::MAX);
            self.query.events_max = self.reader.options().page_events_max.min(fits);
            let page = self.reader.page(self.position, &self.query).await?;
            page.view
                .lineage
                .check(self.end, page.view.head)
                .map_err(crate::PageError::from)?;
            self.position = page.position;
            self.remaining -= page.events.len() as u64;
            self.done = self.position.sequence >= self.query.to || self.remaining == 0;
            if self.done || !page.events.is_empty() {
                return Ok(Some(ReadItem {
                    events: page.events,
                    position: self.position,
                    head: self.head,
                }));
            }
            tokio::task::consume_budget().await;
        }
        Ok(None)
    }
}
