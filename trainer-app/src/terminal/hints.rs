//! Suggestions of next commands, printed at the end of a command.

use std::path::Path;

/// The environment variable in which `cargo xtask` passes the command line prefix to suggest.
const TYPED_AS: &str = "TRAINER_TYPED_AS";

/// The prefix under which the user starts this program, if it is not the program itself.
fn typed_as() -> Option<String> {
    std::env::var(TYPED_AS).ok().filter(|typed| !typed.is_empty())
}

/// A message whose commands, such as `trainer data list` in backquotes, are written as the user types them.
pub(super) fn as_typed(message: String) -> String {
    match typed_as() {
        Some(typed) => message.replace("`trainer ", &format!("`{typed} ")),
        None => message,
    }
}

/// The name with which the program was started, so that suggestions can be copied.
pub fn program() -> String {
    typed_as().unwrap_or_else(|| {
        std::env::args_os()
            .next()
            .map_or_else(|| "trainer".to_owned(), |program| quoted(&program.to_string_lossy()))
    })
}

/// A path, quoted for a shell.
pub fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// Prints suggested commands on standard error: the arguments of this program, and what each command does.
pub fn next(commands: &[(String, &str)]) {
    let program = program();
    noteln!("\nnext:");
    for (arguments, what) in commands {
        noteln!("  {program} {arguments}\n      {what}");
    }
}

/// A word, quoted for a shell.
pub fn quoted(word: &str) -> String {
    // Only a word with a zero byte cannot be quoted, which no argument has.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Into::into)
}
