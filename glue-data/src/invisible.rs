//! Characters that are not visible.

/// Whether nothing is visible in a text: there are only white space, control characters and characters without width.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(|letter| letter.is_whitespace() || letter.is_control() || has_no_width(letter))
}

/// Whether a character is an invisible space.
pub(crate) fn has_no_width(letter: char) -> bool {
    matches!(letter, '\u{200b}' | '\u{2060}' | '\u{feff}')
}
