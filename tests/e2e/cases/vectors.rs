//! The vectors of the table of BuildKit's behaviour that need files, users or processes: each is
//! built as a user would, and what came out is read by another program. A test's name begins with
//! the number of its vector, and it checks every part of that row.
//!
//! Vectors that show in a graph or a config are in the frontend's tests; those about mounts and
//! about what comes from elsewhere are in `mounts` and `sources`.

mod archives;
mod copies;
mod links;
mod modes;
mod users;

use e2e::{Context, Listing, World};

/// Builds a Dockerfile with these files beside it.
#[track_caller]
fn image(world: &World, dockerfile: &str, files: &[(&str, &str)]) -> Listing {
    Listing::of(world, &context(world, dockerfile, files), &[])
}

fn context(world: &World, dockerfile: &str, files: &[(&str, &str)]) -> Context {
    let context = Context::new(world, "context", files);
    context.write("Dockerfile", dockerfile);
    context
}

/// Makes a symbolic link in a context.
fn link(context: &Context, path: &str, target: &str) {
    let link = context.path().join(path);
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(target, link).unwrap();
}
