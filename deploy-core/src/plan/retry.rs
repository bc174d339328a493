//! How often, how long, and how far apart a call is repeated.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Stage;

/// How transient failures of a backend are repeated: a lost link, a reset connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How often a call is made in all, from 1.
    pub attempts: u32,
    /// How long to wait before the second attempt; doubled before each further one.
    pub backoff: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 2, backoff: Duration::from_millis(500) }
    }
}

impl Retry {
    /// How long to wait after attempt `attempt` (from 1) failed; `None` when that was the last.
    pub fn after(self, attempt: u32) -> Option<Duration> {
        (attempt < self.attempts)
            .then(|| self.backoff.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1))))
    }
}

/// How long each stage may take on one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Reaching a target and asking what it serves.
    pub connect: Duration,
    /// Bringing a version there, its own steps included.
    pub fetch: Duration,
    /// Switching.
    pub promote: Duration,
    /// Restarting the service.
    pub restart: Duration,
    /// Marking good, and pruning.
    pub finalize: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            fetch: Duration::from_secs(600),
            promote: Duration::from_secs(60),
            restart: Duration::from_secs(120),
            finalize: Duration::from_secs(120),
        }
    }
}

impl Timeouts {
    /// How long `stage` may take. A check and a step bring their own.
    pub fn of(&self, stage: Stage) -> Duration {
        match stage {
            Stage::Connect | Stage::Preflight => self.connect,
            Stage::Fetch => self.fetch,
            Stage::Promote | Stage::Rollback | Stage::Depool | Stage::Repool => self.promote,
            Stage::Restart | Stage::Check | Stage::Run => self.restart,
            Stage::Finalize => self.finalize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_and_ends() {
        let retry = Retry { attempts: 3, backoff: Duration::from_secs(1) };
        assert_eq!(retry.after(1), Some(Duration::from_secs(1)));
        assert_eq!(retry.after(2), Some(Duration::from_secs(2)));
        assert_eq!(retry.after(3), None);
    }
}
