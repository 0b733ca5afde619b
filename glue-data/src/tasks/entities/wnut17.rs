//! WNUT 2017: names of persons, places and things that are new or rare, in texts of the web.
//!
//! Derczynski et al. 2017, <https://aclanthology.org/W17-4418>; the organizers' files, under CC BY 4.0.

use super::{EntityPart, EntityTask};
use crate::published_task::Source;
use crate::rows::Split;

const fn part(split: Split, file: &'static str, texts: usize) -> EntityPart {
    EntityPart { split, file, embedded: None, texts }
}

/// Six types of entities in posts and comments.
pub static WNUT17: EntityTask = EntityTask {
    name: "wnut17",
    title: "Which words name a person, a place or another rare entity?",
    directory: "wnut17",
    types: &["corporation", "creative-work", "group", "location", "person", "product"],
    parts: &[
        part(Split::Train, "wnut17train.conll", 3394),
        part(Split::Validation, "emerging.dev.conll", 1009),
        part(Split::Test, "emerging.test.annotated", 1287),
    ],
    source: Some(Source::Files {
        url: "https://raw.githubusercontent.com/leondz/emerging_entities_17/master",
    }),
};
