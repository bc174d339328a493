//! What was found and what would be done, in lines for a person; hosts that are alike together.

use deploy_core::model::Target;
use deploy_ssh::{Adoption, Found, Identity, What};

use super::scene::Scene;
use crate::{
    context::Context,
    display,
    report::{escape_json, names},
    ui::{Paint, Ui},
};

/// How many names of a kind are shown.
const NAMED: usize = 5;

/// Tells what was found, and what would be done.
pub(super) fn tell(context: &Context, scene: &Scene) {
    if context.global.json {
        json(context, scene);
        return;
    }
    let ui = &context.ui;
    let mut told: Vec<(Vec<String>, Paint, Vec<Target>)> = Vec::new();
    let mut add = |target: &Target, paint: Paint, lines: Vec<String>| match told
        .iter_mut()
        .find(|(other, _, _)| *other == lines)
    {
        Some((_, _, targets)) => targets.push(target.clone()),
        None => told.push((lines, paint, vec![target.clone()])),
    };
    for (target, adoption) in &scene.adoptions {
        add(target, ui.strong(), adoption_lines(scene, adoption));
    }
    for (target, found) in &scene.given_back {
        add(target, ui.strong(), give_back_lines(scene, found));
    }
    for (target, what) in &scene.settled_as {
        add(target, ui.dim(), vec![settled(scene, what)]);
    }
    for (target, why) in &scene.refused {
        let why = why.iter().map(|why| format!("cannot: {why}")).collect();
        add(target, ui.bad(), why);
    }
    for (target, error) in &scene.silent {
        add(target, ui.bad(), vec![format!("could not be asked: {}", error.cause())]);
    }
    for (lines, paint, targets) in told {
        show(ui, &lines, paint, &targets);
    }
    if let Some(line) = missing_shared(scene) {
        ui.prose(&ui.paint(ui.note(), &display::line(&line)));
    }
}

fn show(ui: &Ui, lines: &[String], paint: Paint, targets: &[Target]) {
    let Some((first, rest)) = lines.split_first() else { return };
    let title = format!("{}: {}", names(targets), display::line(first));
    ui.prose(&ui.paint(paint, &title));
    rest.iter().for_each(|line| ui.prose(&format!("  {}", display::line(line))));
}

fn settled(scene: &Scene, what: &What) -> String {
    match (scene.is_undo, what) {
        (true, _) => format!("{} was not adopted: nothing to undo", scene.path),
        (false, What::Nothing) => "nothing is there: `deploy` makes it".to_owned(),
        (false, _) => "ours already".to_owned(),
    }
}

fn adoption_lines(scene: &Scene, adoption: &Adoption) -> Vec<String> {
    let Adoption { found, identity, release } = adoption;
    let mut lines = vec![format!("{} is {}", scene.path, found.what)];
    let Some(identity) = identity else {
        lines.push(format!("it is finished: {release}"));
        return lines;
    };
    lines.push(format!("what is live, {}, becomes {}", found.origin, becomes(identity)));
    if identity.differing > 0 {
        let more = identity.differing.saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = some(&identity.differs);
        lines.push(format!("kept as they are, though not as in the commit: {named}{more}"));
    }
    lines.push(match found.tool.as_deref() {
        Some(tool) => format!("it is moved into {}-cache at once, by {tool}", scene.path),
        None => "by two renames: for a moment the live path leads NOWHERE".to_owned(),
    });
    if !found.outside.is_empty() {
        let number = found.outside.len();
        lines.push(format!("links made absolute ({number}): {}", some(&found.outside)));
    }
    if let Some((number, place)) = &found.older {
        lines.push(format!("older releases stay where they are: {number} in {place}"));
    }
    if !found.shared_otherwise.is_empty() {
        lines.push(format!(
            "links to what is shared that later releases do not get: {}",
            some(&found.shared_otherwise)
        ));
    }
    lines.extend(found.notes.iter().cloned());
    lines
}

fn becomes(identity: &Identity) -> String {
    let (version, short) = (&identity.version, identity.version.id.short());
    match (&version.name, identity.is_known) {
        (Some(name), true) => format!("{name} ({short})"),
        (Some(name), false) => format!("{name}, a version that the repository does not have"),
        (None, _) => short.to_owned(),
    }
}

fn give_back_lines(scene: &Scene, found: &Found) -> Vec<String> {
    let Some(record) = &found.record else { return Vec::new() };
    let mut lines = vec![format!("{} becomes {} again", scene.path, record.what)];
    lines.push(format!("it serves {} as it was adopted, and as it is now", record.origin));
    match found.live() {
        Some(live) if live.id != record.release => {
            lines.push(format!("live is {live}: that is NOT served any more afterwards"));
            lines.push("nothing is restarted: restart the service then".to_owned());
        }
        _ => {}
    }
    let aside = if record.what == What::Scap { "-cache/undone-…" } else { "-cache-undone-…" };
    lines.push(format!("what is ours is put aside as {}{aside}", scene.path));
    lines
}

/// What belongs into deploy.toml, since releases share it as the layout has it.
fn missing_shared(scene: &Scene) -> Option<String> {
    let mut all: Vec<&String> = scene.shared.iter().collect();
    let there = scene.adoptions.values().flat_map(|adoption| &adoption.found.shared);
    let missing: Vec<&String> = there.filter(|name| !scene.shared.contains(name)).collect();
    if missing.is_empty() {
        return None;
    }
    all.extend(missing);
    all.sort();
    all.dedup();
    let all = serde_json::json!(all);
    Some(format!("put this into [layout] first, or later releases do not share it: shared = {all}"))
}

fn some(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    shown.join(", ")
}

fn json(context: &Context, scene: &Scene) {
    let line = |value: serde_json::Value| context.ui.line(&escape_json(&value.to_string()));
    for (target, Adoption { found, identity, release }) in &scene.adoptions {
        line(serde_json::json!({
            "target": target, "found": found.what, "origin": found.origin, "release": release,
            "differing": identity.as_ref().map(|identity| identity.differing),
            "differs": identity.as_ref().map(|identity| &identity.differs),
            "shared": found.shared, "tool": found.tool,
        }));
    }
    for (target, found) in &scene.given_back {
        line(serde_json::json!({ "target": target, "found": found.what, "undo": found.record }));
    }
    for (target, what) in &scene.settled_as {
        line(serde_json::json!({ "target": target, "found": what, "settled": true }));
    }
    for (target, why) in &scene.refused {
        line(serde_json::json!({ "target": target, "refused": why }));
    }
    for (target, error) in &scene.silent {
        line(serde_json::json!({ "target": target, "failure": error.cause() }));
    }
}
