//! The state that all requests share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::metrics::Metrics;
use super::origin::Names;
use super::queue::Queue;
use super::registry::ReloadingRegistry;

/// The state that all requests share.
pub(super) struct AppState {
    pub(super) registries: ReloadingRegistry,
    pub(super) queue: Arc<Queue>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) token: Option<String>,
    pub(super) names: Names,
    /// The memory for bodies.
    pub(super) memory: Arc<Semaphore>,
    /// Time limit for receiving a body.
    pub(super) time: Duration,
}
