//! `rbuild build --call=check|outline|targets` and `--check`: a file is looked at, not built. The
//! answers go to standard output, as text or in the shape of docker's JSON.

mod json;
mod text;

use std::io::Write;

use crate::build::BuildError;
use crate::build::check::{check, offered};
use crate::cli::session::{Ending, Failure, Session};
use crate::exit::Exit;
use crate::options::BuildOptions;
use crate::progress::Progress;

/// What is asked of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    method: Method,
    format: Format,
    status: Status,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Check,
    Outline,
    Targets,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

/// Whether findings show in the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Kept,
    Ignored,
}

impl Call {
    /// `--check`
    pub fn check() -> Call {
        Call { method: Method::Check, format: Format::Text, status: Status::Kept }
    }

    /// Reads `METHOD[,format=text|json][,ignorestatus=true]`; none for `build`.
    pub fn parse(text: &str) -> Result<Option<Call>, Failure> {
        let mut parts = text.split(',');
        let method = match parts.next().unwrap_or_default() {
            "build" => None,
            "check" | "lint" => Some(Method::Check),
            "outline" => Some(Method::Outline),
            "targets" => Some(Method::Targets),
            other => {
                return Err(Failure::usage_text(
                    &format!("nothing is known of `--call={other}`"),
                    "it is `build`, `check`, `outline` or `targets`",
                ));
            }
        };
        let mut call = Call::check();
        for part in parts {
            match part {
                "format=json" => call.format = Format::Json,
                "format=text" => call.format = Format::Text,
                "ignorestatus" | "ignorestatus=true" | "ignorestatus=1" => {
                    call.status = Status::Ignored;
                }
                "ignorestatus=false" | "ignorestatus=0" => call.status = Status::Kept,
                other => {
                    return Err(Failure::usage_text(
                        &format!("`--call` cannot have `{other}`"),
                        "it can have `format=text`, `format=json` and `ignorestatus=true`",
                    ));
                }
            }
        }
        Ok(method.map(|method| Call { method, ..call }))
    }
}

/// Answers a call.
pub fn main(call: &Call, options: &BuildOptions) -> Result<Exit, Failure> {
    match call.method {
        Method::Check => main_check(call, options),
        Method::Outline | Method::Targets => main_offered(call, options),
    }
}

fn main_check(call: &Call, options: &BuildOptions) -> Result<Exit, Failure> {
    let session = Session::open(Ending::InOrder)?;
    let progress = Progress::new(options.progress);
    session.notices().for_each(|notice| progress.notice(&notice));
    let checked = check(options, &session, &progress);
    progress.finish();
    let checked = checked.map_err(|error| failed(call, error))?;
    print(match call.format {
        Format::Text => text::checked(&checked),
        Format::Json => json::checked(&checked),
    });
    let is_clean = checked.findings.is_empty() && checked.errors.is_empty();
    match (is_clean, call.status) {
        (true, _) | (_, Status::Ignored) => Ok(Exit::Success),
        (false, Status::Kept) => Ok(Exit::Build),
    }
}

fn main_offered(call: &Call, options: &BuildOptions) -> Result<Exit, Failure> {
    let session = Session::open(Ending::InOrder)?;
    let progress = Progress::new(options.progress);
    let offered = offered(options, &session, &progress);
    progress.finish();
    let (source, offered) = offered.map_err(|error| failed(call, error))?;
    let offered = offered.map_err(|errors| {
        if call.format == Format::Json {
            print(json::wrong(&errors, &source));
        }
        BuildError::dockerfile(&errors, &source).into_failure()
    })?;
    print(match (call.method, call.format) {
        (Method::Outline, Format::Text) => text::outline(&offered.outline),
        (Method::Outline, Format::Json) => json::outline(&offered.outline, &source),
        (_, Format::Text) => text::targets(&offered.targets),
        (_, Format::Json) => json::targets(&offered.targets, &source),
    });
    Ok(Exit::Success)
}

/// Whoever asked for JSON gets some, also where there is no file to look at.
fn failed(call: &Call, error: BuildError) -> Failure {
    if call.format == Format::Json {
        print(json::failed(&error));
    }
    error.into_failure()
}

/// A reader that has seen enough is no reason to fail.
fn print(text: String) {
    let _ = write!(std::io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_names_a_method_a_format_and_a_status() {
        let call = |method, format, status| Some(Some(Call { method, format, status }));
        let rows = [
            ("check", call(Method::Check, Format::Text, Status::Kept)),
            ("lint", call(Method::Check, Format::Text, Status::Kept)),
            ("check,format=json", call(Method::Check, Format::Json, Status::Kept)),
            ("check,ignorestatus=true", call(Method::Check, Format::Text, Status::Ignored)),
            ("outline,format=json", call(Method::Outline, Format::Json, Status::Kept)),
            ("targets,format=text", call(Method::Targets, Format::Text, Status::Kept)),
            ("build", Some(None)),
            ("nonsense", None),
            ("check,format=xml", None),
        ];
        for (text, expected) in rows {
            assert_eq!(Call::parse(text).ok(), expected, "{text}");
        }
    }
}
