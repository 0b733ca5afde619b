//! Names in, modules out: all of a checkpoint, or an error that lists what is wrong with it.

mod hugging_face;

pub use hugging_face::{load, load_weights};
