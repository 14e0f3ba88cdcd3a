//! `rbuild login` and `rbuild logout`.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::help::print;
use super::session::{Failure, end_at_once, runtime};
use crate::exit::Exit;
use crate::registry::config::Registries;
use crate::registry::login::{self, Kept, LoggedOut};

/// Flags of `rbuild login`.
#[derive(Debug, clap::Args)]
pub struct LoginArgs {
    /// The user
    #[arg(short, long)]
    username: Option<String>,
    /// The password; better give it with `--password-stdin`
    #[arg(short, long)]
    password: Option<String>,
    /// Read the password from standard input
    #[arg(long, conflicts_with = "password")]
    password_stdin: bool,
    /// The registry
    #[arg(default_value = "docker.io")]
    registry: String,
}

/// Flags of `rbuild logout`.
#[derive(Debug, clap::Args)]
pub struct LogoutArgs {
    /// The registry
    #[arg(default_value = "docker.io")]
    registry: String,
}

/// `rbuild login`
pub fn login(args: &LoginArgs) -> Result<Exit, Failure> {
    let runtime = runtime()?;
    let hidden = Hidden::default();
    let shown = hidden.clone();
    end_at_once(&runtime, move || shown.end());
    let user = match &args.username {
        Some(user) => user.clone(),
        None => asked("Username: ")?,
    };
    let password = match (&args.password, args.password_stdin) {
        (Some(password), _) => password.clone(),
        (None, true) => piped()?,
        (None, false) => {
            hidden.begin();
            let password = asked("Password: ");
            hidden.end();
            password?
        }
    };
    let registries = Registries::load().map_err(|error| Failure::new(Exit::Usage, &error, None))?;
    let kept = runtime
        .block_on(login::login(registries, &args.registry, &user, &password))
        .map_err(|error| Failure::new(Exit::Machine, &error, error.help()))?;
    let place = match kept {
        Kept::File(path) => format!("the credentials are in `{}`", path.display()),
        Kept::Helper(helper) => format!("the credentials are with `{helper}`"),
    };
    print(&format!("logged in to {}; {place}\n", args.registry));
    Ok(Exit::Success)
}

/// `rbuild logout`
pub fn logout(args: &LogoutArgs) -> Result<Exit, Failure> {
    let gone = login::logout(&args.registry)
        .map_err(|error| Failure::new(Exit::Machine, &error, error.help()))?;
    print(&match gone {
        LoggedOut::Removed(_) => format!("logged out of {}\n", args.registry),
        LoggedOut::NotLoggedIn => format!("there were no credentials of {}\n", args.registry),
    });
    Ok(Exit::Success)
}

/// What the terminal was like before it stopped to show what is typed.
#[derive(Clone, Default)]
struct Hidden(Arc<Mutex<Option<Termios>>>);

impl Hidden {
    fn begin(&self) {
        let stdin = std::io::stdin();
        let Ok(before) = tcgetattr(&stdin) else { return };
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        *self.before() = Some(before);
        let _ = tcsetattr(&stdin, OptionalActions::Flush, &silent);
    }

    /// To be called by whoever ends the process, too: the terminal outlives it.
    fn end(&self) {
        if let Some(before) = self.before().take() {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &before);
            let _ = writeln!(std::io::stderr());
        }
    }

    fn before(&self) -> MutexGuard<'_, Option<Termios>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn asked(question: &str) -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::usage_text(
            "there is no terminal to ask at",
            "give `--username` and `--password-stdin`",
        ));
    }
    let _ = write!(std::io::stderr(), "{question}");
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    read.map_err(|error| Failure::new(Exit::Machine, &error, None))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn piped() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(Exit::Machine, &error, None))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
