//! Who a step runs as, and whose its folders are.

use e2e::{World, for_each_user};

use super::{context, image};

for_each_user! {
    g16_text_behind_an_exec_form_goes_to_the_shell,
    g33_a_number_that_nobody_has_is_in_the_group_of_root,
    g34_a_group_by_number_is_the_only_one,
    g35_a_user_has_the_groups_of_the_file,
    g36_a_group_that_is_named_is_the_only_one,
    g37_a_new_working_directory_belongs_to_the_user,
    g38_a_directory_that_is_there_keeps_its_owner,
    g88_a_shell_reads_all_its_heredocs,
}

/// A user with a further group, and what `id` says of `USER`s.
fn ids(world: &World, users: &[&str]) -> Vec<String> {
    let mut dockerfile = "FROM busybox\n\
        RUN echo dockerio:x:1001:1001::/:/bin/sh >>/etc/passwd && \
            printf 'dockerio:x:1001:\\nmore:x:1002:dockerio\\n' >>/etc/group && mkdir -m 777 /ids\n"
        .to_owned();
    for (number, user) in users.iter().enumerate() {
        dockerfile += &format!(
            "USER {user}\nRUN echo $(id -u) $(id -g) $(grep ^Groups: /proc/self/status) >/ids/{number}\n"
        );
    }
    let listing = image(world, &dockerfile, &[]);
    (0..users.len())
        .map(|number| listing.text(&format!("ids/{number}")).trim().to_owned())
        .collect()
}

fn g16_text_behind_an_exec_form_goes_to_the_shell(world: &World) {
    let dockerfile = "FROM busybox\nRUN [\"echo\",\"hello\"]this is invalid\n";
    let run = world.build(&[context(world, dockerfile, &[]).arg()]).ended(1);
    run.says(&["[echo,hello]this", "not found"]);
}

fn g33_a_number_that_nobody_has_is_in_the_group_of_root(world: &World) {
    assert_eq!(ids(world, &["1234"]), ["1234 0 Groups: 0"]);
}

fn g34_a_group_by_number_is_the_only_one(world: &World) {
    assert_eq!(ids(world, &["1234:1234"]), ["1234 1234 Groups: 1234"]);
}

fn g35_a_user_has_the_groups_of_the_file(world: &World) {
    assert_eq!(ids(world, &["dockerio", "1001"]), ["1001 1001 Groups: 1001 1002"; 2]);
}

fn g36_a_group_that_is_named_is_the_only_one(world: &World) {
    assert_eq!(ids(world, &["dockerio:dockerio"]), ["1001 1001 Groups: 1001"]);
}

fn g37_a_new_working_directory_belongs_to_the_user(world: &World) {
    let dockerfile = "FROM busybox\n\
        RUN echo user:x:1001:1007::/:/bin/sh >>/etc/passwd && echo user:x:1007: >>/etc/group\n\
        USER user\n\
        WORKDIR /mydir\n\
        RUN touch made\n";
    let listing = image(world, dockerfile, &[]);
    assert_eq!(listing.line("mydir"), "drwxr-xr-x 1001/1007 0 mydir/");
    assert_eq!(listing.line("mydir/made"), "-rw-r--r-- 1001/1007 0 mydir/made");
}

fn g38_a_directory_that_is_there_keeps_its_owner(world: &World) {
    let dockerfile = "FROM busybox\n\
        RUN mkdir -m 750 /mydir && chown 1001:1007 /mydir\n\
        USER root\n\
        WORKDIR /mydir\n";
    assert_eq!(image(world, dockerfile, &[]).line("mydir"), "drwxr-x--- 1001/1007 0 mydir/");
}

fn g88_a_shell_reads_all_its_heredocs(world: &World) {
    let dockerfile = "FROM busybox\n\
        RUN <<EOF 3<<IN1 4<<IN2 awk -f - /proc/self/fd/3 /proc/self/fd/4 >/out\n\
        { print \"got \" \\$0 }\n\
        EOF\n\
        first\n\
        IN1\n\
        second\n\
        IN2\n";
    assert_eq!(image(world, dockerfile, &[]).text("out"), "got first\ngot second\n");
}
