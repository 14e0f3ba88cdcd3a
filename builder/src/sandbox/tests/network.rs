//! Which network a step sees.

use std::net::TcpListener;

use rbuild_solver::op::Network;

use super::lab;

/// Takes connections on every address of the host, and says goodbye.
fn listen() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    port
}

/// The network namespace of a process.
fn own() -> String {
    std::fs::read_link("/proc/self/ns/net").unwrap().display().to_string()
}

const SHOW: &str = "readlink /proc/self/ns/net; ip -o link | wc -l";

isolated! {
    fn none_is_loopback_alone(lab) {
        let text = lab.sh("ip -o link | wc -l; ip -o addr show lo; wget -q -O- 127.0.0.1:1 2>&1; true");
        assert!(text.starts_with("1\n") && text.contains("127.0.0.1/8"), "{text}");
    }

    fn host_is_the_hosts(lab) {
        let port = listen();
        let mut spec = lab.spec(&format!("{SHOW}; nc 127.0.0.1 {port} </dev/null && echo reached"));
        spec.network = Network::Host;
        let text = lab.run(&spec);
        assert!(text.starts_with(&own()) && text.ends_with("reached\n"), "{text}");
    }

    /// With pasta, or with the host's network and a word about it.
    fn default_is_private_or_told(lab) {
        let port = listen();
        let gateway = "$(ip route | grep default | cut -d ' ' -f 3)";
        let reach = format!(
            "{SHOW}; for to in 127.0.0.1 {gateway}; do nc -w 2 $to {port} </dev/null 2>&1 && echo reached; done; true"
        );
        let mut spec = lab.spec(&reach);
        spec.network = Network::Default;
        let first = lab.run(&spec);
        let notices = lab.sandbox.notices();
        if first.starts_with(&own()) {
            assert_eq!(notices.len(), 1);
            assert!(notices[0].starts_with("steps use the host's network: "), "{notices:?}");
            eprintln!("NOT TESTED: {}", notices[0]);
        } else {
            assert!(!first.contains("reached"), "{first}");
            assert!(notices.is_empty(), "{notices:?}");
        }
        // The next step has the same one, and nothing is said twice.
        assert_eq!(lab.run(&spec).lines().next(), first.lines().next());
        assert!(lab.sandbox.notices().is_empty());
    }

    fn sys_shows_the_devices_of_the_network(lab) {
        assert_eq!(lab.sh("ls /sys/class/net"), "lo\n");
        let mut spec = lab.spec("ls -d /sys/class/net; touch /sys/x 2>/dev/null || echo read-only");
        spec.network = Network::Host;
        assert_eq!(lab.run(&spec), "/sys/class/net\nread-only\n");
    }
}
