//! Commands that NRPE knows, run without its daemon.

use std::{fs, os::unix::fs::symlink, time::Duration};

use deploy_core::{
    backend::{BackendError, Checker, ErrorKind, Verdict},
    model::Target,
};
use deploy_ssh::{
    NrpeCheck, NrpeCommand,
    session::{Sessions, SshConfig},
};
use tempfile::TempDir;

use super::{
    ask,
    health::{Premises, situation},
    sshd::{one_host, scope, scope_of, target},
};

over_both_links!(
    the_state_of_a_plugin_is_the_verdict,
    definitions_are_read_as_nrpe_reads_them,
    arguments_are_put_in_and_none_is_missed,
    what_is_not_defined_is_told_with_what_is,
    configuration_that_includes_itself_is_told,
    a_plugin_that_hangs_is_killed,
);

/// The configuration of NRPE on a "host".
struct Defined {
    dir: TempDir,
    premises: Premises,
}

impl Defined {
    fn new(definitions: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("nrpe d").tempdir().unwrap();
        let defined = Self { dir, premises: Premises::new() };
        defined.file("nrpe.cfg", definitions);
        defined
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn check(&self, sessions: &Sessions, name: &str, args: &[&str]) -> NrpeCheck {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let command = NrpeCommand::new(name, args).unwrap();
        let paths = vec![self.path("nrpe.cfg"), self.path("nrpe.d"), self.path("no such")];
        NrpeCheck::new(sessions.clone(), self.premises.surroundings(), command).paths(paths)
    }

    async fn fails(
        &self,
        sessions: &Sessions,
        name: &str,
        args: &[&str],
        on: &Target,
    ) -> BackendError {
        self.check(sessions, name, args).check(on, &situation(), &scope()).await.unwrap_err()
    }
}

fn unhealthy(verdict: &Verdict) -> (&str, &str) {
    match verdict {
        Verdict::Unhealthy { reason, evidence } => (reason, evidence.as_deref().unwrap_or("")),
        other => panic!("not unhealthy: {other:?}"),
    }
}

async fn the_state_of_a_plugin_is_the_verdict(sessions: &Sessions, on: &Target) {
    let host = Defined::new(
        "command[ok]=echo OK - all is well\n\
         command[warning]=echo 'WARNING - disk at 91%|/=91%'; exit 1\n\
         command[critical]=echo CRITICAL - disk full; echo more >&2; exit 2\n\
         command[unknown]=echo UNKNOWN - no such disk; exit 3\n\
         command[missing]=/no/such/plugin -w 1\n\
         command[odd]=exit 77\n",
    );
    let check = |name: &str| host.check(sessions, name, &[]);
    assert_eq!(ask(&check("ok"), on).await, Verdict::Healthy);
    let verdict = ask(&check("warning"), on).await;
    assert_eq!(unhealthy(&verdict), ("warning is WARNING", "WARNING - disk at 91%|/=91%"));
    let verdict = ask(&check("warning").warning_passes(), on).await;
    let note = "warning is WARNING: WARNING - disk at 91%|/=91%".to_owned();
    assert_eq!(verdict, Verdict::HealthyBut { note });
    let verdict = ask(&check("critical"), on).await;
    assert_eq!(unhealthy(&verdict), ("critical is CRITICAL", "CRITICAL - disk full\nmore"));
    for (name, cause) in [
        ("unknown", "unknown could not tell (UNKNOWN)"),
        ("missing", "missing cannot be run (exit status 127)"),
        ("odd", "odd ended with status 77, as no plugin should"),
    ] {
        let error = host.fails(sessions, name, &[], on).await;
        assert_eq!((error.kind(), error.cause()), (ErrorKind::Rejected, cause.to_owned()));
    }
    let error = host.fails(sessions, "unknown", &[], on).await;
    assert_eq!(error.evidence(), Some("UNKNOWN - no such disk"));
}

async fn definitions_are_read_as_nrpe_reads_them(sessions: &Sessions, on: &Target) {
    let host = Defined::new("");
    let text = format!(
        "# command[comment]=true\n\
         \tcommand[indented] = test \"$DEPLOY_GROUP\" = canary \r\n\
         command[first]=exit 2\n\
         allowed_hosts=127.0.0.1\n\
         include={}\n\
         include_dir={}/\n\
         command[in /]=test \"$(pwd)\" = /\n\
         command[back\\slash $HOME]=test '\\n' = \"\\\\n\" && test -n \"$HOME\"\n\
         command[last]=true",
        host.path("one.txt"),
        host.path("more")
    );
    host.file("nrpe.cfg", &text);
    host.file("one.txt", "command[one]=true\n");
    host.file("more/a.cfg", "command[two]=true\n");
    host.file("more/deep/b.cfg", "command[three]=true\n");
    host.file("more/not-read.conf", "command[four]=true\n");
    host.file("nrpe.d/z.cfg", "command[first]=true\n");
    symlink(host.path("one.txt"), host.path("nrpe.d/link.cfg")).unwrap();
    symlink("nowhere", host.path("nrpe.d/dangling.cfg")).unwrap();
    for name in ["indented", "one", "two", "three", "first", "in /", "back\\slash $HOME", "last"] {
        assert_eq!(ask(&host.check(sessions, name, &[]), on).await, Verdict::Healthy, "{name}");
    }
    for name in ["comment", "four"] {
        assert_eq!(host.fails(sessions, name, &[], on).await.kind(), ErrorKind::NotFound, "{name}");
    }
    // As with sudo before each command.
    host.file("nrpe.d/prefix.cfg", "command_prefix=test prefixed =\ncommand[prefixed]=prefixed\n");
    assert_eq!(ask(&host.check(sessions, "prefixed", &[]), on).await, Verdict::Healthy);
}

async fn arguments_are_put_in_and_none_is_missed(sessions: &Sessions, on: &Target) {
    let host = Defined::new(
        "command[two]=test $ARG1$ = \"$ARG2$\" && test \"$ARG1$ $ARGS$\" = \"a b b $\"\n\
         command[ten]=test $ARG10$ = j -a $ARG1$ = a\n\
         command[none]=true\n",
    );
    let check = host.check(sessions, "two", &["a b = a b -a b", "b"]);
    assert!(matches!(ask(&check, on).await, Verdict::Unhealthy { .. }), "words are split");
    let letters = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    for (given, cause) in [
        (&letters[..1], "the definition of ten has no $ARG2$"),
        (&letters[..0], "the definition of ten wants $ARG10$"),
    ] {
        let error = host.fails(sessions, "ten", given, on).await;
        assert!(error.cause().starts_with("the definition of ten"), "{cause}: {}", error.cause());
    }
    let host = Defined::new("command[args]=test \"$ARG2$-$ARG1$-$ARG2$\" = 'b 2-a-b 2'\n");
    assert_eq!(ask(&host.check(sessions, "args", &["a", "b 2"]), on).await, Verdict::Healthy);
    let error = host.fails(sessions, "args", &["a"], on).await;
    assert_eq!(error.cause(), "the definition of args wants $ARG2$");
    assert_eq!(error.hint(), Some("give it in `args`"));
    let error = host.fails(sessions, "args", &["a", "b", "c"], on).await;
    assert_eq!(error.cause(), "the definition of args has no $ARG3$");
}

async fn what_is_not_defined_is_told_with_what_is(sessions: &Sessions, on: &Target) {
    let host = Defined::new("command[check_load]=true\ncommand[check_disk]=true\n");
    host.file("nrpe.d/x.cfg", "command[check_disk]=true\n");
    let check = |name: &str| host.check(sessions, name, &[]);
    assert_eq!(check("check_disk").note(on, &scope()).await.unwrap(), None);
    let early = check("check_dsk").note(on, &scope()).await.unwrap_err();
    assert_eq!(early.kind(), ErrorKind::NotFound, "before anything is switched");
    let error = host.fails(sessions, "check_dsk", &[], on).await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.cause(), "NRPE knows no command check_dsk there");
    assert_eq!(error.hint(), Some("defined there: check_disk, check_load"));
    let many: String = (10..90).map(|n| format!("command[c{n}]=true\n")).collect();
    let error = Defined::new(&many).fails(sessions, "x", &[], on).await;
    assert!(error.hint().unwrap().ends_with("c38, c39, and 50 more"), "{:?}", error.hint());
    let error = Defined::new("").fails(sessions, "x", &[], on).await;
    assert!(error.hint().unwrap().starts_with("nothing is defined in "), "{:?}", error.hint());
}

async fn configuration_that_includes_itself_is_told(sessions: &Sessions, on: &Target) {
    let host = Defined::new("");
    host.file("nrpe.cfg", &format!("include={}\n", host.path("nrpe.cfg")));
    let error = host.fails(sessions, "x", &[], on).await;
    assert!(error.cause().contains("without end"), "{}", error.cause());
    for name in ["a", "b", "c"] {
        host.file(&format!("nrpe.d/{name}.cfg"), &format!("include_dir={}\n", host.path("nrpe.d")));
    }
    host.file("nrpe.cfg", "");
    let error = host.fails(sessions, "x", &[], on).await;
    assert!(error.cause().contains("without end"), "{}", error.cause());
}

async fn a_plugin_that_hangs_is_killed(sessions: &Sessions, on: &Target) {
    let host = Defined::new("command[hangs]=echo waiting; sleep 60\n");
    let check = host.check(sessions, "hangs", &[]);
    let verdict = check.check(on, &situation(), &scope_of(Duration::from_secs(2))).await.unwrap();
    assert_eq!(unhealthy(&verdict), ("did not end in its time, and was killed", "waiting"));
}
