//! What is refused before anything is touched, and what is not taken over.

use std::fs;

use deploy_core::{
    backend::{ErrorKind, Transport},
    model::Target,
};
use deploy_ssh::{
    ArchiveOptions, BuildStep, FetchMethod, RunProcess, SshTransport, Template,
    session::{Sessions, SshConfig},
};
use serde_json::json;

use crate::{
    ground::scope,
    scene::{APP, Scene},
    sshd::{one_host, target},
};

over_both_links!(
    what_cannot_be_rendered_refuses_before_anything_is_touched,
    a_destination_that_is_not_free_is_refused,
    what_steps_make_is_not_taken_over,
    a_destination_that_an_archive_has_is_refused,
);

async fn what_cannot_be_rendered_refuses_before_anything_is_touched(
    sessions: &Sessions,
    target: &Target,
) {
    let scene = Scene::new(sessions, target, "a: 1\nport: {{ prot }}\n");
    let v1 = scene.ground.commit("v1");
    let transport = scene.transport(json!({ "port": 80 }));
    let error = scene.render(&transport, &v1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert_eq!(error.to_string(), "render the templates of v1");
    assert_eq!(error.cause(), format!("{APP}:2: `prot` is not defined (for {target})"));
    assert_eq!(error.hint(), Some("did you mean `port`?"));
    // Whoever goes on all the same is told the same.
    let error = transport.release(target, &v1).unwrap_err();
    let anew = "it is not there (keep = 5), and cannot be made anew";
    assert_eq!(error.cause(), format!("{anew}: {APP}:2: `prot` is not defined"));
    let error = scene.transport(json!({})).release(target, &v1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Broken);

    for (template, problem) in [
        ("{% for %}", "syntax error"),
        ("{{ secret.token }}", "`secret.token` is not defined"),
        ("{% include 'no.j2' %}", "no.j2"),
        ("{{ range(9999)|list }}{% for x in range(9999) %}{{ 'x' * 999 }}{% endfor %}", "1 MiB"),
    ] {
        scene.ground.write(APP, template);
        let version = scene.ground.commit("bad");
        let error = scene.render(&scene.transport(json!({})), &version).await.unwrap_err();
        assert!(error.cause().contains(problem), "{template}: {error:?}");
    }
    // What is asked of a secret cannot be known before it is read.
    let scene = scene.with_secrets("token = \"x\"\n");
    for template in [
        "{% if secret.token %}a{% endif %}",
        "{% if secret.token == 'x' %}a{% endif %}",
        "{{ secret }}",
        "{{ secret.token|length }}",
    ] {
        scene.ground.write(APP, template);
        let version = scene.ground.commit("bad");
        assert!(scene.render(&scene.transport(json!({})), &version).await.is_err(), "{template}");
    }
    let public = Template::new(APP, "a").unwrap().mode("0444").unwrap();
    scene.ground.write(APP, "{{ secret.token }}");
    let version = scene.ground.commit("public");
    let transport = scene.transport_of(scene.templates(vec![public], json!({})));
    let error = scene.render(&transport, &version).await.unwrap_err();
    assert!(error.cause().contains("everybody could read it"), "{error:?}");
    assert!(!scene.ground.cache().exists(), "nothing was touched");
}

async fn a_destination_that_is_not_free_is_refused(sessions: &Sessions, target: &Target) {
    let scene = Scene::new(sessions, target, "x\n");
    scene.ground.write("config/default.yaml", "");
    std::os::unix::fs::symlink("/etc", scene.ground.repo().join("link")).unwrap();
    let version = scene.ground.commit("v1");
    for (destination, problem) in [
        ("a.txt", "\"a.txt\" is a file"),
        ("a.txt/b", "\"a.txt\" is a file"),
        ("config", "\"config\" is a directory"),
        ("link", "\"link\" is a symbolic link"),
        ("link/b", "\"link\" is a symbolic link"),
    ] {
        let file = Template::new(APP, destination).unwrap();
        let transport = scene.transport_of(scene.templates(vec![file], json!({})));
        let error = scene.render(&transport, &version).await.unwrap_err();
        assert!(error.cause().contains(problem), "{destination}: {error:?}");
    }
    let shared = scene.layout().share(["log"]).unwrap();
    let process = RunProcess::current().unwrap();
    let transport = SshTransport::new(sessions.clone(), scene.ground.repo(), shared, process);
    let file = Template::new(APP, "log/a").unwrap();
    assert!(transport.templates(scene.templates(vec![file], json!({}))).is_err());
    // No template, no file: that names the template.
    let file = Template::new("templates/none.j2", "b").unwrap();
    let transport = scene.transport_of(scene.templates(vec![file], json!({})));
    let error = scene.render(&transport, &version).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.cause().contains("\"templates/none.j2\""), "{error:?}");
}

async fn what_steps_make_is_not_taken_over(sessions: &Sessions, target: &Target) {
    let scene =
        Scene::new(sessions, target, "{{ secret.token }}\n").with_secrets("token = \"x\"\n");
    let version = scene.ground.commit("v1");
    let elsewhere = scene.ground.srv().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let build = |command: &str| {
        let timeout = std::time::Duration::from_secs(30);
        vec![BuildStep { name: "build".into(), command: command.into(), timeout }]
    };
    let commands = [
        "mkdir config && echo theirs > config/app.yaml".to_owned(),
        format!("ln -s '{}' config", elsewhere.display()),
        format!("mkdir config && ln -s '{}/app.yaml' config/app.yaml", elsewhere.display()),
    ];
    for command in &commands {
        let transport = scene.transport(json!({})).build_steps(build(command));
        scene.render(&transport, &version).await.unwrap();
        let change = scene.ground.change(&transport, None, Some(&version));
        let error = transport.fetch(target, &change, &scope("r1")).await.unwrap_err();
        assert!(error.cause().contains("config/app.yaml cannot be rendered"), "{error:?}");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "{command}");
    }
    // A step sees no secrets, and what it makes beside them stays.
    let quiet = "test ! -e config && mkdir config && echo built > config/built";
    let transport = scene.transport(json!({})).build_steps(build(quiet));
    let release = scene.deploy(&transport, &version, "r1").await;
    assert_eq!(scene.live(), "x\n");
    let built = scene.ground.release(&release).join("config/built");
    assert_eq!(fs::read_to_string(built).unwrap(), "built\n");
}

async fn a_destination_that_an_archive_has_is_refused(sessions: &Sessions, target: &Target) {
    let scene = Scene::new(sessions, target, "x\n");
    scene.ground.write("only/here", "");
    let version = scene.ground.commit("v1");
    let command =
        "mkdir etc; : >etc/own; ln -s etc link; tar -cf \"$DEPLOY_ARCHIVE\" a.txt etc link";
    let transport = |destination: &str| {
        let timeout = std::time::Duration::from_secs(60);
        let options = ArchiveOptions { command: command.to_owned(), timeout };
        let file = Template::new(APP, destination).unwrap();
        let transport = scene.plain_transport().fetch_by(FetchMethod::Archive(options));
        transport.templates(scene.templates(vec![file], json!({}))).unwrap()
    };
    for (destination, problem) in [
        ("a.txt", "\"a.txt\" is a file of the archive"),
        ("etc", "\"etc\" is a directory of the archive"),
        ("etc/own/a", "\"etc/own\" is a file of the archive"),
        ("link/a", "\"link\" is a symbolic link of the archive"),
    ] {
        let transport = transport(destination);
        transport.admit(&version).await.unwrap();
        let error = scene.render(&transport, &version).await.unwrap_err();
        assert!(error.cause().contains(problem), "{destination}: {error:?}");
    }
    // What the version has and the archive has not is free.
    for destination in ["etc/new", "only/here"] {
        let transport = transport(destination);
        transport.admit(&version).await.unwrap();
        scene.render(&transport, &version).await.unwrap();
    }
}
