//! The same stories over each way to a target.

/// Makes each story a test over SSH and a test on this machine.
macro_rules! over_both_links {
    ($($story:ident),* $(,)?) => {
        mod over_ssh {
            use super::*;
            $(#[tokio::test] async fn $story() {
                let (_sshd, _client, sessions) = one_host("");
                super::$story(&sessions, &target("h1")).await;
            })*
        }
        mod on_this_machine {
            use super::*;
            $(#[tokio::test] async fn $story() {
                let mut config = SshConfig::default();
                config.heartbeat = std::time::Duration::from_millis(400);
                super::$story(&Sessions::new(config), &target("local")).await;
            })*
        }
    };
}
