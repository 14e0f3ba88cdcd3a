//! What comes out does not depend on how it came about: from the cache or not, as root or not, with
//! the layers in the one form or the other, before or after others worked on the store.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;

use e2e::system::tool;
use e2e::{Context, Project, Random, User, World, for_each_user};
use rustix::process::Signal;

for_each_user! { the_cache_changes_nothing, a_store_that_many_work_on_at_random }

/// How many projects, and how many edits of each.
const PROJECTS: u64 = 8;
const EDITS: usize = 3;

/// The id of the image: of its config, and so of its tree, layer by layer.
fn id(world: &World, store: &str, flags: &[&str], context: &Context) -> String {
    let fixed = ["build", "-q", "--network=none", "--build-arg", "SOURCE_DATE_EPOCH=1"];
    let mut command = world.command(&fixed);
    command.args(flags).arg(context.arg()).env("RBUILD_ROOT", world.folder(store));
    tool(&mut command).ok().stdout
}

fn the_cache_changes_nothing(world: &World) {
    let context = Context::new(world, "context", &[]);
    let mut ids = BTreeSet::new();
    for seed in 0..PROJECTS {
        let mut random = Random::new(seed);
        let mut project = Project::new(&mut random);
        let mut edits = Vec::new();
        for _ in 0..=EDITS {
            project.write(&context);
            let cached = id(world, "store", &[], &context);
            let fresh = id(world, "other-store", &["--no-cache"], &context);
            let dockerfile = project.dockerfile();
            assert_eq!(cached, fresh, "project {seed}, {edits:#?}\n{dockerfile}");
            edits.push(project.edit(&mut random));
            ids.insert(cached);
        }
    }
    // Some edits change nothing that is built; were it most of them, little would be shown here.
    assert!(ids.len() > 2 * PROJECTS as usize, "{} images only", ids.len());
}

/// As root layers are tars with an index where the kernel can mount them, else directories.
#[test]
fn root_and_user_make_equal_images() {
    static IDS: Mutex<Vec<Vec<String>>> = Mutex::new(Vec::new());
    let case = |world: &World| {
        let context = Context::new(world, "context", &[]);
        let project = |seed| {
            Project::new(&mut Random::new(seed)).write(&context);
            id(world, "store", &[], &context)
        };
        IDS.lock().unwrap().push((100..100 + PROJECTS).map(project).collect());
    };
    World::run(User::root(), case);
    World::run(User::ordinary(), case);
    // Fewer only where the tests cannot run at all, which is said there.
    if let [root, user] = IDS.lock().unwrap().as_slice() {
        assert_eq!(root, user);
    }
}

/// How many work on the store at once, and how many things each of them does.
const WORKERS: u64 = 5;
const DEEDS: usize = 12;

fn a_store_that_many_work_on_at_random(world: &World) {
    let projects: Vec<(Context, String)> = (0..4)
        .map(|seed| {
            let context = Context::new(world, &format!("project-{seed}"), &[]);
            Project::new(&mut Random::new(200 + seed)).write(&context);
            let id = id(world, "quiet-store", &[], &context);
            (context, id)
        })
        .collect();
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let projects = &projects;
            scope.spawn(move || work(world, &mut Random::new(300 + worker), projects));
        }
    });
    world.rbuild(&["verify"]).ok();
    for (context, expected) in &projects {
        assert_eq!(&id(world, "store", &[], context), expected);
    }
    world.rbuild(&["verify"]).ok();
}

/// Builds, builds that are killed on the way, and prunes.
fn work(world: &World, random: &mut Random, projects: &[(Context, String)]) {
    for _ in 0..DEEDS {
        let (context, expected) = &projects[random.below(projects.len())];
        match random.below(6) {
            0 => drop(world.rbuild(&["prune", "--force"]).ok()),
            1 => drop(world.rbuild(&["prune", "--force", "--max-used-space", "1MB"]).ok()),
            2 | 3 => {
                let args = ["--network=none", "--no-cache", "-t", "killed", context.arg()];
                let mut build = world.start(&args);
                build.until(["#1 ", "FROM", "RUN", "DONE"][random.below(4)]);
                build.signal(Signal::KILL);
                let code = build.wait().code;
                assert!(code == 137 || code == 0, "{code}");
            }
            _ => assert_eq!(&id(world, "store", &[], context), expected),
        }
    }
}
