//! Servers that want to know who asks, and servers that would keep a build busy for ever.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use e2e::layout::text;
use e2e::servers::{Servers, TOKEN};
use e2e::system::tool;
use e2e::{Context, Run, Started, World, for_each_user};

for_each_user! {
    a_private_file_needs_its_token,
    a_private_repository_needs_its_token,
    a_password_in_an_address_is_shown_nowhere,
    repositories_come_over_ssh,
    an_agent_opens_repositories,
    a_commit_that_is_not_given_by_itself_comes_with_all,
    repositories_with_long_ids_are_read,
    times_can_be_those_of_the_commit,
    a_checksum_holds_a_branch_to_its_commit,
    a_silent_server_ends_the_build,
    a_repository_has_a_limit,
}

/// Builds a Dockerfile into the folder `out/name`.
fn build(world: &World, name: &str, dockerfile: &str, flags: &[&str]) -> Run {
    let context = Context::new(world, "context", &[("Dockerfile", dockerfile)]);
    let to = out(world, name).display().to_string();
    world.build(&[&["-o", &to], flags, &[context.arg()]].concat())
}

fn out(world: &World, name: &str) -> PathBuf {
    world.folder("out").join(name)
}

/// A flag that gives a secret.
fn secret(world: &World, id: &str, value: &str) -> String {
    let file = world.folder("secrets").join("secret");
    fs::write(&file, format!("{value}\n")).unwrap();
    world.user().own(&world.folder("secrets"));
    format!("id={id},src={}", file.display())
}

/// Nothing that is kept or shown holds the token, in any form that it is sent in.
fn is_hushed(world: &World, runs: &[Run]) {
    let encoded = tool(
        Command::new("sh")
            .args(["-c", "printf %s \"$0\" | base64 -w0"])
            .arg(format!("x-access-token:{TOKEN}")),
    )
    .ok()
    .stdout;
    for form in [TOKEN, &encoded] {
        let grep = Command::new("grep").args(["-rlF", form]).arg(world.store()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&grep.stdout), "", "{form}");
        for run in runs {
            assert!(!format!("{}{}", run.stdout, run.stderr).contains(form), "{}", run.shown());
        }
    }
}

fn a_private_file_needs_its_token(world: &World) {
    let servers = Servers::start();
    fs::write(servers.file("private/x"), "private").unwrap();
    let url = format!("http://{}/bearer/x", servers.http);
    let dockerfile = format!("FROM scratch\nADD {url} /\n");
    let id = format!("HTTP_AUTH_TOKEN_{}", servers.http);
    let flag = format!("--secret id={id},src=FILE");
    let refused = build(world, "none", &dockerfile, &[]).ended(1).says(&["401", &flag]);
    let wrong = secret(world, &id, "other");
    build(world, "wrong", &dockerfile, &["--secret", &wrong])
        .ended(1)
        .says(&["401", &format!("what the secret `{id}` holds")]);

    let right = secret(world, &id, TOKEN);
    let added = build(world, "added", &dockerfile, &["--secret", &right]).ok();
    assert_eq!(text(&out(world, "added"), "x"), "private");
    // The token is in no key: with another form of it, everything is a hit.
    let whole = secret(world, "HTTP_AUTH_HEADER_127.0.0.1", &format!("Bearer {TOKEN}"));
    let again = build(world, "again", &dockerfile, &["--secret", &whole]).ok();
    assert_eq!(again.steps().ran, [""; 0], "{}", again.shown());

    fs::write(servers.file("private/Plain"), "FROM scratch\nCOPY <<EOF /p\np\nEOF\n").unwrap();
    let place = format!("http://{}/bearer/Plain", servers.http);
    world.build(&[&place]).ended(1).says(&["401", &flag]);
    let fetched = world.build(&["-q", "--secret", &whole, &place]).ok();
    world.rbuild(&["context", "ls", "--secret", &whole, &place]).ok();
    is_hushed(world, &[refused, added, again, fetched]);
}

fn a_private_repository_needs_its_token(world: &World) {
    let servers = Servers::start();
    servers.repository("library").push("main", &[("lib.txt", "lib")]);
    let app = servers.repository("app");
    app.push("main", &[("app.txt", "app"), ("Dockerfile", "FROM scratch\nCOPY . /all/\n")]);
    app.submodule(&format!("http://{}/library.git", servers.http), "vendor");
    app.rename_submodule(&format!("http://{}/private/library.git", servers.http));
    app.push("main", &[]);
    let url = format!("http://{}/private/app.git", servers.http);
    let dockerfile = format!("FROM scratch\nADD --keep-git-dir {url} /\n");
    let id = format!("GIT_AUTH_TOKEN.{}", servers.http);
    let flag = format!("--secret id={id},src=FILE");
    let refused = build(world, "none", &dockerfile, &[]).ended(1).says(&["401", &flag]);
    let wrong = secret(world, &id, "other");
    build(world, "wrong", &dockerfile, &["--secret", &wrong])
        .ended(1)
        .says(&[&format!("what the secret `{id}` holds")]);

    let right = secret(world, "GIT_AUTH_TOKEN", TOKEN);
    let programs = recorder(world);
    let context = Context::new(world, "context", &[("Dockerfile", &dockerfile)]);
    let to = out(world, "added").display().to_string();
    let mut command = world.build_command(&["-o", &to, "--secret", &right, context.arg()]);
    command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display()));
    let added = tool(&mut command).ok();
    let added_to = out(world, "added");
    assert_eq!(
        (text(&added_to, "app.txt"), text(&added_to, "vendor/lib.txt")),
        ("app".into(), "lib".into())
    );
    assert!(text(&added_to, ".git/config").contains(&format!("url = {url}")));
    let arguments = fs::read_to_string(programs.join("arguments")).unwrap();
    assert!(arguments.contains("ls-remote") && !arguments.contains(TOKEN), "{arguments}");
    assert!(!arguments.to_lowercase().contains("authorization"), "{arguments}");

    let to = out(world, "context").display().to_string();
    world.build(&["-o", &to, &url]).ended(1).says(&[&flag]);
    let fetched = world.build(&["-o", &to, "--secret", &right, &url]).ok();
    assert_eq!(text(&out(world, "context"), "all/vendor/lib.txt"), "lib");
    is_hushed(world, &[refused, added, fetched]);
}

/// A folder with a `git` that writes its arguments down before it does what git does.
fn recorder(world: &World) -> PathBuf {
    let folder = world.folder("programs");
    let script = format!(
        "#!/bin/sh\necho \"$*\" >>{0}/arguments\nexec /usr/bin/git \"$@\"\n",
        folder.display()
    );
    fs::write(folder.join("git"), script).unwrap();
    fs::set_permissions(folder.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    world.user().own(&folder);
    folder
}

fn a_password_in_an_address_is_shown_nowhere(world: &World) {
    let servers = Servers::start();
    servers.repository("app").push("main", &[("app.txt", "app")]);
    let url = format!("http://x-access-token:{TOKEN}@{}/private/app.git", servers.http);
    let dockerfile = format!("FROM scratch\nADD --keep-git-dir {url} /\n");
    let added = build(world, "added", &dockerfile, &[]).ok();
    assert_eq!(text(&out(world, "added"), "app.txt"), "app");
    assert!(!text(&out(world, "added"), ".git/config").contains(TOKEN));
    let wrong = url.replace("x-access-token", "someone");
    let run = build(world, "wrong", &format!("FROM scratch\nADD {wrong} /\n"), &[]).ended(1);
    let refused = run.says(&["the name and password in the address"]);
    let named = build(world, "image", &dockerfile, &["-t", "app", "-o", "type=image"]).ok();
    is_hushed(world, &[added, refused, named]);
}

fn repositories_come_over_ssh(world: &World) {
    let mut servers = Servers::start();
    let app = servers.repository("app");
    app.push("main", &[("app.txt", "one")]);
    let home = world.folder("home");
    let ssh = servers.ssh(&home);
    world.user().own(&home);
    let place = ssh.repositories.join("app.git");
    let full = format!("ssh://root@{}{}", ssh.address, place.display());
    let short = format!("root@gitbox:{}", place.display());
    let dockerfile = format!("FROM scratch\nADD {full}#main /full/\nADD {short} /short/\n");
    build(world, "closed", &dockerfile, &[])
        .ended(1)
        .says(&["no key that the server takes", "--ssh default"]);
    ssh.give_key(&home);
    world.user().own(&home);
    build(world, "out", &dockerfile, &[]).ok();
    let root = out(world, "out");
    assert_eq!(
        (text(&root, "full/app.txt"), text(&root, "short/app.txt")),
        ("one".into(), "one".into())
    );

    app.push("main", &[("Dockerfile", "FROM scratch\nCOPY app.txt /from\n")]);
    let to = out(world, "context").display().to_string();
    world.build(&["-o", &to, &short]).ok();
    assert_eq!(text(&out(world, "context"), "from"), "one");
    fs::remove_file(home.join(".ssh/known_hosts")).unwrap();
    world
        .build(&["-o", &to, &full])
        .ended(1)
        .says(&["does not know the key of the host", "known_hosts"]);
}

fn an_agent_opens_repositories(world: &World) {
    let mut servers = Servers::start();
    servers.repository("app").push("main", &[("app.txt", "one")]);
    let home = world.folder("home");
    let ssh = servers.ssh(&home);
    world.user().own(&home);
    let key = world.folder("keys").join("key");
    fs::copy(&ssh.key, &key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    world.user().own(&world.folder("keys"));
    let place = ssh.repositories.join("app.git");
    let dockerfile = format!("FROM scratch\nADD root@gitbox:{} /\n", place.display());
    build(world, "closed", &dockerfile, &[]).ended(1);
    let flag = format!("default={}", key.display());
    build(world, "key", &dockerfile, &["--no-cache", "--ssh", &flag]).ok();
    assert_eq!(text(&out(world, "key"), "app.txt"), "one");

    let socket = world.folder("agent").join("socket");
    let mut agent = Command::new("ssh-agent");
    agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null());
    world.user().become_in(&mut agent);
    let _agent = Started::of(&mut agent);
    while !socket.exists() {
        std::thread::yield_now();
    }
    let mut add = Command::new("ssh-add");
    add.arg(&key).env("SSH_AUTH_SOCK", &socket);
    world.user().become_in(&mut add);
    tool(&mut add).ok();
    fs::remove_file(key).unwrap();
    servers.repository("other").push("main", &[("other.txt", "two")]);
    let dockerfile = dockerfile.replace("app.git", "other.git");
    let flag = format!("default={}", socket.display());
    build(world, "agent", &dockerfile, &["--ssh", &flag]).ok();
    assert_eq!(text(&out(world, "agent"), "other.txt"), "two");
}

/// sshd passes no wish for a newer protocol on, and the older one gives out tips only.
fn a_commit_that_is_not_given_by_itself_comes_with_all(world: &World) {
    let mut servers = Servers::start();
    let app = servers.repository("app");
    let first = app.push("main", &[("app.txt", "one")]);
    app.push("main", &[("app.txt", "two")]);
    let home = world.folder("home");
    let ssh = servers.ssh(&home);
    ssh.give_key(&home);
    world.user().own(&home);
    let place = ssh.repositories.join("app.git");
    let dockerfile = format!("FROM scratch\nADD root@gitbox:{}#{first} /\n", place.display());
    build(world, "out", &dockerfile, &[]).ok();
    assert_eq!(text(&out(world, "out"), "app.txt"), "one");
    let gone = dockerfile.replace(&first, &"1".repeat(40));
    build(world, "gone", &gone, &[]).ended(1).says(&["no branch, tag or ref `1111"]);
}

fn repositories_with_long_ids_are_read(world: &World) {
    let servers = Servers::start();
    let app = servers.repository_with("long", "sha256");
    let first = app.push("main", &[("app.txt", "one")]);
    assert_eq!(first.len(), 64);
    app.tag("v1");
    app.push("main", &[("app.txt", "two")]);
    let (git, http) = (&servers.git, &servers.http);
    let dockerfile = format!(
        "FROM scratch\nADD git://{git}/long.git#v1 /tag/\nADD http://{http}/long.git /head/\n\
         ADD --keep-git-dir git://{git}/long.git#{first} /commit/\n"
    );
    build(world, "out", &dockerfile, &[]).ok();
    let root = out(world, "out");
    let found = ["tag", "head", "commit"].map(|folder| text(&root, &format!("{folder}/app.txt")));
    assert_eq!(found, ["one", "two", "one"]);
    let mut git = Command::new("git");
    git.args(["-c", "safe.directory=*", "rev-parse", "HEAD"]).current_dir(root.join("commit"));
    assert_eq!(tool(&mut git).ok().stdout.trim(), first);
}

fn times_can_be_those_of_the_commit(world: &World) {
    let servers = Servers::start();
    let app = servers.repository("app");
    app.push("main", &[("Dockerfile", "FROM scratch\nCOPY x /copied\n"), ("x", "x")]);
    let place = format!("http://{}/app.git?mtime=commit", servers.http);
    let dockerfile = format!("FROM scratch\nADD {place} /\n");
    build(world, "added", &dockerfile, &[]).ok();
    assert_eq!(fs::metadata(out(world, "added").join("x")).unwrap().mtime(), 1_445_412_480);
    let to = out(world, "context").display().to_string();
    world.build(&["-o", &to, &place]).ok();
    assert_eq!(fs::metadata(out(world, "context").join("copied")).unwrap().mtime(), 1_445_412_480);
    world.build(&["-o", &to, "--no-cache", &place.replace("=commit", "=checkout")]).ok();
    assert!(fs::metadata(out(world, "context").join("copied")).unwrap().mtime() > 1_700_000_000);
}

fn a_checksum_holds_a_branch_to_its_commit(world: &World) {
    let servers = Servers::start();
    let app = servers.repository("app");
    let first = app.push("main", &[("app.txt", "one")]);
    let line = |flag: &str, query: &str| {
        format!("FROM scratch\nADD {flag} http://{}/app.git?branch=main{query} /\n", servers.http)
    };
    build(world, "query", &line("", &format!("&checksum={}", &first[..12])), &[]).ok();
    assert_eq!(text(&out(world, "query"), "app.txt"), "one");
    build(world, "flag", &line(&format!("--checksum={first}"), ""), &[]).ok();
    let second = app.push("main", &[("app.txt", "two")]);
    let moved = build(world, "moved", &line(&format!("--checksum={first}"), ""), &[]).ended(1);
    moved.says(&[&format!("is at commit {second}, expected {first}")]);
    let query = format!("&checksum={first}&fetch-by-commit=true");
    build(world, "commit", &line("", &query), &[]).ok();
    assert_eq!(text(&out(world, "commit"), "app.txt"), "one");
}

/// Nobody answers; the system accepts the connections meanwhile.
fn a_silent_server_ends_the_build(world: &World) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for place in [format!("http://{address}/x"), format!("git://{address}/x.git")] {
        let context = Context::new(
            world,
            "context",
            &[("Dockerfile", &format!("FROM scratch\nADD {place} /\n"))],
        );
        let mut command = world.build_command(&[context.arg()]);
        command.env("RBUILD_SOURCE_IDLE", "1");
        tool(&mut command).ended(3).says(&["nothing for 1 seconds", "RBUILD_SOURCE_IDLE"]);
    }
}

fn a_repository_has_a_limit(world: &World) {
    let servers = Servers::start();
    let app = servers.repository("app");
    app.push(
        "main",
        &[("Dockerfile", "FROM scratch\nCOPY . /\n"), ("zeros", &"0".repeat(300_000))],
    );
    let place = format!("git://{}/app.git", servers.git);
    let mut command = world.build_command(&[&place]);
    command.env("RBUILD_SOURCE_LIMIT", "200000");
    tool(&mut command).ended(3).says(&["more than 200000 bytes", "RBUILD_SOURCE_LIMIT"]);
    world.build(&["-q", &place]).ok();

    // What submodules hold counts, too.
    let outer = servers.repository("outer");
    outer.push("main", &[("Dockerfile", "FROM scratch\nCOPY . /\n")]);
    outer.submodule(&format!("http://{}/app.git", servers.http), "vendor");
    outer.push("main", &[("zeros", &"1".repeat(150_000))]);
    let place = format!("git://{}/outer.git", servers.git);
    let mut command = world.build_command(&[&place]);
    command.env("RBUILD_SOURCE_LIMIT", "400000");
    tool(&mut command).ended(3).says(&["more than 400000 bytes"]);
    world.build(&["-q", &place]).ok();
}
