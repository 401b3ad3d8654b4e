//! Through a real sshd on loopback, with keys, ports and configuration of the test's own. Skipped with a word where
//! OpenSSH's server or client is missing.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{ask, engine, write_config};

struct Server {
    home: TempDir,
    daemon: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Server {
    /// Starts one; `None`, said why, where that cannot be.
    fn start() -> Option<Self> {
        let sshd = PathBuf::from("/usr/sbin/sshd");
        let missing =
            [&sshd, Path::new("/usr/bin/ssh"), Path::new("/usr/bin/ssh-keygen"), Path::new("/run/sshd")]
                .into_iter()
                .find(|path| !path.exists())
                .map(|path| path.display().to_string());
        if let Some(missing) = missing {
            eprintln!("skipped: there is no {missing} (Debian: openssh-server)");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for key in ["host", "other", "user", "stranger"] {
            let mut make = Command::new("ssh-keygen");
            make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at(key));
            assert!(make.stdout(Stdio::null()).status().unwrap().success());
        }
        fs::copy(at("user.pub"), at("authorized")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized\nPidFile none\n\
             UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n",
            home.path().display()
        );
        fs::write(at("sshd_config"), config).unwrap();
        let log = fs::File::create(at("sshd.log")).unwrap();
        let daemon =
            Command::new(sshd).args(["-D", "-e", "-f"]).arg(at("sshd_config")).stderr(log).spawn().unwrap();
        let server = Self { home, daemon };
        server.knows("host", port);
        server.uses("user", port);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{}", server.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.at("sshd.log")).unwrap_or_default()
    }

    /// The client believes that the host has this key.
    fn knows(&self, key: &str, port: u16) {
        let public = fs::read_to_string(self.at(&format!("{key}.pub"))).unwrap();
        fs::write(self.at("known"), format!("[127.0.0.1]:{port} {public}")).unwrap();
    }

    /// The client shows this key.
    fn uses(&self, key: &str, port: u16) {
        let config = format!(
            "Host box\n HostName 127.0.0.1\n Port {port}\n IdentityFile {0}/{key}\n IdentitiesOnly yes\n IdentityAgent \
             none\n UserKnownHostsFile {0}/known\n GlobalKnownHostsFile none\n StrictHostKeyChecking yes\n",
            self.home.path().display()
        );
        fs::write(self.at("ssh_config"), config).unwrap();
    }

    fn port(&self) -> u16 {
        let config = fs::read_to_string(self.at("sshd_config")).unwrap();
        config.lines().next().unwrap().trim_start_matches("Port ").parse().unwrap()
    }

    /// A reply through it, by that command behind the host.
    fn asked(&self, command: Vec<String>) -> Result<String, String> {
        let config = self.at("ssh_config").display().to_string();
        let mut all: Vec<String> = ["ssh", "-F", &config, "box"].map(str::to_owned).into();
        all.extend(command);
        write_config(self.home.path(), &all);
        ask(self.home.path())
    }
}

#[test]
fn a_real_ssh_runs_the_engine_and_fails_in_the_words_that_are_known() {
    let Some(server) = Server::start() else { return };
    let command = engine(server.home.path());
    let reply = server.asked(command.clone()).unwrap_or_else(|error| panic!("{error}\n{}", server.log()));
    assert!(!reply.trim().is_empty());

    let missing = server.asked(vec!["no-such-glassbox".into(), "engine".into()]).unwrap_err();
    assert!(missing.contains("on box there is no `glassbox`"), "{missing}");

    let port = server.port();
    server.uses("stranger", port);
    let refused = server.asked(command.clone()).unwrap_err();
    assert!(refused.contains("box wants a password or a key"), "{refused}");
    server.uses("user", port);

    server.knows("other", port);
    let changed = server.asked(command.clone()).unwrap_err();
    assert!(changed.contains("another host key than before"), "{changed}");
    fs::write(server.at("known"), "").unwrap();
    let unknown = server.asked(command.clone()).unwrap_err();
    assert!(unknown.contains("ssh does not know box yet"), "{unknown}");
    server.knows("host", port);

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    server.uses("user", free);
    let nobody = server.asked(command).unwrap_err();
    assert!(nobody.contains("box refuses connections"), "{nobody}");
}
