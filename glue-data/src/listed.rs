//! Names and texts of files in messages, as many and as much of them as fit.

/// Names in a list, and characters of each: more of them would fill a screen.
const NAMES: usize = 100;
const LONGEST: usize = 200;

/// The first names, separated by commas, each shortened, and how many more there are.
pub fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let mut first: Vec<_> = names.iter().take(NAMES).map(|name| shortened(name.as_ref())).collect();
    if names.len() > NAMES {
        first.push(format!("… and {} more", names.len() - NAMES));
    }
    first.join(", ")
}

/// A number of things in words: `1 text`, `2 texts`.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A text that ends with `…` where it is cut.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_counted_in_the_singular() {
        let texts = [0, 1, 2].map(|count| counted(count, "text", "texts"));
        assert_eq!(texts, ["0 texts", "1 text", "2 texts"]);
    }

    #[test]
    fn a_list_of_any_length_fits_into_a_message() {
        assert_eq!(listed(&["body", "team"]), "body, team");
        let many: Vec<String> = (0..NAMES + 7).map(|name| name.to_string()).collect();
        assert!(listed(&many).ends_with("98, 99, … and 7 more"));
        assert_eq!(listed(&["é".repeat(LONGEST + 1)]), format!("{}…", "é".repeat(LONGEST)));
    }
}
