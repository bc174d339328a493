//! Paces the starts of connections.
//!
//! An sshd drops logins that come in bursts (`MaxStartups`, by default from the tenth on), and so
//! do some firewalls. Each way into the network has a gate; a drop before the login halves it, a
//! login widens it again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

/// The gates of a run.
#[derive(Debug)]
pub(crate) struct Starts {
    limit: usize,
    all: Arc<Gate>,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
}

impl Starts {
    pub(crate) fn new(limit: usize, in_all: usize) -> Self {
        Self { limit, all: Arc::new(Gate::new(in_all)), gates: Mutex::default() }
    }

    /// Waits until a start along `way` may begin. Cancel-safe.
    pub(crate) async fn enter(&self, way: &str) -> Pass {
        let gate = {
            let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Gate::new(self.limit));
            gates.entry(way.to_owned()).or_insert_with(new).clone()
        };
        let place = Gate::enter(&gate).await;
        let _all = Gate::enter(&self.all).await;
        Pass { gate, _place: place, _all }
    }
}

/// A start that is on its way.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    _place: Place,
    _all: Place,
}

impl Pass {
    /// The login went well: the gate widens.
    pub(crate) fn widen(&self) {
        self.gate.change(|state| state.limit = (state.limit + 1).min(state.max));
    }

    /// The start was dropped: the gate narrows.
    pub(crate) fn narrow(&self) {
        self.gate.change(|state| state.limit = (state.limit / 2).max(1));
    }
}

/// How long to wait before the start is repeated that was dropped `dropped` times: twice as long
/// each time, at most two seconds, and never the same for all.
pub(crate) fn backoff(dropped: u32) -> Duration {
    let longest = 50_u64.saturating_mul(1 << dropped.min(6)).min(2000);
    let mut random = [0; 2];
    // Without randomness they only meet again.
    let _ = getrandom::fill(&mut random);
    let share = u64::from(u16::from_le_bytes(random));
    Duration::from_millis(longest / 2 + longest * share / (2 * u64::from(u16::MAX)))
}

#[derive(Debug)]
struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    max: usize,
    limit: usize,
    inside: usize,
}

impl Gate {
    fn new(limit: usize) -> Self {
        let limit = limit.max(1);
        let state = Mutex::new(State { max: limit, limit, inside: 0 });
        Self { state, changed: Notify::new() }
    }

    async fn enter(gate: &Arc<Self>) -> Place {
        loop {
            let changed = gate.changed.notified();
            {
                let mut state = gate.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.inside < state.limit {
                    state.inside += 1;
                    return Place(gate.clone());
                }
            }
            changed.await;
        }
    }

    fn change(&self, how: impl FnOnce(&mut State)) {
        how(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
    }
}

/// One who is inside.
#[derive(Debug)]
struct Place(Arc<Gate>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.change(|state| state.inside -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drop_halves_the_gate_and_a_login_widens_it() {
        let starts = Starts::new(4, 100);
        let first = starts.enter("h").await;
        first.narrow();
        let second = starts.enter("h").await;
        let third = tokio::time::timeout(Duration::from_millis(20), starts.enter("h")).await;
        assert!(third.is_err(), "two of two are inside");
        let other = starts.enter("other way").await;
        second.widen();
        let third = starts.enter("h").await;
        drop((first, second, third, other));
        for _ in 0..3 {
            let _pass = starts.enter("h").await;
        }
    }

    #[test]
    fn backoff_grows_and_stays_bounded() {
        for dropped in 0..40 {
            let wait = backoff(dropped);
            assert!(wait >= Duration::from_millis(25) && wait <= Duration::from_secs(2));
        }
        assert!(backoff(6) > backoff(0));
    }
}
