//! What to type next: the end of a command names the commands that use what it made.

use std::path::Path;

/// The variable in which `cargo xtask` passes how it was typed.
const TYPED_AS: &str = "TRAINER_TYPED_AS";

/// This program as it was typed, so that a hint can be copied.
pub fn program() -> String {
    let typed = std::env::var(TYPED_AS).ok().filter(|typed| !typed.is_empty());
    typed.unwrap_or_else(|| {
        std::env::args_os()
            .next()
            .map_or_else(|| "trainer".to_owned(), |program| quoted(&program.to_string_lossy()))
    })
}

/// A path as a shell takes it.
pub fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// Says on standard error what to type next: the arguments of this program, and what each command does.
pub fn next(commands: &[(String, &str)]) {
    let program = program();
    noteln!("\nnext:");
    for (arguments, what) in commands {
        noteln!("  {program} {arguments}\n      {what}");
    }
}

fn quoted(word: &str) -> String {
    // Only a word with a zero byte cannot be quoted, and no argument has one.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Into::into)
}
