//! `COPY` and `ADD`.

use crate::ast::{AddFiles, CopyFiles, Heredoc, Kind, Text, Transfer, TransferSource};
use crate::diagnostic::Diagnostic;
use crate::lexer::{heredoc, word};
use crate::source::Span;

use super::flags::Flags;
use super::json::{self, Json};
use super::keyword::Keyword;
use super::statement::{Context, Statement};

/// Parses a `COPY`.
pub(super) fn copy(statement: Statement, context: &mut Context<'_>) -> Option<Kind> {
    let (transfer, flags) = transfer(statement, Keyword::Copy, context)?;
    // An empty `--from` is as if it were not there.
    let from = flags.text("from").filter(|from| !from.as_str().is_empty());
    let parents = flags.switch("parents");
    Some(Kind::Copy(CopyFiles { transfer, from, parents }))
}

/// Parses an `ADD`.
pub(super) fn add(statement: Statement, context: &mut Context<'_>) -> Option<Kind> {
    let (transfer, flags) = transfer(statement, Keyword::Add, context)?;
    Some(Kind::Add(AddFiles {
        transfer,
        checksum: flags.text("checksum"),
        keep_git_dir: flags.switch("keep-git-dir"),
        unpack: flags.switch("unpack"),
    }))
}

fn transfer(
    statement: Statement,
    keyword: Keyword,
    context: &mut Context<'_>,
) -> Option<(Transfer, Flags)> {
    let mut words = words(&statement.args, keyword, context)?;
    if let Some(last) = words.last().filter(|word| heredoc::parse(word).is_some()) {
        context.report(heredoc_dest(last, &statement.heredocs));
        return None;
    }
    if words.len() < 2 {
        context.missing(&statement, keyword, missing(&words));
        return None;
    }
    let dest = words.pop()?;
    let Statement { flags, heredocs, .. } = statement;
    for heredoc in heredocs.iter().filter(|doc| !words.contains(&doc.word)) {
        context.report(blank_in_name(&heredoc.word));
    }
    let transfer = Transfer {
        sources: sources(words, heredocs),
        dest,
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.switch("link"),
        excludes: flags.list("exclude"),
    };
    Some((transfer, flags))
}

fn missing(words: &[Text]) -> &'static str {
    match words {
        [] => "at least one source and a destination",
        _ => "a source and a destination, there is only one word",
    }
}

fn words(args: &Text, keyword: Keyword, context: &mut Context<'_>) -> Option<Vec<Text>> {
    match json::parse(args) {
        Json::Array(words) => {
            let heredoc = words.iter().find(|word| heredoc::parse(word).is_some());
            context.diagnostics.extend(heredoc.map(heredoc_in_json));
            heredoc.is_none().then_some(words)
        }
        Json::NotStrings => {
            context.report(json::not_strings(args));
            None
        }
        Json::Other => {
            context.diagnostics.extend(json::almost(args, "its parts are taken for paths"));
            let words = word::split(args);
            for (index, word) in words.iter().enumerate() {
                context.diagnostics.extend(suspicious(word, index, keyword));
            }
            Some(words)
        }
    }
}

/// Pairs the words that announce heredocs with their bodies.
fn sources(words: Vec<Text>, heredocs: Vec<Heredoc>) -> Vec<TransferSource> {
    let mut heredocs = heredocs.into_iter().peekable();
    let source = |word: Text| match heredocs.next_if(|doc| doc.word == word) {
        Some(heredoc) => TransferSource::Heredoc(heredoc),
        None => TransferSource::Path(word),
    };
    words.into_iter().map(source).collect()
}

/// A word that is a path here although it was hardly meant to be one.
fn suspicious(word: &Text, index: usize, keyword: Keyword) -> Option<Diagnostic> {
    let text = word.as_str();
    if let Some(name) = text.strip_prefix("--").filter(|_| index > 0) {
        let name = name.split('=').next().unwrap_or_default();
        keyword.flag(name)?;
        let message = format!("`{word}` is a path here, not a flag");
        let warning = Diagnostic::warning("late-flag", word.span(), message);
        return Some(warning.with_help(format!("flags go right behind `{}`", keyword.name())));
    }
    let quote = text.chars().next().filter(|ch| matches!(ch, '"' | '\''))?;
    if text.matches(quote).count() != 1 {
        return None;
    }
    let message = "quotes do not keep a path with blanks together here";
    let warning = Diagnostic::warning("quoted-blank", open_quote(word), message);
    Some(warning.with_help(format!("use the JSON form: `{} [\"a b\", \"dest\"]`", keyword.name())))
}

fn open_quote(word: &Text) -> Span {
    word.span_of(0..1)
}

fn heredoc_in_json(word: &Text) -> Diagnostic {
    Diagnostic::error("heredoc-in-json", word.span(), "the JSON form cannot hold heredocs")
        .with_help("write the words without brackets, quotes and commas")
}

fn blank_in_name(word: &Text) -> Diagnostic {
    let message = "the word of a heredoc cannot have blanks here";
    let error = Diagnostic::error("heredoc-name", word.span(), message);
    let spaced = word.as_str().split_once("<<").is_some_and(|(_, name)| name.starts_with(' '));
    match spaced {
        true => error.with_help("remove the blanks behind `<<`"),
        false => error.with_help("take a word without blanks"),
    }
}

fn heredoc_dest(dest: &Text, heredocs: &[Heredoc]) -> Diagnostic {
    let error = Diagnostic::error(
        "heredoc-destination",
        dest.span(),
        "a heredoc cannot be the destination",
    );
    match heredocs {
        [only] => error.with_help(format!("add where to write it: `{} /some/file`", only.word)),
        _ => error.with_help("the destination comes last"),
    }
}
