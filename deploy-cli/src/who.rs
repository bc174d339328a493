//! Who runs a command, as far as the machine knows.

/// Names who runs the command: `--as`, then who called sudo, then what a CI system says, then the
/// user.
pub fn who(named: Option<&str>) -> String {
    decide(named, |name| std::env::var(name).ok(), user)
}

/// What CI systems call whoever started a job.
const CI: [&str; 7] = [
    "GITLAB_USER_LOGIN",
    "GITHUB_ACTOR",
    "BUILD_USER_ID",
    "CIRCLE_USERNAME",
    "BITBUCKET_STEP_TRIGGERER_UUID",
    "DRONE_COMMIT_AUTHOR",
    "BUILDKITE_BUILD_CREATOR",
];

fn decide(
    named: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
    user: impl Fn() -> Option<String>,
) -> String {
    let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    named
        .filter(|named| !named.trim().is_empty())
        .map(str::to_owned)
        .or_else(|| set("SUDO_USER"))
        .or_else(|| CI.iter().find_map(|name| set(name)))
        .or_else(user)
        .or_else(|| set("USER"))
        .unwrap_or_else(|| "unknown".to_owned())
}

fn user() -> Option<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::current()).ok()??;
    Some(user.name)
}

/// Whether this is a job of a CI system, whose clone is mostly a fresh one.
pub fn in_ci() -> bool {
    let ci = ["CI", "GITLAB_CI", "GITHUB_ACTIONS", "JENKINS_URL", "BUILDKITE"];
    ci.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// The name of this machine.
pub fn host() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_name_wins() {
        let env = |set: &'static [(&str, &str)]| {
            move |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, v)| (*v).to_owned())
        };
        let user = || Some("daemon".to_owned());
        let all = &[("SUDO_USER", "ann"), ("GITHUB_ACTOR", "bob")];
        assert_eq!(decide(Some("zoe"), env(all), user), "zoe");
        assert_eq!(decide(None, env(all), user), "ann");
        assert_eq!(decide(Some(" "), env(all), user), "ann", "from a variable that is not set");
        assert_eq!(decide(None, env(&[("GITHUB_ACTOR", "bob"), ("SUDO_USER", " ")]), user), "bob");
        assert_eq!(decide(None, env(&[]), user), "daemon");
        assert_eq!(decide(None, env(&[]), || None), "unknown");
    }
}
