//! Git names what runs, on whichever targets: here those of a fleet in memory.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use deploy_core::{
    backend::{Closing, ErrorKind, Scope, Transport},
    model::{App, Group, GroupName, Release, Target, Version, VersionId},
    plan::{Change, Goal, PlanRequest, Work},
    record::{Clock, Command, RunId, RunInfo, Summary, SystemClock},
    run::{Backend, Begin, Pipeline},
    testing::{
        Deed, Fault, Fleet, Turn,
        conformance::{self, Harness},
    },
};
use deploy_k8s::{Publish, ValuesMemory, ValuesPlace, ValuesTransport};

use super::rig::{FILE, KEY, Place, Seen, TEXT, git, scope};

const OTHER: &str = "helmfile.d/services/mathoid/values-codfw.yaml";

fn target(name: &str) -> Target {
    Target::new(name).unwrap()
}

fn version(n: u8) -> Version {
    Version { id: VersionId::new(format!("id{n}")).unwrap(), name: Some(format!("v{n}")) }
}

fn release(n: u8) -> Option<Release> {
    Some(Fleet::release_of(&version(n)))
}

fn change(name: &str, from: Option<Release>, to: Option<Release>) -> Change {
    Change { target: target(name), back: from.clone(), from, to, work: Work::Move }
}

/// Two targets with a file each, in a repository that has the first version in both.
fn scene(publish: Publish) -> (Place, Fleet, Arc<ValuesTransport>) {
    let place = Place::new();
    place.commit(FILE, &TEXT.replace("old", "v1"));
    place.commit(OTHER, &TEXT.replace("old", "v1"));
    let fleet = Fleet::new();
    let values = transport(&place, &fleet, publish, &[("eqiad", FILE), ("codfw", OTHER)]);
    (place, fleet, values)
}

fn transport(
    place: &Place,
    fleet: &Fleet,
    publish: Publish,
    files: &[(&str, &str)],
) -> Arc<ValuesTransport> {
    let of = |file: &str| ValuesPlace { file: file.into(), key: KEY.parse().unwrap() };
    let places = files.iter().map(|(name, file)| (target(name), of(file))).collect();
    let repository = Arc::new(place.values(publish));
    let values = ValuesTransport::new(Arc::new(fleet.clone()), repository, places);
    Arc::new(values.app("mathoid").reason("a test"))
}

fn subjects(place: &Place) -> Vec<String> {
    let log = git(&place.remote(), &["log", "--format=%s", "master"]);
    log.lines().filter(|line| *line != "somebody's").map(str::to_owned).collect()
}

fn going_back() -> Scope {
    Scope { rolling_back: true, ..scope(60) }
}

async fn deploy(n: u8, fleet: &Fleet, values: &Arc<ValuesTransport>) -> Summary {
    run(n, Goal::Deploy(version(n)), fleet, values).await
}

async fn run(n: u8, goal: Goal, fleet: &Fleet, values: &Arc<ValuesTransport>) -> Summary {
    let backend = Backend { transport: Arc::clone(values) as _, ..fleet.backend() };
    let group = |name: &str| Group::new(GroupName::new(name).unwrap(), vec![target(name)]);
    let groups = vec![group("eqiad"), group("codfw")];
    let command = if goal.is_back() { Command::Rollback } else { Command::Deploy };
    let request = PlanRequest::new(App::new("mathoid").unwrap(), goal, groups);
    let run = RunId::at(SystemClock.now(), u16::from(n));
    let info = RunInfo::new(run, request.app.clone(), command, "ann");
    Pipeline::new(backend).run(&request, Begin::new(info)).await
}

#[tokio::test]
async fn a_breach_in_the_second_group_brings_git_back_in_both_files() {
    let (place, fleet, values) = scene(Publish::Push);
    for name in ["eqiad", "codfw"] {
        fleet.install(&target(name), &version(1));
    }
    let done = deploy(2, &fleet, &values).await;
    assert_eq!(done.exit.map(|exit| exit.code()), Some(0), "{done:#?}");
    assert_eq!(subjects(&place), ["mathoid: codfw to v2", "mathoid: eqiad to v2"]);
    let message = git(&place.remote(), &["log", "-1", "--format=%B", "master"]);
    for part in ["by ann.", "a test", "Deploy-Run: ", "Deploy-Target: codfw", "Deploy-Key: main"] {
        assert!(message.contains(part), "{message}");
    }

    let sick = Fault::Unhealthy("crashes".into());
    fleet.fault(&target("codfw"), Deed::Check, Turn::Nth(fleet_checks(&fleet) + 1), sick);
    let done = deploy(3, &fleet, &values).await;
    assert_eq!(done.exit.map(|exit| exit.code()), Some(3), "{done:#?}");
    assert_eq!(
        subjects(&place)[..4],
        [
            "mathoid: eqiad back to v2",
            "mathoid: codfw back to v2",
            "mathoid: codfw to v3",
            "mathoid: eqiad to v3",
        ]
    );
    assert_eq!(place.value_in(FILE), "v2");
    assert_eq!(place.value_in(OTHER), "v2");
    assert!(["eqiad", "codfw"].iter().all(|it| fleet.host(&target(it)).serves() == Some("id2")));
}

fn fleet_checks(fleet: &Fleet) -> usize {
    fleet.count(&target("codfw"), Deed::Check)
}

#[tokio::test]
async fn what_was_not_switched_is_put_back_at_once() {
    for (fault, kind, named) in [
        (Fault::Fail(ErrorKind::Rejected), ErrorKind::Rejected, "v1"),
        (Fault::Fail(ErrorKind::Unreachable), ErrorKind::Unreachable, "v1"),
        // It is known by asking that it was not switched, or was.
        (Fault::LoseBefore, ErrorKind::Lost, "v1"),
        (Fault::LoseAfter, ErrorKind::Lost, "v2"),
        // It is not known at all.
        (Fault::DieAfter, ErrorKind::Lost, "v2"),
    ] {
        let (place, fleet, values) = scene(Publish::Push);
        let eqiad = target("eqiad");
        fleet.install(&eqiad, &version(1));
        fleet.fault(&eqiad, Deed::Promote, Turn::Nth(1), fault.clone());
        let change = change("eqiad", release(1), release(2));
        values.fetch(&eqiad, &change, &scope(60)).await.unwrap();
        let error = values.promote(&eqiad, &change, &scope(60)).await.unwrap_err();
        assert_eq!((error.kind(), place.value_in(FILE).as_str()), (kind, named), "{fault:?}");
        if fault != Fault::DieAfter {
            // It may be called again.
            values.promote(&eqiad, &change, &scope(60)).await.unwrap();
            assert_eq!(place.value_in(FILE), "v2", "{fault:?}");
        }
    }
}

#[tokio::test]
async fn nothing_is_touched_where_the_edit_cannot_be_made() {
    let (place, fleet, values) = scene(Publish::Push);
    let eqiad = target("eqiad");
    let bare = Version { name: None, ..version(2) };
    let nameless = change("eqiad", None, Some(Fleet::release_of(&bare)));
    let error = values.fetch(&eqiad, &nameless, &scope(60)).await.unwrap_err();
    assert_eq!((error.kind(), error.hint()), (ErrorKind::Rejected, Some("deploy it by its tag")));
    for text in ["main_app: {}\n", "main_app: {version: a}\n---\nmain_app: {version: b}\n"] {
        place.commit(FILE, text);
        let values = transport(&place, &fleet, Publish::Push, &[("eqiad", FILE)]);
        let change = change("eqiad", None, release(2));
        let error = values.fetch(&eqiad, &change, &scope(60)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{}", error.cause());
    }
    assert_eq!(fleet.count(&eqiad, Deed::Fetch), 0);
}

#[tokio::test]
async fn what_changed_meanwhile_is_left_to_others() {
    let (place, fleet, values) = scene(Publish::Push);
    let eqiad = target("eqiad");
    fleet.install(&eqiad, &version(1));
    let change = change("eqiad", release(1), release(3));
    values.fetch(&eqiad, &change, &scope(60)).await.unwrap();
    // In git.
    place.commit(FILE, &TEXT.replace("old", "v2"));
    let error = values.promote(&eqiad, &change, &scope(60)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.cause().contains("from \"v1\" to \"v2\""), "{}", error.cause());
    assert_eq!(fleet.count(&eqiad, Deed::Promote), 0);
    // On the target.
    place.commit(FILE, &TEXT.replace("old", "v1"));
    fleet.install(&eqiad, &version(2));
    let error = values.promote(&eqiad, &change, &scope(60)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!((place.value_in(FILE).as_str(), subjects(&place).len()), ("v1", 0));

    // What git names beside what runs is told, and so is that it cannot be asked.
    let values = transport(&place, &fleet, Publish::Push, &[("eqiad", FILE)]);
    let live = values.live(&eqiad, &scope(60)).await.unwrap();
    assert_eq!(live.notes, ["git names v1, and v2 runs"]);
    std::fs::rename(place.remote(), place.path("gone.git")).unwrap();
    let values = transport(&place, &fleet, Publish::Push, &[("eqiad", FILE)]);
    let live = values.live(&eqiad, &scope(60)).await.unwrap();
    assert!(live.notes[0].contains("what git names is not known"), "{:?}", live.notes);
}

#[tokio::test]
async fn a_first_deploy_goes_back_to_what_git_had_even_after_a_crash() {
    let (place, fleet, values) = scene(Publish::Push);
    let eqiad = target("eqiad");
    place.commit(FILE, &TEXT.replace("old", "none-yet"));
    let first = change("eqiad", None, release(1));
    let back = change("eqiad", release(1), None);
    values.fetch(&eqiad, &first, &scope(60)).await.unwrap();
    values.promote(&eqiad, &first, &scope(60)).await.unwrap();
    assert_eq!(place.value_in(FILE), "v1");
    values.promote(&eqiad, &back, &going_back()).await.unwrap();
    assert_eq!((place.value_in(FILE).as_str(), fleet.host(&eqiad).serves()), ("none-yet", None));

    values.promote(&eqiad, &first, &scope(60)).await.unwrap();
    place.commit("other.txt", "somebody goes on");
    place.commit(FILE, &format!("{}# more\n", TEXT.replace("old", "v1")));
    // The process is another one, and so is its cache.
    std::fs::remove_dir_all(place.path("cache.git")).unwrap();
    let values = transport(&place, &fleet, Publish::Push, &[("eqiad", FILE)]);
    for _ in 0..2 {
        values.promote(&eqiad, &back, &going_back()).await.unwrap();
        assert_eq!(place.value_in(FILE), "none-yet");
    }
}

#[tokio::test]
async fn of_hosts_with_one_key_the_last_one_back_brings_git_back() {
    let place = Place::new();
    place.commit(FILE, &TEXT.replace("old", "v1"));
    let fleet = Fleet::new();
    let names = ["web-1", "web-2", "web-3"];
    let values = transport(&place, &fleet, Publish::Push, &names.map(|name| (name, FILE)));
    for name in names {
        fleet.install(&target(name), &version(1));
    }
    let forward = |name| change(name, release(1), release(2));
    for name in names {
        values.fetch(&target(name), &forward(name), &scope(60)).await.unwrap();
    }
    for name in &names[..2] {
        values.promote(&target(name), &forward(name), &scope(60)).await.unwrap();
    }
    // One of several that fails leaves git to the others.
    fleet.fault(&target("web-3"), Deed::Promote, Turn::Nth(1), Fault::Fail(ErrorKind::Rejected));
    values.promote(&target("web-3"), &forward("web-3"), &scope(60)).await.unwrap_err();
    assert_eq!((place.value_in(FILE).as_str(), subjects(&place).len()), ("v2", 1));
    let [one, two] = ["web-1", "web-2"].map(target);
    let back = |name| change(name, release(2), release(1));
    let (first, second) = (back("web-1"), back("web-2"));
    let (here, there) = (going_back(), going_back());
    let (a, b) =
        tokio::join!(values.promote(&one, &first, &here), values.promote(&two, &second, &there));
    a.unwrap();
    b.unwrap();
    assert_eq!((place.value_in(FILE).as_str(), subjects(&place).len()), ("v1", 2));
}

#[tokio::test]
async fn a_key_of_hosts_and_clusters_names_the_new_version_while_one_of_either_serves_it() {
    let place = Place::new();
    place.commit(FILE, &TEXT.replace("old", "v1"));
    let (hosts, clusters) = (Fleet::new(), Fleet::new());
    let of = |name| {
        let place = ValuesPlace { file: FILE.into(), key: KEY.parse().unwrap() };
        (target(name), place)
    };
    let repository = Arc::new(place.values(Publish::Push));
    let memory: Arc<ValuesMemory> = Arc::default();
    let around = |fleet: &Fleet| {
        let places = ["web-1", "eqiad"].map(of).into_iter().collect();
        let transport =
            ValuesTransport::new(Arc::new(fleet.clone()), Arc::clone(&repository), places);
        transport.sharing(Arc::clone(&memory))
    };
    let both = [("web-1", &hosts, around(&hosts)), ("eqiad", &clusters, around(&clusters))];
    for (name, fleet, values) in &both {
        fleet.install(&target(name), &version(1));
        let forward = change(name, release(1), release(2));
        values.fetch(&target(name), &forward, &scope(60)).await.unwrap();
        values.promote(&target(name), &forward, &scope(60)).await.unwrap();
    }
    let mut named = Vec::new();
    for (name, _, values) in &both {
        let back = change(name, release(2), release(1));
        values.promote(&target(name), &back, &going_back()).await.unwrap();
        named.push(place.value_in(FILE));
    }
    assert_eq!(named, ["v2", "v1"]);
}

#[tokio::test]
async fn a_target_goes_back_though_git_cannot_be_reached() {
    let (place, fleet, values) = scene(Publish::Push);
    let eqiad = target("eqiad");
    fleet.install(&eqiad, &version(1));
    let forward = change("eqiad", release(1), release(2));
    values.fetch(&eqiad, &forward, &scope(60)).await.unwrap();
    values.promote(&eqiad, &forward, &scope(60)).await.unwrap();
    std::fs::rename(place.remote(), place.path("gone.git")).unwrap();
    let back = forward.inverse();
    let seen = Arc::new(Seen::default());
    let scope = Scope { output: Arc::clone(&seen) as _, ..going_back() };
    values.promote(&eqiad, &back, &scope).await.unwrap();
    assert_eq!(fleet.host(&eqiad).serves(), Some("id1"));
    assert!(seen.text().contains("eqiad is back, and git may still name"), "{}", seen.text());
    // Its end is not called good before git has it.
    let closing = Closing { good: None, back: None };
    let error = values.finalize(&eqiad, &closing, &scope).await.unwrap_err();
    assert!(error.cause().contains("git may still name what it ran"), "{}", error.cause());
    std::fs::rename(place.path("gone.git"), place.remote()).unwrap();
    values.finalize(&eqiad, &closing, &scope).await.unwrap();
    assert_eq!(place.value_in(FILE), "v1");
}

#[tokio::test]
async fn a_way_back_does_not_wait_for_a_reviewer() {
    let (place, fleet, values) = scene(Publish::Review("refs/for/master".into()));
    let eqiad = target("eqiad");
    fleet.install(&eqiad, &version(1));
    place.hook(
        "post-receive",
        "while read -r _ new ref; do case $ref in refs/for/*) \
         git update-ref refs/heads/master $new ;; esac; done",
    );
    let forward = change("eqiad", release(1), release(2));
    values.fetch(&eqiad, &forward, &scope(60)).await.unwrap();
    values.promote(&eqiad, &forward, &scope(60)).await.unwrap();
    assert_eq!(place.value_in(FILE), "v2");
    // Nobody is there to review.
    place.hook("post-receive", "exit 0");
    let seen = Arc::new(Seen::default());
    let scope = Scope { output: Arc::clone(&seen) as _, rolling_back: true, ..scope(600) };
    values.promote(&eqiad, &forward.inverse(), &scope).await.unwrap();
    assert_eq!((fleet.host(&eqiad).serves(), place.value_in(FILE).as_str()), (Some("id1"), "v2"));
    let told = seen.text();
    assert!(told.contains("mathoid: eqiad back to v1 (I"), "{told}");
    assert!(told.contains("submit it: master still has \"v2\""), "{told}");
}

/// A transport as another process has it.
fn another(place: &Place, fleet: &Fleet, publish: Publish) -> Arc<ValuesTransport> {
    let _ = std::fs::remove_dir_all(place.path("cache.git"));
    transport(place, fleet, publish, &[("eqiad", FILE), ("codfw", OTHER)])
}

async fn deployed_twice() -> (Place, Fleet) {
    let (place, fleet, values) = scene(Publish::Push);
    for n in [1, 2] {
        let done = deploy(n, &fleet, &values).await;
        assert_eq!(done.exit.map(|exit| exit.code()), Some(0), "{done:#?}");
    }
    (place, fleet)
}

#[tokio::test]
async fn a_rollback_is_a_way_back_in_git_too() {
    let (place, fleet) = deployed_twice().await;
    let values = another(&place, &fleet, Publish::Push);
    let done = run(3, Goal::RollBack, &fleet, &values).await;
    assert_eq!(done.exit.map(|exit| exit.code()), Some(0), "{done:#?}");
    let mut subjects = subjects(&place);
    subjects[..2].sort();
    assert_eq!(subjects[..2], ["mathoid: codfw back to v1", "mathoid: eqiad back to v1"]);
    assert_eq!((place.value_in(FILE), place.value_in(OTHER)), ("v1".into(), "v1".into()));
}

#[tokio::test]
async fn a_rollback_does_not_need_git() {
    let (place, fleet) = deployed_twice().await;
    std::fs::rename(place.remote(), place.path("gone.git")).unwrap();
    let values = another(&place, &fleet, Publish::Push);
    let done = run(3, Goal::RollBack, &fleet, &values).await;
    // What is left to do is told, and all is back, and was checked.
    assert_eq!(done.exit.map(|exit| exit.code()), Some(4), "{done:#?}");
    for name in ["eqiad", "codfw"].map(target) {
        assert_eq!(fleet.host(&name).serves(), Some("id1"));
        assert_eq!(fleet.count(&name, Deed::Check), 3, "{name}");
    }
    let told = format!("{done:?}");
    assert!(told.contains("git may still name what it ran"), "{told}");
}

#[tokio::test]
async fn a_rollback_does_not_wait_for_a_reviewer() {
    let (place, fleet) = deployed_twice().await;
    // Nobody is there to review.
    let values = another(&place, &fleet, Publish::Review("refs/for/master".into()));
    let done = run(3, Goal::RollBack, &fleet, &values).await;
    assert_eq!(done.exit.map(|exit| exit.code()), Some(0), "{done:#?}");
    for name in ["eqiad", "codfw"].map(target) {
        assert_eq!(fleet.host(&name).serves(), Some("id1"));
    }
    assert_eq!((place.value_in(FILE), place.value_in(OTHER)), ("v2".into(), "v2".into()));
    let sent = git(&place.remote(), &["log", "-1", "--format=%s", "refs/for/master"]);
    assert!(sent.contains(" back to v1"), "{sent}");
}

struct InGit {
    place: Place,
    fleet: Fleet,
    next: AtomicUsize,
}

#[async_trait]
impl Harness for InGit {
    fn transport(&self) -> Arc<dyn Transport> {
        let names: Vec<String> = (0..14).map(|n| format!("h{n}")).collect();
        let files: Vec<String> = (0..14).map(|n| format!("{n}.yaml")).collect();
        let files: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip(files.iter().map(String::as_str)).collect();
        transport(&self.place, &self.fleet, Publish::Push, &files)
    }

    async fn fresh(&self) -> Target {
        target(&format!("h{}", self.next.fetch_add(1, Ordering::Relaxed)))
    }

    fn versions(&self) -> [Version; 4] {
        [1, 2, 3, 4].map(version)
    }

    fn keep(&self) -> usize {
        2
    }

    fn dead(&self, run: &RunId) -> Arc<dyn Transport> {
        self.fleet.bury(run);
        self.transport()
    }

    async fn served(&self, target: &Target) -> Option<VersionId> {
        let served = self.fleet.host(target).serves().map(|id| VersionId::new(id).unwrap());
        // Whatever is served is what git names.
        let named = self.place.value_in(&format!("{}.yaml", &target.as_str()[1..]));
        let name = served.as_ref().map_or("none-yet".into(), |id| id.as_str().replace("id", "v"));
        assert_eq!(named, name, "what git names for {target}");
        served
    }

    async fn present(&self, target: &Target, release: &Release) -> bool {
        self.fleet.host(target).present.contains(&release.id)
    }
}

#[tokio::test]
async fn git_takes_no_promise_away() {
    let place = Place::new();
    for n in 0..14 {
        place.commit(&format!("{n}.yaml"), &TEXT.replace("old", "none-yet"));
    }
    let fleet = Fleet::new();
    fleet.set_keep(2);
    conformance::all(&InGit { place, fleet, next: AtomicUsize::new(0) }).await;
}
