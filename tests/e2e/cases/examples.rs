//! The examples: built, pushed to a registry that is open or locked, read by skopeo, and run by
//! podman, where the web servers answer over HTTP.

use e2e::registry::LOGIN;
use e2e::{Context, Island, Layout, Registry, World, example, for_each_user};

for_each_user! { node_web, flask_redis, react_nginx, c_three_stages }

fn node_web(world: &World) {
    let context = example(world, "node-web");
    let image = built(world, &context, Registry::open());
    let island = Island::new();
    island.start(world, &image, &["-e", "PORT=80"]);
    assert_eq!(island.get("http://127.0.0.1/?name=rbuild"), "Hello, rbuild!\n");

    context.edit("greeting.js", "Hello", "Welcome");
    let steps = world.build(&[context.arg()]).ok().steps();
    assert_eq!(steps.ran_instructions(), ["COPY . ."]);
}

fn flask_redis(world: &World) {
    let context = example(world, "flask-redis");
    let image = built(world, &context, Registry::locked());
    let island = Island::new();
    island.redis();
    island.start(world, &image, &["-e", "REDIS_HOST=127.0.0.1"]);
    island.get("http://127.0.0.1:5000/health");
    assert_eq!(island.get("http://127.0.0.1:5000/"), "You are visitor number 1.\n");
    assert_eq!(island.get("http://127.0.0.1:5000/"), "You are visitor number 2.\n");

    context.edit("app.py", "visitor number", "guest number");
    let steps = world.build(&[context.arg()]).ok().steps();
    assert_eq!(steps.ran_instructions(), ["COPY . ."]);
}

fn react_nginx(world: &World) {
    let context = example(world, "react-nginx");
    let image = built(world, &context, Registry::open());
    let island = Island::new();
    island.start(world, &image, &[]);
    let page = island.get("http://127.0.0.1/");
    let (_, script) = page.split_once("src=\"").expect("the page has a script");
    let script = script.split('"').next().expect("its address ends");
    assert!(island.get(&format!("http://127.0.0.1{script}")).contains("Built in one stage"));

    context.edit("src/App.jsx", "Built in one stage", "Made in one stage");
    let steps = world.build(&[context.arg()]).ok().steps();
    let copy = "COPY --from=build /app/dist /usr/share/nginx/html";
    assert_eq!(steps.ran_instructions(), ["COPY . .", "RUN npm run build", copy]);
}

fn c_three_stages(world: &World) {
    let context = example(world, "c-three-stages");
    let image = built(world, &context, Registry::locked());
    let layers = image.manifest()["layers"].as_array().map(Vec::len);
    assert_eq!(layers, Some(2), "the image has what the last stage copied, nothing else");
    let run = Island::new().run(world, &image, &["10"]).ok();
    assert_eq!(run.stdout, "2\n3\n5\n7\n");

    // The program is compiled from the same sources, so only the tests' own stage runs again, and
    // since their report is as before, so is the image.
    context.edit("tests/test_primes.c", "{97, true}", "{101, true}");
    let steps = world.build(&[context.arg()]).ok().steps();
    assert_eq!(steps.ran_instructions(), ["COPY tests tests", "RUN make test > report.txt"]);
}

/// Builds and pushes, then builds again, where nothing may run. Returns the pushed image.
fn built(world: &World, context: &Context, registry: Registry) -> Layout {
    let (user, password) = LOGIN;
    let login = ["login", "-u", user, "-p", password, &registry.address];
    world.rbuild(&login).ok();
    let name = registry.name("examples/app:1");
    let first = world.build(&["-t", &name, "--push", context.arg()]).ok();
    assert!(first.steps().cached.is_empty(), "{}", first.shown());

    let second = world.build(&["-t", &name, "--push", context.arg()]).ok();
    assert!(second.steps().ran.is_empty(), "{}", second.shown());
    assert_eq!(sorted(second.steps().cached), sorted(first.steps().ran));
    Layout::pull(world, &registry, "examples/app:1")
}

fn sorted(mut titles: Vec<String>) -> Vec<String> {
    titles.sort();
    titles
}
