//! The floor: one `ssh` process per host, all at once, each running one hand-written script.
//!
//! This is what a deployment costs when nothing is planned, noted, limited or brought back.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::{
    gauge::{self, Ended},
    origin::Origin,
    place::Place,
    side::Side,
    work::FIRST,
};
use crate::{HostKind, console::TaskError, interrupt::Interrupt};

/// Its name in the table.
pub(super) const NAME: &str = "floor";

/// Where it keeps things on a host: `repo`, `releases/VERSION`, `current`.
const ROOT: &str = "/srv/deployment/floor";

/// The path of the live release.
const LIVE: &str = "/srv/deployment/floor/current";

/// How many hosts are prepared at once; that is not measured.
const AT_ONCE: usize = 25;

/// Brings version `$1` onto a host.
pub(super) const DEPLOY: &str = "\
set -eu
cd /srv/deployment/floor
git -C repo fetch --quiet --no-tags origin \"refs/tags/$1:refs/tags/$1\"
mkdir \"releases/$1\"
git -C repo archive \"$1\" | tar -x -C \"releases/$1\"
ln -sfn \"releases/$1\" next
mv -T next current
";

/// Makes the place; `$1` is the origin.
const PREPARE: &str = "\
set -eu
mkdir -p /srv/deployment/floor/releases
cd /srv/deployment/floor
[ -e repo ] && exit
git init --quiet --bare repo
git -C repo remote add --mirror=fetch origin \"$1\"
";

/// Ends a script early where version `$1` is already.
const UNLESS_THERE: &str = "[ -e /srv/deployment/floor/current ] && exit\n";

/// Goes back to version `$1` and forgets all others.
const BACK: &str = "\
set -eu
cd /srv/deployment/floor
ln -sfn \"releases/$1\" next
mv -T next current
for release in releases/*; do
[ \"$release\" = \"releases/$1\" ] || rm -rf \"$release\"
done
";

/// Deploys by the script.
#[derive(Debug)]
pub(super) struct Floor<'a> {
    place: &'a Place<'a>,
}

impl<'a> Floor<'a> {
    pub(super) fn new(place: &'a Place<'a>) -> Self {
        Self { place }
    }

    /// Runs `script` with `words` on all of `hosts` at once.
    fn run_on(
        &self,
        hosts: &[String],
        script: &str,
        words: &[&str],
        interrupt: &Interrupt,
    ) -> Result<Ended, TaskError> {
        let path = self.place.work.dir().join("floor.sh");
        fs::write(&path, script).map_err(TaskError::io("write the floor's script"))?;
        let children: Result<Vec<_>, _> =
            hosts.iter().map(|host| self.ssh(host, &path, words)).collect();
        gauge::wait_for_all(children?, interrupt)
    }

    fn ssh(&self, host: &str, script: &PathBuf, words: &[&str]) -> Result<Child, TaskError> {
        let open = |path| File::open(path).map_err(TaskError::io("open the floor's script"));
        let mut command = Command::new("ssh");
        command.arg("-T").arg("-F").arg(self.place.ssh_config());
        command.arg(host).args(["sh", "-s", "--"]).args(words);
        command.stdin(open(script)?).stdout(Stdio::null()).stderr(self.place.log()?);
        command.spawn().map_err(TaskError::io("run ssh"))
    }

    /// Runs it a part of the hosts at a time.
    fn run_paced(
        &self,
        script: &str,
        words: &[&str],
        interrupt: &Interrupt,
    ) -> Result<(), TaskError> {
        for hosts in self.place.hosts.chunks(AT_ONCE) {
            let ended = self.run_on(hosts, script, words, interrupt)?;
            self.place.must_succeed("prepare the floor's place", &ended)?;
        }
        Ok(())
    }

    /// The restart and the check that end each deployment.
    fn ending(&self) -> &'static str {
        match self.place.kind {
            HostKind::Light => "cat current/VERSION > served\ncmp -s current/VERSION served\n",
            HostKind::Systemd => {
                "sudo -n systemctl restart floor.service\n\
                 for _ in $(seq 100); do\n\
                 curl -fsS -o /dev/null http://localhost:1135/_info 2>/dev/null && exit 0\n\
                 sleep 0.1\n\
                 done\n\
                 exit 1\n"
            }
        }
    }

    fn deploy_script(&self) -> String {
        format!("{DEPLOY}{}", self.ending())
    }
}

impl Side for Floor<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn root(&self) -> &'static str {
        ROOT
    }

    fn live(&self) -> &'static str {
        LIVE
    }

    fn seed(&self, interrupt: &Interrupt) -> Result<Ended, TaskError> {
        self.place.install_unit("floor", LIVE, 1135)?;
        self.run_paced(PREPARE, &[&Origin::url()], interrupt)?;
        let script = format!("{UNLESS_THERE}{}", self.deploy_script());
        self.run_paced(&script, &[FIRST], interrupt)?;
        Ok(Ended::default())
    }

    fn deploy(&self, version: &str, interrupt: &Interrupt) -> Result<Ended, TaskError> {
        self.run_on(&self.place.hosts, &self.deploy_script(), &[version], interrupt)
    }

    fn back(&self, interrupt: &Interrupt) -> Result<Ended, TaskError> {
        let script = format!("{BACK}{}", self.ending());
        self.run_on(&self.place.hosts, &script, &[FIRST], interrupt)
    }

    fn goes_back_by_itself(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn the_documentation_shows_the_script() {
        let page = fs::read_to_string(workspace::root().join("docs/performance.md")).unwrap();
        assert!(page.contains(DEPLOY), "docs/performance.md shows another script");
    }
}
