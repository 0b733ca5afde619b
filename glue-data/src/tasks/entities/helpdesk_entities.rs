//! The embedded task of entities, which needs no download: what a support request names.

use super::{EntityPart, EntityTask};
use crate::rows::Split;

const fn part(
    split: Split,
    file: &'static str,
    embedded: &'static str,
    texts: usize,
) -> EntityPart {
    EntityPart { split, file, embedded: Some(embedded), texts }
}

/// Short support requests and five types of entities; see `helpdesk/README.md`.
pub static HELPDESK_ENTITIES: EntityTask = EntityTask {
    name: "helpdesk-entities",
    title: "Which words name a person, a place, a product, its version or a date?",
    directory: "helpdesk-entities",
    types: &["date", "location", "person", "product", "version"],
    parts: &[
        part(Split::Train, "helpdesk/train.conll", include_str!("helpdesk/train.conll"), 529),
        part(
            Split::Validation,
            "helpdesk/validation.conll",
            include_str!("helpdesk/validation.conll"),
            103,
        ),
        part(Split::Test, "helpdesk/test.conll", include_str!("helpdesk/test.conll"), 105),
    ],
    source: None,
};
