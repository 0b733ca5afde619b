//! Texts that wait, and the worker that makes batches of them.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use burn::data::dataloader::batcher::Batcher;
use burn::tensor::Device;
use glue_data::{Encoded, PadToLongest};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use super::metrics::Metrics;
use super::registry::{BatchSlot, Registry};
use crate::learner::step::bert_input;

/// Tokens of a batch, padding included.
const BATCH_TOKENS: usize = 8192;
/// How long the first text of a batch waits for company.
const BATCH_WINDOW: Duration = Duration::from_millis(3);

/// A text that waits for its logits.
pub(super) struct QueuedBatch {
    pub(super) registry: Arc<Registry>,
    pub(super) task: String,
    pub(super) place: BatchSlot,
    pub(super) text: Encoded,
    /// Which text of its request this is.
    pub(super) number: usize,
    pub(super) answer: UnboundedSender<(usize, Vec<f32>)>,
}

impl QueuedBatch {
    /// Whether the text can be in a batch that begins with another.
    fn fits(&self, first: &Self) -> bool {
        Arc::ptr_eq(&self.registry, &first.registry)
            && match (self.place, first.place) {
                (BatchSlot::Mixed(_), BatchSlot::Mixed(_)) => true,
                (BatchSlot::Alone, BatchSlot::Alone) => self.task == first.task,
                _ => false,
            }
    }
}

/// Why texts are not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// As many wait as may.
    Full,
    /// These are more than may ever wait.
    TooMany {
        /// How many there are.
        texts: usize,
    },
    /// They would not be run any more.
    Closed,
}

/// Texts in the order in which they came.
pub(super) struct Queue {
    /// How many may wait; a request beyond that is refused for now.
    pub(super) capacity: usize,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<QueuedBatch>,
    /// Texts of requests that are being tokenized.
    reserved: usize,
    closed: bool,
}

/// Room in a queue for the texts of a request, until this is dropped.
pub(super) struct Room {
    queue: Arc<Queue>,
    texts: usize,
}

impl Room {
    /// Puts all of a request's texts into the queue.
    pub(super) fn fill(self, jobs: Vec<QueuedBatch>) -> Result<(), Refused> {
        let mut waiting = self.queue.waiting();
        if waiting.closed {
            drop(waiting);
            return Err(Refused::Closed);
        }
        waiting.jobs.extend(jobs);
        // Dropping `self` takes the lock again.
        drop(waiting);
        self.queue.changed.notify_all();
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.queue.waiting().reserved -= self.texts;
    }
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, waiting: Mutex::default(), changed: Condvar::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps room for all of a request's texts.
    pub(super) fn reserve(self: &Arc<Self>, texts: usize) -> Result<Room, Refused> {
        if texts > self.capacity {
            return Err(Refused::TooMany { texts });
        }
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(Refused::Closed);
        }
        if waiting.jobs.len() + waiting.reserved + texts > self.capacity {
            return Err(Refused::Full);
        }
        waiting.reserved += texts;
        Ok(Room { queue: self.clone(), texts })
    }

    /// How many texts wait.
    pub(super) fn len(&self) -> usize {
        self.waiting().jobs.len()
    }

    /// Takes nothing more, and drops what waits: with a text its way to answer ends, which is how its request learns it.
    pub(super) fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        waiting.jobs.clear();
        self.changed.notify_all();
    }

    /// The next batch: the first text, and those behind it that go with it; `None` when the queue is closed.
    fn take(&self) -> Option<Vec<QueuedBatch>> {
        let waiting = self.waiting();
        let waiting =
            self.changed.wait_while(waiting, |waiting| waiting.jobs.is_empty() && !waiting.closed);
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + BATCH_WINDOW;
        while !waiting.closed && !is_full(&waiting.jobs) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let woken = self.changed.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut batch: Vec<QueuedBatch> = vec![waiting.jobs.pop_front()?];
        let mut longest = batch[0].text.ids.len();
        let mut place = 0;
        while place < waiting.jobs.len() {
            let next = &waiting.jobs[place];
            let length = longest.max(next.text.ids.len());
            if next.fits(&batch[0]) && length * (batch.len() + 1) <= BATCH_TOKENS {
                longest = length;
                batch.extend(waiting.jobs.remove(place));
            } else {
                place += 1;
            }
        }
        Some(batch)
    }
}

fn is_full(jobs: &VecDeque<QueuedBatch>) -> bool {
    let longest = jobs.iter().map(|job| job.text.ids.len()).max().unwrap_or_default();
    longest * jobs.len() >= BATCH_TOKENS
}

/// Closes the queue and stops the server when the worker ends, however it ends: nobody waits for a worker that broke.
struct Closing<'a> {
    queue: &'a Queue,
    stop: &'a Notify,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.queue.close();
        self.stop.notify_one();
    }
}

/// Hands batches to the model until the queue is closed; who asked is sent the logits.
pub(super) fn work(
    queue: &Queue,
    stop: &Notify,
    metrics: &Metrics,
    mut model: impl FnMut(&[QueuedBatch]) -> Vec<Vec<f32>>,
) {
    let _closing = Closing { queue, stop };
    while let Some(batch) = queue.take() {
        metrics.batches.fetch_add(1, Ordering::Relaxed);
        metrics.batched_texts.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let logits = model(&batch);
        for (job, logits) in batch.into_iter().zip(logits) {
            // Whoever asked may have gone.
            let _ = job.answer.send((job.number, logits));
        }
    }
}

/// The logits of a batch's texts.
pub(super) fn run(batch: &[QueuedBatch], device: &Device) -> Vec<Vec<f32>> {
    let Some(first) = batch.first() else { return Vec::new() };
    let texts = batch.iter().map(|job| job.text.clone()).collect();
    let input = bert_input(&PadToLongest::default().batch(texts, device));
    let places: Option<Vec<usize>> = batch
        .iter()
        .map(|job| match job.place {
            BatchSlot::Mixed(place) => Some(place),
            BatchSlot::Alone => None,
        })
        .collect();
    match places {
        Some(places) => first.registry.run_mixed(&places, &input, device),
        None => first.registry.run_alone(&first.task, &input),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_kept_before_texts_are_there_and_freed_when_they_do_not_come() {
        let queue = Arc::new(Queue::new(3));
        let room = queue.reserve(2).unwrap();
        assert_eq!(queue.reserve(2).err(), Some(Refused::Full));
        assert_eq!(queue.reserve(4).err(), Some(Refused::TooMany { texts: 4 }));
        drop(room);
        let room = queue.reserve(3).unwrap();
        room.fill(Vec::new()).unwrap();
        let room = queue.reserve(3).unwrap();
        queue.close();
        assert_eq!(room.fill(Vec::new()), Err(Refused::Closed));
        assert_eq!(queue.reserve(1).err(), Some(Refused::Closed));
    }
}
