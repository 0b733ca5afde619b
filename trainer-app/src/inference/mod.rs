//! Predictions of trained adapters, for the commands, the end of a run and the server.

pub mod adapter_task;
pub mod bank_base;
pub mod predictor;
