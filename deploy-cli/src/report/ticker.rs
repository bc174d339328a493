//! What makes the lines on the screen move.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use indicatif::{ProgressBar, WeakProgressBar};

/// How often what is under way moves.
const TICK: Duration = Duration::from_millis(250);

/// Moves all bars by one thread, which ends with it. (`enable_steady_tick` starts one for each.)
pub(super) struct Ticker {
    bars: Arc<Mutex<Vec<WeakProgressBar>>>,
    /// Closed when dropped, which ends the thread.
    _end: mpsc::Sender<()>,
}

impl Ticker {
    pub(super) fn new() -> Self {
        let bars = Arc::new(Mutex::new(Vec::<WeakProgressBar>::new()));
        let (end, ended) = mpsc::channel::<()>();
        let ticked = bars.clone();
        thread::spawn(move || {
            while ended.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                // Drawn without the lock: whoever adds a bar never waits for the terminal.
                let mut bars = ticked.lock().unwrap_or_else(PoisonError::into_inner);
                bars.retain(|bar| bar.upgrade().is_some_and(|bar| !bar.is_finished()));
                let now: Vec<ProgressBar> =
                    bars.iter().filter_map(WeakProgressBar::upgrade).collect();
                drop(bars);
                for bar in now {
                    bar.tick();
                }
            }
        });
        Self { bars, _end: end }
    }

    /// Moves `bar` until it is finished or dropped.
    pub(super) fn add(&self, bar: &ProgressBar) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        bars.push(bar.downgrade());
    }
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticker").finish_non_exhaustive()
    }
}
