//! The first of the README's two commands. (The second one runs these tests.)

use std::process::Command;

use e2e::system::{repository, tool};
use e2e::{User, World};

#[test]
fn the_main_job() {
    World::run(User::root(), |_| {
        let mut script = Command::new(repository().join("scripts/try.sh"));
        let run = tool(script.env("RBUILD", e2e::system::rbuild())).ok();
        assert!(run.stdout.contains("<div id=\"root\">"), "{}", run.shown());
        run.says(&["== every step hit"]);
    });
}
