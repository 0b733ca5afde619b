//! The queue of texts, and the worker that runs them in batches.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use burn::data::dataloader::batcher::Batcher;
use burn::tensor::Device;
use derive_new::new;
use glue_data::{Encoded, PadToLongest};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use super::metrics::Metrics;
use super::registry::{BatchSlot, Registry};
use crate::task_data::rows::bert_input;

/// Maximum number of tokens of a batch, including padding.
const BATCH_TOKENS: usize = 8192;
/// How long the first text of a batch waits for others.
const BATCH_WINDOW: Duration = Duration::from_millis(3);

/// A text, or a window of a long text, that waits for its logits.
pub(super) struct QueuedText {
    pub(super) registry: Arc<Registry>,
    pub(super) task: String,
    pub(super) slot: BatchSlot,
    pub(super) text: Encoded,
    /// Index of the row in its request.
    pub(super) number: usize,
    pub(super) answer: UnboundedSender<(usize, Vec<f32>)>,
}

impl QueuedText {
    /// Whether the text can be in a batch whose first text is `first`.
    fn fits(&self, first: &Self) -> bool {
        Arc::ptr_eq(&self.registry, &first.registry)
            && match (self.slot, first.slot) {
                (BatchSlot::Mixed(_), BatchSlot::Mixed(_)) => true,
                (BatchSlot::Alone, BatchSlot::Alone) => self.task == first.task,
                _ => false,
            }
    }
}

/// Why texts are not queued.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The queue is full.
    Full,
    /// There are more texts than the queue holds.
    TooMany {
        /// Number of texts.
        texts: usize,
    },
    /// The server is shutting down.
    Closed,
}

/// Texts in the order of their arrival.
#[derive(new)]
pub(super) struct Queue {
    /// Maximum number of texts.
    pub(super) capacity: usize,
    #[new(default)]
    state: Mutex<QueueState>,
    #[new(default)]
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    texts: VecDeque<QueuedText>,
    /// Number of texts of requests that are being tokenized.
    reserved: usize,
    closed: bool,
}

impl QueueState {
    /// Reserves space for `more` of the `texts` of a request.
    fn reserve(&mut self, capacity: usize, texts: usize, more: usize) -> Result<(), Refused> {
        if texts > capacity {
            return Err(Refused::TooMany { texts });
        }
        if self.closed {
            return Err(Refused::Closed);
        }
        if self.texts.len() + self.reserved + more > capacity {
            return Err(Refused::Full);
        }
        self.reserved += more;
        Ok(())
    }
}

/// Space in the queue for the texts of a request; released when this is dropped.
pub(super) struct Reservation {
    queue: Arc<Queue>,
    texts: usize,
}

impl Reservation {
    /// Reserves space for more texts: those of the request are so many.
    pub(super) fn grow(&mut self, texts: usize) -> Result<(), Refused> {
        let more = texts.saturating_sub(self.texts);
        self.queue.state().reserve(self.queue.capacity, texts, more)?;
        self.texts += more;
        Ok(())
    }

    /// Queues all texts of the request.
    pub(super) fn fill(self, texts: Vec<QueuedText>) -> Result<(), Refused> {
        let mut state = self.queue.state();
        if state.closed {
            drop(state);
            return Err(Refused::Closed);
        }
        state.texts.extend(texts);
        // Dropping `self` takes the lock again.
        drop(state);
        self.queue.changed.notify_all();
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.queue.state().reserved -= self.texts;
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves space for all texts of a request.
    pub(super) fn reserve(self: &Arc<Self>, texts: usize) -> Result<Reservation, Refused> {
        self.state().reserve(self.capacity, texts, texts)?;
        Ok(Reservation { queue: self.clone(), texts })
    }

    /// Number of queued texts.
    pub(super) fn len(&self) -> usize {
        self.state().texts.len()
    }

    /// Refuses further texts and drops the queued ones; that closes their channels, by which the requests notice.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.texts.clear();
        self.changed.notify_all();
    }

    /// The next batch: the first text and all others that fit with it; `None` when the queue is closed.
    fn take(&self) -> Option<Vec<QueuedText>> {
        let state = self.state();
        let state = self.changed.wait_while(state, |state| state.texts.is_empty() && !state.closed);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + BATCH_WINDOW;
        while !state.closed && !is_full(&state.texts) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut batch: Vec<QueuedText> = vec![state.texts.pop_front()?];
        let mut longest = batch[0].text.ids.len();
        let mut index = 0;
        while index < state.texts.len() {
            let next = &state.texts[index];
            let length = longest.max(next.text.ids.len());
            if next.fits(&batch[0]) && length * (batch.len() + 1) <= BATCH_TOKENS {
                longest = length;
                batch.extend(state.texts.remove(index));
            } else {
                index += 1;
            }
        }
        Some(batch)
    }
}

fn is_full(texts: &VecDeque<QueuedText>) -> bool {
    let longest = texts.iter().map(|queued| queued.text.ids.len()).max().unwrap_or_default();
    longest * texts.len() >= BATCH_TOKENS
}

/// Closes the queue and stops the server when the worker ends, also by a panic, so that no request waits for it.
struct WorkerGuard<'a> {
    queue: &'a Queue,
    stop: &'a Notify,
}

impl Drop for WorkerGuard<'_> {
    fn drop(&mut self) {
        self.queue.close();
        self.stop.notify_one();
    }
}

/// Runs batches through the model until the queue is closed, and sends the logits to the requests.
pub(super) fn work(
    queue: &Queue,
    stop: &Notify,
    metrics: &Metrics,
    mut model: impl FnMut(&[QueuedText]) -> Vec<Vec<f32>>,
) {
    let _guard = WorkerGuard { queue, stop };
    while let Some(batch) = queue.take() {
        metrics.batches.fetch_add(1, Ordering::Relaxed);
        metrics.batched_texts.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let logits = model(&batch);
        for (text, logits) in batch.into_iter().zip(logits) {
            // The client may have disconnected.
            let _ = text.answer.send((text.number, logits));
        }
    }
}

/// The logits of a batch's texts.
pub(super) fn run(batch: &[QueuedText], device: &Device) -> Vec<Vec<f32>> {
    let Some(first) = batch.first() else { return Vec::new() };
    let texts = batch.iter().map(|queued| queued.text.clone()).collect();
    let padding = PadToLongest { pad_id: first.registry.pad_id(), ..PadToLongest::default() };
    let input = bert_input(&padding.batch(texts, device));
    let slots: Option<Vec<usize>> = batch
        .iter()
        .map(|text| match text.slot {
            BatchSlot::Mixed(slot) => Some(slot),
            BatchSlot::Alone => None,
        })
        .collect();
    match slots {
        Some(slots) => first.registry.run_mixed(&slots, &input, device),
        None => first.registry.run_alone(&first.task, &input),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_reserved_before_tokenization_and_released_when_it_fails() {
        let queue = Arc::new(Queue::new(3));
        let reservation = queue.reserve(2).unwrap();
        assert_eq!(queue.reserve(2).err(), Some(Refused::Full));
        assert_eq!(queue.reserve(4).err(), Some(Refused::TooMany { texts: 4 }));
        let mut reservation = reservation;
        reservation.grow(1).unwrap();
        reservation.grow(3).unwrap();
        assert_eq!(reservation.grow(4), Err(Refused::TooMany { texts: 4 }));
        assert_eq!(queue.reserve(1).err(), Some(Refused::Full));
        drop(reservation);
        let reservation = queue.reserve(3).unwrap();
        reservation.fill(Vec::new()).unwrap();
        let reservation = queue.reserve(3).unwrap();
        queue.close();
        assert_eq!(reservation.fill(Vec::new()), Err(Refused::Closed));
        assert_eq!(queue.reserve(1).err(), Some(Refused::Closed));
    }
}
