//! How steps end: by themselves, by their caller, and with the builder.

use std::path::Path;
use std::sync::Mutex;

use rbuild_solver::worker::Cancel;

use super::super::{Access, Exit, Limits, SandboxError};
use super::lab;

/// Makes a named pipe on the host.
fn fifo(path: &Path) {
    let mode = 0o666.into();
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

isolated! {
    fn background_processes_end_with_the_step(lab) {
        std::fs::create_dir(lab.path("host")).unwrap();
        fifo(&lab.path("host/pipe"));
        let sleep = sleep();
        // The pipe says when the process in the background is there.
        let script = format!("(setsid {sleep} & echo >/h/pipe; wait) & cat /h/pipe >/dev/null; exit 3");
        let mut spec = lab.spec(&script);
        spec.mounts = vec![lab.bind("host", "/h", Access::ReadWrite)];
        assert_eq!(lab.try_run(&spec).unwrap().0, Exit::Code(3));
        assert!(processes(&sleep).is_empty());
    }

    fn what_the_largest_process_used_is_known(lab) {
        // 64 MiB of zeros in one line, kept by `sort`.
        let (end, _) = lab.try_run_whole(&lab.spec("head -c 67108864 /dev/zero | tr '\\0' a | sort | wc -c")).unwrap();
        assert_eq!(end.exit, Exit::Code(0));
        let peak = end.memory.peak.unwrap();
        assert!((64 << 20..1 << 30).contains(&peak), "{peak}");
        let (small, _) = lab.try_run_whole(&lab.spec("true")).unwrap();
        assert!(small.memory.peak.unwrap() < 64 << 20);
    }

    fn a_step_over_its_memory_is_ended_and_that_is_known(lab) {
        let mut spec = lab.spec("head -c 100663296 /dev/zero | tr '\\0' a | sort | wc -c");
        spec.limits = Limits { memory: Some(32 << 20), cpus: Some(1500) };
        let (end, output) = lab.try_run_whole(&spec).unwrap();
        let notices = lab.sandbox.notices();
        match notices.as_slice() {
            [] => {
                assert_eq!((end.memory.limit, end.memory.ran_out), (Some(32 << 20), true));
                assert!(end.memory.peak.unwrap() <= 32 << 20);
            }
            // Not everybody may make control groups: then the step has none, and that is said.
            [notice] => {
                assert!(notice.starts_with("steps run without `--memory`"), "{notice}");
                assert!(notice.contains("`--cpus`: cannot make a control group in `/"), "{notice}");
                assert_eq!(output, "100663297\n");
            }
            more => panic!("{more:?}"),
        }
    }

    fn cancelling_kills_everything(lab) {
        let sleep = sleep();
        let spec = lab.spec(&format!("{sleep} & setsid {sleep} & echo up; wait"));
        let cancel = Cancel::new();
        let result = lab.sandbox.run(&spec, &mut |_| cancel.cancel(), &cancel);
        assert!(matches!(result, Err(SandboxError::Cancelled)), "{result:?}");
        assert!(processes(&sleep).is_empty());
        // The sandbox goes on.
        assert_eq!(lab.sh("echo on"), "on\n");
    }

    fn steps_run_beside_each_other(lab) {
        std::fs::create_dir(lab.path("host")).unwrap();
        for name in ["to", "fro"] {
            fifo(&lab.path("host").join(name));
        }
        // Each waits for the other: one after the other they would wait forever.
        let mut first = lab.spec("echo ping >/h/to; cat /h/fro");
        first.mounts = vec![lab.bind("host", "/h", Access::ReadWrite)];
        let mut second = first.clone();
        second.args[2] = "cat /h/to; echo pong >/h/fro".into();
        second.root = lab.other_root();
        let outputs = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for spec in [&first, &second] {
                scope.spawn(|| {
                    let output = lab.run(spec);
                    outputs.lock().unwrap().push(output);
                });
            }
        });
        let mut outputs = outputs.into_inner().unwrap();
        outputs.sort();
        assert_eq!(outputs, ["ping\n", "pong\n"]);
    }

    fn steps_end_with_the_server(lab) {
        let sleep = sleep();
        let spec = lab.spec(&format!("{sleep} & echo up; wait"));
        let server = lab.sandbox.server_id();
        let kill = |_: &[u8]| {
            let pid = rustix::process::Pid::from_raw(server as i32).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        };
        let result = lab.sandbox.run(&spec, &mut { kill }, &Cancel::new());
        assert!(matches!(result, Err(SandboxError::ServerGone)), "{result:?}");
        let result = lab.try_run(&spec);
        assert!(matches!(result, Err(SandboxError::ServerGone)), "{result:?}");
        // The kernel is still at it, perhaps.
        while !processes(&sleep).is_empty() {
            std::thread::yield_now();
        }
    }

    fn a_terminal(lab) {
        let mut spec = lab.spec("tty; stty size; test -t 1 && echo terminal; echo >/dev/tty tty; \
            ls /dev/console; stat -c %u /dev/pts/0");
        spec.stdio = super::super::super::Stdio::Terminal;
        spec.user = "1000".into();
        let text = lab.run(&spec);
        assert_eq!(text, "/dev/pts/0\r\n24 80\r\nterminal\r\ntty\r\n/dev/console\r\n1000\r\n");
    }
}

/// A command that no other test runs at the same time.
fn sleep() -> String {
    format!("sleep {}", 100_000 + std::process::id())
}

/// The processes with this command line that this process can see, by number.
fn processes(command: &str) -> Vec<String> {
    let wanted = command.replace(' ', "\0") + "\0";
    let numbers = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let is_it = |path: &std::path::PathBuf| {
        std::fs::read(path.join("cmdline")).is_ok_and(|line| line == wanted.as_bytes())
            // One that has ended shows no memory.
            && std::fs::read_to_string(path.join("status")).is_ok_and(|text| text.contains("VmSize"))
    };
    numbers.filter(is_it).map(|path| path.display().to_string()).collect()
}
