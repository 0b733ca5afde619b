//! A base's tokenizer: what its files say, checked, and what tells one tokenizer from another.

pub(crate) mod identity;
